"""Receipts, and what may be pruned by them. The law: a page leaves the spool only when a receipt *proves* it committed.

A receipt proves something of one of our journals only where our own page `committed_through` has the hash that it
names (`head`). A watermark beyond what was sealed here, or another hash, means that this spool and the ledger tell
different stories (the spool was restored from an old copy, or an SD card was cloned): the journal is forked.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from wastelock.messages import Receipt

JOURNAL_BY_UUID = """
SELECT id, state, newest_page, committed_through, pruned_through, pruned_hash FROM journal WHERE uuid = ?
"""
HASH_OF_PAGE = "SELECT hash FROM page WHERE journal = ? AND page = ?"
MOVE_WATERMARK = "UPDATE journal SET committed_through = ? WHERE id = ?"
NOTE_HOUR = """
INSERT INTO watermark (journal, hour, through) VALUES (?, ?, ?)
ON CONFLICT (journal, hour) DO UPDATE SET through = excluded.through
"""
LOWER_HOURS = "UPDATE watermark SET through = ? WHERE journal = ? AND through > ?"
RECEIVED_BEFORE = "SELECT max(through) FROM watermark WHERE journal = ? AND hour < ?"
PRUNABLE_JOURNALS = """
SELECT id, committed_through FROM journal WHERE committed_through > pruned_through AND state != 'forked' ORDER BY id
"""
PAGES_TO_PRUNE = "SELECT id, page, hash FROM page WHERE journal = ? AND page <= ? ORDER BY page LIMIT ?"
DELETE_PAGE = "DELETE FROM page WHERE id = ?"
MOVE_PRUNED = "UPDATE journal SET pruned_through = ?, pruned_hash = ? WHERE id = ?"
FORGET_HOURS = "DELETE FROM watermark WHERE journal = ? AND through < ?"

_HOUR_MS = 3_600_000


class Verdict(Enum):
    """What a receipt turned out to be."""

    ACCEPTED = "accepted"
    FOREIGN = "of a journal that isn't in this spool"
    UNPROVEN = "without proof"
    FORKED = "forked"


@dataclass(frozen=True, slots=True)
class Judgement:
    """`journal`: the spool's own number of the journal, None where it is foreign."""

    verdict: Verdict
    journal: int | None = None
    why: str = ""


def judge_receipt(connection: sqlite3.Connection, receipt: Receipt) -> Judgement:
    """Return what a receipt proves; changes nothing."""
    row = connection.execute(JOURNAL_BY_UUID, (receipt.journal,)).fetchone()
    if row is None:
        return Judgement(
            Verdict.FOREIGN, why=f"receipt names journal {receipt.journal}, which isn't in this spool"
        )
    journal, state, newest, _, pruned, pruned_hash = row
    through = receipt.committed_through
    if through == 0:
        return Judgement(Verdict.ACCEPTED, journal)
    if receipt.head is None:
        return Judgement(Verdict.UNPROVEN, journal, f"receipt for page {through} names no hash of it")
    if through > newest and state == "active":
        return Judgement(
            Verdict.FORKED,
            journal,
            f"receipt for page {through}, but {newest} is the newest ever sealed here",
        )
    own = connection.execute(HASH_OF_PAGE, (journal, through)).fetchone()
    known = own[0] if own else pruned_hash if through == pruned else None
    if known is not None and known != receipt.head:
        return Judgement(Verdict.FORKED, journal, f"the ledger has another page {through} than this spool")
    return Judgement(Verdict.ACCEPTED, journal)


def move_watermark(connection: sqlite3.Connection, journal: int, through: int, now_ms: int) -> None:
    """Note the ledger's present word, also where it went back (restored from a backup): nothing beyond is pruned."""
    connection.execute(MOVE_WATERMARK, (through, journal))
    connection.execute(LOWER_HOURS, (through, journal, through))
    connection.execute(NOTE_HOUR, (journal, now_ms // _HOUR_MS, through))


def prune_step(
    connection: sqlite3.Connection, now_ms: int, keep_ms: int, under_pressure: bool, limit: int
) -> int:
    """Delete at most `limit` pages that are proven committed, oldest first; return how many.

    They are kept for `keep_ms` after their receipt, unless under pressure.
    """
    for journal, committed in connection.execute(PRUNABLE_JOURNALS).fetchall():
        through = committed if under_pressure else _received_before(connection, journal, now_ms - keep_ms)
        pages = connection.execute(PAGES_TO_PRUNE, (journal, min(through, committed), limit)).fetchall()
        if pages:
            _delete_pages(connection, journal, pages)
            return len(pages)
    return 0


def _received_before(connection: sqlite3.Connection, journal: int, before_ms: int) -> int:
    row = connection.execute(RECEIVED_BEFORE, (journal, before_ms // _HOUR_MS)).fetchone()
    return int(row[0] or 0)


def _delete_pages(
    connection: sqlite3.Connection, journal: int, pages: Sequence[tuple[int, int, str]]
) -> None:
    connection.executemany(DELETE_PAGE, [(row[0],) for row in pages])
    _, last, last_hash = pages[-1]
    connection.execute(MOVE_PRUNED, (last, last_hash, journal))
    connection.execute(FORGET_HOURS, (journal, last))
