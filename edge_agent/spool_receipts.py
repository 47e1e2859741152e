"""Receipts, and what may be pruned by them. The law: a page leaves the spool only when a receipt *proves* it committed.

A receipt proves something of one of our journals only where our own page `committed_through` has the hash that it
names (`head`). A watermark beyond what was sealed here, or another hash, means that this spool and the ledger tell
different stories (the spool was restored from an old copy, or an SD card was cloned): the journal is forked.

What comes over the broker is the ledger's present word. What comes by hand may have lain on a stick while the ledger
was restored: of that only a receipt counts that isn't older than the newest that was heard.

In the active journal only what is at or below the watermark is pruned. A retired journal may have gaps that nobody can
fill any more, so there `held` counts as received, too.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from edge_agent.spool_pages import to_ms
from edge_agent.spool_schema import schema_version
from wastelock.messages import Receipt
from wastelock.page import format_instant

JOURNAL_BY_UUID = """
SELECT id, state, newest_page, committed_through, pruned_through, pruned_hash FROM journal WHERE uuid = ?
"""
HASH_OF_PAGE = "SELECT hash FROM page WHERE journal = ? AND page = ?"
NEWEST_RECEIPT = "SELECT receipt_at FROM journal WHERE id = ?"
NOTE_RECEIPT_AT = "UPDATE journal SET receipt_at = ? WHERE id = ? AND receipt_at < ?"
WATERMARK = "SELECT committed_through, committed_head FROM journal WHERE id = ?"
MOVE_WATERMARK = "UPDATE journal SET committed_through = ?, committed_head = ? WHERE id = ?"
NOTE_HOUR = """
INSERT INTO watermark (journal, hour, through) VALUES (?, ?, ?)
ON CONFLICT (journal, hour) DO UPDATE SET through = excluded.through
"""
LOWER_HOURS = "UPDATE watermark SET through = ? WHERE journal = ? AND through > ?"
RECEIVED_BEFORE = "SELECT max(through) FROM watermark WHERE journal = ? AND hour < ?"
HELD = "SELECT first, last, since FROM held WHERE journal = ? ORDER BY first"
FORGET_HELD = "DELETE FROM held WHERE journal = ?"
NOTE_HELD = "INSERT OR REPLACE INTO held (journal, first, last, since) VALUES (?, ?, ?, ?)"
ALL_JOURNALS = "SELECT id, state, committed_through, pruned_through FROM journal ORDER BY id"
PAGES_BETWEEN = """
SELECT id, page, hash FROM page WHERE journal = ? AND page BETWEEN ? AND ? ORDER BY page LIMIT ?
"""
DELETE_PAGE = "DELETE FROM page WHERE id = ?"
MOVE_PRUNED = "UPDATE journal SET pruned_through = ?, pruned_hash = ? WHERE id = ?"
FORGET_HOURS = "DELETE FROM watermark WHERE journal = ? AND through < ?"

_HOUR_MS = 3_600_000
# The sink's words for pages that it keeps beside others of the same place in the chain.
_CONTRADICTIONS = ("chain break", "dispute")


class Verdict(Enum):
    """What a receipt turned out to be."""

    ACCEPTED = "accepted"
    FOREIGN = "of a journal that isn't in this spool"
    UNPROVEN = "without proof"
    RETREATED = "behind what was pruned"
    OUTDATED = "older than one that was heard"
    FORKED = "forked"


@dataclass(frozen=True, slots=True)
class Judgement:
    """`journal`: the spool's own number of the journal, None where it is foreign.

    `contradicted_at`: the first page for which spool and ledger don't agree, where they are forked.
    """

    verdict: Verdict
    journal: int | None = None
    why: str = ""
    contradicted_at: int = 0


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long received pages are kept: `keep_ms` from their receipt, under pressure no longer."""

    keep_ms: int
    under_pressure: bool = False

    @property
    def at_once(self) -> bool:
        return self.under_pressure or self.keep_ms == 0


def judge_receipt(connection: sqlite3.Connection, receipt: Receipt, *, by_hand: bool = False) -> Judgement:
    """Return what a receipt proves; changes nothing. `by_hand`: it didn't come over the broker."""
    row = connection.execute(JOURNAL_BY_UUID, (receipt.journal,)).fetchone()
    if row is None:
        return Judgement(
            Verdict.FOREIGN, why=f"receipt names journal {receipt.journal}, which isn't in this spool"
        )
    journal, state, newest, committed, pruned, pruned_hash = row
    through = receipt.committed_through
    if by_hand and (why := _outdated(connection, journal, committed, receipt)):
        return Judgement(Verdict.OUTDATED, journal, why)
    if state == "forked":
        return Judgement(Verdict.UNPROVEN, journal, f"journal {receipt.journal} was given up")
    for page, reason in receipt.quarantined:
        if reason.startswith(_CONTRADICTIONS):
            return Judgement(Verdict.FORKED, journal, f"the ledger says of page {page}: {reason}", page)
    if state == "active" and through > newest:
        why = f"receipt for page {through}, but {newest} is the newest sealed here"
        return Judgement(Verdict.FORKED, journal, why, newest + 1)
    if state == "active" and through < pruned:
        return Judgement(
            Verdict.RETREATED,
            journal,
            f"the ledger has lost pages {through + 1}..{pruned}, which are pruned here",
        )
    if through == 0:
        return Judgement(Verdict.ACCEPTED, journal)
    if receipt.head is None:
        return Judgement(Verdict.UNPROVEN, journal, f"receipt for page {through} names no hash of it")
    own = connection.execute(HASH_OF_PAGE, (journal, through)).fetchone()
    known = own[0] if own else pruned_hash if through == pruned else None
    if known and known != receipt.head:
        why = f"the ledger has another page {through} than this spool"
        return Judgement(Verdict.FORKED, journal, why, through)
    return Judgement(Verdict.ACCEPTED, journal)


def _outdated(connection: sqlite3.Connection, journal: int, committed: int, receipt: Receipt) -> str | None:
    """Return why a receipt isn't the ledger's present word any more, None where it may be."""
    heard_ms = 0
    if schema_version(connection) >= 4:
        (heard_ms,) = connection.execute(NEWEST_RECEIPT, (journal,)).fetchone()
    if heard_ms:
        if to_ms(receipt.at) >= heard_ms:
            return None
        heard = format_instant(datetime.fromtimestamp(heard_ms / 1000, UTC))
        return f"it is of {format_instant(receipt.at)}, and the ledger was heard since, at {heard}: it changes nothing"
    if receipt.committed_through < committed:  # heard of by an older release, which didn't note when
        return f"up to page {committed} is known already: it changes nothing"
    return None


def note_heard(connection: sqlite3.Connection, journal: int, receipt: Receipt) -> None:
    """Note when the ledger has said this, so that nothing older counts that comes by hand."""
    at_ms = to_ms(receipt.at)
    connection.execute(NOTE_RECEIPT_AT, (at_ms, journal, at_ms))


def note_receipt(connection: sqlite3.Connection, journal: int, receipt: Receipt, now_ms: int) -> None:
    """Note the ledger's present word, also where it went back (restored from a backup): nothing beyond is pruned."""
    through, head = receipt.committed_through, receipt.head or ""
    if connection.execute(WATERMARK, (journal,)).fetchone() != (through, head):
        connection.execute(MOVE_WATERMARK, (through, head, journal))
        connection.execute(LOWER_HOURS, (through, journal, through))
        connection.execute(NOTE_HOUR, (journal, now_ms // _HOUR_MS, through))
    before = connection.execute(HELD, (journal,)).fetchall()
    if [(first, last) for first, last, _ in before] != list(receipt.held):
        connection.execute(FORGET_HELD, (journal,))
        connection.executemany(
            NOTE_HELD,
            [
                (
                    journal,
                    first,
                    last,
                    min((s for f, t, s in before if f <= last and t >= first), default=now_ms),
                )
                for first, last in receipt.held
            ],
        )


def prune_step(connection: sqlite3.Connection, now_ms: int, keeping: Keeping, limit: int) -> int:
    """Delete at most `limit` pages that are proven committed, oldest first; return how many."""
    before_ms = now_ms if keeping.at_once else now_ms - keeping.keep_ms
    for journal, state, committed, pruned in connection.execute(ALL_JOURNALS).fetchall():
        through = committed
        if not keeping.at_once:
            through = min(committed, _received_before(connection, journal, before_ms))
        if through > pruned and (count := _prune_watermark(connection, journal, pruned, through, limit)):
            return count
        if state == "retired" and (count := _prune_held(connection, journal, before_ms, limit)):
            return count
    return 0


def _received_before(connection: sqlite3.Connection, journal: int, before_ms: int) -> int:
    row = connection.execute(RECEIVED_BEFORE, (journal, before_ms // _HOUR_MS)).fetchone()
    return int(row[0] or 0)


def _prune_watermark(
    connection: sqlite3.Connection, journal: int, pruned: int, through: int, limit: int
) -> int:
    pages = connection.execute(PAGES_BETWEEN, (journal, pruned + 1, through, limit)).fetchall()
    _delete_pages(connection, pages)
    # Where none is left the rest was lost long ago: the end is noted all the same, or it would be looked for each time.
    last, last_hash = (pages[-1][1], pages[-1][2]) if pages else (through, "")
    connection.execute(MOVE_PRUNED, (last, last_hash, journal))
    connection.execute(FORGET_HOURS, (journal, last))
    return len(pages)


def _prune_held(connection: sqlite3.Connection, journal: int, before_ms: int, limit: int) -> int:
    for first, last, since in connection.execute(HELD, (journal,)).fetchall():
        if since <= before_ms:
            pages = connection.execute(PAGES_BETWEEN, (journal, first, last, limit)).fetchall()
            if pages:
                _delete_pages(connection, pages)
                return len(pages)
    return 0


def _delete_pages(connection: sqlite3.Connection, pages: Sequence[tuple[int, int, str]]) -> None:
    connection.executemany(DELETE_PAGE, [(row[0],) for row in pages])
