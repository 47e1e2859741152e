"""What is kept of reports: nothing that matters is lost, what doesn't change is thinned, several sinks keep it once."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cloud_sink.config import ObservationsSection
from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.observations import ReportKind, State
from cloud_sink.observing import Kept, Memory, follow, matters
from cloud_sink.reports import Inbox, Report
from wastelock.messages import BusStatistics, ChamberState, GatewayState, LockState, MachineHealth, Telemetry

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
THINNING = ObservationsSection()
LATER = to_ms(START + timedelta(days=400))


def lock_state(after_s: float = 0, **changes: object) -> LockState:
    fields: dict[str, object] = {
        "lock": "1f00a1", "driver": "wlc-1", "at": START + timedelta(seconds=after_s), "reachable": True,
        "state": "ready", "fill_permille": 500, "battery_mv": 3600, "newest_seq": 10,
        "chambers": (ChamberState(number=1, volume_ml=5000, register_count=10, enabled=True),), **changes,
    }  # fmt: skip
    return LockState(**fields)  # type: ignore[arg-type]  # each of its own type


def gateway_state(after_s: float | None = 0, **changes: object) -> GatewayState:
    at = None if after_s is None else START + timedelta(seconds=after_s)
    fields: dict[str, object] = {
        "gateway": "gw-0001", "online": True, "incarnation": 3, "at": at, "software": "edge-agent 1", **changes
    }  # fmt: skip
    return GatewayState(**fields)  # type: ignore[arg-type]  # each of its own type


def telemetry(after_s: float = 0, **changes: object) -> Telemetry:
    fields: dict[str, object] = {
        "gateway": "gw-0001", "at": START + timedelta(seconds=after_s), "spool_bytes": 1, "spool_pages": 1,
        "unsent_pages": 0, "clock": "ntp", **changes,
    }  # fmt: skip
    return Telemetry(**fields)  # type: ignore[arg-type]  # each of its own type


def heard(state: State, after_s: float, retained: bool = False) -> Report:
    kinds = {LockState: ReportKind.LOCK, GatewayState: ReportKind.GATEWAY, Telemetry: ReportKind.TELEMETRY}
    lock = state.lock if isinstance(state, LockState) else None
    at = START + timedelta(seconds=after_s)
    return Report(kinds[type(state)], "estate-1", "gw-0001", lock, state, at, retained)


def take(
    *reports: Report, memory: Memory | None = None, shared: bool = False, now_ms: int = LATER
) -> tuple[Memory, list[Kept]]:
    found, kept = follow(memory, reports, now_ms, THINNING, shared)
    assert found is not None
    return found, kept


def states(kept: Sequence[Kept]) -> list[State]:
    return [each.state for each in kept]


def test_the_first_report_of_a_subject_is_kept_and_tells_that_nothing_was_heard_before() -> None:
    memory, kept = take(heard(lock_state(), 1))
    assert [(each.heard_ms, each.heard_before_ms) for each in kept] == [(to_ms(START) + 1000, None)]
    assert memory.heard == memory.kept == lock_state()


def test_what_moves_with_each_pour_is_heard_but_not_kept() -> None:
    reports = [heard(lock_state(n, newest_seq=10 + n), n) for n in range(60)]
    memory, kept = take(*reports)
    assert states(kept) == [lock_state()]
    assert memory.heard == lock_state(59, newest_seq=69), "how it is now is known all the same"


def test_each_change_that_matters_is_kept_at_once() -> None:
    changes: list[dict[str, object]] = [
        {"faults": ("container_full",)}, {"reachable": False, "unreachable_since": START}, {"epoch": 2},
        {"state": "service"}, {"fill_permille": 510}, {"fill_permille": 490}, {"fill_permille": None},
        {"battery_mv": 3500}, {"clock_offset_s": 0}, {"access_list_version": 4}, {"firmware": "1.1"},
        {"unverified_records": 1}, {"overwritten_records": 2}, {"problem": "no answer"},
        {"chambers": (ChamberState(number=1, volume_ml=5000, register_count=10, enabled=False),)},
    ]  # fmt: skip
    for change in changes:
        assert matters(lock_state(), lock_state(9, **change)), change
    of_gateway: list[dict[str, object]] = [
        {"alarms": ("disk full",)}, {"online": False}, {"incarnation": 4}, {"locks": ("1f00a1",)}
    ]  # fmt: skip
    for change in of_gateway:
        assert matters(gateway_state(), gateway_state(9, **change)), change
    assert matters(telemetry(), telemetry(9, clock="unset"))
    well = MachineHealth(
        temperature_dc=480, undervoltage=False, disk_read_only=False, clock_source="timesyncd"
    )
    assert not matters(
        telemetry(machine=well), telemetry(9, machine=well.model_copy(update={"temperature_dc": 650}))
    )
    of_machine: list[dict[str, object]] = [
        {"undervoltage": True}, {"disk_read_only": True}, {"clock_source": "rtc"}, {"saving": ("telemetry",)}
    ]  # fmt: skip
    for change in of_machine:
        assert matters(telemetry(machine=well), telemetry(9, machine=well.model_copy(update=change))), change
    bus = BusStatistics(
        bus="yard", requests=1, timeouts=0, late_or_foreign_replies=0, crc_errors=0, exceptions=0
    )
    open_breaker = bus.model_copy(update={"breaker_open_units": (3,)})
    assert matters(telemetry(buses=(bus,)), telemetry(9, buses=(open_breaker,)))


def test_what_creeps_is_kept_in_steps_against_what_was_kept_last() -> None:
    _, kept = take(*(heard(lock_state(n, fill_permille=500 + n), n) for n in range(100)))
    levels = [each.state.fill_permille for each in kept if isinstance(each.state, LockState)]
    assert levels == [500, 510, 520, 530, 540, 550, 560, 570, 580, 590]


def test_one_is_kept_now_and_then_where_nothing_changes() -> None:
    _, kept = take(*(heard(lock_state(300 * n), 300 * n) for n in range(100)))
    assert [(each.heard_ms - to_ms(START)) // 1000 for each in kept] == list(range(0, 29_700, 3600))
    _, kept = take(*(heard(telemetry(60 * n), 60 * n - (n % 2)) for n in range(100)))
    assert len(kept) == 100, "each telemetry, also where it comes a little early"


def test_a_silence_shows() -> None:
    _, kept = take(heard(lock_state(), 0), heard(lock_state(100), 100), heard(lock_state(1100), 1100))
    assert [each.heard_before_ms for each in kept] == [None, to_ms(START) + 100_000]


def test_a_will_keeps_what_the_birth_said_and_a_late_one_is_void() -> None:
    memory, kept = take(heard(gateway_state(), 0), heard(gateway_state(None, online=False, software=None), 9))
    assert states(kept)[1] == gateway_state(None, online=False)
    memory, kept = take(heard(gateway_state(60, incarnation=4), 60), memory=memory)
    assert len(kept) == 1
    memory, kept = take(
        heard(gateway_state(None, online=False, software=None, incarnation=3), 61), memory=memory
    )
    assert kept == []
    assert memory.heard == gateway_state(60, incarnation=4)


def test_what_the_broker_had_kept_is_no_news_the_second_time_and_as_old_as_it_says() -> None:
    memory, _ = take(heard(lock_state(), 0))
    again, kept = take(heard(lock_state(), 900, retained=True), memory=memory)
    assert (again, kept) == (memory, [])
    _, kept = take(heard(lock_state(50, faults=("tamper",)), 900, retained=True), memory=memory)
    assert [each.heard_ms for each in kept] == [to_ms(START) + 50_000]


def test_a_will_that_the_broker_had_kept_tells_no_second_time_that_somebody_was_there() -> None:
    will = gateway_state(None, online=False)
    memory, _ = take(heard(gateway_state(), 0), heard(will, 9))
    assert take(heard(will, 9000, retained=True), memory=memory) == (memory, [])


def test_what_the_broker_had_kept_is_never_older_than_what_is_known() -> None:
    memory, _ = take(heard(lock_state(), 100))
    _, kept = take(heard(lock_state(50, faults=("tamper",)), 900, retained=True), memory=memory)
    assert [each.heard_ms for each in kept] == [to_ms(START) + 100_000]


def test_a_batch_that_is_written_again_changes_nothing() -> None:
    """As where the connection broke at the commit, and nobody knows whether it came through."""
    reports = [heard(lock_state(n, faults=("tamper",) if n % 2 else ()), n) for n in range(5)]
    memory, kept = take(*reports)
    assert len(kept) == 5
    assert take(*reports, memory=memory) == (memory, [])


def test_a_gateway_whose_clock_was_set_back_is_still_heard() -> None:
    reports = [heard(lock_state(), 0), heard(lock_state(-5000, faults=("tamper",)), 10)]
    assert len(take(*reports)[1]) == 2
    memory, kept = take(*reports, shared=True)
    assert len(kept) == 1, "of several sinks each takes it for something that another one wrote before"
    assert len(take(heard(lock_state(-4920, faults=("tamper",)), 90), memory=memory, shared=True)[1]) == 1


def test_an_agent_that_begins_again_with_a_wrong_clock_is_online() -> None:
    _, kept = take(
        heard(gateway_state(), 0),
        heard(gateway_state(None, online=False), 30),
        heard(gateway_state(-99_999, incarnation=4), 40),
        shared=True,
    )
    assert len(kept) == 3


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "faults": st.sampled_from([(), ("tamper",), ("battery_low", "tamper")]),
        "reachable": st.booleans(),
        "fill_permille": st.integers(0, 1000) | st.none(),
        "newest_seq": st.integers(10, 99),
    },
)
STEPS = st.lists(st.tuples(st.integers(1, 2000), CHANGES), min_size=1, max_size=40)


@given(STEPS, st.lists(st.integers(1, 5), min_size=40, max_size=40))
def test_nothing_that_matters_is_lost_however_reports_are_cut_into_batches(
    steps: list[tuple[int, dict[str, object]]], sizes: list[int]
) -> None:
    reports, now_s = [], 0
    for wait_s, changes in steps:
        now_s += wait_s
        reports.append(heard(lock_state(now_s, **changes), now_s))
    _, at_once = take(*reports)
    memory, kept, rest = None, [], list(reports)
    for size in sizes:
        batch, rest = rest[:size], rest[size:]
        if batch:
            memory, some = take(*batch, memory=memory)
            kept += some
            # At any moment what was kept last tells what matters of how it is now.
            assert not matters(memory.kept, memory.heard)
    assert kept == at_once
    by_instant = {each.heard_ms: each for each in kept}
    last: LockState | None = None
    for report in reports:
        each = by_instant.get(to_ms(report.heard_at))
        last = each.state if each is not None and isinstance(each.state, LockState) else last
        assert last is not None
        assert not matters(last, report.state)


@given(STEPS, st.data())
def test_two_sinks_that_heard_the_same_keep_it_once(
    steps: list[tuple[int, dict[str, object]]], data: st.DataObject
) -> None:
    """Each writes when it comes to it, in batches of its own."""
    reports, now_s = [], 0
    for wait_s, changes in steps:
        now_s += wait_s
        reports.append(heard(lock_state(now_s, **changes), now_s))
    memory: Memory | None = None
    written: list[Kept] = []
    places = [0, 0]
    while min(places) < len(reports):
        who = data.draw(st.sampled_from([n for n in (0, 1) if places[n] < len(reports)]))
        size = data.draw(st.integers(1, 5))
        batch = reports[places[who] : places[who] + size]
        places[who] += size
        now_ms = max(to_ms(report.heard_at) for report in (*batch, *reports[: max(places)]))
        memory, kept = take(*batch, memory=memory, shared=True, now_ms=now_ms)
        written += kept
    assert [each.heard_ms for each in written] == sorted({each.heard_ms for each in written})
    assert states(written) == states(take(*reports)[1])


def test_an_inbox_keeps_what_comes_in_between_and_stays_bounded_by_topic() -> None:
    inbox = Inbox(lambda: START)
    for number in range(30):
        inbox.put("a", str(number).encode())
    inbox.put("b", b"x", True)
    found = inbox.fetch()
    assert [arrived.payload for arrived in found if arrived.topic == "a"] == [
        str(number).encode() for number in range(10, 30)
    ]
    assert [arrived.retained for arrived in found if arrived.topic == "b"] == [True]
    assert inbox.fetch() == []


def test_a_clock_that_is_set_back_a_little_does_not_make_anything_late() -> None:
    times = iter([0, 10, 9, 11, -3600, -3599])
    inbox = Inbox(lambda: START + timedelta(seconds=next(times)))
    for _ in range(5):
        inbox.put("a", b"")
    seconds = [(arrived.heard_at - START).total_seconds() for arrived in inbox.fetch()]
    assert seconds == [10, 10, 11, -3600, -3599]


def test_a_full_inbox_keeps_the_latest_of_what_it_knows() -> None:
    inbox = Inbox(lambda: START, pending_max=3)
    for topic, payload in [("a", b"1"), ("a", b"2"), ("b", b"3"), ("c", b"4"), ("a", b"5"), ("b", b"6")]:
        inbox.put(topic, payload)
    assert [(arrived.topic, arrived.payload) for arrived in inbox.fetch()] == [
        ("a", b"1"),
        ("a", b"5"),
        ("b", b"6"),
    ]
