"""The map as a client sees it: every block, every field, every exception."""

import struct
from pathlib import Path

import pytest

from firmware_sim.faults import WireFault
from firmware_sim.memory import Torn
from tests.unit.firmware_sim.rig import LIST, SERIAL, Refused, Rig, list_crc, u32
from wastelock.record import crc_holds
from wastelock.registers import CommandResult, Fault, State

MASK = 0x0108


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "lock").start()


def exception(rig: Rig, request: bytes) -> int:
    """Return the code of the exception that answers a request."""
    answer = rig.ask(request)
    assert answer is not None and len(answer) == 2 and answer[0] == request[0] | 0x80
    return answer[1]


def test_identity_says_what_the_controller_is(rig: Rig) -> None:
    words = rig.words(4, 0, 32)
    assert words[0:2] == (0x574C, 1)
    assert words[0x0D] == 22 and words[0x1B:] == (0, 0, 0, 0, 0)
    identity = rig.identity()
    assert (identity.serial, identity.epoch, identity.capacity, identity.chambers) == (SERIAL, 1, 64, 2)
    assert (identity.volumes_ml, identity.mac_key_id, identity.access_list_max) == ((5000, 20000), 1, 2048)
    assert identity.capabilities == 0b11101


def test_status_is_one_snapshot_tied_to_its_journal(rig: Rig) -> None:
    rig.pour(chamber=2)
    status = rig.status()
    assert (status.state, status.serial, status.epoch, status.boot) == (State.LOCKED, SERIAL, 1, 1)
    assert (status.oldest_seq, status.newest_seq, status.confirmed_seq) == (1, 7, 0)
    assert (status.access_list_version, status.access_list_entries) == (1, len(LIST))
    assert status.access_list_crc == list_crc(LIST)
    assert status.registers == (0, 1, 0, 0) and status.enable_mask == 0b11
    assert status.clock_s == int(rig.now_s) and status.clock_status == 1
    assert 2900 < status.battery_mv < 3700 and -250 < status.temperature_dc < 400


def test_empty_journal_reads_as_zeros(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "lock")
    rig.lock.powered = True
    status = rig.status()
    assert (status.oldest_seq, status.newest_seq, status.confirmed_seq) == (0, 0, 0)
    assert set(rig.words(4, 0x4000, 110)) == {0}
    assert rig.words(3, 0x0100, 6) == (0, 1, 0, 0, 0, 0)


def test_a_block_may_be_read_in_any_part_that_stays_inside(rig: Rig) -> None:
    whole = rig.words(4, 0x0040, 40)
    assert rig.words(4, 0x0051, 4) == whole[0x11:0x15]
    assert rig.words(4, 0x0067, 1) == whole[-1:]


@pytest.mark.parametrize(
    ("function", "address", "count", "code"),
    [
        (4, 0x0000, 0, 3), (4, 0x0000, 126, 3), (4, 0x4000, 126, 3), (3, 0x0100, 0, 3), (3, 0x0100, 126, 3),
        (4, 0x0000, 33, 2), (4, 0x0020, 1, 2), (4, 0x003F, 1, 2), (4, 0x003F, 2, 2), (4, 0x0040, 41, 2),
        (4, 0x0068, 1, 2), (4, 0x3FFF, 2, 2), (4, 0x4000 + 64 * 22, 1, 2), (4, 0x4000 + 64 * 22 - 5, 6, 2),
        (4, 0xFFFF, 1, 2), (4, 0xFFFF, 125, 2), (3, 0x00FF, 1, 2), (3, 0x0100, 12, 2), (3, 0x010B, 1, 2),
        (3, 0x0110, 1, 2), (3, 0x0118, 1, 2), (3, 0x1000, 5, 2), (3, 0x0000, 1, 2), (4, 0x0100, 6, 2),
        (3, 0x4000, 22, 2),
    ],
)  # fmt: skip
def test_reads_beyond_the_map_are_refused(
    rig: Rig, function: int, address: int, count: int, code: int
) -> None:
    assert exception(rig, struct.pack(">BHH", function, address, count)) == code


@pytest.mark.parametrize("function", [1, 2, 5, 7, 8, 15, 17, 20, 22, 23, 24, 43, 127, 0x80, 0xFF])
def test_other_functions_are_unknown(rig: Rig, function: int) -> None:
    answer = rig.ask(bytes((function, 0, 0, 0, 1)))
    assert answer == bytes((function | 0x80, 1))


@pytest.mark.parametrize(
    "request_hex", ["04", "0400", "04000000", "040000000100", "03010000", "060108", "10", "10010800"]
)
def test_request_of_a_wrong_length_is_an_illegal_value(rig: Rig, request_hex: str) -> None:
    assert exception(rig, bytes.fromhex(request_hex)) == 3


@pytest.mark.parametrize(
    "request_hex",
    ["1001080001020001ff", "10010800010200", "100108000104 00010001", "1001080000 00", "1001080002 02 0001"],
)
def test_write_that_contradicts_its_own_length_changes_nothing(rig: Rig, request_hex: str) -> None:
    before = rig.journal.memory
    assert exception(rig, bytes.fromhex(request_hex)) == 3
    assert rig.journal.memory == before


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (0x0100, 5), (0x0100, 7), (0x0100, 1), (0x0101, 6), (0x0101, 5), (0x0105, 1), (0x0106, 1), (0x0106, 3),
        (0x0107, 1), (0x0107, 2), (MASK, 2), (MASK, 3), (0x0109, 1), (0x0109, 3), (0x010A, 1), (0x0110, 4),
        (0x0110, 6), (0x0111, 5), (0x0114, 1), (0x0118, 2), (0x1000, 1), (0x1000, 4), (0x1000, 6), (0x1001, 5),
        (0x1000, 121), (0x1000, 123), (0x1000 + 5 * 2047, 10),
    ],
)  # fmt: skip
def test_field_takes_its_exact_length_from_its_first_address_only(rig: Rig, address: int, words: int) -> None:
    before = rig.journal.memory
    with pytest.raises(Refused, match="exception 3"):
        rig.write(address, [1] * words)
    assert rig.journal.memory == before


@pytest.mark.parametrize(
    "address", [0x0100, 0x0101, 0x0106, 0x0107, 0x0109, 0x010A, 0x0110, 0x0114, 0x1000, 0x1004]
)
def test_function_6_takes_fields_of_one_word_only(rig: Rig, address: int) -> None:
    before = rig.journal.memory
    with pytest.raises(Refused, match="exception 3"):
        rig.write_one(address, 1)
    assert rig.journal.memory == before


@pytest.mark.parametrize(
    "address",
    [0, 0x40, 0xFF, 0x010B, 0x010F, 0x0115, 0x0117, 0x0119, 0x0FFF, 0x1000 + 5 * 2048, 0x4000, 0xFFFF],
)
def test_write_outside_all_fields_is_an_illegal_address(rig: Rig, address: int) -> None:
    for words in (1, 2, 6):
        with pytest.raises(Refused, match="exception 2"):
            rig.write(address, [0] * words)
    with pytest.raises(Refused, match="exception 2"):
        rig.write_one(address, 0)


def test_mask_is_written_by_both_functions_and_read_back(rig: Rig) -> None:
    rig.write_one(MASK, 0b01)
    assert rig.words(3, MASK, 1) == (0b01,) and rig.status().enable_mask == 0b01
    rig.write(MASK, [0b10])
    assert rig.words(3, MASK, 1) == (0b10,) and rig.status().enable_mask == 0b10
    with pytest.raises(Refused, match="exception 3"):
        rig.write_one(MASK, 0b100)
    assert rig.status().enable_mask == 0b10


def test_broadcast_is_neither_executed_nor_answered(rig: Rig) -> None:
    assert rig.ask(struct.pack(">BHH", 6, MASK, 0), unit=0) is None
    assert rig.status().enable_mask == 0b11


def test_unknown_unit_is_answered_with_0x0b_where_a_gateway_answers_for_it(rig: Rig) -> None:
    assert rig.ask(struct.pack(">BHH", 4, 0, 1), unit=2) == bytes((0x84, 0x0B))
    assert rig.ask(struct.pack(">BHH", 6, MASK, 0), unit=255) == bytes((0x86, 0x0B))


# --- acknowledge


def ack(rig: Rig, epoch: int, seq: int, crc: int) -> None:
    rig.write(0x0100, (*u32(epoch), *u32(seq), *u32(crc)))


def test_acknowledgement_is_kept_and_read_back(rig: Rig) -> None:
    rig.pour()
    crc = rig.record(4).crc
    ack(rig, 1, 4, crc)
    assert rig.status().confirmed_seq == 4
    assert rig.words(3, 0x0100, 6) == (0, 1, 0, 4, *u32(crc))
    assert rig.words(3, 0x0100, 11)[6:8] == u32(rig.status().clock_s)


def test_wrong_acknowledgement_is_refused_and_moves_nothing(rig: Rig) -> None:
    newest = rig.status().newest_seq
    crc = rig.record(newest).crc
    for epoch, seq, claimed in (
        (2, newest, crc),
        (0, newest, crc),
        (1, newest, crc ^ 1),
        (1, newest + 1, crc),
        (2, 0, 0),
    ):
        with pytest.raises(Refused, match="exception 3"):
            ack(rig, epoch, seq, claimed)
    assert rig.status().confirmed_seq == 0


def test_acknowledgement_of_what_is_confirmed_is_accepted_without_effect(rig: Rig) -> None:
    rig.acknowledge(5)
    crc = rig.record(5).crc
    for seq, claimed in ((5, crc), (5, crc ^ 1), (3, 0), (0, 0)):
        ack(rig, 1, seq, claimed)
    assert rig.status().confirmed_seq == 5
    assert rig.words(3, 0x0104, 2) == u32(crc)


def test_confirmed_crc_is_known_after_its_record_is_overwritten(rig: Rig) -> None:
    rig.pour()
    newest = rig.status().newest_seq
    crc = rig.record(newest).crc
    rig.acknowledge(newest)
    while rig.journal.memory.newest < newest + 64 - 3:
        rig.lock.raise_fault(Fault.TAMPER)
        rig.lock.clear_fault(Fault.TAMPER)
    status = rig.status()
    assert status.oldest_seq == status.newest_seq - 63
    assert rig.words(3, 0x0100, 6) == (0, 1, *u32(newest), *u32(crc))


def test_slot_that_went_round_shows_a_greater_seq_than_asked(rig: Rig) -> None:
    for _ in range(40):
        rig.pour()
        rig.acknowledge(rig.status().newest_seq)
        rig.now_s += 60
    rig.fill(free=20)
    assert rig.record(rig.status().oldest_seq).seq == rig.status().oldest_seq
    overwritten = rig.status().oldest_seq - 1
    assert struct.unpack(">I", rig.raw(overwritten)[:4])[0] == overwritten + 64


def test_torn_record_has_a_wrong_crc_for_some_reads_and_is_acknowledged_as_read(rig: Rig) -> None:
    rig.unit.torn.tear(3, word=20, reads=2)
    good = rig.made[2].raw
    torn = rig.raw(3)
    assert torn != good and not crc_holds(torn, SERIAL, 1)
    with pytest.raises(Refused, match="exception 3"):
        ack(rig, 1, 3, int.from_bytes(good[40:], "big"))
    ack(rig, 1, 3, int.from_bytes(torn[40:], "big"))
    assert rig.raw(3) == torn
    assert rig.raw(3) == good


def test_record_torn_for_ever_stays_torn_over_restarts_until_it_is_overwritten(rig: Rig) -> None:
    rig.journal.save(torn=(Torn(2, 13),))
    block = struct.pack(">66H", *rig.words(4, 0x4000 + 22, 66))
    assert [crc_holds(block[i : i + 44], SERIAL, 1) for i in (0, 44, 88)] == [True, False, True]
    rig.kill()
    for _ in range(10):
        assert not crc_holds(rig.raw(2), SERIAL, 1)
    rig.acknowledge(2)
    while rig.journal.memory.newest < 66:
        rig.pour()
        rig.acknowledge(rig.status().newest_seq)
    assert rig.record(66).seq == 66


# --- commands


def command(rig: Rig, token: int, code: int) -> None:
    rig.write(0x0109, [token, code])


def test_command_clear_faults_takes_back_what_a_hand_may(rig: Rig) -> None:
    for fault in (Fault.TAMPER, Fault.DOOR_OPEN, Fault.BATTERY_LOW):
        rig.lock.raise_fault(fault)
    rig.lock.raise_fault(Fault.CHAMBER_BLOCKED, 1)
    command(rig, 77, 1)
    status = rig.status()
    assert (status.command_token, status.command_result) == (77, CommandResult.OK)
    assert status.faults == 1 << Fault.DOOR_OPEN | 1 << Fault.BATTERY_LOW
    assert rig.words(3, 0x0109, 2) == (77, 1)


def test_command_runs_once_for_a_token_also_after_a_power_cut(rig: Rig) -> None:
    command(rig, 5, 3)
    assert rig.ask(bytes.fromhex("0400400001")) is None, "it answers first, then goes"
    rig.now_s += 2
    assert rig.status().boot == 2
    for _ in range(2):
        command(rig, 5, 3)
        rig.now_s += 5
        assert (rig.status().boot, rig.status().command_result) == (2, CommandResult.OK)
        rig.kill()
        assert rig.status().boot == 3
        rig.journal.save(boot=2)
    command(rig, 6, 3)
    rig.ask(bytes.fromhex("0400400001"))
    rig.now_s += 2
    assert rig.status().boot == 3


def test_self_test_takes_time_and_another_command_meanwhile_is_busy(rig: Rig) -> None:
    command(rig, 1, 2)
    assert rig.status().command_result == CommandResult.RUNNING
    command(rig, 1, 2)
    with pytest.raises(Refused, match="exception 6"):
        command(rig, 2, 1)
    rig.now_s += 3
    assert (rig.status().command_token, rig.status().command_result) == (1, CommandResult.OK)
    rig.lock.raise_fault(Fault.CHAMBER_BLOCKED, 1)
    command(rig, 2, 2)
    rig.now_s += 3
    assert rig.status().command_result == CommandResult.FAILED


@pytest.mark.parametrize("killed", [False, True])
def test_power_cut_while_a_command_runs_makes_it_fail(rig: Rig, killed: bool) -> None:
    command(rig, 9, 2)
    if killed:
        rig.kill()
    else:
        rig.cut_power(1)
    assert (rig.status().command_token, rig.status().command_result) == (9, CommandResult.FAILED)


def test_unknown_command_and_reboot_in_mid_cycle_are_refused_by_result(rig: Rig) -> None:
    command(rig, 3, 99)
    assert (rig.status().command_token, rig.status().command_result) == (3, CommandResult.REFUSED)
    assert rig.words(3, 0x0109, 2) == (3, 99)
    rig.open()
    command(rig, 4, 3)
    assert (rig.status().command_result, rig.status().state) == (CommandResult.REFUSED, State.OPEN)
    with pytest.raises(Refused, match="exception 3"):
        command(rig, 0, 1)
    assert rig.status().command_token == 4


# --- wire faults


@pytest.mark.parametrize(("name", "executes"), [("silence", False), ("lost_reply", True)])
def test_silent_unit_executes_only_if_its_answer_alone_was_lost(rig: Rig, name: str, executes: bool) -> None:
    rig.bus.faults.add(WireFault(name, 1, until_s=rig.now_s + 10, left=1))
    assert rig.ask(struct.pack(">BHH", 6, MASK, 1)) is None
    assert rig.status().enable_mask == (1 if executes else 3)


def test_fault_ends_by_count_and_by_time_and_strikes_its_unit_alone(rig: Rig) -> None:
    rig.bus.units[2] = rig.unit
    rig.bus.faults.add(WireFault("exception_6", 1, until_s=rig.now_s + 10, left=2))
    rig.bus.faults.add(WireFault("silence", 2, until_s=rig.now_s + 10, left=1000))
    read = struct.pack(">BHH", 4, 0, 1)
    assert [rig.ask(read), rig.ask(read)] == [bytes((0x84, 6))] * 2
    assert rig.ask(read) == bytes.fromhex("0402574c")
    assert rig.ask(read, unit=2) is None
    rig.now_s += 10
    assert rig.ask(read, unit=2) == bytes.fromhex("0402574c")
    assert not rig.bus.faults
