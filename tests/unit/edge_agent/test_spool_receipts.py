"""Receipts: what proves something, what doesn't, and what happens when spool and ledger tell different stories."""

import shutil
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from edge_agent.spool import Spool
from edge_agent.spool_reader import JournalView, SpoolReader
from edge_agent.spool_receipts import Verdict
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import (
    START,
    Clock,
    active,
    all_pages,
    assert_chain,
    make_spool,
    opened,
    receipt_for,
    visit,
)
from wastelock.messages import Receipt
from wastelock.page import page_hash, parse_page


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


def journals(path: Path) -> list[JournalView]:
    reader = SpoolReader(path)
    try:
        return reader.journals()
    finally:
        reader.close()


def seal(spool: Spool, first: int, last: int) -> None:
    for seq in range(first, last + 1):
        spool.seal(visit(seq=seq))


def sealed_seqs(path: Path, state: str = "%") -> list[int]:
    return [record.seq for page in all_pages(path, state) for record in parse_page(page.payload).records]


def test_a_receipt_moves_the_watermark_and_is_remembered(path: Path) -> None:
    with opened(make_spool(path)) as spool:
        seal(spool, 1, 5)
        assert spool.apply_receipt(receipt_for(path, 4)).verdict is Verdict.ACCEPTED
    assert active(path).committed_through == 4


def test_a_receipt_of_another_journal_changes_nothing(path: Path) -> None:
    with opened(make_spool(path)) as spool:
        seal(spool, 1, 5)
        foreign = receipt_for(path, 5, journal=str(uuid4()))
        assert spool.apply_receipt(foreign).verdict is Verdict.FOREIGN
        assert active(path).committed_through == 0


def test_a_receipt_without_the_pages_hash_proves_nothing(path: Path) -> None:
    with opened(make_spool(path)) as spool:
        seal(spool, 1, 5)
        bare = Receipt(journal=active(path).uuid, committed_through=5, at=START)
        assert spool.apply_receipt(bare).verdict is Verdict.UNPROVEN
        assert active(path).committed_through == 0


def test_a_receipt_that_goes_back_takes_the_right_to_prune_back(path: Path) -> None:
    """The ledger was restored from a backup: it misses what it had confirmed, and it is still here."""
    clock = Clock()
    with opened(make_spool(path, clock, keep_days=7)) as spool:
        seal(spool, 1, 10)
        spool.apply_receipt(receipt_for(path, 10))
        spool.apply_receipt(receipt_for(path, 2))
        clock.move(days=30)
        wait_until(lambda: len(all_pages(path)) == 8, what="two pages to be pruned")
        seal(spool, 11, 11)
        assert [page.page for page in all_pages(path)] == list(range(3, 12))


@pytest.mark.parametrize("through", [6, 2**40])
def test_a_watermark_beyond_what_was_sealed_forks_the_journal(path: Path, through: int) -> None:
    with opened(make_spool(path)) as spool:
        seal(spool, 1, 5)
        spool.apply_receipt(receipt_for(path, 2))
        old = active(path)
        beyond = receipt_for(path, through, head="x" * 43)
        assert spool.apply_receipt(beyond).verdict is Verdict.FORKED
        wait_until(lambda: active(path).newest_page == 3, what="pages 3 to 5 sealed anew")
        assert [view.state for view in journals(path)] == ["forked", "active"]
        assert "newest sealed here" in journals(path)[0].reason
        assert active(path).uuid != old.uuid
        assert sealed_seqs(path, "active") == [3, 4, 5]
        assert_chain(all_pages(path, "active"))
        assert sealed_seqs(path, "forked") == [1, 2], "proven before, so nothing to seal anew"


def test_another_hash_of_the_same_page_forks_the_journal_and_puts_all_from_there_in_doubt(path: Path) -> None:
    with opened(make_spool(path)) as spool:
        seal(spool, 1, 6)
        spool.apply_receipt(receipt_for(path, 5))
        wrong = receipt_for(path, 4, head="y" * 43)
        assert spool.apply_receipt(wrong).verdict is Verdict.FORKED
        wait_until(lambda: active(path).newest_page == 3, what="pages 4 to 6 sealed anew")
        assert sealed_seqs(path, "active") == [4, 5, 6]


@pytest.mark.parametrize("reason", ["chain break", "dispute", "dispute: other bytes are committed"])
def test_a_page_that_the_ledger_keeps_beside_another_forks_the_journal(path: Path, reason: str) -> None:
    with opened(make_spool(path)) as spool:
        seal(spool, 1, 4)
        assert spool.apply_receipt(receipt_for(path, 2, quarantined=((3, reason),))).verdict is Verdict.FORKED
        wait_until(lambda: active(path).newest_page == 2 or active(path).newest_page == 4, what="sealed anew")
        assert set(sealed_seqs(path, "active")) >= {3, 4}


def test_other_quarantine_is_no_contradiction(path: Path) -> None:
    with opened(make_spool(path)) as spool:
        seal(spool, 1, 4)
        receipt = receipt_for(path, 2, quarantined=((3, "bad signature"),))
        assert spool.apply_receipt(receipt).verdict is Verdict.ACCEPTED


def test_receipts_of_a_forked_journal_no_longer_count(path: Path) -> None:
    with opened(make_spool(path)) as spool:
        seal(spool, 1, 3)
        old = active(path)
        spool.apply_receipt(receipt_for(path, 9, head="x" * 43))
        wait_until(lambda: active(path).newest_page == 3, what="all pages sealed anew")
        again = receipt_for(path, 9, head="x" * 43, journal=old.uuid)
        assert spool.apply_receipt(again).verdict is Verdict.UNPROVEN
        assert len(journals(path)) == 2, "a retained receipt must not fork journal after journal"


def test_a_fork_forgets_cursors_whose_journal_is_derived_here_and_keeps_the_others(path: Path) -> None:
    with opened(make_spool(path)) as spool:
        spool.seal(visit(lock=0x1F00A1, count=3))
        spool.seal(visit(lock=0x1F00A2, count=3, memo=b"registers of long ago"))
        spool.apply_receipt(receipt_for(path, 9, head="x" * 43))
        assert spool.cursor("1f00a2") is None
        cursor = spool.cursor("1f00a1")
        assert cursor is not None and cursor.seq == 3


def test_resealing_goes_on_after_a_restart_in_its_middle(path: Path) -> None:
    spool = make_spool(path)
    spool.start()
    seal(spool, 1, 60)
    spool.apply_receipt(receipt_for(path, 99, head="x" * 43))
    spool.close()
    assert 0 <= len(all_pages(path, "active")) <= 60
    with opened(make_spool(path)) as spool:
        wait_until(lambda: active(path).newest_page == 60, what="all sealed anew")
        assert sealed_seqs(path) == list(range(1, 61))
        assert_chain(all_pages(path, "active"))


def test_a_spool_restored_from_an_old_copy_seals_what_the_ledger_lacks_into_a_new_journal(path: Path) -> None:
    with opened(make_spool(path)) as spool:
        seal(spool, 1, 5)
    shutil.copy(path, path.with_name("copy"))
    with opened(make_spool(path)) as spool:
        seal(spool, 6, 8)
        true_receipt = receipt_for(path, 8)
    shutil.copy(path.with_name("copy"), path)
    with opened(make_spool(path)) as spool:
        seal(spool, 100, 103)  # other records in the same places of the chain
        assert spool.apply_receipt(true_receipt).verdict is Verdict.FORKED
        wait_until(lambda: active(path).newest_page == 9, what="nothing was proven: all sealed anew")
        assert sealed_seqs(path, "active") == [1, 2, 3, 4, 5, 100, 101, 102, 103]


def test_a_ledger_that_lost_pages_pruned_here_gets_the_rest_as_a_retired_journal(path: Path) -> None:
    clock = Clock()
    with opened(make_spool(path, clock, keep_days=1)) as spool:
        seal(spool, 1, 10)
        spool.apply_receipt(receipt_for(path, 6))
        clock.move(days=2)
        wait_until(lambda: active(path).pruned_through == 6, what="pruning")
        old = active(path)
        assert spool.apply_receipt(receipt_for(path, 0)).verdict is Verdict.RETREATED
        assert active(path).uuid == old.uuid, "one receipt may have overtaken another"
        clock.move(seconds=61)
        assert spool.apply_receipt(receipt_for(path, 0)).verdict is Verdict.RETREATED
        seal(spool, 11, 11)
        assert sealed_seqs(path, "retired") == [7, 8, 9, 10]
        held = Receipt(journal=old.uuid, committed_through=0, held=((7, 10),), at=START)
        assert spool.apply_receipt(held).verdict is Verdict.ACCEPTED
        clock.move(days=2)
        wait_until(lambda: sealed_seqs(path, "retired") == [], what="what is held to be pruned")
        assert sealed_seqs(path, "active") == [11]


def test_a_late_receipt_of_another_sink_is_no_reason_for_a_new_journal(path: Path) -> None:
    clock = Clock()
    with opened(make_spool(path, clock, keep_days=0)) as spool:
        seal(spool, 1, 10)
        late = receipt_for(path, 6)
        for through in (7, 8, 9, 10):
            spool.apply_receipt(receipt_for(path, through))
            wait_until(lambda: active(path).pruned_through == active(path).committed_through, what="pruning")
            assert spool.apply_receipt(late).verdict is Verdict.RETREATED
            clock.move(seconds=50)
        assert [view.state for view in journals(path)] == ["active"]


def test_the_hash_of_the_last_pruned_page_is_still_known(path: Path) -> None:
    clock = Clock()
    with opened(make_spool(path, clock, keep_days=1)) as spool:
        seal(spool, 1, 4)
        receipt = receipt_for(path, 4)
        spool.apply_receipt(receipt)
        clock.move(days=2)
        wait_until(lambda: active(path).pruned_through == 4, what="pruning")
        assert all_pages(path) == []
        assert spool.apply_receipt(receipt).verdict is Verdict.ACCEPTED
        wrong = Receipt(journal=receipt.journal, committed_through=4, head=page_hash(b"other"), at=START)
        assert spool.apply_receipt(wrong).verdict is Verdict.FORKED


def test_journals_without_pages_are_forgotten_but_for_the_newest_few(path: Path) -> None:
    with opened(make_spool(path, keep_days=0)) as spool:
        for number in range(1, 21):
            seal(spool, number, number)
            spool.apply_receipt(receipt_for(path, 1))
            spool.apply_receipt(receipt_for(path, 99, head="x" * 43))
        wait_until(lambda: len(journals(path)) == 9, 20, "old journals to be forgotten")


def aged(receipt: Receipt, **how: float) -> Receipt:
    return receipt.model_copy(update={"at": START + timedelta(**how)})


def test_an_old_receipt_by_hand_frees_no_page_that_the_ledger_has_lost_since(path: Path) -> None:
    with opened(make_spool(path)) as spool:
        seal(spool, 1, 5)
        old = receipt_for(path, 5)
        spool.apply_receipt(old)
        spool.apply_receipt(aged(receipt_for(path, 2), days=3))
    with opened(make_spool(path)) as spool:  # it is remembered beyond a restart
        judgement = spool.apply_receipt(old, by_hand=True)
        assert judgement.verdict is Verdict.OUTDATED
        assert "the ledger was heard since, at 2026-11-25T09:00:00" in judgement.why
        assert active(path).committed_through == 2
        newest = spool.apply_receipt(aged(receipt_for(path, 4), days=4), by_hand=True)
        assert (newest.verdict, active(path).committed_through) == (Verdict.ACCEPTED, 4)
        gone_back = spool.apply_receipt(aged(receipt_for(path, 1), days=5), by_hand=True)
        assert (gone_back.verdict, active(path).committed_through) == (Verdict.ACCEPTED, 1)


def test_a_receipt_by_hand_that_is_older_than_a_set_back_ledgers_word_frees_nothing_of_a_retired_journal(
    path: Path,
) -> None:
    clock = Clock()
    with opened(make_spool(path, clock, keep_days=1)) as spool:
        seal(spool, 1, 10)
        old = receipt_for(path, 10)
        spool.apply_receipt(receipt_for(path, 6))
        clock.move(days=2)
        wait_until(lambda: active(path).pruned_through == 6, what="pruning")
        set_back = aged(receipt_for(path, 0), days=3)
        spool.apply_receipt(set_back)
        clock.move(seconds=61)
        spool.apply_receipt(set_back)
        assert spool.apply_receipt(old, by_hand=True).verdict is Verdict.OUTDATED
        assert sealed_seqs(path, "retired") == [7, 8, 9, 10]
