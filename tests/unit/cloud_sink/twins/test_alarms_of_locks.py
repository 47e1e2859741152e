"""A lock's alarm is about the lock: wherever it is read, whatever its clock says; and the log says what it is about."""

from dataclasses import replace

import pytest

from cloud_sink.log import configure_log
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.twins import TECHNICIAN, TwinRig
from wastelock.record import Kind
from wastelock.registers import Fault


def raise_fault(rig: TwinRig, gateway: FakeGateway, lock: FakeLock, fault: Fault, **fields: int) -> None:
    record = lock.record(kind=Kind.FAULT_RAISED, duration_ds=fault, chamber=0, **fields)
    rig.ledger.take(gateway.seal([lock.page_record(record)]))


def test_a_fault_of_a_lock_whose_clock_is_ahead_is_an_alarm_at_once(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    raise_fault(rig, gateway, lock, Fault.FLAP_OPEN, began_clock_s=int(rig.clock.at.timestamp()) + 3_600)
    assert ("lock_fault", "flap_open") in rig.look()


def test_an_alarm_goes_on_when_another_gateway_reads_its_lock_or_the_site_is_another(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    raise_fault(rig, gateway, lock, Fault.DOOR_OPEN)
    rig.clock.go_on(minutes=1)
    rig.look()
    [before] = rig.reader.alarms(lock=lock.name)
    rig.hear_lock(lock, FakeGateway("gw-0002", seed=2), faults=("door_open",))
    rig.operations.describe_lock(lock.name, {"site": "estate-2"}, TECHNICIAN)
    rig.look()
    assert rig.reader.alarms(lock=lock.name) == [replace(before, site="estate-2", gateway="gw-0002")]
    assert rig.reader.alarms(lock=lock.name, closed=True) == []


def test_the_log_says_which_fault_an_alarm_is_about(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_log(log_format="json")
    raise_fault(rig, gateway, lock, Fault.DOOR_OPEN)
    rig.clock.go_on(minutes=1)
    rig.look()
    assert '"which": "door_open"' in capsys.readouterr().err
