"""What is done inside one transaction of the spool: sealing, receipts, pruning, re-sealing. Every query has a name.

All functions take the writer's connection and change nothing but the database; the caller commits. The chain's law: in
the active journal page n+1 names the hash of page n, and `journal.newest_page`/`newest_hash` are its end.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge_agent.custody import Cursor, Visit
from wastelock.page import (
    MAX_RECORDS,
    PageRecord,
    SigningKey,
    format_instant,
    page_hash,
    seal_page,
    to_base64url,
)
from wastelock.record import RECORD_BYTES
from wastelock.topics import GatewayTopics

ACTIVE_JOURNAL = """
SELECT id, uuid, gateway, site, newest_page, newest_hash FROM journal WHERE state = 'active'
"""
BEGIN_JOURNAL = """
INSERT INTO journal (uuid, gateway, site, state, reason, began_at) VALUES (?, ?, ?, 'active', ?, ?) RETURNING id
"""
INSERT_PAGE = """
INSERT INTO page (journal, page, sealed_at, records, hash, kid, signature, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
MOVE_END = "UPDATE journal SET newest_page = ?, newest_hash = ? WHERE id = ?"
MOVE_CURSOR = """
INSERT INTO cursor (lock, epoch, seq, crc, verified, memo) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (lock) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, crc = excluded.crc,
    verified = excluded.verified, memo = coalesce(excluded.memo, memo)
    WHERE (excluded.epoch, excluded.seq) >= (epoch, seq)
"""
SAVE_MEMO = "UPDATE cursor SET memo = ? WHERE lock = ?"
NOTE_CONFIRMED = "UPDATE cursor SET confirmed_epoch = ?, confirmed_seq = ? WHERE lock = ?"
ALL_CURSORS = "SELECT lock, epoch, seq, crc, verified, memo FROM cursor"
NEXT_INCARNATION = """
INSERT INTO counter (name, value) VALUES ('incarnation', 1)
ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value
"""


@dataclass(frozen=True, slots=True)
class Sealer:
    """Who seals: the gateway's names and its key. `earlier`: keys that were its own before and are still known."""

    topics: GatewayTopics
    key: SigningKey
    earlier: Mapping[str, Ed25519PublicKey] = field(default_factory=dict)

    @property
    def own_kids(self) -> list[str]:
        """Which keys are, or were, this gateway's."""
        return [self.key.kid, *self.earlier]

    def own_key(self, kid: str) -> Ed25519PublicKey | None:
        """Return a key that is, or was, this gateway's; None where it isn't known to be."""
        return self.key.private.public_key() if kid == self.key.kid else self.earlier.get(kid)


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is sealed, and how far the clock that says so can be trusted."""

    at: datetime
    clock: str

    @property
    def ms(self) -> int:
        return to_ms(self.at)


@dataclass(slots=True)
class JournalEnd:
    """The active journal and where its chain ends."""

    id: int
    uuid: str
    page: int
    hash: str


def to_ms(at: datetime) -> int:
    """Return an instant as milliseconds since 1970."""
    return round(at.timestamp() * 1000)


def active_journal(connection: sqlite3.Connection) -> JournalEnd | None:
    row = connection.execute(ACTIVE_JOURNAL).fetchone()
    return JournalEnd(row[0], row[1], row[4], row[5]) if row else None


def begin_journal(
    connection: sqlite3.Connection, sealer: Sealer, uuid: UUID, reason: str, moment: Moment
) -> JournalEnd:
    """Begin a new journal at page 1; the one before must have been retired."""
    names = (str(uuid), sealer.topics.gateway, sealer.topics.site)
    row = connection.execute(BEGIN_JOURNAL, (*names, reason, moment.ms)).fetchone()
    return JournalEnd(row[0], str(uuid), 0, "")


def page_records(visit: Visit) -> list[PageRecord]:
    """Return a visit's records as they stand in a page; ValueError where they can't: a mistake of the caller."""
    seqs = [record.seq for record in visit.records]
    if not 1 <= len(seqs) <= MAX_RECORDS or seqs != sorted(set(seqs)):
        raise ValueError(f"visit of lock {visit.lock}: expected 1..{MAX_RECORDS} records that ascend in seq")
    if any(len(record.raw) != RECORD_BYTES for record in visit.records):
        raise ValueError(f"visit of lock {visit.lock}: a record has {RECORD_BYTES} bytes")
    read_at = format_instant(visit.read_at)
    return [
        PageRecord(
            lock=visit.lock,
            driver=visit.driver,
            epoch=visit.epoch,
            seq=record.seq,
            raw=to_base64url(record.raw),
            read_at=read_at,
            clock_offset_s=visit.clock_offset_s,
            unverified=not record.verified,
        )
        for record in visit.records
    ]


def move_cursor(connection: sqlite3.Connection, visit: Visit) -> None:
    """Note how far the lock's journal is on disk with this visit, and the driver's memo."""
    last = visit.records[-1]
    crc = int.from_bytes(last.raw[-4:], "big")
    connection.execute(MOVE_CURSOR, (visit.lock, visit.epoch, last.seq, crc, int(last.verified), visit.memo))


def append_page(
    connection: sqlite3.Connection,
    sealer: Sealer,
    end: JournalEnd,
    records: Sequence[PageRecord],
    moment: Moment,
) -> None:
    """Append one page to the active journal; `end` moves with it (the caller drops `end` if it rolls back)."""
    number = end.page + 1
    payload = seal_page(sealer.topics.gateway, end.uuid, number, end.hash, moment.at, moment.clock, records)
    digest = page_hash(payload)
    signature = sealer.key.sign(sealer.topics.page, payload)
    connection.execute(
        INSERT_PAGE, (end.id, number, moment.ms, len(records), digest, sealer.key.kid, signature, payload)
    )
    connection.execute(MOVE_END, (number, digest, end.id))
    end.page, end.hash = number, digest


def read_cursors(connection: sqlite3.Connection) -> dict[str, Cursor]:
    """Return all cursors by lock."""
    return {
        row[0]: Cursor(row[1], row[2], row[3], bool(row[4]), row[5])
        for row in connection.execute(ALL_CURSORS)
    }


def next_incarnation(connection: sqlite3.Connection) -> int:
    """Count this start of the agent."""
    return int(connection.execute(NEXT_INCARNATION).fetchone()[0])
