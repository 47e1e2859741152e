"""One lock's journal as people read it, newest first: each record with who has it, and what isn't here in between.

    newest ▶ in the controller's ring ▶ in the gateway's spool ▶ committed … lost … committed ▶ oldest

That a record is committed, or missing, is proven by the ledger. That a copy of it still lies in ring or spool is what
controller and gateway last reported.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.gaps import Cause, RecordGap, Whereabouts, record_gaps
from cloud_sink.ledger import latest_reports
from cloud_sink.ledger.tables import entries, locks
from cloud_sink.reading import Entry, entry_of, entry_query
from wastelock.messages import GatewayState, LockState

_IN_RING = (Cause.NOT_READ_YET, Cause.STILL_IN_RING)


class Place(StrEnum):
    """Where a record is, or the last place where it was seen to be."""

    RING = "ring"
    SPOOL = "spool"
    LEDGER = "ledger"
    LOST = "lost"


class JournalKey(NamedTuple):
    """A row's place in a lock's journal; rows come in descending order of it."""

    epoch: int
    seq: int
    unverified: int


@dataclass(frozen=True, slots=True)
class JournalRow:
    """A committed record (`entry`), or records first_seq..last_seq that aren't in the ledger, and why (`cause`).

    `in_ring`, `in_spool`: a copy of it lies there by the last reports. `before_first`: before the first one known.
    """

    epoch: int
    first_seq: int
    last_seq: int
    place: Place
    in_ring: bool
    in_spool: bool
    entry: Entry | None = None
    cause: Cause | None = None
    reason: str = ""
    before_first: bool = False

    @property
    def key(self) -> JournalKey:
        unverified = int(self.entry is not None and self.entry.unverified)
        return JournalKey(self.epoch, self.last_seq, unverified)

    @property
    def records(self) -> int:
        """How many records this row stands for."""
        return self.last_seq - self.first_seq + 1


def read_lock_journal(
    connection: Connection, lock: str, before: JournalKey | None, limit: int
) -> list[JournalRow]:
    """Return the newest rows of a lock's journal that lie before a key (None: of all), at most `limit`."""
    reported = latest_reports.lock(connection, lock)
    committed = _committed(connection, lock, before, limit)
    copies = _Copies(connection, reported[2] if reported else None)
    rows = [copies.row(entry) for entry in committed]
    oldest = rows[-1].key if len(rows) == limit else None
    for gap in record_gaps(connection, lock):
        row = _missing(gap)
        if (before is None or row.key < before) and (oldest is None or row.key > oldest):
            rows.append(row)
    return sorted(rows, key=lambda row: row.key, reverse=True)[:limit]


def _committed(connection: Connection, lock: str, before: JournalKey | None, limit: int) -> Iterator[Entry]:
    e = entries.c
    lock_no = connection.scalar(sa.select(locks.c.lock_no).where(locks.c.lock == lock))
    query = entry_query().where(e.lock_no == lock_no)
    if before is not None:
        query = query.where(sa.tuple_(e.epoch, e.seq, e.unverified) < sa.tuple_(*before))
    newest_first = query.order_by(e.epoch.desc(), e.seq.desc(), e.unverified.desc()).limit(limit)
    yield from map(entry_of, connection.execute(newest_first).all())


class _Copies:
    """What controller and gateways last said of what they still hold."""

    def __init__(self, connection: Connection, lock: LockState | None) -> None:
        self._connection = connection
        self._lock = lock
        self._gateways: dict[tuple[str, str], GatewayState | None] = {}

    def row(self, entry: Entry) -> JournalRow:
        lock = self._lock
        in_ring = lock is not None and lock.epoch == entry.epoch and entry.seq >= (lock.oldest_seq or 1)
        gateway = self._gateway(entry.site, entry.gateway)
        in_spool = (
            gateway is not None
            and gateway.journal == entry.journal
            and entry.page >= (gateway.oldest_page or 1)
        )
        return JournalRow(
            entry.epoch, entry.seq, entry.seq, Place.LEDGER, in_ring=in_ring, in_spool=in_spool, entry=entry
        )

    def _gateway(self, site: str, gateway: str) -> GatewayState | None:
        key = (site, gateway)
        if key not in self._gateways:
            self._gateways[key] = latest_reports.gateway(self._connection, site, gateway)
        return self._gateways[key]


def _missing(gap: RecordGap) -> JournalRow:
    if gap.state is Whereabouts.LOST:
        place = Place.LOST
    else:
        place = Place.RING if gap.cause in _IN_RING else Place.SPOOL
    return JournalRow(
        gap.epoch,
        gap.first,
        gap.last,
        place,
        in_ring=place is Place.RING,
        in_spool=place is Place.SPOOL,
        cause=gap.cause,
        reason=gap.reason,
        before_first=gap.before_first,
    )
