"""Custody of one lock's journal: read, sealed, then confirmed; nothing skipped in silence, nor confirmed too early."""

import pytest

from edge_agent.custody import Cursor
from edge_agent.errors import BrokenAnswer, NoAnswer, SpoolFull, SpoolUnavailable
from tests.support.controller import Controller
from tests.support.lock_rig import LockRig
from wastelock.record import Kind

ACK, RING, STATUS = 0x100, 0x4000, 0x40


@pytest.fixture
def rig() -> LockRig:
    return LockRig()


def pours(rig: LockRig, count: int) -> None:
    for _ in range(count):
        rig.controller.pour()


def crc_words(raw: bytes) -> int:
    return int.from_bytes(raw[-4:], "big")


def test_records_are_sealed_first_and_confirmed_afterwards(rig: LockRig) -> None:
    pours(rig, 7)
    confirmed_too_early = []
    rig.registers.before_write = lambda address, _: (
        confirmed_too_early.append(address)
        if address == ACK and rig.spool.seqs() != [1, 2, 3, 4, 5, 6, 7]
        else None
    )
    rig.visit()
    assert rig.whole_journal_is_kept()
    assert rig.controller.confirmed == 7
    assert confirmed_too_early == []
    assert rig.spool.confirmed == [(rig.lock, 7, 7)]
    assert (rig.state.confirmed_seq, rig.state.spooled_seq, rig.state.problem) == (7, 7, None)


def test_visit_without_news_is_one_read(rig: LockRig) -> None:
    pours(rig, 3)
    rig.visit()
    rig.controller.log.clear()
    rig.visit()
    assert rig.controller.log == [("read", STATUS, 40)]


def test_empty_journal_is_nothing_to_read_or_confirm(rig: LockRig) -> None:
    outcome = rig.visit()
    assert not outcome.has_more
    assert rig.spool.visits == []
    assert rig.controller.confirmed == 0
    assert rig.state.problem is None


def test_ring_is_drained_over_its_end_and_many_times_round(rig: LockRig) -> None:
    for _ in range(40):
        pours(rig, 13)
        rig.visit()
    assert rig.whole_journal_is_kept()
    assert rig.controller.confirmed == rig.controller.newest == 520


def test_backlog_is_sealed_in_pages_of_at_most_500(rig: LockRig) -> None:
    rig = LockRig(Controller(capacity=2047))
    pours(rig, 1200)
    while rig.visit().has_more:
        pass
    assert [len(visit.records) for visit in rig.spool.visits] == [500, 500, 200]
    assert rig.whole_journal_is_kept()


def test_visit_ends_when_its_time_is_over_and_goes_on_in_the_next(rig: LockRig) -> None:
    pours(rig, 20)
    outcome = rig.visit(steps=2)
    assert rig.spool.seqs() == list(range(1, 11))
    assert rig.controller.confirmed == 10
    assert outcome.has_more
    assert not rig.visit().has_more
    assert rig.whole_journal_is_kept()


def test_records_made_during_a_visit_are_read_in_the_next(rig: LockRig) -> None:
    pours(rig, 6)
    rig.registers.before_read = lambda address, _: rig.controller.pour() and None if address >= RING else None
    rig.visit()
    rig.registers.before_read = lambda address, _: None
    rig.visit()
    assert rig.whole_journal_is_kept()
    assert rig.controller.confirmed == rig.controller.newest == 8


def test_unknown_kinds_are_kept_and_confirmed(rig: LockRig) -> None:
    rig.controller.add(kind=200, result=9)
    rig.visit()
    assert rig.whole_journal_is_kept()
    assert rig.controller.confirmed == 1


def test_sequence_numbers_near_their_end_are_read_and_confirmed(rig: LockRig) -> None:
    rig.controller.newest = rig.controller.confirmed = 2**32 - 4
    for slot in range(rig.controller.capacity):
        rig.controller.ring.pop(slot, None)
    rig.spool.cursors[rig.lock] = Cursor(7, 2**32 - 4, 0, True)
    pours(rig, 3)
    rig.visit()
    assert rig.spool.seqs() == [2**32 - 3, 2**32 - 2, 2**32 - 1]
    assert rig.controller.confirmed == 2**32 - 1


# ---- crashes and the spool ----


def test_after_a_crash_between_sealing_and_confirming_nothing_is_read_twice(rig: LockRig) -> None:
    pours(rig, 9)

    def crash(address: int, words: object) -> None:
        if address == ACK:
            raise NoAnswer("the agent was killed here")

    rig.registers.before_write = crash
    rig.registers.before_read = lambda address, _: crash(address, None)
    rig.visit()
    assert rig.controller.confirmed == 0
    rig.registers.before_write = lambda address, _: None
    rig.registers.before_read = lambda address, _: None
    rig.restart()
    rig.controller.log.clear()
    rig.visit()
    assert rig.spool.seqs() == list(range(1, 10))
    assert rig.controller.confirmed == 9
    assert [entry for entry in rig.controller.log if entry[1] >= RING] == [("read", RING + 9 * 22, 22)]


def test_after_a_lost_spool_the_ring_is_read_from_its_oldest_record(rig: LockRig) -> None:
    for _ in range(5):
        pours(rig, 20)
        rig.visit()
    rig.spool.visits.clear()
    rig.spool.cursors.clear()
    rig.restart()
    rig.visit()
    assert rig.spool.seqs() == list(range(rig.controller.oldest, 101))
    assert rig.state.overwritten_records == 0


def test_full_spool_confirms_nothing_and_goes_on_by_itself(rig: LockRig) -> None:
    rig.spool.refusal = SpoolFull("no room for another page")
    pours(rig, 12)
    rig.visit()
    assert rig.controller.confirmed == 0
    assert rig.state.problem == "no room for another page"
    assert rig.state.reachable
    rig.visit()
    assert rig.controller.confirmed == 0
    assert "waiting for room" in (rig.state.problem or "")
    rig.spool.refusal = None
    rig.clock.seconds += 10
    while rig.visit().has_more:
        pass
    assert rig.whole_journal_is_kept()
    assert rig.controller.confirmed == 12
    rig.visit()
    assert rig.state.problem is None


def test_while_the_spool_is_full_the_journal_is_not_read_at_each_visit(rig: LockRig) -> None:
    rig.spool.refusal = SpoolFull("no room")
    pours(rig, 30)
    rig.visit()
    rig.controller.log.clear()
    for _ in range(3):
        rig.visit()
    assert [entry for entry in rig.controller.log if entry[1] >= RING] == []
    rig.clock.seconds += 5
    rig.visit()
    assert [entry for entry in rig.controller.log if entry[1] >= RING] == [("read", RING + 22, 110)]


def test_seal_that_failed_in_doubt_is_settled_by_the_spools_cursor(rig: LockRig) -> None:
    rig.spool.refusal, rig.spool.keeps_in_spite = SpoolUnavailable("I/O error after the commit"), True
    pours(rig, 4)
    rig.visit()
    assert rig.controller.confirmed == 0
    rig.spool.refusal = None
    rig.clock.seconds += 10
    rig.visit()
    assert rig.spool.seqs() == [1, 2, 3, 4]
    assert rig.controller.confirmed == 4


# ---- confirming ----


def test_confirmation_whose_answer_got_lost_is_seen_by_reading_back(rig: LockRig) -> None:
    pours(rig, 2)

    def lose_the_answer(address: int) -> None:
        if address == ACK:
            raise NoAnswer("late")

    rig.registers.after_write = lose_the_answer
    rig.visit()
    assert rig.controller.confirmed == 2
    assert rig.state.confirmed_seq == 2
    assert rig.state.problem is None


def test_confirmation_that_does_not_read_back_is_no_confirmation(rig: LockRig) -> None:
    pours(rig, 2)
    rig.registers.alter = lambda address, block: bytes(12) if address == ACK else block
    rig.visit()
    assert rig.state.confirmed_seq == 0
    assert "reads back" in (rig.state.problem or "")
    assert rig.state.reachable
    rig.registers.alter = lambda address, block: block
    rig.visit()
    assert rig.state.confirmed_seq == 2


def test_confirmed_by_another_gateway_is_fine_and_everything_is_read_all_the_same(rig: LockRig) -> None:
    pours(rig, 8)
    rig.controller.confirmed = 8
    rig.visit()
    assert rig.whole_journal_is_kept()
    pours(rig, 3)

    def other_gateway(address: int) -> None:
        if address == ACK:
            rig.controller.confirmed = rig.controller.newest

    rig.registers.after_write = other_gateway
    rig.visit()
    assert rig.whole_journal_is_kept()


def test_refused_confirmation_of_a_record_gone_bad_in_the_ring_is_repeated_in_the_rings_words(
    rig: LockRig,
) -> None:
    pours(rig, 5)
    good = rig.controller.raw(5)
    bad = good[:40] + bytes(4)
    rig.registers.before_write = lambda address, _: rig.controller.ring.update({5: bad})
    rig.visit()
    assert rig.controller.confirmed == 0
    assert "doesn't take the confirmation" in (rig.state.problem or "")
    rig.visit()
    assert rig.controller.confirmed == 5
    assert rig.spool.records()[-1][1].raw == good


def test_record_that_changed_in_the_ring_is_read_again_so_that_the_ledger_sees_both(rig: LockRig) -> None:
    pours(rig, 5)
    rig.visit()
    other = Controller()
    other.wall = lambda: rig.clock.unix_s() - 500
    for _ in range(7):
        other.pour(2)
    rig.controller.ring, rig.controller.newest, rig.controller.confirmed = other.ring, 7, 4
    rig.restart()
    rig.visit()
    assert rig.spool.seqs() == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6, 7]
    assert rig.controller.confirmed == 7
    assert "read again" in (rig.state.problem or "")
    rig.visit()
    assert rig.state.problem is None


# ---- bad records ----


def spoil(rig: LockRig, seq: int) -> None:
    slot = seq % rig.controller.capacity
    raw = bytearray(rig.controller.ring[slot])
    raw[20] ^= 1
    rig.controller.ring[slot] = bytes(raw)


def test_bad_record_is_kept_unverified_after_five_reads_over_ten_seconds_and_not_before(rig: LockRig) -> None:
    pours(rig, 8)
    spoil(rig, 4)
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
    pours(rig, 3)
    good = rig.controller.raw(2)
    spoil(rig, 2)
    rig.visit()
    rig.controller.ring[2] = good
    rig.visit()
    assert rig.whole_journal_is_kept()
    assert all(record.verified for _, record in rig.spool.records())


def patiently(rig: LockRig, visits: int = 20) -> None:
    for _ in range(visits):
        outcome = rig.visit()
        rig.clock.seconds += outcome.wait_s or 0


def test_bad_last_record_is_confirmed_by_the_words_that_a_read_gives(rig: LockRig) -> None:
    pours(rig, 3)
    spoil(rig, 3)
    patiently(rig)
    assert rig.controller.confirmed == 3
    assert rig.state.unverified_records == 1


def test_bad_last_record_with_changing_words_does_not_keep_those_before_it_from_being_confirmed(
    rig: LockRig,
) -> None:
    pours(rig, 6)
    noise = iter(range(1, 10_000))

    def flicker(address: int, _: object) -> None:
        if rig.controller.newest == 6:
            rig.controller.ring[6] = next(noise).to_bytes(44, "big")

    rig.registers.before_read = rig.registers.before_write = flicker
    patiently(rig)
    assert rig.spool.seqs() == [1, 2, 3, 4, 5, 6]
    assert rig.controller.confirmed == 5
    rig.controller.pour()
    patiently(rig, 3)
    assert rig.controller.confirmed == 7
    assert rig.state.unverified_records == 1


def test_many_bad_records_in_a_row_take_their_time_together(rig: LockRig) -> None:
    pours(rig, 10)
    for seq in range(1, 11):
        spoil(rig, seq)
    began = rig.clock.seconds
    while rig.controller.confirmed < 10:
        outcome = rig.visit()
        rig.clock.seconds += outcome.wait_s or 0
    assert rig.clock.seconds - began < 40
    assert rig.state.unverified_records == 10


def test_unverified_record_that_can_be_read_after_a_restart_is_sealed_again_whole(rig: LockRig) -> None:
    pours(rig, 3)
    good = rig.controller.raw(3)
    spoil(rig, 3)
    patiently(rig)
    rig.controller.ring[3] = good
    rig.restart()
    rig.visit()
    assert [(record.seq, record.verified) for _, record in rig.spool.records()][-2:] == [
        (3, False),
        (3, True),
    ]


# ---- overwritten records ----


def test_overwritten_records_are_counted_and_told_and_the_rest_is_read(rig: LockRig) -> None:
    pours(rig, 10)
    rig.visit()
    rig.controller.confirmed = rig.controller.newest
    for _ in range(5):
        pours(rig, 16)
        rig.controller.confirmed = rig.controller.newest  # another gateway confirms
    rig.visit()
    first = rig.controller.oldest
    assert first == 59
    assert rig.spool.seqs() == [*range(1, 11), *range(first, 91)]
    assert rig.state.overwritten_records == 48
    assert "48 records are gone" in (rig.state.problem or "")


def test_record_overwritten_between_status_and_read_is_counted_once(rig: LockRig) -> None:
    pours(rig, 32)
    rig.controller.confirmed = 32
    reads = iter(range(1000))

    def overwrite(address: int, words: int) -> None:
        if address >= RING and next(reads) == 1:
            pours(rig, 4)  # of the records not yet read: 33..36 replace 1..4, which are read
            rig.controller.confirmed = 36
            pours(rig, 3)  # 37..39 replace 5, read, and 6 and 7, not yet read

    rig.registers.before_read = overwrite
    rig.visit()
    rig.visit()
    assert rig.spool.seqs() == [*range(1, 6), *range(8, 40)]
    assert rig.state.overwritten_records == 2


# ---- epochs, serials, and other contradictions ----


def test_new_epoch_is_read_from_its_beginning(rig: LockRig) -> None:
    pours(rig, 5)
    rig.visit()
    rig.controller.begin_epoch(9)
    rig.controller.add(kind=Kind.REGISTER_REPORT, chamber=1)
    pours(rig, 1)
    rig.visit()
    assert [(epoch, record.seq) for epoch, record in rig.spool.records()][-2:] == [(9, 1), (9, 2)]
    assert rig.controller.confirmed == 2
    assert rig.state.epoch == 9
    assert rig.state.overwritten_records == 0


def test_records_seen_but_not_read_before_their_epoch_ended_are_counted(rig: LockRig) -> None:
    pours(rig, 20)
    rig.visit(steps=1)
    rig.controller.begin_epoch(9)
    rig.visit()
    assert rig.state.overwritten_records == 15
    assert "epoch 7 ended" in (rig.state.problem or "")


def test_epoch_that_begins_between_status_and_journal_makes_no_unverified_records(rig: LockRig) -> None:
    pours(rig, 3)

    def begin(address: int, words: int) -> None:
        if address >= RING and rig.controller.epoch == 7:
            rig.controller.begin_epoch(8)
            pours(rig, 3)

    rig.registers.before_read = begin
    patiently(rig)
    assert [(epoch, record.seq, record.verified) for epoch, record in rig.spool.records()] == [
        (8, 1, True),
        (8, 2, True),
        (8, 3, True),
    ]
    assert rig.state.unverified_records == 0


def test_epoch_that_begins_at_the_last_look_at_a_bad_record_is_not_taken_for_the_old_one(
    rig: LockRig,
) -> None:
    pours(rig, 3)
    spoil(rig, 2)
    reads = 0

    def begin(address: int, words: int) -> None:
        nonlocal reads
        reads += address > RING + 22
        if reads == 4 and rig.controller.epoch == 7:
            rig.controller.begin_epoch(8)
            pours(rig, 3)

    rig.registers.before_read = begin
    patiently(rig)
    assert [epoch for epoch, _ in rig.spool.records()] == [7, 8, 8, 8]
    assert all(record.verified for _, record in rig.spool.records())


def test_epoch_going_backwards_is_left_alone_and_told(rig: LockRig) -> None:
    pours(rig, 3)
    rig.visit()
    rig.controller.begin_epoch(6)
    pours(rig, 2)
    outcome = rig.visit()
    assert rig.spool.seqs() == [1, 2, 3]
    assert rig.controller.confirmed == 0
    assert "epoch 6" in (rig.state.problem or "")
    assert rig.state.reachable
    assert outcome.wait_s == 10


def test_journal_that_ends_before_what_was_read_is_left_alone_and_told(rig: LockRig) -> None:
    pours(rig, 9)
    rig.visit()
    rig.controller.newest = rig.controller.confirmed = 5
    rig.visit()
    assert "ends with record 5" in (rig.state.problem or "")


def test_one_late_status_is_no_contradiction(rig: LockRig) -> None:
    pours(rig, 4)
    rig.visit()
    stale: list[bytes] = []
    rig.registers.alter = lambda address, block: (stale.append(block), block)[1]
    rig.visit()
    pours(rig, 3)
    rig.registers.alter = lambda address, block: block
    rig.visit()
    rig.registers.alter = lambda address, block: stale.pop() if stale and address == STATUS else block
    rig.visit()
    assert rig.state.problem is None
    assert rig.spool.seqs() == list(range(1, 8))


def test_another_serial_at_the_address_is_never_read_or_written(rig: LockRig) -> None:
    pours(rig, 2)
    rig.controller.serial = 0x1F00B2
    outcome = rig.visit()
    assert "lock 1f00b2 answers where 1f00a1 is configured" in (rig.state.problem or "")
    assert {entry[1] for entry in rig.controller.log} == {STATUS}
    assert outcome.wait_s == 10


def test_impossible_journal_is_told(rig: LockRig) -> None:
    pours(rig, 2)
    rig.controller.confirmed = 3
    rig.visit()
    assert "can't be" in (rig.state.problem or "")


def test_power_up_between_reads_only_makes_the_next_visit_look_closer(rig: LockRig) -> None:
    pours(rig, 3)
    rig.visit()
    rig.controller.power_up()
    rig.controller.add(kind=Kind.POWER_UP)
    rig.controller.log.clear()
    rig.visit()
    assert ("read", 0, 32) in rig.controller.log
    assert rig.whole_journal_is_kept()


def test_failure_in_the_middle_keeps_what_was_read_before(rig: LockRig) -> None:
    pours(rig, 12)

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
    pours(rig, 4)
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
