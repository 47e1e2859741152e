"""The one door to the ledger for whoever only reads it: exports, reports, and the parts that come after (billing).

Read-only by the database's own word. Entries come in the order of their positions, which is the order of commits: a
reader who has seen position p asks for what is after p and never misses one that was committed late.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink import gaps, listings
from cloud_sink.errors import ConfigError, SinkError
from cloud_sink.gaps import PageGap, RecordGap
from cloud_sink.ledger.instants import from_ms, to_ms
from cloud_sink.ledger.lock_records import LockRecord, LockRecords
from cloud_sink.ledger.opening import open_ledger
from cloud_sink.ledger.tables import FINGERPRINT, commits, entries, facts, journals, locks, pages
from cloud_sink.listings import DisputeLine, JournalLine, QuarantineLine
from cloud_sink.projections.usage import INCIDENTS
from cloud_sink.projections.usage_reading import LockUsage, UsageReader
from cloud_sink.projections.usage_store import default_url
from cloud_sink.reconciling import Run, reconcile
from wastelock.record import NOT_WEIGHED, ClockStatus, Kind, PourResult

# What whoever reads the ledger needs to know of it; there is no other door.
__all__ = [
    "INCIDENTS", "ConfigError", "Entry", "LedgerReader", "LockRecord", "LockRecords", "LockUsage", "RecordGap",
    "SinkError", "UsageReader", "default_url",
]  # fmt: skip

_CHUNK = 2000
_CLOCK_STATUS_BITS = 0b11


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the ledger. Its identity is (lock, epoch, seq); `unverified` ones may stand beside a verified one.

    `began_at` is the controller's clock as an instant, None where it was never set; `credential` the pseudonym in
    hexadecimal, None where no transponder was used; `mac_held` False: no key of the lock was known at the commit.
    """

    position: int
    lock: str
    epoch: int
    seq: int
    kind: int
    result: int
    chamber: int
    flags: int
    volume_ml: int
    weight_g: int | None
    duration_ds: int
    register_after: int
    boot: int
    began_clock_s: int
    began_at: datetime | None
    credential: str | None
    unverified: bool
    mac_held: bool
    read_at: datetime
    clock_offset_s: int | None
    site: str
    gateway: str
    gateway_clock: str | None
    journal: str
    page: int
    committed_at: datetime

    @property
    def is_complete_pour(self) -> bool:
        """True for exactly the records that the chamber's cycle register counts."""
        return self.kind == Kind.POUR and self.result == PourResult.COMPLETE


class LedgerReader:
    """Each call is a snapshot of its own. Only the iterators hold one open, until they're exhausted or closed."""

    def __init__(self, url: str) -> None:
        """`url`: as in the sink's configuration, section [ledger]. ConfigError if the schema isn't this release's."""
        self._database = open_ledger(url, read_only=True)

    def close(self) -> None:
        self._database.close()

    def entries_after(self, position: int, limit: int = _CHUNK, lock: str | None = None) -> list[Entry]:
        """Return the next entries after a position, at most `limit`; of one lock only if that is named."""
        with self._database.reading() as connection:
            return list(_entries(connection, position, limit, lock))

    def all_entries(self, after: int = 0, lock: str | None = None) -> Iterator[Entry]:
        """Yield all entries after a position, chunk by chunk, up to the newest at the time of the last chunk."""
        chunk = self.entries_after(after, _CHUNK, lock)
        while chunk:
            yield from chunk
            chunk = self.entries_after(chunk[-1].position, _CHUNK, lock)

    def record_gaps(self, lock: str | None = None) -> list[RecordGap]:
        """Return the records that are missing, by lock and epoch, each range buffered or lost with its reason."""
        with self._database.reading() as connection:
            return list(gaps.record_gaps(connection, lock))

    @contextmanager
    def lock_records(self, position: int | None = None) -> Iterator[LockRecords]:
        """Locks' records up to a position (None: the newest), in one snapshot: for whoever reckons with them."""
        with self._database.reading() as connection:
            last = _last_position(connection, None)
            yield LockRecords(connection, last if position is None else position, last)

    def page_gaps(self) -> list[PageGap]:
        """Return the pages that are missing in the middle, or by a gateway's report at the end, of its journal."""
        with self._database.reading() as connection:
            return list(gaps.page_gaps(connection))

    def runs(self, lock: str | None = None) -> Iterator[Run]:
        """Yield the reconciliation of each unbroken run of each chamber's register."""
        with self._database.reading() as connection:
            yield from reconcile(connection, lock)

    def journals(self) -> list[JournalLine]:
        """Return all gateways' journals and how far custody of them goes."""
        with self._database.reading() as connection:
            return list(listings.list_journals(connection))

    def disputes(self, after: int = 0, resolved: bool = False) -> Iterator[DisputeLine]:
        """Yield the disputes after a number, those that are resolved only if wanted."""
        with self._database.reading() as connection:
            yield from listings.list_disputes(connection, after, resolved)

    def quarantine(self) -> Iterator[QuarantineLine]:
        """Yield what wasn't taken or can't be read."""
        with self._database.reading() as connection:
            yield from listings.list_quarantine(connection)

    def fingerprint(self) -> str:
        """Return what tells this ledger from another: the fingerprint of its pseudonym key, "" while it has none."""
        with self._database.reading() as connection:
            return str(connection.scalar(sa.select(facts.c.value).where(facts.c.name == FINGERPRINT)) or "")

    def last_position(self) -> int:
        """Return the position of the newest entry, 0 while there is none."""
        with self._database.reading() as connection:
            return _last_position(connection, None)

    def position_before(self, at: datetime) -> int:
        """Return the position after which everything was committed at or after this instant."""
        with self._database.reading() as connection:
            return _last_position(connection, to_ms(at))


def _last_position(connection: Connection, before_ms: int | None) -> int:
    """Return the newest position, or the newest before an instant.

    The commits' clock may have been set back: the earliest commit at or after the instant decides.
    """
    c = commits.c
    query = sa.select(sa.func.max(c.last_position))
    if before_ms is not None:
        # "+ 0", else the smallest number is looked for in the order of numbers: past all commits before the instant.
        first = connection.scalar(sa.select(sa.func.min(c.commit_no + 0)).where(c.committed_ms >= before_ms))
        if first is not None:
            # Positions follow the order of commits: the one before has the greatest.
            query = (
                sa.select(c.last_position).where(c.commit_no < first).order_by(c.commit_no.desc()).limit(1)
            )
    return int(connection.scalar(query) or 0)


def _entries(connection: Connection, position: int, limit: int, lock: str | None) -> Iterator[Entry]:
    query = entry_query().where(entries.c.position > position).order_by(entries.c.position).limit(limit)
    if lock is not None:
        query = query.where(locks.c.lock == lock)
    for row in connection.execute(query):
        yield entry_of(row)


def entry_query() -> sa.Select[Any]:
    """Return the query of entries with what `entry_of` wants to know; the caller says which, and in what order."""
    e, c = entries.c, commits.c
    # One seek for each entry: the entries of one lock lie far apart, and many thousands of commits between them.
    committed_ms = (
        sa.select(c.committed_ms)
        .where(c.last_position >= e.position)
        # A commit without entries repeats the last position of the one that did add it: the first one counts.
        .order_by(c.last_position, c.commit_no)
        .limit(1)
        .scalar_subquery()
    )
    return (
        sa.select(
            entries,
            locks.c.lock,
            pages.c.page,
            pages.c.clock,
            journals.c.site,
            journals.c.gateway,
            journals.c.journal,
            committed_ms.label("committed_ms"),
        )
        .join(locks, locks.c.lock_no == e.lock_no)
        .join(pages, pages.c.page_no == e.page_no)
        .join(journals, journals.c.journal_no == pages.c.journal_no)
    )


def entry_of(row: sa.Row[Any]) -> Entry:
    """Return the entry that a row of `entry_query` holds."""
    never_set = row.flags & _CLOCK_STATUS_BITS == ClockStatus.NEVER_SET
    return Entry(
        position=row.position,
        lock=row.lock,
        epoch=row.epoch,
        seq=row.seq,
        kind=row.kind,
        result=row.result,
        chamber=row.chamber,
        flags=row.flags,
        volume_ml=row.volume_ml,
        weight_g=None if row.weight_word == NOT_WEIGHED else row.weight_word * 10,
        duration_ds=row.duration_ds,
        register_after=row.register_after,
        boot=row.boot,
        began_clock_s=row.began_clock_s,
        began_at=None if never_set else datetime.fromtimestamp(row.began_clock_s, UTC),
        credential=None if row.credential is None else bytes(row.credential).hex(),
        unverified=bool(row.unverified),
        mac_held=bool(row.mac),
        read_at=from_ms(row.read_ms),
        clock_offset_s=row.clock_offset_s,
        site=row.site,
        gateway=row.gateway,
        gateway_clock=row.clock,
        journal=row.journal,
        page=row.page,
        committed_at=from_ms(row.committed_ms),
    )
