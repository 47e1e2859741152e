"""Custody of one lock's journal: read, sealed, then confirmed; nothing skipped in silence, nor confirmed too early."""

import pytest

from edge_agent.custody import Cursor
from edge_agent.errors import NoAnswer, SpoolFull, SpoolUnavailable
from tests.support.controller import Controller
from tests.support.lock_rig import LockRig

ACK, RING, STATUS = 0x100, 0x4000, 0x40


@pytest.fixture
def rig() -> LockRig:
    return LockRig()


def test_records_are_sealed_first_and_confirmed_afterwards(rig: LockRig) -> None:
    rig.pours(7)
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
    rig.pours(3)
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
        rig.pours(13)
        rig.visit()
    assert rig.whole_journal_is_kept()
    assert rig.controller.confirmed == rig.controller.newest == 520


def test_backlog_is_sealed_in_pages_of_at_most_500(rig: LockRig) -> None:
    rig = LockRig(Controller(capacity=2047))
    rig.pours(1200)
    while rig.visit().has_more:
        pass
    assert [len(visit.records) for visit in rig.spool.visits] == [500, 500, 200]
    assert rig.whole_journal_is_kept()


def test_visit_ends_when_its_time_is_over_and_goes_on_in_the_next(rig: LockRig) -> None:
    rig.pours(20)
    outcome = rig.visit(steps=2)
    assert rig.spool.seqs() == list(range(1, 11))
    assert rig.controller.confirmed == 10
    assert outcome.has_more
    assert not rig.visit().has_more
    assert rig.whole_journal_is_kept()


def test_records_made_during_a_visit_are_read_in_the_next(rig: LockRig) -> None:
    rig.pours(6)

    def pour_while_the_ring_is_read(address: int, _count: int) -> None:
        if address >= RING:
            rig.controller.pour()

    rig.registers.before_read = pour_while_the_ring_is_read
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
    rig.pours(3)
    rig.visit()
    assert rig.spool.seqs() == [2**32 - 3, 2**32 - 2, 2**32 - 1]
    assert rig.controller.confirmed == 2**32 - 1


# ---- crashes and the spool ----


def test_after_a_crash_between_sealing_and_confirming_nothing_is_read_twice(rig: LockRig) -> None:
    rig.pours(9)

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
        rig.pours(20)
        rig.visit()
    rig.spool.visits.clear()
    rig.spool.cursors.clear()
    rig.restart()
    rig.visit()
    assert rig.spool.seqs() == list(range(rig.controller.oldest, 101))
    assert rig.state.overwritten_records == 0


def test_full_spool_confirms_nothing_and_goes_on_by_itself(rig: LockRig) -> None:
    rig.spool.refusal = SpoolFull("no room for another page")
    rig.pours(12)
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
    rig.pours(30)
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
    rig.pours(4)
    rig.visit()
    assert rig.controller.confirmed == 0
    rig.spool.refusal = None
    rig.clock.seconds += 10
    rig.visit()
    assert rig.spool.seqs() == [1, 2, 3, 4]
    assert rig.controller.confirmed == 4


# ---- confirming ----


def test_confirmation_whose_answer_got_lost_is_seen_by_reading_back(rig: LockRig) -> None:
    rig.pours(2)

    def lose_the_answer(address: int) -> None:
        if address == ACK:
            raise NoAnswer("late")

    rig.registers.after_write = lose_the_answer
    rig.visit()
    assert rig.controller.confirmed == 2
    assert rig.state.confirmed_seq == 2
    assert rig.state.problem is None


def test_confirmation_that_does_not_read_back_is_no_confirmation(rig: LockRig) -> None:
    rig.pours(2)
    rig.registers.alter = lambda address, block: bytes(12) if address == ACK else block
    rig.visit()
    assert rig.state.confirmed_seq == 0
    assert "reads back" in (rig.state.problem or "")
    assert rig.state.reachable
    rig.registers.alter = lambda address, block: block
    rig.visit()
    assert rig.state.confirmed_seq == 2


def test_confirmed_by_another_gateway_is_fine_and_everything_is_read_all_the_same(rig: LockRig) -> None:
    rig.pours(8)
    rig.controller.confirmed = 8
    rig.visit()
    assert rig.whole_journal_is_kept()
    rig.pours(3)

    def other_gateway(address: int) -> None:
        if address == ACK:
            rig.controller.confirmed = rig.controller.newest

    rig.registers.after_write = other_gateway
    rig.visit()
    assert rig.whole_journal_is_kept()


def test_refused_confirmation_of_a_record_gone_bad_in_the_ring_is_repeated_in_the_rings_words(
    rig: LockRig,
) -> None:
    rig.pours(5)
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
    rig.pours(5)
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
