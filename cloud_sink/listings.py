"""Lists what people have to look at: journals, disputes, quarantine; never the content of a record or page."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.checking import WHOLE_PAGE
from cloud_sink.ledger.database import stream
from cloud_sink.ledger.instants import from_ms
from cloud_sink.ledger.journals import all_journals, standings
from cloud_sink.ledger.tables import disputes, journals, locks, pages, quarantine, unread
from cloud_sink.spans import Span

_STANDINGS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class JournalLine:
    """A gateway's journal of pages and how far custody of it goes."""

    site: str
    gateway: str
    journal: str
    committed_through: int
    newest_page: int
    missing: list[Span]
    is_latest: bool


@dataclass(frozen=True, slots=True)
class DisputeLine:
    """A dispute with the names of what it is about. `position`: the entry that stands, None if none does."""

    number: int
    kind: str
    site: str
    gateway: str
    journal: str
    page: int
    slot: int | None
    lock: str | None
    epoch: int | None
    seq: int | None
    position: int | None
    noticed_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class QuarantineLine:
    """A message that wasn't taken (`message`), or a record or page that was but can't be read (`unread`)."""

    what: str
    number: int
    topic: str
    page: int | None
    slot: int | None
    reason: str
    detail: str
    times: int
    size_bytes: int
    first_at: datetime
    last_at: datetime


def list_journals(connection: Connection) -> Iterator[JournalLine]:
    """Yield all journals, in the order in which they came."""
    known = all_journals(connection)
    for start in range(0, len(known), _STANDINGS_AT_ONCE):
        for s in standings(connection, known[start : start + _STANDINGS_AT_ONCE]):
            key = s.key
            yield JournalLine(
                key.site, key.gateway, key.journal, s.committed_through, s.newest_page, s.missing, s.is_latest
            )


def list_disputes(connection: Connection, after: int = 0, resolved: bool = False) -> Iterator[DisputeLine]:
    """Yield the disputes after a number; those that are resolved only if wanted."""
    d = disputes.c
    query = (
        sa.select(disputes, journals.c.site, journals.c.gateway, journals.c.journal, locks.c.lock)
        .join(journals, journals.c.journal_no == d.journal_no)
        .outerjoin(locks, locks.c.lock_no == d.lock_no)
        .where(d.dispute_no > after)
        .order_by(d.dispute_no)
    )
    if not resolved:
        query = query.where(d.resolved_ms.is_(None))
    for row in stream(connection, query):
        yield DisputeLine(
            number=row.dispute_no,
            kind=row.kind,
            site=row.site,
            gateway=row.gateway,
            journal=row.journal,
            page=row.page,
            slot=row.slot if row.slot >= 0 else None,
            lock=row.lock,
            epoch=row.epoch,
            seq=row.seq,
            position=row.position,
            noticed_at=from_ms(row.noticed_ms),
            resolved_at=None if row.resolved_ms is None else from_ms(row.resolved_ms),
        )


class QuarantineKey(NamedTuple):
    """A line's place in the list: messages by number, then what can't be read by page and slot."""

    unread: int
    number: int
    slot: int


def quarantine_key(line: QuarantineLine) -> QuarantineKey:
    """Return a line's place, from which the list can be gone on with."""
    slot = WHOLE_PAGE if line.slot is None else line.slot
    return QuarantineKey(int(line.what == "unread"), line.number, slot)


def list_quarantine(connection: Connection, after: QuarantineKey | None = None) -> Iterator[QuarantineLine]:
    """Yield the messages in quarantine, then the records and pages that can't be read; from after a place on."""
    start = after or QuarantineKey(0, 0, WHOLE_PAGE)
    if not start.unread:
        yield from _messages(connection, start.number)
    u = unread.c
    query = (
        sa.select(
            u.page_no, u.slot, u.reason, u.noticed_ms, pages.c.page, journals.c.site, journals.c.gateway
        )
        .join(pages, pages.c.page_no == u.page_no)
        .join(journals, journals.c.journal_no == pages.c.journal_no)
        .where(u.resolved_ms.is_(None))
        .order_by(u.page_no, u.slot)
    )
    if start.unread:
        query = query.where(sa.tuple_(u.page_no, u.slot) > sa.tuple_(start.number, start.slot))
    for row in stream(connection, query):
        at = from_ms(row.noticed_ms)
        yield QuarantineLine(
            "unread", row.page_no, f"{row.site}/{row.gateway}", row.page, row.slot if row.slot >= 0 else None,
            "can't be read", row.reason, 1, 0, at, at,
        )  # fmt: skip


def _messages(connection: Connection, after: int) -> Iterator[QuarantineLine]:
    q = quarantine.c
    columns = [column for column in quarantine.columns if column.name != "payload"]
    messages = (
        sa.select(*columns).where(q.resolved_ms.is_(None), q.quarantine_no > after).order_by(q.quarantine_no)
    )
    for row in stream(connection, messages):
        yield QuarantineLine(
            "message", row.quarantine_no, row.topic, None, None, row.reason, row.detail, row.times,
            row.size_bytes, from_ms(row.first_ms), from_ms(row.last_ms),
        )  # fmt: skip
