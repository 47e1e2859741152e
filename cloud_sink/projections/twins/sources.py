"""What twins are made from, read from three cursors in one snapshot of the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.commits import last, waiting_since
from cloud_sink.ledger.instants import from_ms
from cloud_sink.ledger.observations import Observation, last_observation_no, observations_after
from cloud_sink.ledger.operator_events import OperatorEvent, last_event_no, operator_events_after
from cloud_sink.ledger.tables import entries, observations, operator_events, pages

_REPORTS_AT_ONCE = 2_000
_EVENTS_AT_ONCE = 1_000


class Cursors(NamedTuple):
    """How far each source was taken, or goes."""

    position: int = 0
    observation_no: int = 0
    event_no: int = 0

    def beyond(self, end: "Cursors") -> bool:
        """True if any source ends before what was taken of it: the ledger was restored to an earlier state."""
        return any(mine > there for mine, there in zip(self, end, strict=True))


@dataclass(frozen=True, slots=True)
class Batch:
    """What comes next of each source, and how far that goes."""

    entries: Sequence[Any]
    observations: Sequence[Observation]
    events: Sequence[OperatorEvent]

    @property
    def size(self) -> int:
        return len(self.entries) + len(self.observations) + len(self.events)


def ends(connection: Connection) -> Cursors:
    """Return how far the ledger's sources go."""
    return Cursors(last(connection).position, last_observation_no(connection), last_event_no(connection))


def next_batch(connection: Connection, after: Cursors, batch_entries: int) -> Batch:
    """Return what comes next, at most `batch_entries` entries and some thousand reports and events."""
    return Batch(
        _next_entries(connection, after.position, batch_entries),
        observations_after(connection, after.observation_no, _REPORTS_AT_ONCE),
        operator_events_after(connection, after.event_no, _EVENTS_AT_ONCE),
    )


def oldest_waiting(connection: Connection, after: Cursors) -> datetime | None:
    """Return since when the oldest that wasn't taken has been waiting, None if nothing is."""
    o, e = observations.c, operator_events.c
    heard = sa.select(o.heard_ms).where(o.observation_no > after.observation_no).order_by(o.observation_no)
    decided = sa.select(e.at_ms).where(e.event_no > after.event_no).order_by(e.event_no)
    found = [connection.scalar(query.limit(1)) for query in (heard, decided)]
    committed = waiting_since(connection, after.position)
    waiting = [from_ms(ms) for ms in found if ms is not None] + ([committed] if committed else [])
    return min(waiting, default=None)


def _next_entries(connection: Connection, position: int, limit: int) -> Sequence[Any]:
    e = entries.c
    query = (
        sa.select(
            e.position, e.lock_no, e.epoch, e.seq, e.unverified, e.kind, e.result, e.chamber, e.flags, e.began_clock_s,
            e.volume_ml, e.duration_ds, e.register_after, e.read_ms, pages.c.journal_no,
        )
        .select_from(entries.join(pages, pages.c.page_no == e.page_no))
        .where(e.position > position)
        .order_by(e.position)
        .limit(limit)
    )  # fmt: skip
    return connection.execute(query).all()
