"""Troubles of a journal: bad and overwritten records, epochs, other controllers. All is told, nothing blocks."""

import pytest

from edge_agent.errors import BrokenAnswer
from tests.support.lock_rig import LockRig
from wastelock.record import Kind

RING, STATUS = 0x4000, 0x40


@pytest.fixture
def rig() -> LockRig:
    return LockRig()


# ---- bad records ----


def test_bad_record_is_kept_unverified_after_five_reads_over_ten_seconds_and_not_before(rig: LockRig) -> None:
    rig.pours(8)
    rig.spoil(4)
    reads = 0

    def count(address: int, words: int) -> None:
        nonlocal reads
        reads += address <= RING + 4 * 22 < address + words

    rig.registers.before_read = count
    began = rig.clock.seconds
    for _ in range(100):
        outcome = rig.visit()
        if rig.spool.seqs()[-1] > 3:
            break
        assert outcome.wait_s is not None
        assert rig.controller.confirmed == 3
        rig.clock.seconds += outcome.wait_s - 1
    assert reads >= 5
    assert rig.clock.seconds - began >= 10
    assert rig.spool.seqs() == list(range(1, 9))
    assert [record.verified for _, record in rig.spool.records()] == [True] * 3 + [False] + [True] * 4
    assert rig.spool.records()[3][1].raw == rig.controller.raw(4)
    assert rig.controller.confirmed == 8
    assert rig.state.unverified_records == 1


def test_record_that_reads_well_the_second_time_is_verified(rig: LockRig) -> None:
    rig.pours(3)
    good = rig.controller.raw(2)
    rig.spoil(2)
    rig.visit()
    rig.controller.ring[2] = good
    rig.visit()
    assert rig.whole_journal_is_kept()
    assert all(record.verified for _, record in rig.spool.records())


def test_bad_last_record_is_confirmed_by_the_words_that_a_read_gives(rig: LockRig) -> None:
    rig.pours(3)
    rig.spoil(3)
    rig.patiently()
    assert rig.controller.confirmed == 3
    assert rig.state.unverified_records == 1


def test_bad_last_record_with_changing_words_does_not_keep_those_before_it_from_being_confirmed(
    rig: LockRig,
) -> None:
    rig.pours(6)
    noise = iter(range(1, 10_000))

    def flicker(address: int, _: object) -> None:
        if rig.controller.newest == 6:
            rig.controller.ring[6] = next(noise).to_bytes(44, "big")

    rig.registers.before_read = rig.registers.before_write = flicker
    rig.patiently()
    assert rig.spool.seqs() == [1, 2, 3, 4, 5, 6]
    assert rig.controller.confirmed == 5
    rig.controller.pour()
    rig.patiently(3)
    assert rig.controller.confirmed == 7
    assert rig.state.unverified_records == 1


def test_many_bad_records_in_a_row_take_their_time_together(rig: LockRig) -> None:
    rig.pours(10)
    for seq in range(1, 11):
        rig.spoil(seq)
    began = rig.clock.seconds
    while rig.controller.confirmed < 10:
        outcome = rig.visit()
        rig.clock.seconds += outcome.wait_s or 0
    assert rig.clock.seconds - began < 40
    assert rig.state.unverified_records == 10


def test_unverified_record_that_can_be_read_after_a_restart_is_sealed_again_whole(rig: LockRig) -> None:
    rig.pours(3)
    good = rig.controller.raw(3)
    rig.spoil(3)
    rig.patiently()
    rig.controller.ring[3] = good
    rig.restart()
    rig.visit()
    assert [(record.seq, record.verified) for _, record in rig.spool.records()][-2:] == [
        (3, False),
        (3, True),
    ]


# ---- overwritten records ----


def test_overwritten_records_are_counted_and_told_and_the_rest_is_read(rig: LockRig) -> None:
    rig.pours(10)
    rig.visit()
    rig.controller.confirmed = rig.controller.newest
    for _ in range(5):
        rig.pours(16)
        rig.controller.confirmed = rig.controller.newest  # another gateway confirms
    rig.visit()
    first = rig.controller.oldest
    assert first == 59
    assert rig.spool.seqs() == [*range(1, 11), *range(first, 91)]
    assert rig.state.overwritten_records == 48
    assert "48 records are gone" in (rig.state.problem or "")


def test_one_status_alone_is_not_believed_that_records_are_gone(rig: LockRig) -> None:
    rig.visit()
    rig.pours(20)
    wrong = iter([True])

    def corrupt(address: int, block: bytes) -> bytes:
        if address == STATUS and next(wrong, False):
            return block[:30] + (18).to_bytes(4, "big") + block[34:]  # oldest
        return block

    rig.registers.alter = corrupt
    rig.visit()
    assert rig.whole_journal_is_kept()
    assert rig.state.overwritten_records == 0


def test_record_overwritten_between_status_and_read_is_counted_once(rig: LockRig) -> None:
    rig.pours(32)
    rig.controller.confirmed = 32
    reads = iter(range(1000))

    def overwrite(address: int, words: int) -> None:
        if address >= RING and next(reads) == 1:
            rig.pours(4)  # of the records not yet read: 33..36 replace 1..4, which are read
            rig.controller.confirmed = 36
            rig.pours(3)  # 37..39 replace 5, read, and 6 and 7, not yet read

    rig.registers.before_read = overwrite
    rig.visit()
    rig.visit()
    assert rig.spool.seqs() == [*range(1, 6), *range(8, 40)]
    assert rig.state.overwritten_records == 2


# ---- epochs, serials, and other contradictions ----


def test_new_epoch_is_read_from_its_beginning(rig: LockRig) -> None:
    rig.pours(5)
    rig.visit()
    rig.controller.begin_epoch(9)
    rig.controller.add(kind=Kind.REGISTER_REPORT, chamber=1)
    rig.pours(1)
    rig.visit()
    assert [(epoch, record.seq) for epoch, record in rig.spool.records()][-2:] == [(9, 1), (9, 2)]
    assert rig.controller.confirmed == 2
    assert rig.state.epoch == 9
    assert rig.state.overwritten_records == 0


def test_records_seen_but_not_read_before_their_epoch_ended_are_counted(rig: LockRig) -> None:
    rig.pours(20)
    rig.visit(steps=1)
    rig.controller.begin_epoch(9)
    rig.visit()
    assert rig.state.overwritten_records == 15
    assert "epoch 7 ended" in (rig.state.problem or "")


def test_epoch_that_begins_between_status_and_journal_makes_no_unverified_records(rig: LockRig) -> None:
    rig.pours(3)

    def begin(address: int, words: int) -> None:
        if address >= RING and rig.controller.epoch == 7:
            rig.controller.begin_epoch(8)
            rig.pours(3)

    rig.registers.before_read = begin
    rig.patiently()
    assert [(epoch, record.seq, record.verified) for epoch, record in rig.spool.records()] == [
        (8, 1, True),
        (8, 2, True),
        (8, 3, True),
    ]
    assert rig.state.unverified_records == 0


def test_epoch_that_begins_at_the_last_look_at_a_bad_record_is_not_taken_for_the_old_one(
    rig: LockRig,
) -> None:
    rig.pours(3)
    rig.spoil(2)
    reads = 0

    def begin(address: int, words: int) -> None:
        nonlocal reads
        reads += address > RING + 22
        if reads == 4 and rig.controller.epoch == 7:
            rig.controller.begin_epoch(8)
            rig.pours(3)

    rig.registers.before_read = begin
    rig.patiently()
    assert [epoch for epoch, _ in rig.spool.records()] == [7, 8, 8, 8]
    assert all(record.verified for _, record in rig.spool.records())


def test_epoch_going_backwards_is_left_alone_and_told(rig: LockRig) -> None:
    rig.pours(3)
    rig.visit()
    rig.controller.begin_epoch(6)
    rig.pours(2)
    outcome = rig.visit()
    assert rig.spool.seqs() == [1, 2, 3]
    assert rig.controller.confirmed == 0
    assert "epoch 6" in (rig.state.problem or "")
    assert rig.state.reachable
    assert outcome.wait_s == 10


def test_journal_that_ends_before_what_was_read_is_left_alone_and_told(rig: LockRig) -> None:
    rig.pours(9)
    rig.visit()
    rig.controller.newest = rig.controller.confirmed = 5
    rig.visit()
    assert "ends with record 5" in (rig.state.problem or "")


def test_one_late_status_is_no_contradiction(rig: LockRig) -> None:
    rig.pours(4)
    rig.visit()
    stale: list[bytes] = []

    def keep(_address: int, block: bytes) -> bytes:
        stale.append(block)
        return block

    rig.registers.alter = keep
    rig.visit()
    rig.pours(3)
    rig.registers.alter = lambda address, block: block
    rig.visit()
    rig.registers.alter = lambda address, block: stale.pop() if stale and address == STATUS else block
    rig.visit()
    assert rig.state.problem is None
    assert rig.spool.seqs() == list(range(1, 8))


def test_another_serial_at_the_address_is_never_read_or_written(rig: LockRig) -> None:
    rig.pours(2)
    rig.controller.serial = 0x1F00B2
    outcome = rig.visit()
    assert "lock 1f00b2 answers where 1f00a1 is configured" in (rig.state.problem or "")
    assert {entry[1] for entry in rig.controller.log} == {STATUS}
    assert outcome.wait_s == 10


def test_impossible_journal_is_told(rig: LockRig) -> None:
    rig.pours(2)
    rig.controller.confirmed = 3
    rig.visit()
    assert "can't be" in (rig.state.problem or "")


def test_power_up_between_reads_only_makes_the_next_visit_look_closer(rig: LockRig) -> None:
    rig.pours(3)
    rig.visit()
    rig.controller.power_up()
    rig.controller.add(kind=Kind.POWER_UP)
    rig.controller.log.clear()
    rig.visit()
    assert ("read", 0, 32) in rig.controller.log
    assert rig.whole_journal_is_kept()


def test_failure_in_the_middle_keeps_what_was_read_before(rig: LockRig) -> None:
    rig.pours(12)

    def break_off(address: int, words: int) -> None:
        if address == RING + 6 * 22:
            raise BrokenAnswer("noise")

    rig.registers.before_read = break_off
    rig.visit()
    assert rig.spool.seqs() == [1, 2, 3, 4, 5]
    assert rig.controller.confirmed == 5
    assert rig.state.problem == "noise"
    assert rig.state.reachable


def test_busy_controller_is_asked_again_and_loses_nothing(rig: LockRig) -> None:
    rig.pours(4)
    rig.controller.busy = True
    rig.visit()
    assert "exception 6" in (rig.state.problem or "")
    rig.controller.busy = False
    rig.visit()
    assert rig.whole_journal_is_kept()
    assert rig.controller.confirmed == 4


def test_unknown_map_is_told_and_left_alone(rig: LockRig) -> None:
    rig.registers.alter = lambda address, block: b"\x57\x4c\x00\x02" + block[4:] if address == 0 else block
    rig.visit()
    assert "map version is 2" in (rig.state.problem or "")
    assert rig.spool.visits == []
