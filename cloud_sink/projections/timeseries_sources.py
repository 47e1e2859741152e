"""What the time series read of the ledger: the next entries and observations, and the disputes of a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.commits import last
from cloud_sink.ledger.database import Database, stream
from cloud_sink.ledger.observations import Observation, last_observation_no, observations_after
from cloud_sink.ledger.tables import disputes, entries, locks
from cloud_sink.projections.timeseries_quality import DisputeSpan
from cloud_sink.reading import Entry, entry_of, entry_query


@dataclass(frozen=True, slots=True)
class Batch:
    """The next of both sources. `again`: positions whose number came before, once with a CRC that held, once without.

    `last_position`, `last_observation_no`: the ledger's own.
    """

    entries: Sequence[Entry]
    again: frozenset[int]
    seen: Sequence[Observation]
    last_position: int
    last_observation_no: int

    @property
    def size(self) -> int:
        return len(self.entries) + len(self.seen)


class TimeseriesSources:
    """Reads a ledger. For one thread, but `ends`."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger

    def after(self, position: int, observation_no: int, limit: int) -> Batch:
        """Return what comes after these numbers, at most `limit` of each, in one snapshot."""
        with self._ledger.reading() as connection:
            query = entry_query().where(entries.c.position > position).order_by(entries.c.position)
            found = [entry_of(row) for row in connection.execute(query.limit(limit))]
            again = _again(connection, position, found[-1].position) if found else frozenset()
            seen = observations_after(connection, observation_no, limit)
            return Batch(found, again, seen, *_ends(connection))

    def ends(self) -> tuple[int, int]:
        """Return the newest position and observation number."""
        with self._ledger.reading() as connection:
            return _ends(connection)

    def disputes(self, since_ms: int) -> Iterator[DisputeSpan]:
        """Yield the disputes about locks' records that were open at an instant, or noticed later."""
        d = disputes.c
        query = (
            sa.select(locks.c.lock, d.noticed_ms, d.resolved_ms)
            .join(locks, locks.c.lock_no == d.lock_no)
            .where(sa.or_(d.resolved_ms.is_(None), d.resolved_ms >= since_ms))
        )
        with self._ledger.reading() as connection:
            for row in stream(connection, query):
                yield DisputeSpan(row.lock, row.noticed_ms, row.resolved_ms)


def _ends(connection: Connection) -> tuple[int, int]:
    return last(connection).position, last_observation_no(connection)


def _again(connection: Connection, after: int, through: int) -> frozenset[int]:
    mine, other = entries.alias(), entries.alias()
    query = (
        sa.select(mine.c.position)
        .join(
            other,
            sa.and_(
                other.c.lock_no == mine.c.lock_no,
                other.c.epoch == mine.c.epoch,
                other.c.seq == mine.c.seq,
                other.c.unverified == 1 - mine.c.unverified,
                other.c.position < mine.c.position,
            ),
        )
        .where(mine.c.position > after, mine.c.position <= through)
    )
    return frozenset(connection.scalars(query))
