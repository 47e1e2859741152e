"""What is missing, and whether it is on its way or lost."""

from cloud_sink.ledger import latest_reports
from cloud_sink.ledger.observations import ReportKind
from cloud_sink.reports import Report
from tests.support.fake_gateway import START, FakeGateway, FakeLock
from tests.support.ledger import Ledger
from wastelock.messages import GatewayState, LockState


def tell(ledger: Ledger, *states: GatewayState | LockState, at_ms: int = 0) -> None:
    reports = [
        Report(ReportKind.LOCK, "estate-1", "gw-0001", state.lock, state, START)
        if isinstance(state, LockState)
        else Report(ReportKind.GATEWAY, "estate-1", "gw-0001", None, state, START)
        for state in states
    ]
    with ledger.database.writing() as connection:
        latest_reports.save(connection, reports, at_ms)


def lock_state(
    lock: FakeLock, epoch: int = 1, oldest: int = 1, newest: int = 0, spooled: int = 0
) -> LockState:
    return LockState(
        lock=lock.name, driver="wlc-1", at=START, reachable=True, epoch=epoch, oldest_seq=oldest, newest_seq=newest,
        confirmed_seq=spooled, spooled_seq=spooled,
    )  # fmt: skip


def gateway_state(gateway: FakeGateway, oldest: int, newest: int, **changes: object) -> GatewayState:
    fields: dict[str, object] = {
        "gateway": gateway.gateway, "online": True, "incarnation": 1, "at": START, "journal": gateway.journal,
        "oldest_page": oldest, "newest_page": newest, **changes,
    }  # fmt: skip
    return GatewayState(**fields)  # type: ignore[arg-type]  # each of its own type


def records(ledger: Ledger) -> list[tuple[int, int, int, str, bool]]:
    return [(g.epoch, g.first, g.last, g.state.value, g.before_first) for g in ledger.reader.record_gaps()]


def pages(ledger: Ledger) -> list[tuple[int, int, str]]:
    return [(gap.first, gap.last, gap.state.value) for gap in ledger.reader.page_gaps()]


def test_nothing_is_missing_in_a_whole_ledger(ledger: Ledger, gateway: FakeGateway, lock: FakeLock) -> None:
    ledger.take(gateway.seal(lock.pours(5)), gateway.seal(lock.pours(5)))
    tell(ledger, lock_state(lock, newest=10, spooled=10), gateway_state(gateway, 1, 2))
    assert (records(ledger), pages(ledger)) == ([], [])


def test_missing_pages_are_in_the_spool_or_gone_from_it(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    made = [gateway.seal(lock.pours(2)) for _ in range(6)]
    ledger.take(made[0], made[5])
    assert pages(ledger) == [(2, 5, "buffered")]
    tell(ledger, gateway_state(gateway, 4, 9))
    assert pages(ledger) == [(2, 3, "lost"), (4, 5, "buffered"), (7, 9, "buffered")]
    assert records(ledger) == [(1, 3, 10, "buffered", False)]
    tell(ledger, gateway_state(gateway, 1, 1, journal="00000000-0000-4000-8000-000000000009"))
    assert pages(ledger) == [(2, 5, "lost")]
    assert records(ledger) == [(1, 3, 10, "lost", False)]


def test_records_are_explained_by_what_the_controller_still_has(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    made = lock.pours(20)
    ledger.take(gateway.seal(made[4:6]), gateway.seal(made[9:12]))
    assert records(ledger) == [(1, 1, 4, "lost", True), (1, 7, 9, "lost", False)]
    tell(ledger, lock_state(lock, oldest=3, newest=20, spooled=14))
    found = ledger.reader.record_gaps()
    assert [(gap.first, gap.last, gap.state.value) for gap in found] == [
        (1, 2, "lost"), (3, 4, "buffered"), (7, 9, "buffered"), (13, 14, "buffered"), (15, 20, "buffered"),
    ]  # fmt: skip
    assert "begins at record 3" in found[0].reason
    assert "not read yet" in found[-1].reason


def test_an_epoch_that_the_controller_has_left_is_lost(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    ledger.take(gateway.seal(lock.pours(6)[3:]))
    tell(ledger, lock_state(lock, epoch=2, newest=4, spooled=0))
    assert records(ledger) == [(1, 1, 3, "lost", True), (2, 1, 4, "buffered", False)]


def test_a_lock_that_only_ever_reported_is_listed(ledger: Ledger, lock: FakeLock) -> None:
    tell(ledger, lock_state(lock, newest=4, spooled=0))
    assert records(ledger) == [(1, 1, 4, "buffered", False)]
    assert list(ledger.reader.record_gaps("1f00ff")) == []


def test_what_was_heard_last_counts_whatever_the_gateways_clock_said(ledger: Ledger, lock: FakeLock) -> None:
    tell(ledger, lock_state(lock, newest=9).model_copy(update={"at": START.replace(year=2040)}), at_ms=5)
    tell(ledger, lock_state(lock, newest=2), at_ms=4)
    assert records(ledger) == [(1, 1, 9, "buffered", False)]
    tell(ledger, lock_state(lock, newest=3), at_ms=6)
    assert records(ledger) == [(1, 1, 3, "buffered", False)]


def test_a_gateways_will_takes_nothing_from_what_it_said_of_its_spool(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    made = [gateway.seal(lock.pours(1)) for _ in range(4)]
    ledger.take(made[0], made[3])
    tell(ledger, gateway_state(gateway, 3, 4, incarnation=5))
    tell(ledger, GatewayState(gateway=gateway.gateway, online=False, incarnation=4), at_ms=1)
    assert [gap.reason for gap in ledger.reader.page_gaps()][-1] == "in the gateway's spool", (
        "a late will is void"
    )
    tell(ledger, GatewayState(gateway=gateway.gateway, online=False, incarnation=5), at_ms=2)
    assert pages(ledger) == [(2, 2, "lost"), (3, 3, "buffered")]
    assert "it is offline" in ledger.reader.page_gaps()[-1].reason
