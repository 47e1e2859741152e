"""Alarms open, escalate and close; what they are about, since when, and that it is told once."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from cloud_sink.metrics import ProjectionsMonitor
from cloud_sink.operator_events import SubjectKind
from cloud_sink.projections.twins.alarm_figures import AlarmFigures
from cloud_sink.projections.twins.alarm_rules import RULES
from cloud_sink.projections.twins.model import AlarmKind, Severity
from cloud_sink.projections.usage_store import default_url
from tests.support.fake_gateway import START, FakeGateway, FakeLock
from tests.support.ledger import message
from tests.support.twins import TECHNICIAN, TwinRig
from wastelock.record import Kind
from wastelock.registers import Fault

Trouble = Callable[[TwinRig, FakeGateway, FakeLock], None]


def well(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    """All is well, at the moment of the rig's clock."""
    rig.hear_gateway(gateway)
    rig.hear_telemetry(gateway)
    rig.hear_lock(lock, gateway)


def gateway_offline(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.hear_gateway(gateway, online=False, at=None)


def gateway_alarm(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.hear_gateway(gateway, alarms=("spool full: nothing is confirmed",))


def gateway_disk_low(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.hear_telemetry(gateway, disk_free_bytes=100 << 20)


def gateway_clock_unset(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.hear_telemetry(gateway, clock="unset")


def backlog_old(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.hear_telemetry(gateway, unsent_pages=3, oldest_unsent_at=rig.clock.at - timedelta(minutes=50))


def lock_unreachable(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.hear_lock(lock, gateway, reachable=False, unreachable_since=rig.clock.at, problem="no answer")


def lock_fault(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    record = lock.record(kind=Kind.FAULT_RAISED, duration_ds=Fault.DOOR_OPEN, chamber=0)
    rig.ledger.take(gateway.seal([lock.page_record(record)]))


def lock_clock_off(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.hear_lock(lock, gateway, clock_offset_s=-300)


def records_missing(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.ledger.take(gateway.seal(lock.pours(400)))
    gateway.seal(lock.pours(1))
    rig.ledger.take(gateway.seal(lock.pours(400)))


def records_lost(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.ledger.take(gateway.seal(lock.pours(400)))
    lock.record()
    rig.ledger.take(gateway.seal(lock.pours(400)))
    rig.hear_lock(lock, gateway, oldest_seq=500)


def completeness_low(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.ledger.take(gateway.seal(lock.pours(10)))
    gateway.seal(lock.pours(5))
    rig.ledger.take(gateway.seal(lock.pours(10)))


def register_gap(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.ledger.take(gateway.seal(lock.pours(400)))
    lock.register += 2
    rig.ledger.take(gateway.seal(lock.pours(400)))


def records_overwritten(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.hear_lock(lock, gateway, overwritten_records=4)


def dispute_open(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    pour = lock.record()
    other = lock.record(seq=pour.seq, uid=77)
    lock.seq, lock.register = 1, 1
    rig.ledger.take(gateway.seal([lock.page_record(pour)]))
    rig.ledger.take(gateway.seal([lock.page_record(other)]))


def quarantine_growing(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    page = gateway.seal(lock.pours(1))
    lock.seq, lock.register = 0, 0
    rig.ledger.take(message(page, at=rig.clock.at, sig="A" * 86))


def wish(rig: TwinRig, lock: FakeLock, name: str, value: Any) -> None:
    fields = {"property": name, "value": value, "deadline_at": rig.clock.at}
    rig.operations.wish(SubjectKind.LOCK, lock.name, fields, TECHNICIAN)


def list_drift_overdue(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    wish(rig, lock, "access_list_version", 9)


def desired_overdue(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    wish(rig, lock, "firmware", "2.0.0")


def gateway_ahead(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.hear_gateway(gateway, desired_revision=2**53 - 1)


def command_failed(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.answer(rig.order(lock, "self_test"), "accepted", "failed", reason="the flap is open")


def command_unanswered(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.order(lock, "reboot", ttl_s=10)


def container_full_soon(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.hear_lock(lock, gateway, fill_permille=930)


def mass_balance_off(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.hear_lock(lock, gateway, fill_permille=800)
    rig.clock.go_on(seconds=10)
    first = lock.page_record(lock.record(kind=Kind.EMPTYING, chamber=0))
    pours = lock.pours(3)
    second = lock.page_record(lock.record(kind=Kind.EMPTYING, chamber=0))
    rig.ledger.take(gateway.seal([first, *pours, second]))
    rig.hear_lock(lock, gateway, fill_permille=0)


def volume_differs(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    chambers = {1: {"fraction": "residual", "volume_ml": 20_000}}
    rig.operations.describe_lock(lock.name, {"site": "estate-1", "chambers": chambers}, TECHNICIAN)


TROUBLES: dict[AlarmKind, tuple[Trouble, str]] = {
    AlarmKind.GATEWAY_OFFLINE: (gateway_offline, ""),
    AlarmKind.GATEWAY_ALARM: (gateway_alarm, "spool full"),
    AlarmKind.GATEWAY_DISK_LOW: (gateway_disk_low, ""),
    AlarmKind.GATEWAY_CLOCK_UNSET: (gateway_clock_unset, ""),
    AlarmKind.GATEWAY_AHEAD: (gateway_ahead, ""),
    AlarmKind.BACKLOG_OLD: (backlog_old, ""),
    AlarmKind.LOCK_UNREACHABLE: (lock_unreachable, ""),
    AlarmKind.LOCK_FAULT: (lock_fault, "door_open"),
    AlarmKind.LOCK_CLOCK_OFF: (lock_clock_off, ""),
    AlarmKind.RECORDS_MISSING: (records_missing, ""),
    AlarmKind.RECORDS_LOST: (records_lost, ""),
    AlarmKind.REGISTER_GAP: (register_gap, ""),
    AlarmKind.RECORDS_OVERWRITTEN: (records_overwritten, ""),
    AlarmKind.DISPUTE_OPEN: (dispute_open, ""),
    AlarmKind.QUARANTINE_GROWING: (quarantine_growing, ""),
    AlarmKind.LIST_DRIFT_OVERDUE: (list_drift_overdue, "access_list_version"),
    AlarmKind.DESIRED_OVERDUE: (desired_overdue, "firmware"),
    AlarmKind.COMMAND_FAILED: (command_failed, "self_test"),
    AlarmKind.COMMAND_UNANSWERED: (command_unanswered, "reboot"),
    AlarmKind.CONTAINER_FULL_SOON: (container_full_soon, ""),
    AlarmKind.MASS_BALANCE_OFF: (mass_balance_off, ""),
    AlarmKind.VOLUME_DIFFERS: (volume_differs, "1"),
}


@pytest.mark.parametrize("kind", TROUBLES)
def test_each_kind_opens_when_it_has_lasted_and_escalates_as_its_rule_says(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock, kind: AlarmKind
) -> None:
    well(rig, gateway, lock)
    rig.clock.go_on(seconds=1)
    assert rig.look() == set()
    trouble, key = TROUBLES[kind]
    trouble(rig, gateway, lock)
    rule = RULES[kind]
    rig.clock.go_on(seconds=max(1, rule.opens_after_s, rig.thresholds.missing_after_s))
    assert (kind.value, key) in rig.look()
    [alarm] = [each for each in rig.reader.alarms() if each.kind is kind]
    assert (alarm.escalated_at, alarm.remedy) == (None, rule.remedy)
    assert alarm.opened_at <= rig.clock.at
    if rule.escalates_after_s is not None and alarm.severity is not Severity.CRITICAL:
        rig.clock.at = alarm.opened_at + timedelta(seconds=rule.escalates_after_s)
        rig.look()
        still = rig.reader.alarm(alarm.alarm_id)
        assert still is not None
        if kind is not AlarmKind.QUARANTINE_GROWING:
            assert (still.severity, still.escalated_at) == (rule.escalated, rig.clock.at)


@pytest.mark.parametrize("kind", [kind for kind in TROUBLES if RULES[kind].opens_after_s])
def test_what_is_reported_again_and_again_lasts_all_the_same(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock, kind: AlarmKind
) -> None:
    (trouble, key), began_at = TROUBLES[kind], rig.clock.at
    opens_at = began_at + timedelta(seconds=RULES[kind].opens_after_s)
    while rig.clock.at < opens_at:
        trouble(rig, gateway, lock)
        assert (kind.value, key) not in rig.look()
        rig.clock.go_on(minutes=1)
    trouble(rig, gateway, lock)
    rig.look()
    assert [each.opened_at for each in rig.reader.alarms() if each.kind is kind] == [opens_at]


def test_every_kind_of_alarm_has_a_rule_a_trouble_and_a_line_in_the_documentation() -> None:
    assert set(RULES) == set(AlarmKind)
    assert set(TROUBLES) == set(AlarmKind) - {AlarmKind.COMPLETENESS_LOW}
    text = Path("docs/twins.md").read_text(encoding="utf-8")
    assert [kind.value for kind in AlarmKind if f"`{kind.value}`" not in text] == []


def test_low_completeness_is_an_alarm_of_its_own(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    completeness_low(rig, gateway, lock)
    assert rig.look() == set(), "what was sent a moment ago may be on its way"
    rig.clock.go_on(seconds=rig.thresholds.missing_after_s)
    assert ("completeness_low", "") in rig.look()


def test_an_alarm_opens_escalates_and_closes_once_each_and_each_is_logged(
    any_rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig = any_rig
    well(rig, gateway, lock)
    rig.clock.go_on(seconds=10)
    opened_at = rig.clock.at
    gateway_offline(rig, gateway, lock)
    with capture_logs() as logs:
        rig.catch_up()
        for _ in range(3):
            rig.projection.alarms.look_now()
        rig.clock.go_on(hours=5)
        for _ in range(2):
            rig.projection.alarms.look_now()
        well(rig, gateway, lock)
        rig.clock.go_on(seconds=1)
        for _ in range(2):
            rig.projection.alarms.look_now()
    told = [(log["event"], log["kind"], log["log_level"]) for log in logs]
    assert told == [
        ("alarm opened", "gateway_offline", "warning"),
        ("alarm escalated", "gateway_offline", "error"),
        ("alarm closed", "gateway_offline", "info"),
    ]
    assert rig.reader.alarms() == []
    [alarm] = rig.reader.alarms(closed=True)
    assert (alarm.opened_at, alarm.closed_at) == (opened_at, rig.clock.at)
    assert alarm.escalated_at == opened_at + timedelta(hours=4)
    assert rig.reader.alarms(closed=True, before=alarm.alarm_id) == []


def test_alarms_have_the_same_ids_after_a_rebuild_and_stay_acknowledged(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    lock_fault(rig, gateway, lock)
    rig.clock.go_on(hours=1)
    rig.look()
    [alarm] = rig.reader.alarms(lock=lock.name)
    rig.operations.acknowledge(SubjectKind.LOCK, lock.name, alarm.alarm_id, TECHNICIAN)
    rig.catch_up()
    before = rig.reader.alarms()
    assert (before[0].acknowledged_by, before[0].acknowledged_at) == ("t.lindner", rig.clock.at)
    rig.clock.go_on(minutes=1)
    with rig.projection.store.database.writing() as connection:
        for table in ("twin_alarms", "twin_state"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
    rig.projection.prepare(anew=True)
    rig.look()
    assert rig.reader.alarms() == before


def test_a_lock_under_maintenance_is_silent_about_what_people_on_site_explain(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    well(rig, gateway, lock)
    lock_fault(rig, gateway, lock)
    rig.clock.go_on(minutes=2)
    assert rig.look() == {("lock_fault", "door_open")}
    rig.operations.move(lock.name, "maintenance", TECHNICIAN)
    records_overwritten(rig, gateway, lock)
    rig.clock.go_on(minutes=1)
    assert rig.look() == {("records_overwritten", "")}
    rig.operations.move(lock.name, "decommissioned", TECHNICIAN)
    assert rig.look() == set()


def test_open_alarms_are_counted_by_kind_and_severity(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    other = FakeLock(0x1F00B7)
    for each in (lock, other):
        lock_fault(rig, gateway, each)
    rig.clock.go_on(minutes=1)
    rig.look()
    assert rig.reader.alarm_counts() == {(AlarmKind.LOCK_FAULT, Severity.CRITICAL): 2}
    assert [alarm.lock for alarm in rig.reader.alarms(limit=1)] == [other.name]
    first = rig.reader.alarms(limit=1)[0]
    assert len(rig.reader.alarms(before=first.alarm_id)) == 1
    assert rig.reader.alarms(site="elsewhere") == rig.reader.alarms(gateway="gw-9") == []
    assert rig.twin(lock).summary.worst_severity is Severity.CRITICAL
    assert rig.reader.counts().alarms[Severity.CRITICAL] == 2


def test_closed_alarms_are_given_up_when_they_are_old(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    lock_unreachable(rig, gateway, lock)
    rig.clock.go_on(minutes=6)
    rig.look()
    rig.hear_lock(lock, gateway)
    rig.hear_gateway(gateway)
    rig.look()
    assert len(rig.reader.alarms(closed=True)) == 1
    rig.clock.go_on(days=rig.thresholds.closed_alarms_days + 1)
    rig.look()
    assert [a.kind for a in rig.reader.alarms(closed=True)] == []


def test_a_gateway_that_was_replaced_is_no_alarm_for_being_away(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    well(rig, gateway, lock)
    rig.clock.go_on(hours=1)
    assert ("gateway_offline", "") in rig.look()
    other = FakeGateway("gw-0002", seed=2)
    well(rig, other, lock)
    assert rig.look() == set()
    rig.clock.go_on(hours=1)
    assert [alarm.gateway for alarm in rig.reader.alarms()] == []
    rig.look()
    assert [alarm.gateway for alarm in rig.reader.alarms()] == ["gw-0002"]


def test_what_people_were_told_stays_as_it_was_when_twins_are_built_anew(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    lock_unreachable(rig, gateway, lock)
    rig.clock.go_on(minutes=6)
    rig.look()
    well(rig, gateway, lock)
    rig.look()
    before = rig.reader.alarms(closed=True)
    rig.projection.prepare(anew=True)
    rig.look()
    assert rig.reader.alarms(closed=True) == before != []


def test_alarms_are_looked_at_only_once_nearly_all_is_taken(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    """Else a rebuild would tell of the troubles of long ago."""
    lock_fault(rig, gateway, lock)
    rig.ledger.take(gateway.seal(lock.pours(100)))
    rig.clock.go_on(minutes=1)
    rig.projection.step()
    assert rig.reader.alarms() == []
    rig.catch_up()
    assert [alarm.key for alarm in rig.reader.alarms()] == ["door_open"]


def test_nothing_of_a_lock_that_is_only_planned_is_an_alarm(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.operations.describe_lock(lock.name, {"site": "estate-1"}, TECHNICIAN)
    rig.clock.at = START + timedelta(days=30)
    assert rig.look() == set()
    assert rig.reader.fleet()[0].lifecycle.value == "planned"


def test_monitoring_is_told_how_many_are_open_and_nothing_while_there_are_no_twins(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock, tmp_path: Path
) -> None:
    lock_fault(rig, gateway, lock)
    rig.clock.go_on(minutes=1)
    rig.look()
    figures = AlarmFigures(default_url(rig.ledger.url))
    told = ProjectionsMonitor([], alarms=figures.counts).respond("/metrics", "").body.decode()
    figures.close()
    assert 'wastelock_twin_alarms{kind="lock_fault",severity="critical"} 1.0' in told
    nowhere = AlarmFigures(f"sqlite:///{tmp_path / 'nowhere.sqlite'}")
    assert nowhere.counts() == {}
    nowhere.close()
