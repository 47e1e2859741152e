"""Room in the ring: 12 to unlock, 20 to come back, the last 2 for pours alone, what is made up for."""

from pathlib import Path

import pytest

from firmware_sim.reader import Answer
from tests.unit.firmware_sim.rig import BLOCKED, RESIDENT, STRANGER, Refused, Rig, u32
from wastelock.record import Kind, PourResult
from wastelock.registers import Fault, State

FULL = 1 << Fault.JOURNAL_NEARLY_FULL


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "lock").start()


def test_lock_goes_out_of_service_below_12_free_slots_and_says_so(rig: Rig) -> None:
    rig.fill(free=12)
    assert rig.status().state == State.LOCKED
    rig.pour()  # it unlocks with just 12
    status = rig.status()
    assert status.state == State.OUT_OF_SERVICE and status.faults & FULL
    raised = rig.record(status.newest_seq)
    assert (raised.kind, raised.duration_ds, raised.chamber) == (Kind.FAULT_RAISED, 9, 0)
    assert rig.lock.present(RESIDENT, 1) is Answer.OUT_OF_SERVICE
    assert rig.status().newest_seq == status.newest_seq


def test_lock_comes_back_with_20_free_slots_not_before(rig: Rig) -> None:
    rig.fill(free=12)
    rig.pour()
    newest = rig.status().newest_seq
    free = rig.journal.memory.free
    rig.acknowledge(19 - free)
    assert rig.journal.memory.free == 19
    assert rig.status().state == State.OUT_OF_SERVICE
    rig.acknowledge(20 - free)
    status = rig.status()
    assert status.state == State.LOCKED and not status.faults & FULL
    assert status.newest_seq == newest + 1
    cleared = rig.record(status.newest_seq)
    assert (cleared.kind, cleared.duration_ds) == (Kind.FAULT_CLEARED, 9)
    rig.pour()


def test_pour_under_way_ends_before_the_lock_goes_out_of_service(rig: Rig) -> None:
    rig.fill(free=12)
    rig.open()
    rig.lock.raise_fault(Fault.TAMPER)
    rig.lock.clear_fault(Fault.TAMPER)
    assert rig.journal.memory.free == 10
    assert rig.status().state == State.OPEN and not rig.status().faults & FULL
    rig.lock.pours.give_up(30)
    assert rig.status().state == State.OUT_OF_SERVICE and rig.status().faults & FULL


def test_only_a_pour_takes_the_last_two_slots_and_fault_9_is_made_up_for(rig: Rig) -> None:
    rig.fill(free=12)
    rig.open()
    while rig.journal.memory.free > 2:
        rig.lock.raise_fault(Fault.TAMPER)
        rig.lock.clear_fault(Fault.TAMPER)
    newest = rig.status().newest_seq
    rig.lock.raise_fault(Fault.DOOR_OPEN)
    assert rig.status().newest_seq == newest, "no room: no record"
    assert rig.status().faults & 1 << Fault.DOOR_OPEN, "but the fault is there"
    rig.lock.pours.close_flap()
    rig.lock.pours.pass_discharge_point()
    rig.lock.pours.complete(80)
    assert rig.journal.memory.free == 1
    assert rig.record(newest + 1).is_complete_pour
    assert rig.status().faults & FULL and rig.status().newest_seq == newest + 1
    rig.acknowledge(2)
    made_up = rig.record(newest + 2)
    assert (made_up.kind, made_up.duration_ds) == (Kind.FAULT_RAISED, 9)
    assert rig.status().newest_seq == newest + 2, "the door's record isn't made up for"


def test_fault_9_is_told_raised_then_cleared_when_room_comes_at_once(rig: Rig) -> None:
    rig.fill(free=12)
    rig.open()
    while rig.journal.memory.free > 2:
        rig.lock.raise_fault(Fault.TAMPER)
        rig.lock.clear_fault(Fault.TAMPER)
    rig.lock.pours.give_up(30)
    newest = rig.status().newest_seq
    rig.acknowledge(newest)
    told = [rig.record(newest + 1), rig.record(newest + 2)]
    assert [record.kind for record in told] == [Kind.FAULT_RAISED, Kind.FAULT_CLEARED]
    assert {record.duration_ds for record in told} == {9}
    assert rig.status().state == State.LOCKED


def test_register_reports_of_a_power_up_without_room_are_made_up_for(rig: Rig) -> None:
    rig.fill(free=12)
    rig.open()
    while rig.journal.memory.free > 2:
        rig.lock.raise_fault(Fault.TAMPER)
        rig.lock.clear_fault(Fault.TAMPER)
    rig.cut_power()
    assert rig.journal.memory.free == 1, "the recovered pour alone took a slot"
    newest = rig.status().newest_seq
    assert rig.record(newest).result == PourResult.GIVEN_UP
    rig.acknowledge(newest)
    kinds = [rig.record(seq).kind for seq in range(newest + 1, rig.status().newest_seq + 1)]
    assert Kind.POWER_UP not in kinds
    assert kinds.count(Kind.REGISTER_REPORT) == 2


def test_every_slot_can_be_used_and_none_is_overwritten_unconfirmed(rig: Rig) -> None:
    rig.fill(free=12)
    rig.open()
    while rig.journal.memory.free > 2:
        rig.lock.raise_fault(Fault.TAMPER)
        rig.lock.clear_fault(Fault.TAMPER)
    rig.lock.pours.give_up(10)
    status = rig.status()
    assert status.newest_seq - status.confirmed_seq == 63
    assert [made.raw for made in rig.made] == [rig.raw(seq) for seq in range(1, 64)]


def test_denied_transponder_makes_one_record_a_minute(rig: Rig) -> None:
    newest = rig.status().newest_seq
    for _ in range(5):
        assert rig.lock.present(STRANGER, 1) is Answer.UNKNOWN
        rig.now_s += 11
    assert rig.lock.present(BLOCKED, 1) is Answer.BLOCKED
    assert rig.status().newest_seq == newest + 2
    rig.now_s += 5
    rig.lock.present(STRANGER, 1)
    assert rig.status().newest_seq == newest + 3
    denied = [rig.record(newest + i) for i in (1, 2, 3)]
    assert [(d.kind, d.result, d.uid, d.chamber, d.volume_ml) for d in denied] == [
        (Kind.ACCESS_DENIED, 1, STRANGER, 0, 0),
        (Kind.ACCESS_DENIED, 2, BLOCKED, 0, 0),
        (Kind.ACCESS_DENIED, 1, STRANGER, 0, 0),
    ]
    assert denied[2].began_clock_s - denied[0].began_clock_s == 60


def test_denied_transponders_make_no_record_once_the_ring_is_half_full(rig: Rig) -> None:
    rig.fill(free=33)
    rig.lock.present(STRANGER, 1)
    assert rig.journal.memory.free == 32
    newest = rig.status().newest_seq
    rig.lock.present(STRANGER + 1, 1)
    assert rig.status().newest_seq == newest


def test_clock_is_set_with_room_for_its_record_only(rig: Rig) -> None:
    rig.fill(free=12)
    rig.open()
    while rig.journal.memory.free > 2:
        rig.lock.raise_fault(Fault.TAMPER)
        rig.lock.clear_fault(Fault.TAMPER)
    before = rig.status()
    with pytest.raises(Refused, match="exception 4"):
        rig.write(0x0106, u32(int(rig.now_s) + 50))
    assert rig.status() == before
    rig.write(0x0106, u32(int(rig.now_s) + 1))
    assert rig.status().clock_s == int(rig.now_s) + 1, "a set without record needs no room"
