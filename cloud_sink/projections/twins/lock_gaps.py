"""Looks into the gaps of locks that have any; what a lock's gaps were is remembered until something moves."""

from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.gaps import RecordGap, WaitingPages, Whereabouts, record_gaps
from cloud_sink.ledger.commits import committed_at
from cloud_sink.ledger.tables import entries, seq_spans
from cloud_sink.projections.twins.conditions import LockGaps
from cloud_sink.projections.twins.facts import FleetFacts, GatewayFacts, LockFacts


class GapFinder:
    """For one thread."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, LockGaps]] = {}

    def find(self, ledger: Connection, facts: FleetFacts) -> dict[str, LockGaps]:
        """Return the gaps of all locks that have any between, or before, records that are here."""
        found: dict[str, tuple[object, LockGaps]] = {}
        waiting = WaitingPages(ledger)
        for lock in facts.locks.values():
            if not lock.holes or lock.lock_no is None:
                continue
            gateway = facts.gateways.get((lock.gateway_site or "", lock.gateway or ""))
            mark = _mark(lock, gateway)
            before = self._known.get(lock.lock)
            gaps = before[1] if before is not None and before[0] == mark else gaps_of(ledger, lock, waiting)
            found[lock.lock] = mark, gaps
        self._known = found
        return {lock: gaps for lock, (_, gaps) in found.items()}


def _mark(lock: LockFacts, gateway: GatewayFacts | None) -> object:
    """Return all that what became of a gap depends on."""
    state = lock.state
    ring = state and (state.epoch, state.oldest_seq, state.newest_seq, state.spooled_seq, state.confirmed_seq)
    spool = gateway and gateway.state
    pages = spool and (spool.online, spool.journal, spool.oldest_page, spool.newest_page)
    return lock.completeness, ring, pages, gateway and gateway.committed_through


def metered_gaps(
    ledger: Connection, lock: LockFacts, waiting: WaitingPages | None = None
) -> Iterator[RecordGap]:
    """Yield a lock's gaps. What is before the first record that ever came of it was before metering began."""
    first_epoch = ledger.scalar(
        sa.select(sa.func.min(seq_spans.c.epoch)).where(seq_spans.c.lock_no == lock.lock_no)
    )
    for gap in record_gaps(ledger, lock.lock, waiting):
        if not (gap.before_first and gap.epoch == first_epoch):
            yield gap


def gaps_of(ledger: Connection, lock: LockFacts, waiting: WaitingPages) -> LockGaps:
    """Return a lock's gaps that are proven, and since when."""
    since = {Whereabouts.BUFFERED: list[datetime](), Whereabouts.LOST: list[datetime]()}
    proven = []
    for gap in metered_gaps(ledger, lock, waiting):
        at = _proven_at(ledger, lock, gap)
        if at is not None:
            since[gap.state].append(at)
            proven.append(gap)
    buffered, lost = since[Whereabouts.BUFFERED], since[Whereabouts.LOST]
    return LockGaps(proven, min(buffered, default=None), min(lost, default=None))


def _proven_at(ledger: Connection, lock: LockFacts, gap: RecordGap) -> datetime | None:
    """Return when the record after a gap was committed; None while there is none."""
    e = entries.c
    query = sa.select(e.position).where(e.lock_no == lock.lock_no, e.epoch == gap.epoch, e.seq > gap.last)
    position = ledger.scalar(query.order_by(e.seq).limit(1))
    return None if position is None else committed_at(ledger, position)
