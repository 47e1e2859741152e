"""What a twin says of its lock: connectivity, faults, lifecycle, wishes, quality; now and in the past."""

from datetime import date, timedelta
from typing import Any

import pytest

from cloud_sink.errors import ConfigError
from cloud_sink.operator_events import SubjectKind
from cloud_sink.projections.twins.model import (
    BillingImpact,
    Connectivity,
    FillPoint,
    Health,
    Lifecycle,
)
from cloud_sink.projections.twins.reading import TwinReader
from cloud_sink.projections.twins.thresholds import Thresholds
from cloud_sink.projections.usage_store import default_url
from tests.support.fake_gateway import START, FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.twins import TECHNICIAN, TwinRig
from wastelock.messages import MachineHealth
from wastelock.record import Kind
from wastelock.registers import Fault


def fault(lock: FakeLock, raised: bool, which: Fault, chamber: int = 0, **values: Any) -> Any:
    kind = Kind.FAULT_RAISED if raised else Kind.FAULT_CLEARED
    return lock.page_record(lock.record(kind=kind, duration_ds=which, chamber=chamber, **values))


def unix(rig: TwinRig) -> int:
    return int(rig.clock.at.timestamp())


def test_a_lock_that_is_heard_of_and_pours_is_in_service_online_and_good(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.ledger.take(gateway.seal(lock.pours(10)))
    rig.hear_gateway(gateway)
    rig.hear_lock(lock, gateway, fill_permille=412)
    rig.clock.go_on(minutes=1)
    twin = rig.twin(lock)
    summary = twin.summary
    assert (summary.lifecycle, summary.connectivity, summary.health) == (
        Lifecycle.IN_SERVICE, Connectivity.ONLINE, Health.GOOD,
    )  # fmt: skip
    assert (summary.site, summary.gateway, summary.fill_permille) == ("estate-1", "gw-0001", 412)
    assert (summary.pours_today, summary.pours_week, summary.completeness_permille) == (10, 10, 1000)
    assert summary.last_pour_at == START + timedelta(seconds=10)
    assert twin.reported is not None
    assert twin.reported.firmware == "1.4.2"
    assert [(c.number, c.volume_ml, c.register, c.ledger_register) for c in twin.chambers] == [
        (1, 5000, 10, 10)
    ]
    assert twin.quality.clock_grades == {"ntp": 10}
    assert twin.quality.latency_p50_ms == 0, "all of them were committed at START, by clocks that say later"


def test_a_gateway_is_online_then_stale_then_offline_and_its_locks_with_it(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.hear_gateway(gateway)
    rig.hear_lock(lock, gateway)
    seen = []
    for _ in range(4):
        seen.append((rig.twin(lock).summary.connectivity, rig.reader.gateways()[0].link.connectivity))
        rig.clock.go_on(minutes=6)
    online, stale, offline = Connectivity.ONLINE, Connectivity.STALE, Connectivity.OFFLINE
    assert seen == [(online, online), (stale, stale), (stale, stale), (offline, offline)]


def test_a_gateways_twin_knows_how_its_machine_is_doing(rig: TwinRig, gateway: FakeGateway) -> None:
    health = MachineHealth(temperature_dc=812, disk_wear_permille=200, saving=("telemetry",))
    rig.hear_telemetry(gateway)
    assert rig.reader.gateways()[0].machine is None
    rig.clock.go_on(minutes=1)
    rig.hear_telemetry(gateway, machine=health)
    assert rig.reader.gateways()[0].machine == health


def test_a_will_makes_a_gateway_offline_at_once_until_it_is_heard_again(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.hear_gateway(gateway)
    rig.clock.go_on(seconds=5)
    rig.hear_gateway(gateway, online=False, at=None)
    assert rig.reader.gateways()[0].link.connectivity is Connectivity.OFFLINE
    assert rig.reader.counts().gateways_offline == 1
    rig.clock.go_on(seconds=5)
    rig.hear_telemetry(gateway)
    assert rig.reader.gateways()[0].link.connectivity is Connectivity.ONLINE


def test_a_lock_that_its_gateway_cannot_reach_is_offline_although_the_gateway_is_online(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.hear_gateway(gateway)
    since = rig.clock.at
    rig.hear_lock(lock, gateway, reachable=False, unreachable_since=since, problem="no answer")
    twin = rig.twin(lock)
    assert twin.link.connectivity is Connectivity.ONLINE
    assert (twin.summary.connectivity, twin.summary.health) == (Connectivity.OFFLINE, Health.WARNING)
    assert twin.reported is not None
    assert (twin.reported.unreachable_since_at, twin.reported.problem) == (since, "no answer")


def test_the_backlog_is_what_telemetry_says_waits_at_the_gateway(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    oldest = rig.clock.at - timedelta(hours=3)
    rig.hear_lock(lock, gateway)
    rig.hear_telemetry(gateway, unsent_pages=12, oldest_unsent_at=oldest)
    link = rig.twin(lock).link
    assert (link.backlog_pages, link.oldest_unsent_at) == (12, oldest)


def test_without_telemetry_the_backlog_is_what_was_sealed_and_is_not_here(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.ledger.take(gateway.seal(lock.pours(1)))
    rig.hear_gateway(gateway, newest_page=4)
    rig.catch_up()
    assert rig.reader.gateways("estate-1")[0].link.backlog_pages == 3
    assert rig.reader.gateways("elsewhere") == []


@pytest.mark.parametrize(
    ("which", "impact", "health"),
    [
        (Fault.BATTERY_LOW, BillingImpact.NONE, Health.GOOD),
        (Fault.CHAMBER_BLOCKED, BillingImpact.DEGRADED, Health.WARNING),
        (Fault.CONTAINER_FULL, BillingImpact.DEGRADED, Health.WARNING),
        (Fault.MEMORY_CORRUPT, BillingImpact.LOST, Health.CRITICAL),
        (Fault.FLAP_OPEN, BillingImpact.BYPASS, Health.CRITICAL),
        (Fault.DOOR_OPEN, BillingImpact.BYPASS, Health.CRITICAL),
        (Fault.TAMPER, BillingImpact.REVIEW, Health.WARNING),
        (Fault.CLOCK_LOST, BillingImpact.REVIEW, Health.WARNING),
    ],
)
def test_each_fault_does_to_the_bill_what_the_design_says(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock, which: Fault, impact: BillingImpact, health: Health
) -> None:
    rig.hear_gateway(gateway)
    rig.ledger.take(gateway.seal([fault(lock, True, which)]))
    rig.hear_lock(lock, gateway, faults=(which.name.lower(),))
    summary = rig.twin(lock).summary
    assert (summary.faults, summary.impact, summary.health) == ((which.name.lower(),), impact, health)


def test_a_backlog_that_comes_late_does_not_bring_back_a_fault_that_is_over(
    any_rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig = any_rig
    raised = gateway.seal([fault(lock, True, Fault.DOOR_OPEN)])
    cleared = gateway.seal([*lock.pours(2), fault(lock, False, Fault.DOOR_OPEN)])
    rig.ledger.take(cleared)
    assert rig.twin(lock).faults == ()
    rig.ledger.take(raised)
    assert rig.twin(lock).faults == ()
    [interval] = rig.reader.intervals([lock.name], START, START + timedelta(hours=1))
    assert (interval.since_at, interval.until_at) == (
        START + timedelta(seconds=1),
        START + timedelta(seconds=4),
    )


def test_what_only_a_report_tells_is_a_fault_until_a_later_record_clears_it(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    raised = fault(lock, True, Fault.FLAP_OPEN)
    rig.hear_lock(lock, gateway, faults=("flap_open",))
    [told] = rig.twin(lock).faults
    assert (told.fault, told.since_at, told.seq) == ("flap_open", START, None)
    rig.ledger.take(gateway.seal([raised]))
    [recorded] = rig.twin(lock).faults
    assert (recorded.since_at, recorded.seq) == (START + timedelta(seconds=1), 1)
    rig.ledger.take(gateway.seal([fault(lock, False, Fault.FLAP_OPEN)]))
    assert rig.twin(lock).faults == (), "the report is older than this record"


def test_a_report_that_knows_of_the_record_has_the_last_word(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.ledger.take(gateway.seal([fault(lock, True, Fault.DOOR_OPEN)]))
    lock.seq += 1  # the clearing is still in the ring
    rig.hear_lock(lock, gateway, faults=())
    assert rig.twin(lock).faults == ()


def test_two_blocked_chambers_are_two_faults_and_clearing_one_leaves_the_other(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    both = [fault(lock, True, Fault.CHAMBER_BLOCKED, chamber) for chamber in (1, 2)]
    rig.ledger.take(gateway.seal(both))
    rig.hear_lock(lock, gateway, faults=("chamber_blocked",))
    assert [each.chamber for each in rig.twin(lock).faults] == [1, 2]
    rig.ledger.take(gateway.seal([fault(lock, False, Fault.CHAMBER_BLOCKED, 1)]))
    assert [each.chamber for each in rig.twin(lock).faults] == [2]


def test_who_moved_a_lock_and_why_is_kept_and_its_own_moves_are_told_apart(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.operations.describe_lock(lock.name, {"site": "estate-1", "label": "Hof 3"}, TECHNICIAN)
    for to in ("planned", "commissioning", "in_service"):
        if to != "planned":
            rig.operations.move(lock.name, to, TECHNICIAN)
        rig.hear_lock(lock, gateway)
        rig.clock.go_on(hours=1)
    rig.hear_lock(lock, gateway, faults=("container_full",))
    rig.clock.go_on(hours=1)
    rig.hear_lock(lock, gateway, state="out_of_service", faults=("container_full",))
    rig.clock.go_on(hours=1)
    rig.hear_lock(lock, gateway)
    twin = rig.twin(lock)
    assert (twin.summary.lifecycle, twin.summary.label) == (Lifecycle.IN_SERVICE, "Hof 3")
    told = [
        (step.lifecycle.value, step.automatic, step.actor, step.reason) for step in twin.lifecycle_history
    ]
    own = "the lock itself"
    assert told[:-1] == [
        ("in_service", True, own, ""),
        ("out_of_service", True, own, "out_of_service, container_full"),
        ("degraded", True, own, "container_full"),
        ("in_service", False, "t.lindner", "as ordered"),
        ("commissioning", False, "t.lindner", "as ordered"),
    ]


def test_a_wish_drifts_until_it_is_reported_and_is_overdue_after_its_deadline(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.hear_lock(lock, gateway)
    deadline = rig.clock.at + timedelta(hours=1)
    fields = {"property": "access_list_version", "value": 8, "deadline_at": deadline}
    rig.operations.wish(SubjectKind.LOCK, lock.name, fields, TECHNICIAN)
    rig.operations.wish(SubjectKind.LOCK, lock.name, {"property": "clock_offset_s", "value": 5}, TECHNICIAN)
    rig.operations.wish(SubjectKind.LOCK, lock.name, {"property": "poll_interval_s", "value": 5}, TECHNICIAN)
    told = {wish.property: wish for wish in rig.twin(lock).desired}
    wished = told["access_list_version"]
    assert (wished.value, wished.reported, wished.drift, wished.overdue) == ("8", "7", True, False)
    assert (wished.requested_by, wished.deadline_at) == ("t.lindner", deadline)
    assert (told["clock_offset_s"].reported, told["clock_offset_s"].drift) == ("-2", False)
    assert told["poll_interval_s"].drift is None, "no lock reports it"
    rig.clock.go_on(hours=1)
    assert [wish.overdue for wish in rig.twin(lock).desired] == [True, False, False]
    unknown = {"property": "poll_interval_s", "value": 5, "deadline_at": rig.clock.at}
    rig.operations.wish(SubjectKind.LOCK, lock.name, unknown, TECHNICIAN)
    assert [wish.overdue for wish in rig.twin(lock).desired] == [True, False, True], (
        "nothing shows that it is so"
    )
    rig.hear_lock(lock, gateway, access_list_version=8)
    assert rig.twin(lock).desired[0].drift is False
    rig.operations.wish(SubjectKind.LOCK, lock.name, {**fields, "value": None}, TECHNICIAN)
    assert len(rig.twin(lock).desired) == 2


def test_a_lock_can_be_seen_as_it_was_at_any_instant(
    any_rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig = any_rig
    rig.clock.go_on(hours=1)
    rig.hear_lock(lock, gateway, fill_permille=100)
    first = rig.clock.at
    rig.clock.go_on(hours=1)
    rig.hear_lock(lock, gateway, fill_permille=500, faults=("door_open",), firmware="1.4.1")
    rig.clock.go_on(hours=10)
    rig.operations.move(lock.name, "maintenance", TECHNICIAN)
    rig.hear_lock(lock, gateway, fill_permille=0)
    rig.catch_up()
    reader = rig.reader
    assert reader.lock(lock.name, first - timedelta(minutes=1)) is None, "nobody knew of it"
    then = rig.twin(lock, first + timedelta(minutes=10))
    assert (then.summary.fill_permille, then.summary.faults) == (100, ())
    assert then.summary.lifecycle is Lifecycle.IN_SERVICE
    later = rig.twin(lock, first + timedelta(minutes=61))
    assert later.reported is not None
    assert (later.reported.firmware, later.summary.faults) == ("1.4.1", ("door_open",))
    assert later.summary.lifecycle is Lifecycle.DEGRADED
    assert later.summary.connectivity is Connectivity.ONLINE
    silent = rig.twin(lock, first + timedelta(hours=9))
    assert silent.summary.connectivity is Connectivity.OFFLINE
    assert silent.summary.last_seen_at == first + timedelta(hours=1)
    assert rig.twin(lock).summary.lifecycle is Lifecycle.MAINTENANCE
    assert reader.fill_history(lock.name, START, rig.clock.at) == [
        FillPoint(first, 100), FillPoint(first + timedelta(hours=1), 500), FillPoint(rig.clock.at, 0)
    ]  # fmt: skip


def test_a_fault_that_a_backlog_tells_days_later_was_there_at_its_time(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.hear_lock(lock, gateway)
    began = unix(rig)
    page = gateway.seal(
        [
            fault(lock, True, Fault.DOOR_OPEN, began_clock_s=began + 600),
            fault(lock, False, Fault.DOOR_OPEN, began_clock_s=began + 1200),
        ]
    )
    rig.clock.go_on(days=3)
    rig.ledger.take(page)
    at = START + timedelta(seconds=900)
    assert [each.fault for each in rig.twin(lock, at).faults] == ["door_open"]
    assert rig.twin(lock, START + timedelta(seconds=1300)).faults == ()


def test_changes_are_told_once_in_order_of_learning_with_source_actor_and_reason(
    any_rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig = any_rig
    build, before = rig.reader.last_change()
    rig.hear_lock(lock, gateway)
    rig.catch_up()
    rig.operations.note(SubjectKind.LOCK, lock.name, "hinge is worn", TECHNICIAN)
    rig.ledger.take(gateway.seal([fault(lock, True, Fault.DOOR_OPEN), *lock.pours(3)]))
    rig.hear_lock(lock, gateway, state="open")
    rig.catch_up()
    changes = rig.reader.changes_after(before)
    assert [change.change_no for change in changes] == list(range(1, len(changes) + 1))
    assert [(c.property, c.value, c.source, c.actor, c.reason) for c in changes[-3:]] == [
        ("fault.door_open", "raised", "record", None, None),
        ("state", "open", "report", None, None),
        ("note", "hinge is worn", "event", "t.lindner", "as ordered"),
    ]
    assert rig.reader.changes(lock.name, limit=2) == changes[:-3:-1]
    assert rig.reader.changes(lock.name, "state")[0].value == "open"
    assert rig.reader.changes(lock.name, before=changes[-2].change_no, limit=1) == [changes[-3]]
    rig.projection.prepare(anew=True)
    assert rig.reader.last_change()[0] != build, "a stream that went by the numbers begins anew"


def test_pours_are_counted_by_local_day(any_rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    """START is a Sunday, 10 o'clock in Berlin: the week began on the Monday before."""
    rig = any_rig
    day_s = 86_400
    pours = [
        lock.record(began_clock_s=unix(rig) - days * day_s, volume_ml=volume_ml, chamber=chamber)
        for days, chamber, volume_ml in ((7, 1, 5000), (6, 1, 5000), (0, 1, 5000), (0, 2, 20_000))
    ]
    rig.ledger.take(gateway.seal([lock.page_record(pour) for pour in pours]))
    summary = rig.twin(lock).summary
    assert (summary.pours_today, summary.pours_week) == (2, 3)
    days = rig.reader.daily_pours(date(2026, 11, 16), date(2026, 11, 22), lock=lock.name)
    assert [(d.day.day, d.chamber, d.pours, d.volume_ml) for d in days] == [
        (16, 1, 1, 5000), (22, 1, 1, 5000), (22, 2, 1, 20_000),
    ]  # fmt: skip
    assert rig.reader.daily_pours(date(2026, 11, 1), date(2026, 11, 30), site="estate-1") != []
    assert rig.reader.daily_pours(date(2026, 11, 1), date(2026, 11, 30), site="elsewhere") == []


def test_the_fleet_is_paged_filtered_and_counted(any_rig: TwinRig, gateway: FakeGateway) -> None:
    rig = any_rig
    locks = [FakeLock(0x1F0000 + number) for number in range(5)]
    rig.hear_gateway(gateway)
    for lock in locks:
        rig.hear_lock(lock, gateway, faults=("door_open",) if lock is locks[3] else ())
    rig.operations.describe_lock(locks[1].name, {"label": "Nordhof", "site": "north"}, TECHNICIAN)
    rig.operations.describe_site("north", {"name": "Nord", "property_id": "P-7"}, TECHNICIAN)
    rig.catch_up()
    reader, names = rig.reader, [lock.name for lock in locks]
    assert [lock.lock for lock in reader.fleet(limit=2)] == names[:2]
    assert [lock.lock for lock in reader.fleet(after=names[1], limit=2)] == names[2:4]
    assert [lock.lock for lock in reader.fleet(health=Health.CRITICAL)] == [names[3]]
    assert [lock.lock for lock in reader.fleet(site="north")] == [names[1]]
    assert [lock.lock for lock in reader.fleet(text="nordHOF")] == [names[1]]
    counts = reader.counts()
    assert (counts.locks, counts.health[Health.CRITICAL], counts.gateways) == (5, 1, 1)
    north = reader.site("north")
    assert north is not None
    assert (north.name, north.property, north.locks) == ("Nord", "P-7", 1)
    assert [site.site for site in reader.sites()] == ["estate-1", "north"]
    assert reader.site("nowhere") is None
    assert reader.lock("abcdef") is None
    rig.operations.move(locks[0].name, "decommissioned", TECHNICIAN)
    rig.catch_up()
    assert reader.counts().locks == 4


def test_there_is_no_reader_without_twins_of_this_ledger(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="cloud-sink project"):
        TwinReader(default_url(ledger.url), ledger.url, Thresholds())
