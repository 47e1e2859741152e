"""Driver wlc-1 against a controller that keeps to the map: orders, each read back; and the walk through the ring."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.base import Confirmation, ListEntry
from edge_agent.drivers.wlc_1 import Wlc1Driver
from edge_agent.errors import BrokenAnswer, NoAnswer, NotSupported, Refused, StillRunning, WrongController
from tests.support.controller import Controller
from tests.support.lock_rig import DirectRegisters, HandClock
from wastelock.registers import CommandCode, CommandResult, decode_identity, encode_identity

RING, COMMAND, LIST_BEGIN, STAGING, COMMIT, CLOCK = 0x4000, 0x109, 0x110, 0x1000, 0x118, 0x106


class Bench:
    def __init__(self, controller: Controller | None = None) -> None:
        self.clock = HandClock()
        self.controller = controller or Controller()
        self.controller.wall = self.clock.unix_s
        self.registers = DirectRegisters(self.controller, self.clock)
        self.driver = Wlc1Driver(
            self.registers, self.controller.serial, self.clock.monotonic, self.clock.sleep
        )

    def lose_answers(self, address: int, count: int = 1) -> None:
        """Let the next writes to this address arrive without that the driver learns of it."""
        left = [count]

        def lose(written: int) -> None:
            if written == address and left[0]:
                left[0] -= 1
                raise NoAnswer("the answer got lost")

        self.registers.after_write = lose

    def writes(self, address: int) -> int:
        return sum(1 for what, at, _ in self.controller.log if what == "write" and at == address)


@pytest.fixture
def bench() -> Bench:
    return Bench()


# ---- who is it ----


def test_identity_and_status_are_one_read_each(bench: Bench) -> None:
    identity = bench.driver.identify()
    assert (identity.serial, identity.capacity, identity.epoch, identity.firmware) == (
        0x1F00A1,
        32,
        7,
        "1.2.3",
    )
    assert bench.driver.read_status().serial == 0x1F00A1
    assert bench.driver.status_at == bench.clock.monotonic()
    assert bench.controller.log == [("read", 0, 32), ("read", 0x40, 40)]


def test_another_serial_is_a_wrong_controller(bench: Bench) -> None:
    bench.controller.serial = 0xBEEF
    for look in (bench.driver.identify, bench.driver.read_status):
        with pytest.raises(WrongController, match="00beef answers where 1f00a1 is configured"):
            look()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"map_version": 2}, "map version is 2"),
        ({"capacity": 31}, "ring capacity"),
        ({"chambers": 5}, "chambers"),
    ],
)
def test_another_map_is_refused_with_a_remedy(bench: Bench, change: dict[str, int], why: str) -> None:
    def alter(address: int, block: bytes) -> bytes:
        words = [int.from_bytes(block[i : i + 2], "big") for i in range(0, len(block), 2)]
        changed = replace(decode_identity(words), **change)  # type: ignore[arg-type]
        return b"".join(word.to_bytes(2, "big") for word in encode_identity(changed))

    bench.registers.alter = alter
    with pytest.raises(WrongController, match=f"{why}.*correct the lock's"):
        bench.driver.identify()


# ---- the ring ----


@given(st.integers(32, 2047), st.integers(1, 5000), st.integers(1, 9))
def test_a_read_never_passes_the_rings_end_nor_its_limit(capacity: int, seq: int, limit: int) -> None:
    bench = Bench(Controller(capacity=capacity))
    bench.driver.identify()
    bench.controller.log.clear()
    step = bench.driver.read_journal(seq, limit)
    ((_, address, words),) = bench.controller.log
    assert address == RING + (seq % capacity) * 22
    assert address + words <= RING + capacity * 22
    assert words % 22 == 0
    assert 1 <= len(step.records) == words // 22 <= min(limit, 5)


@given(st.integers(32, 40), st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_whatever_the_ring_holds_is_read_as_it_is(capacity: int, steps: list[int]) -> None:
    bench = Bench(Controller(capacity=capacity))
    bench.driver.identify()
    read: list[bytes] = []
    for made in steps:
        for _ in range(min(made, capacity)):
            bench.controller.pour()
        while len(read) < bench.controller.newest:
            step = bench.driver.read_journal(len(read) + 1, bench.controller.newest - len(read))
            assert step.overwritten_by is None
            for record in step.records:
                assert record.verified
                assert record.seq == len(read) + 1
                assert record.raw == bench.controller.raw(record.seq)
                read.append(record.raw)
        bench.controller.confirmed = bench.controller.newest
    assert len(read) == bench.controller.newest


def test_slot_that_holds_a_later_record_is_overwritten(bench: Bench) -> None:
    bench.driver.identify()
    for _ in range(35):
        bench.controller.pour()
        bench.controller.confirmed = bench.controller.newest
    step = bench.driver.read_journal(1, 5)
    assert (list(step.records), step.overwritten_by) == ([], 33)
    step = bench.driver.read_journal(3, 5)
    assert (list(step.records), step.overwritten_by) == ([], 35)
    step = bench.driver.read_journal(4, 5)
    assert ([record.seq for record in step.records], step.overwritten_by) == ([4, 5, 6, 7, 8], None)


def test_late_answer_about_other_slots_is_never_taken_for_overwritten_records(bench: Bench) -> None:
    bench.driver.identify()
    for _ in range(20):
        bench.controller.pour()
    late = b"".join(bench.controller.raw(seq) for seq in range(10, 15))
    bench.registers.alter = lambda address, block: late
    step = bench.driver.read_journal(1, 5)
    assert step.overwritten_by is None
    assert [record.verified for record in step.records] == [False] * 5


# ---- confirming ----


def test_confirmation_names_epoch_seq_and_crc_and_is_read_back(bench: Bench) -> None:
    seq = bench.controller.pour()
    crc = int.from_bytes(bench.controller.raw(seq)[40:], "big")
    assert bench.driver.acknowledge(Confirmation(7, seq, crc)) == 1
    with pytest.raises(Refused):
        bench.driver.acknowledge(Confirmation(8, seq, crc))
    bench.controller.pour()
    with pytest.raises(Refused):
        bench.driver.acknowledge(Confirmation(7, 2, crc ^ 1))


# ---- the clock ----


def test_clock_is_set_and_read_back(bench: Bench) -> None:
    bench.controller.clock_offset_s, bench.controller.clock_status = -5000, 0
    status = bench.driver.set_clock(int(bench.clock.unix_s()))
    assert (status.clock_s, status.clock_status) == (int(bench.clock.unix_s()), 1)


def test_clock_that_does_not_take_the_time_is_told(bench: Bench) -> None:
    bench.controller.clock_offset_s = -5000
    bench.registers.after_write = lambda address: setattr(bench.controller, "clock_offset_s", -5000)
    with pytest.raises(BrokenAnswer, match="reads back"):
        bench.driver.set_clock(int(bench.clock.unix_s()))


def test_clock_without_room_for_its_record_is_refused(bench: Bench) -> None:
    for _ in range(30):
        bench.controller.pour()
    with pytest.raises(Refused) as refused:
        bench.driver.set_clock(int(bench.clock.unix_s()))
    assert refused.value.code == 4


# ---- chambers ----


def test_chambers_are_enabled_and_read_back(bench: Bench) -> None:
    bench.driver.enable_chambers(0b10)
    assert bench.controller.enable_mask == 0b10


def test_mask_that_does_not_read_back_is_told(bench: Bench) -> None:
    bench.registers.after_write = lambda address: setattr(bench.controller, "enable_mask", 0b11)
    with pytest.raises(BrokenAnswer, match="reads back"):
        bench.driver.enable_chambers(0b01)


def test_chambers_that_the_lock_does_not_have_are_not_written(bench: Bench) -> None:
    with pytest.raises(NotSupported, match="has 2 chambers"):
        bench.driver.enable_chambers(0b100)
    bench.controller.capabilities = 0
    with pytest.raises(NotSupported, match="capability bit 4"):
        bench.driver.enable_chambers(0b01)
    assert bench.writes(0x108) == 0


# ---- access list ----


def entries(count: int) -> list[ListEntry]:
    return [
        ListEntry(0xE0040000 + number, service=number % 7 == 0, blocked=number % 5 == 0)
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 24, 25, 100])
def test_access_list_comes_into_force_whole(bench: Bench, count: int) -> None:
    bench.driver.write_access_list(5, entries(count))
    assert bench.controller.list_in_force[:2] == (5, count)
    staged = [(at, words) for what, at, words in bench.controller.log if what == "write" and at >= STAGING]
    assert all(words <= 24 * 5 and words % 5 == 0 for _, words in staged)
    assert sum(words for _, words in staged) == count * 5


def test_list_that_is_in_force_already_is_not_written_again(bench: Bench) -> None:
    bench.driver.write_access_list(5, entries(30))
    bench.controller.log.clear()
    bench.driver.write_access_list(5, entries(30))
    assert [what for what, _, _ in bench.controller.log] == ["read", "read"]


@pytest.mark.parametrize("address", [LIST_BEGIN, STAGING + 24 * 5, COMMIT])
def test_lost_answers_do_not_spoil_a_list(bench: Bench, address: int) -> None:
    bench.lose_answers(address, 2)
    bench.driver.write_access_list(6, entries(60))
    assert bench.controller.list_in_force[:2] == (6, 60)
    assert bench.writes(address) == 3


def test_power_cut_while_staging_leaves_the_old_list_in_force(bench: Bench) -> None:
    bench.driver.write_access_list(5, entries(10))
    before = bench.controller.list_in_force
    bench.registers.after_write = lambda address: bench.controller.power_up() if address == STAGING else None
    with pytest.raises(Refused) as refused:
        bench.driver.write_access_list(6, entries(60))
    assert refused.value.code == 4
    assert bench.controller.list_in_force == before


def test_same_version_with_another_list_is_refused(bench: Bench) -> None:
    bench.driver.write_access_list(5, entries(10))
    with pytest.raises(Refused):
        bench.driver.write_access_list(5, entries(11))


def test_list_that_is_too_long_or_has_no_version_is_not_begun(bench: Bench) -> None:
    for version, count in ((5, 101), (0, 1), (2**32, 1)):
        with pytest.raises(NotSupported):
            bench.driver.write_access_list(version, entries(count))
    assert bench.writes(LIST_BEGIN) == 0


# ---- commands ----


def test_command_is_run_and_its_result_waited_for(bench: Bench) -> None:
    assert bench.driver.run_command(17, CommandCode.SELF_TEST, 10) == CommandResult.OK
    assert bench.controller.commands == [(17, 2)]


def test_running_command_is_looked_at_until_it_ends(bench: Bench) -> None:
    bench.registers.after_write = lambda address: setattr(bench.controller, "last_command", (17, 0xFFFF))
    ends_at = bench.clock.seconds + 3

    def end(address: int, words: int) -> None:
        if bench.clock.seconds >= ends_at:
            bench.controller.last_command = (17, 2)

    bench.registers.before_read = end
    assert bench.driver.run_command(17, CommandCode.SELF_TEST, 10) == CommandResult.FAILED


def test_command_whose_answer_got_lost_is_executed_once(bench: Bench) -> None:
    bench.lose_answers(COMMAND)
    assert bench.driver.run_command(17, CommandCode.CLEAR_FAULTS, 10) == CommandResult.OK
    assert bench.controller.commands == [(17, 1)]
    assert bench.writes(COMMAND) == 1


def test_command_that_never_arrived_is_sent_again(bench: Bench) -> None:
    left = [2]

    def lose(address: int, words: object) -> None:
        if address == COMMAND and left[0]:
            left[0] -= 1
            raise NoAnswer("the request got lost")

    bench.registers.before_write = lose
    assert bench.driver.run_command(17, CommandCode.CLEAR_FAULTS, 10) == CommandResult.OK
    assert bench.controller.commands == [(17, 1)]


def test_token_that_was_the_last_one_is_not_sent_again(bench: Bench) -> None:
    bench.controller.last_command = (17, 0)
    assert bench.driver.run_command(17, CommandCode.REBOOT, 10) == CommandResult.OK
    assert bench.writes(COMMAND) == 0


def test_another_command_that_runs_is_waited_for(bench: Bench) -> None:
    bench.controller.last_command = (5, 0xFFFF)
    ends_at = bench.clock.seconds + 2

    def end(address: int, words: int) -> None:
        if bench.controller.last_command == (5, 0xFFFF) and bench.clock.seconds >= ends_at:
            bench.controller.last_command = (5, 0)

    bench.registers.before_read = end
    assert bench.driver.run_command(17, CommandCode.SELF_TEST, 10) == CommandResult.OK
    assert bench.controller.commands == [(17, 2)]


def test_silence_of_a_controller_that_reboots_is_waited_out(bench: Bench) -> None:
    back_at = bench.clock.seconds + 4

    def silent(address: int, words: int) -> None:
        if bench.controller.commands and bench.clock.seconds < back_at:
            raise NoAnswer("rebooting")

    bench.registers.before_read = silent
    assert bench.driver.run_command(18, CommandCode.REBOOT, 10) == CommandResult.OK


def test_result_that_another_command_has_replaced_is_lost_and_never_made_up_for(bench: Bench) -> None:
    bench.registers.after_write = lambda address: setattr(bench.controller, "last_command", (99, 0))
    with pytest.raises(BrokenAnswer, match="followed by 99"):
        bench.driver.run_command(17, CommandCode.SELF_TEST, 10)
    assert bench.controller.commands == [(17, 2)]


def test_command_without_result_in_time_is_told(bench: Bench) -> None:
    bench.registers.after_write = lambda address: setattr(bench.controller, "last_command", (17, 0xFFFF))
    with pytest.raises(NoAnswer, match="no result within 5 s"):
        bench.driver.run_command(17, CommandCode.SELF_TEST, 5)


def test_command_may_be_looked_at_once_without_waiting_and_is_taken_up_by_its_token(bench: Bench) -> None:
    bench.registers.after_write = lambda address: setattr(bench.controller, "last_command", (17, 0xFFFF))
    began_s = bench.clock.seconds
    for _ in range(2):
        with pytest.raises(StillRunning):
            bench.driver.run_command(17, CommandCode.SELF_TEST, 0)
    bench.controller.last_command = (17, 0)
    assert bench.driver.run_command(17, CommandCode.SELF_TEST, 0) == CommandResult.OK
    assert bench.controller.commands == [(17, 2)] and bench.writes(COMMAND) == 1
    assert bench.clock.seconds == began_s


def test_token_0_is_a_programming_error(bench: Bench) -> None:
    with pytest.raises(ValueError, match="token"):
        bench.driver.run_command(0, CommandCode.REBOOT, 5)


def test_orders_never_reach_another_controller(bench: Bench) -> None:
    bench.driver.identify()
    bench.controller.serial = 0xBEEF
    orders = (
        lambda: bench.driver.enable_chambers(1),
        lambda: bench.driver.set_clock(1_800_000_000),
        lambda: bench.driver.write_access_list(5, entries(3)),
        lambda: bench.driver.run_command(17, CommandCode.REBOOT, 5),
    )
    for order in orders:
        with pytest.raises(WrongController):
            order()
    assert [entry for entry in bench.controller.log if entry[0] == "write"] == []
