"""A lock's journal as people read it: who has each record, and where it ends without a gap from page to page."""

import pytest

from cloud_sink.lock_journal import JournalKey, JournalRow, Place, read_lock_journal
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.unit.cloud_sink.test_gaps import gateway_state, lock_state, tell


def journal(
    ledger: Ledger, lock: FakeLock, before: JournalKey | None = None, limit: int = 50
) -> list[JournalRow]:
    with ledger.database.reading() as connection:
        return read_lock_journal(connection, lock.name, before, limit)


def told(rows: list[JournalRow]) -> list[tuple[int, int, str]]:
    return [(row.first_seq, row.last_seq, row.place.value) for row in rows]


@pytest.fixture
def holed(ledger: Ledger, gateway: FakeGateway, lock: FakeLock) -> Ledger:
    """Records 1..2 gone, 3..4 here, 5..6 in a page that hasn't come, 7 here, 8..9 not read yet."""
    made = lock.pours(9)
    first = gateway.seal(made[2:4])
    gateway.seal(made[4:6])
    ledger.take(first, gateway.seal(made[6:7]))
    tell(ledger, lock_state(lock, oldest=4, newest=9, spooled=7), gateway_state(gateway, 2, 3))
    return ledger


def test_each_record_says_who_has_it_and_what_is_missing_stands_in_between(
    holed: Ledger, lock: FakeLock
) -> None:
    rows = journal(holed, lock)
    assert told(rows) == [
        (8, 9, "ring"), (7, 7, "ledger"), (5, 6, "spool"), (4, 4, "ledger"), (3, 3, "ledger"), (1, 2, "spool"),
    ]  # fmt: skip
    assert [(row.in_ring, row.in_spool) for row in rows if row.place is Place.LEDGER] == [
        (True, True), (True, False), (False, False),
    ]  # fmt: skip
    assert rows[0].records == 2
    assert rows[-1].before_first


def test_pages_of_a_journal_join_without_gap_or_overlap(holed: Ledger, lock: FakeLock) -> None:
    whole = journal(holed, lock)
    for limit in (1, 2, 3, 4):
        collected: list[JournalRow] = []
        before = None
        while page := journal(holed, lock, before, limit):
            collected += page
            before = page[-1].key
        assert collected == whole, f"in pages of {limit}"


def test_what_no_spool_and_no_ring_has_any_more_is_lost(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    ledger.take(gateway.seal(lock.pours(4)[2:]))
    tell(ledger, lock_state(lock, oldest=3, newest=4, spooled=4), gateway_state(gateway, 1, 1))
    assert told(journal(ledger, lock))[-1] == (1, 2, "lost")


def test_a_copy_whose_crc_never_held_stands_beside_the_one_that_does(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    record = lock.record()
    ledger.take(
        gateway.seal([lock.page_record(record, unverified=True)]), gateway.seal([lock.page_record(record)])
    )
    assert [row.key for row in journal(ledger, lock)] == [JournalKey(1, 1, 1), JournalKey(1, 1, 0)]


def test_a_lock_that_nobody_knows_has_an_empty_journal(ledger: Ledger, lock: FakeLock) -> None:
    assert journal(ledger, lock) == []
