"""What the ledger lacks, and whether it is still on its way (`buffered`) or gone (`lost`), with the reason.

That something is missing is proven: records and pages are numbered without gaps. Why, is explained from what gateways
and controllers last reported, as far as they did.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink import spans
from cloud_sink.ledger import latest_reports
from cloud_sink.ledger.journals import Journal, all_journals
from cloud_sink.ledger.tables import entries, journals, locks, page_spans, pages, seq_spans
from cloud_sink.spans import Span
from wastelock.messages import GatewayState, LockState


class Whereabouts(StrEnum):
    BUFFERED = "buffered"
    LOST = "lost"


class Cause(StrEnum):
    """Why something is missing, for machines and other languages; `reason` says the same in words."""

    SPOOL_UNREPORTED = "spool_unreported"
    OTHER_JOURNAL = "other_journal"
    IN_SPOOL = "in_spool"
    SPOOL_BEGINS_LATER = "spool_begins_later"
    PAGES_WAITING = "pages_waiting"
    LOCK_UNREPORTED = "lock_unreported"
    NEWER_EPOCH = "newer_epoch"
    NOT_READ_YET = "not_read_yet"
    STILL_IN_RING = "still_in_ring"
    OVERWRITTEN = "overwritten"


@dataclass(frozen=True, slots=True)
class PageGap:
    """Pages first..last of a journal never came."""

    site: str
    gateway: str
    journal: str
    first: int
    last: int
    state: Whereabouts
    reason: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class RecordGap:
    """Records first..last of a lock's epoch aren't in the ledger. `before_first`: before the first one that is."""

    lock: str
    epoch: int
    first: int
    last: int
    state: Whereabouts
    reason: str
    before_first: bool
    cause: Cause


def page_gaps(connection: Connection) -> Iterator[PageGap]:
    """Yield the missing pages of all journals, also those that a gateway says it has beyond the newest that came."""
    reports = latest_reports.gateways(connection)
    for journal in all_journals(connection):
        key = journal.key
        report = reports.get((key.site, key.gateway))
        newest = journal.newest_page
        if report is not None and report.journal == key.journal:
            newest = max(newest, report.newest_page or 0)
        if newest == journal.committed_through:
            continue
        held = _spans_of(connection, page_spans, page_spans.c.journal_no == journal.journal_no)
        for first, last in spans.missing(held, 1, newest):
            yield from _classify_pages(journal, report, first, last)


def _classify_pages(
    journal: Journal, report: GatewayState | None, first: int, last: int
) -> Iterator[PageGap]:
    key = journal.key

    def gap(part: Span, state: Whereabouts, cause: Cause, reason: str) -> PageGap:
        return PageGap(key.site, key.gateway, key.journal, *part, state, reason, cause)

    if report is None or report.journal is None:
        yield gap(
            (first, last),
            Whereabouts.BUFFERED,
            Cause.SPOOL_UNREPORTED,
            "sealed at the gateway, which hasn't reported its spool",
        )
    elif report.journal != key.journal:
        yield gap(
            (first, last),
            Whereabouts.LOST,
            Cause.OTHER_JOURNAL,
            "the gateway has begun another journal; their records may have come again in that one",
        )
    else:
        oldest = report.oldest_page or 1
        away = "" if report.online else "; it is offline"
        for part, there in spans.cut((first, last), oldest):
            if there:
                yield gap(part, Whereabouts.BUFFERED, Cause.IN_SPOOL, f"in the gateway's spool{away}")
            else:
                reason = f"the gateway's spool begins at page {oldest}"
                yield gap(part, Whereabouts.LOST, Cause.SPOOL_BEGINS_LATER, reason)


def record_gaps(
    connection: Connection, lock: str | None = None, waiting: "WaitingPages | None" = None
) -> Iterator[RecordGap]:
    """Yield the missing records of all locks and epochs, or of one lock.

    `waiting`: of the same snapshot; whoever asks about many locks, one by one, looks for it once.
    """
    waiting = waiting or WaitingPages(connection)
    for name, lock_no in _locks(connection, lock):
        yield from _of_lock(connection, name, lock_no, waiting)


class WaitingPages:
    """Gateways with pages that haven't come yet; looked for only once a lock lacks something."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def concerns(self, gateway: tuple[str, str] | None) -> bool:
        return gateway in self._gateways

    @cached_property
    def _gateways(self) -> set[tuple[str, str]]:
        found = page_gaps(self._connection)
        return {(gap.site, gap.gateway) for gap in found if gap.state is Whereabouts.BUFFERED}


def _of_lock(
    connection: Connection, name: str, lock_no: int | None, waiting: WaitingPages
) -> Iterator[RecordGap]:
    found = latest_reports.lock(connection, name)
    report = found[2] if found else None
    s = seq_spans.c
    epochs = sorted(connection.scalars(sa.select(s.epoch).where(s.lock_no == lock_no).distinct()))
    if report is not None and report.epoch is not None and report.epoch not in epochs:
        epochs.append(report.epoch)
    for epoch in epochs:
        here = _spans_of(connection, seq_spans, (s.lock_no == lock_no) & (s.epoch == epoch))
        last = here[-1][1] if here else 0
        if report is not None and report.epoch == epoch:
            last = max(last, report.newest_seq or 0)
        for gap in spans.missing(here, 1, last):
            gateway = (found[0], found[1]) if found else _last_gateway(connection, lock_no)
            pages_waiting = waiting.concerns(gateway)
            for part, state, cause, reason in _classify_records(gap, epoch, report, pages_waiting):
                before_first = bool(here) and part[1] < here[0][0]
                yield RecordGap(name, epoch, *part, state, reason, before_first, cause)


def _classify_records(
    gap: Span, epoch: int, report: LockState | None, pages_waiting: bool
) -> Iterator[tuple[Span, Whereabouts, Cause, str]]:
    waiting = "its gateway has pages that haven't come yet"
    if report is None or report.epoch is None or report.epoch != epoch:
        if pages_waiting:
            yield gap, Whereabouts.BUFFERED, Cause.PAGES_WAITING, waiting
        elif report is None or report.epoch is None:
            reason = "all pages of its gateway are here, and the lock hasn't reported its journal"
            yield gap, Whereabouts.LOST, Cause.LOCK_UNREPORTED, reason
        else:
            reason = f"all pages of its gateway are here, and the controller is at epoch {report.epoch} now"
            yield gap, Whereabouts.LOST, Cause.NEWER_EPOCH, reason
        return
    read = max(report.spooled_seq or 0, report.confirmed_seq or 0)
    oldest = report.oldest_seq or 1
    for part, unread in spans.cut(gap, read + 1):
        if unread:
            reason = "in the controller's ring, not read yet"
            yield part, Whereabouts.BUFFERED, Cause.NOT_READ_YET, reason
        elif pages_waiting:
            yield part, Whereabouts.BUFFERED, Cause.PAGES_WAITING, waiting
        else:
            for piece, in_ring in spans.cut(part, oldest):
                if in_ring:
                    reason = "in no page, but still in the controller's ring: a new journal at the gateway reads it"
                    yield piece, Whereabouts.BUFFERED, Cause.STILL_IN_RING, reason
                else:
                    reason = f"in no page, and the controller's ring begins at record {oldest}"
                    yield piece, Whereabouts.LOST, Cause.OVERWRITTEN, reason


def _locks(connection: Connection, lock: str | None) -> Sequence[tuple[str, int | None]]:
    """Return names and numbers, of reported locks without any entry the name only; `lock`: of this one only."""
    query = sa.select(locks) if lock is None else sa.select(locks).where(locks.c.lock == lock)
    known: dict[str, int | None] = {row.lock: row.lock_no for row in connection.execute(query)}
    for name in latest_reports.lock_names(connection, lock):
        known.setdefault(name, None)
    return sorted(known.items(), key=lambda item: item[0])


def _last_gateway(connection: Connection, lock_no: int | None) -> tuple[str, str] | None:
    """Return site and gateway that brought a lock's newest record."""
    e = entries.c
    query = (
        sa.select(journals.c.site, journals.c.gateway)
        .select_from(entries)
        .join(pages, pages.c.page_no == e.page_no)
        .join(journals, journals.c.journal_no == pages.c.journal_no)
        .where(e.lock_no == lock_no)
        .order_by(e.epoch.desc(), e.seq.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return (row.site, row.gateway) if row else None


def _spans_of(connection: Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> list[Span]:
    query = sa.select(table.c["first"], table.c["last"]).where(condition).order_by(table.c["last"])
    return [(first, last) for first, last in connection.execute(query)]
