"""Power cuts: in mid-cycle at every point, the mark, boot count; what is volatile and what isn't."""

from pathlib import Path

import pytest

from firmware_sim.doorway import CUT_POINTS
from firmware_sim.memory import next_epoch
from firmware_sim.reader import Answer
from tests.unit.firmware_sim.rig import (
    LIST,
    RESIDENT,
    SERIAL,
    SERVICE,
    Refused,
    Rig,
    list_crc,
    lock_config,
    u32,
)
from wastelock.record import Flag, Kind, MacKey, PourResult, crc_holds
from wastelock.registers import Fault, State


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "lock").start()


def go_to(rig: Rig, point: str, uid: int = RESIDENT) -> None:
    """Bring a pour to the point at which power will be cut."""
    assert rig.lock.present(uid, 2) is Answer.AUTHORISED
    if point == "authorised":
        return
    rig.lock.pours.open_flap()
    if point == "open":
        return
    rig.lock.pours.close_flap()
    if point == "after_discharge":
        rig.lock.pours.pass_discharge_point()


@pytest.mark.parametrize("killed", [False, True], ids=["power cut", "kill -9 of the process"])
@pytest.mark.parametrize("point", CUT_POINTS)
def test_power_cut_in_mid_cycle_leaves_what_the_waste_did(rig: Rig, point: str, killed: bool) -> None:
    before = rig.status()
    began_s = int(rig.now_s)
    go_to(rig, point)
    rig.now_s += 7
    if killed:
        rig.kill()
    else:
        rig.cut_power()
    after = rig.status()
    records = [rig.record(seq) for seq in range(before.newest_seq + 1, after.newest_seq + 1)]
    tail = [Kind.POWER_UP, Kind.REGISTER_REPORT, Kind.REGISTER_REPORT]
    if point == "authorised":
        assert [record.kind for record in records] == tail
        assert after.registers == before.registers
        return
    pour, *rest = records
    assert [record.kind for record in rest] == tail
    complete = point == "after_discharge"
    assert pour.kind == Kind.POUR
    assert pour.result == (PourResult.COMPLETE if complete else PourResult.GIVEN_UP)
    assert (pour.boot, pour.began_clock_s, pour.clock_status) == (before.boot, began_s, 1)
    assert (pour.weight_word, pour.duration_ds, pour.chamber, pour.volume_ml) == (0xFFFF, 0, 2, 20000)
    assert pour.flags == Flag.RECOVERED | 1 and pour.uid == RESIDENT
    assert after.registers[1] == before.registers[1] + complete == pour.register_after
    assert after.boot == before.boot + 1 == rest[0].boot
    assert [report.register_after for report in rest[1:]] == [after.registers[0], after.registers[1]]
    rig.cut_power()
    assert rig.record(after.newest_seq + 1).kind == Kind.POWER_UP, "a pour is recovered once"


def test_service_and_retry_flags_survive_the_power_cut(rig: Rig) -> None:
    go_to(rig, "before_discharge", SERVICE)
    rig.lock.pours.jam(50)
    rig.lock.pours.retry()
    rig.cut_power()
    recovered = next(r for r in rig.records() if r.flags & Flag.RECOVERED)
    assert recovered.flags == Flag.RECOVERED | Flag.SERVICE | Flag.RETRY_AFTER_JAM | 1
    assert recovered.result == PourResult.GIVEN_UP


def test_first_records_of_an_epoch_are_the_register_reports(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "lock", lock_config(registers=(7, 0xFFFFFFFF)))
    rig.lock.power_up()
    records = rig.records()
    assert [record.kind for record in records] == [10, 10, 7, 10, 10]
    for first, second in ((records[0], records[1]), (records[3], records[4])):
        assert (first.chamber, first.volume_ml, first.register_after) == (1, 5000, 7)
        assert (second.chamber, second.volume_ml, second.register_after) == (2, 20000, 0xFFFFFFFF)
    assert records[2].register_after == records[2].volume_ml == records[2].chamber == 0


def test_register_wraps_and_the_sum_still_fits(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "lock", lock_config(registers=(0xFFFFFFFF, 5))).start()
    rig.pour()
    rig.pour()
    assert [r.register_after for r in rig.records() if r.is_complete_pour] == [0, 1]
    assert rig.status().registers == (1, 5, 0, 0)


def test_boot_count_wraps(rig: Rig) -> None:
    rig.journal.save(boot=0xFFFF)
    rig.cut_power()
    assert rig.status().boot == 0


def test_unit_is_silent_while_power_is_off(rig: Rig) -> None:
    rig.lock.cut_power(5)
    rig.now_s += 4.9
    assert rig.ask(bytes.fromhex("0400400001")) is None
    rig.now_s += 0.2
    assert rig.ask(bytes.fromhex("0400400001")) is not None
    assert rig.status().uptime_s == 0


def test_staging_is_volatile_and_the_list_in_force_is_not(rig: Rig) -> None:
    rig.write(0x0110, (*u32(2), 3, *u32(list_crc(LIST))))
    for i, entry in enumerate(LIST):
        raw = entry.pack()
        rig.write(0x1000 + 5 * i, [int.from_bytes(raw[j : j + 2], "big") for j in range(0, 10, 2)])
    rig.cut_power()
    with pytest.raises(Refused, match="exception 4"):
        rig.write_one(0x0118, 0xA5A5)
    assert rig.status().access_list_version == 1
    assert rig.lock.present(RESIDENT, 1) is Answer.AUTHORISED


def test_mask_faults_clock_and_registers_survive_a_kill(rig: Rig) -> None:
    rig.pour()
    rig.write_one(0x0108, 0b01)
    rig.lock.raise_fault(Fault.CHAMBER_BLOCKED, 2)
    rig.lock.raise_fault(Fault.BATTERY_LOW)
    before = rig.status()
    rig.now_s += 100
    rig.kill()
    after = rig.status()
    assert (after.enable_mask, after.faults, after.registers) == (1, before.faults, before.registers)
    assert after.clock_s == before.clock_s + 100 and after.clock_status == 1
    assert rig.lock.memory.blocked_mask == 0b10


def test_clock_lost_with_the_power_is_told_and_set_again(rig: Rig) -> None:
    rig.lock.lose_clock()
    rig.cut_power(10)
    rig.now_s += 33
    status = rig.status()
    assert (status.clock_status, status.clock_s) == (2, 33)
    assert status.faults & 1 << Fault.CLOCK_LOST
    power_up = [r for r in rig.records() if r.kind == Kind.POWER_UP][-1]
    assert (power_up.clock_status, power_up.began_clock_s) == (2, 0)
    rig.write(0x0106, u32(1_800_000_000))
    status = rig.status()
    assert (status.clock_status, status.clock_s) == (1, 1_800_000_000)
    was_set, cleared = rig.record(status.newest_seq - 1), rig.record(status.newest_seq)
    assert (was_set.kind, was_set.began_clock_s, was_set.register_after) == (
        Kind.CLOCK_SET,
        1_800_000_000,
        33,
    )
    assert was_set.clock_status == 1
    assert (cleared.kind, cleared.duration_ds) == (Kind.FAULT_CLEARED, Fault.CLOCK_LOST)


def test_clock_never_set_shows_seconds_since_power_up(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "lock")
    rig.lock.power_up()
    rig.now_s += 500
    assert (rig.status().clock_status, rig.status().clock_s, rig.status().uptime_s) == (0, 500, 500)
    rig.lock.lose_clock()
    assert rig.status().clock_status == 0 and not rig.status().faults


def test_clock_set_by_less_than_two_seconds_makes_no_record(rig: Rig) -> None:
    newest, shown = rig.status().newest_seq, rig.status().clock_s
    for offset, records in ((1, 0), (-1, 0), (2, 1), (-2, 1), (0, 0)):
        shown = rig.status().clock_s
        rig.write(0x0106, u32(shown + offset))
        assert rig.status().clock_s == shown + offset
        newest += records
        assert rig.status().newest_seq == newest
    assert rig.words(3, 0x0106, 2) == u32(shown)


def test_drifting_clock_gains_from_now_on(rig: Rig) -> None:
    rig.lock.set_drift(10_000)
    shown = rig.status().clock_s
    rig.now_s += 1000
    assert rig.status().clock_s == shown + 1010
    rig.lock.set_drift(0)
    rig.now_s += 1000
    assert rig.status().clock_s == shown + 2010
    rig.lock.step_clock(-3600)
    assert rig.status().clock_s == shown + 2010 - 3600


def test_new_epoch_begins_an_empty_journal_with_the_registers_going_on(rig: Rig) -> None:
    rig.pour()
    rig.acknowledge(rig.status().newest_seq)
    rig.lock.begin_epoch(next_epoch(rig.journal.memory, epoch=2, capacity=32, mac_key=None, mac_key_id=0))
    status, identity = rig.status(), rig.identity()
    assert (status.epoch, identity.epoch, identity.capacity, identity.mac_key_id) == (2, 2, 32, 0)
    assert (status.oldest_seq, status.newest_seq, status.confirmed_seq) == (1, 2, 0)
    assert [(r.kind, r.register_after) for r in rig.records()] == [(10, 1), (10, 0)]
    assert not identity.capabilities & 1 and rig.record(1).mac == bytes(8)
    assert rig.words(3, 0x0100, 6) == (0, 2, 0, 0, 0, 0)
    assert set(rig.words(4, 0x4000 + 3 * 22, 22)) == {0}, "the old ring is gone"
    with pytest.raises(Refused, match="exception 2"):
        rig.words(4, 0x4000 + 32 * 22, 1)


def test_jammed_chamber_is_retried_blocked_and_bypassed(rig: Rig) -> None:
    rig.open()
    rig.lock.pours.close_flap()
    rig.lock.pours.jam(60)
    assert rig.status().state == State.JAMMED and rig.status().faults & 1
    assert rig.lock.present(RESIDENT, 2) is Answer.BUSY
    rig.lock.pours.retry()
    rig.lock.pours.pass_discharge_point()
    rig.lock.pours.complete(90)
    jammed, raised, retried, cleared = [rig.record(rig.status().newest_seq - i) for i in (3, 2, 1, 0)]
    assert (jammed.result, jammed.register_after) == (PourResult.JAMMED, 0)
    assert (raised.kind, raised.chamber, raised.duration_ds) == (Kind.FAULT_RAISED, 1, 0)
    assert (retried.result, retried.flags, retried.register_after) == (0, Flag.RETRY_AFTER_JAM | 1, 1)
    assert (cleared.kind, cleared.chamber, cleared.duration_ds) == (Kind.FAULT_CLEARED, 1, 0)
    assert rig.status().faults == 0 and rig.status().state == State.LOCKED
    rig.lock.raise_fault(Fault.CHAMBER_BLOCKED, 1)
    rig.pour(chamber=1)
    degraded = rig.record(rig.status().newest_seq)
    assert (degraded.chamber, degraded.volume_ml, degraded.flags) == (2, 20000, Flag.DEGRADED | 1)
    rig.lock.raise_fault(Fault.CHAMBER_BLOCKED, 2)
    assert rig.status().state == State.JAMMED
    assert rig.lock.present(RESIDENT, 1) is Answer.OUT_OF_SERVICE
    rig.lock.clear_fault(Fault.CHAMBER_BLOCKED, 2)
    assert rig.status().faults & 1, "chamber 1 is still blocked"


def test_jammed_chamber_isnt_retried_without_room(rig: Rig) -> None:
    rig.fill(free=12)
    rig.open()
    rig.lock.pours.close_flap()
    rig.lock.pours.jam(60)
    assert rig.status().state == State.OUT_OF_SERVICE
    assert not rig.lock.pours.may_retry
    rig.lock.pours.abandon()
    assert rig.journal.memory.blocked_mask == 1


def test_disabled_chamber_isnt_opened_nor_another_in_its_stead(rig: Rig) -> None:
    rig.write(0x0108, [0b10])
    assert rig.lock.present(RESIDENT, 1) is Answer.OUT_OF_SERVICE
    assert rig.lock.present(RESIDENT, 2) is Answer.AUTHORISED
    rig.lock.pours.time_out()
    rig.write_one(0x0108, 0)
    assert rig.status().state == State.OUT_OF_SERVICE


def test_maintenance_shuts_the_lock_and_is_told_at_both_ends(rig: Rig) -> None:
    newest = rig.status().newest_seq
    for _ in range(2):
        rig.lock.maintain(SERVICE, begins=True)
    assert rig.status().state == State.MAINTENANCE
    assert rig.lock.present(RESIDENT, 1) is Answer.OUT_OF_SERVICE
    rig.lock.maintain(SERVICE, begins=False)
    told = [rig.record(newest + i) for i in (1, 2)]
    assert [(r.kind, r.result, r.uid, r.flags) for r in told] == [
        (Kind.MAINTENANCE, 0, SERVICE, Flag.SERVICE | 1),
        (Kind.MAINTENANCE, 1, SERVICE, Flag.SERVICE | 1),
    ]
    rig.pour(SERVICE)
    assert rig.record(newest + 3).flags == Flag.SERVICE | 1
    assert rig.status().registers[0] == 1, "service pours count"


def test_full_container_shuts_the_lock_until_it_is_emptied(rig: Rig) -> None:
    rig.pour()
    rig.lock.raise_fault(Fault.CONTAINER_FULL)
    rig.lock.raise_fault(Fault.CONTAINER_FULL)
    assert (rig.status().state, rig.status().fill_permille) == (State.OUT_OF_SERVICE, 1000)
    newest = rig.status().newest_seq
    rig.lock.empty(Kind.EMPTYING)
    rig.lock.empty(Kind.CONTAINER_SWAP)
    kinds = [(rig.record(newest + i).kind, rig.record(newest + i).chamber) for i in (1, 2, 3)]
    assert kinds == [(Kind.EMPTYING, 0), (Kind.FAULT_CLEARED, 0), (Kind.CONTAINER_SWAP, 0)]
    assert (rig.status().state, rig.status().fill_permille) == (State.LOCKED, 0)


def test_every_record_carries_serial_bound_crc_and_mac(rig: Rig) -> None:
    rig.pour()
    key = MacKey(bytes.fromhex(str(rig.config.mac_key)))
    for made in rig.made:
        assert crc_holds(made.raw, SERIAL, 1) and not crc_holds(made.raw, SERIAL, 2)
        assert key.holds(made.raw, SERIAL, 1)


def test_container_fills_with_what_was_discharged_only(rig: Rig) -> None:
    rig.open(chamber=2)
    rig.lock.pours.give_up(20)
    assert rig.journal.memory.filled_ml == 0 == rig.status().fill_permille
    go_to(rig, "after_discharge")
    rig.cut_power()
    assert rig.journal.memory.filled_ml == 20000
    rig.pour(chamber=1)
    assert rig.journal.memory.filled_ml == 25000
    assert rig.status().fill_permille == 9
