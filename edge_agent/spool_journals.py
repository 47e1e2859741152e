"""Several journals in one spool: one is active, the others are on their way out.

active ──retire──▶ retired   sent as it is until the ledger has it (file damaged, gateway renamed, ledger lost pages)
   └─────fork────▶ forked    not sent: what isn't proven committed is sealed anew into the active journal, because
                             the ledger holds other pages under the same numbers

Pages out of a file (`adopted`) prove nothing by lying there: who can write on an old card could have made them up.
What proves a page is its own signature, so such a page keeps the one that it came with, and the ledger judges it.
It is signed anew, or sealed into the active journal, only where it names a key of this gateway's; and a page that
names one is taken out of a file that was *brought* only if its signature holds. So nobody gets a page signed here that
this gateway hasn't sealed. Of its own damaged spool a page that names its key is signed anew where the signature
doesn't hold, as its bytes may be what was damaged: who could write into that file could write into the spool itself.
"""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from edge_agent.errors import ConfigError, SpoolCorrupt
from edge_agent.spool_pages import JournalEnd, Moment, Sealer, active_journal, append_page, begin_journal
from wastelock.page import page_hash, parse_page, signature_holds

ACTIVE_NAMES = "SELECT id, gateway, site, newest_page, committed_through FROM journal WHERE state = 'active'"
LEAVE_ACTIVE = "UPDATE journal SET state = ?, reason = ? WHERE id = ?"
DOUBT_WATERMARK = "UPDATE journal SET committed_through = min(committed_through, ?) WHERE id = ?"
FORGET_DERIVED_CURSORS = "DELETE FROM cursor WHERE memo IS NOT NULL"
PAGES_TO_RESEAL = """
SELECT page.id, page.page, page.hash, page.payload FROM journal
    JOIN page ON page.journal = journal.id AND page.page > journal.committed_through
    WHERE journal.state = 'forked'
        AND (journal.adopted = 0 OR page.kid IN (SELECT value FROM json_each(?)))
    ORDER BY journal.id, page.page LIMIT ?
"""
DELETE_PAGE = "DELETE FROM page WHERE id = ?"
RETIRED_JOURNAL = "SELECT id, state, adopted FROM journal WHERE uuid = ?"
ADOPT_JOURNAL = """
INSERT INTO journal (uuid, gateway, site, state, reason, began_at, adopted)
    VALUES (?, ?, ?, 'retired', ?, ?, 1) RETURNING id, state, adopted
"""
ADOPT_PAGE = """
INSERT OR IGNORE INTO page (journal, page, sealed_at, records, hash, kid, signature, payload)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
MOVE_ADOPTED_END = "UPDATE journal SET newest_page = ?, newest_hash = ? WHERE id = ? AND newest_page < ?"
EMPTY_JOURNALS = """
SELECT id FROM journal WHERE state != 'active' AND NOT EXISTS (SELECT 1 FROM page WHERE page.journal = journal.id)
    ORDER BY id DESC LIMIT -1 OFFSET ?
"""
GAPS_OF_RETIRED = """
SELECT page.journal, count(*) FROM journal JOIN page ON page.journal = journal.id
    WHERE journal.state = 'retired' AND NOT EXISTS (
        SELECT 1 FROM page AS before WHERE before.journal = page.journal AND before.page = page.page - 1
    ) GROUP BY page.journal
"""
PAGE_OF_ANOTHER_KEY = """
SELECT 1 FROM page WHERE journal = ? AND kid NOT IN (SELECT value FROM json_each(?)) LIMIT 1
"""
DROP_JOURNAL = (
    "DELETE FROM held WHERE journal = ?",
    "DELETE FROM watermark WHERE journal = ?",
    "DELETE FROM journal WHERE id = ?",
)

_GAPS_MAX = 500
_EMPTY_KEPT = 8  # so that a late receipt for one of them isn't taken for somebody else's


@dataclass(frozen=True, slots=True)
class SalvagedPage:
    """A page that was found in a damaged file; its hash holds."""

    gateway: str
    journal: str
    page: int
    sealed_at_ms: int
    records: int
    hash: str
    kid: str
    signature: str
    payload: bytes


def replace_active(
    connection: sqlite3.Connection,
    sealer: Sealer,
    old: int,
    state: str,
    uuid: UUID,
    reason: str,
    moment: Moment,
) -> JournalEnd:
    """Take the active journal out of use (`state`: retired or forked) and begin a new one."""
    connection.execute(LEAVE_ACTIVE, (state, reason, old))
    return begin_journal(connection, sealer, uuid, reason, moment)


def take_up_journal(
    connection: sqlite3.Connection, sealer: Sealer, make_uuid: Callable[[], UUID], moment: Moment
) -> JournalEnd:
    """Return the active journal's end; begin a journal where there is none, or where the gateway has another name now.

    Raises ConfigError where pages of the old name still wait: their signatures name the old topic.
    """
    row = connection.execute(ACTIVE_NAMES).fetchone()
    if row is None:
        return begin_journal(connection, sealer, make_uuid(), "new spool", moment)
    journal, gateway, site, newest, committed = row
    if (gateway, site) == (sealer.topics.gateway, sealer.topics.site):
        end = active_journal(connection)
        assert end is not None
        return end
    if newest > committed:
        raise ConfigError(
            f"gateway.id, gateway.site: the spool still holds {newest - committed} pages without receipt of gateway "
            f"{gateway}, site {site}; expected these names; remedy: set them back until all is sent, or give the new "
            "name a spool.path of its own"
        )
    return replace_active(connection, sealer, journal, "retired", make_uuid(), "gateway renamed", moment)


def fork_journal(connection: sqlite3.Connection, journal: int, contradicted_at: int, reason: str) -> None:
    """Give a journal up. What a receipt proved before stays proven, unless the contradiction lies in that part.

    A cursor with a memo is the only copy of a derived journal's state, and here it is an old one: going on from it
    would give two different records one identity. It is forgotten, so that the driver begins a new epoch.
    """
    connection.execute(LEAVE_ACTIVE, ("forked", reason, journal))
    connection.execute(DOUBT_WATERMARK, (contradicted_at - 1, journal))
    connection.execute(FORGET_DERIVED_CURSORS)


def reseal_step(
    connection: sqlite3.Connection, sealer: Sealer, end: JournalEnd, moment: Moment, limit: int
) -> int:
    """Seal at most `limit` pages of forked journals anew into the active one; return how many."""
    rows = connection.execute(PAGES_TO_RESEAL, (json.dumps(sealer.own_kids), limit)).fetchall()
    for row_id, number, digest, payload in rows:
        if page_hash(payload) != digest:
            raise SpoolCorrupt(
                f"page {number} of a forked journal isn't what was sealed: its hash doesn't hold"
            )
        # First out, then in: on a full disk the new page takes the old one's room.
        connection.execute(DELETE_PAGE, (row_id,))
        append_page(connection, sealer, end, parse_page(payload).records, moment)
    return len(rows)


def adopt_page(
    connection: sqlite3.Connection,
    sealer: Sealer,
    page: SalvagedPage,
    reason: str,
    moment: Moment,
    *,
    brought: bool,
) -> bool:
    """Take in a page from a file, as it is, into its own journal (retired); False if it isn't taken.

    `brought`: the file came from elsewhere, it isn't this gateway's own damaged spool. Then a page that names one of
    our keys has to be signed with it.
    """
    if page.gateway != sealer.topics.gateway:
        return False
    topic, kid, signature = sealer.topics.page, page.kid, page.signature
    public = sealer.own_key(kid)
    if public is not None and not signature_holds(public, topic, page.payload, signature):
        if brought:
            return False
        kid, signature = sealer.key.kid, sealer.key.sign(topic, page.payload)
    row = connection.execute(RETIRED_JOURNAL, (page.journal,)).fetchone()
    if row is None:
        names = (page.journal, sealer.topics.gateway, sealer.topics.site)
        row = connection.execute(ADOPT_JOURNAL, (*names, reason, moment.ms)).fetchone()
    journal, state, adopted = row
    if state != "retired" or (public is None and not adopted):
        return False  # a journal that was sealed here holds nothing that only others vouch for
    values = (page.page, page.sealed_at_ms, page.records, page.hash, kid, signature, page.payload)
    is_new = connection.execute(ADOPT_PAGE, (journal, *values)).rowcount > 0
    connection.execute(MOVE_ADOPTED_END, (page.page, page.hash, journal, page.page))
    return is_new


def settle_salvage(connection: sqlite3.Connection, sealer: Sealer) -> None:
    """Have journals sealed anew that have come out of a damaged file with more gaps than a receipt can name.

    Not where pages of another key are among them: those only the ledger can judge, as they are.
    """
    own = json.dumps(sealer.own_kids)
    for journal, gaps in connection.execute(GAPS_OF_RETIRED).fetchall():
        if gaps > _GAPS_MAX and not connection.execute(PAGE_OF_ANOTHER_KEY, (journal, own)).fetchone():
            connection.execute(LEAVE_ACTIVE, ("forked", f"{gaps} gaps after the salvage", journal))


def drop_empty_journals(connection: sqlite3.Connection) -> None:
    """Forget journals without pages, but for the newest few."""
    for (journal,) in connection.execute(EMPTY_JOURNALS, (_EMPTY_KEPT,)).fetchall():
        for statement in DROP_JOURNAL:
            connection.execute(statement, (journal,))
