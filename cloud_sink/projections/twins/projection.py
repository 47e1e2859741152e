"""Twins as a projection: START HERE. Follows entries, reports and decisions from three cursors, and tells alarms.

entries ──▶ folding ──┐
reports ──▶ noting ───┼──▶ store: rows, changes, cursors     (one transaction of the projections' database)
decisions ▶ noting ───┘         └──▶ conditions ──▶ alarms   (what opens, escalates and closes; every few seconds)
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.engine import Connection

from cloud_sink.following import Lag
from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.opening import open_to_follow
from cloud_sink.projections.twins.alarms import AlarmLog
from cloud_sink.projections.twins.folding import Added, fold
from cloud_sink.projections.twins.noting import Noted, note_events, note_observations, subject_of
from cloud_sink.projections.twins.sources import Batch, Cursors, ends, next_batch, oldest_waiting
from cloud_sink.projections.twins.store import TwinStore
from cloud_sink.projections.twins.tables import VERSION
from cloud_sink.projections.twins.thresholds import Thresholds
from cloud_sink.projections.usage import LocalDays

_GIVE_UP_EVERY = timedelta(minutes=10)
_log = structlog.get_logger(__name__)


class TwinProjection:
    """Keeps the twins up to date. For one thread, but `lag`."""

    name = "twins"
    title = "living twins"
    version = VERSION

    def __init__(
        self,
        ledger_url: str,
        url: str,
        zone: str,
        batch_entries: int,
        thresholds: Thresholds,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`url`: the projections' database. ConfigError if there is no ledger of this release's schema."""
        self._ledger, fingerprint = open_to_follow(ledger_url)
        self._days = LocalDays(ZoneInfo(zone))
        self._batch_entries = batch_entries
        self.store = TwinStore(url, zone, fingerprint)
        self.alarms = AlarmLog(self.store.database, self._ledger, ZoneInfo(zone), thresholds, clock)
        self._cursors: Cursors | None = None
        self._clock = clock
        self._history_days = thresholds.history_days
        self._give_up_at = clock()

    def prepare(self, anew: bool = False) -> None:
        """Get the tables ready, from nothing if wanted or if what is there is of another kind."""
        cursors = self.store.prepare(anew)
        with self._ledger.reading() as connection:
            end = ends(connection)
        if cursors.beyond(end):
            _log.warning("the ledger ends before its twins do: it was restored; building anew", ledger=end)
            cursors = self.store.prepare(anew=True)
        self._cursors = cursors

    def step(self) -> int:
        """Take the next batch; return how much it had. Where another process was quicker, take what comes after."""
        taken = self._step()
        if taken is None:
            taken = self._step()
        caught_up = taken is not None and taken < self._batch_entries // 2
        self.alarms.look(caught_up)
        if caught_up:
            self._give_up()
        return taken or 0

    def _step(self) -> int | None:
        """Take the next batch; None where twins go elsewhere by now: the next attempt asks where."""
        if self._cursors is None:
            self.prepare()
        after = self._cursors or Cursors()
        self._cursors = None  # unless this batch is taken
        with self._ledger.reading() as ledger:
            batch = next_batch(ledger, after, self._batch_entries)
            if batch.size:
                self._cursors = self._take(ledger, batch, after)
            elif not after.beyond(ends(ledger)):
                self._cursors = after
        return batch.size if self._cursors is not None else None

    def _take(self, ledger: Connection, batch: Batch, after: Cursors) -> Cursors | None:
        added = fold(batch.entries, self._days)
        noted = [self._note_observations(batch), note_events(batch.events)]
        to = _after(batch, after, added)
        return to if self.store.add(after, to, ledger, added, noted) else None

    def lag(self) -> Lag:
        """Return how far twins go, over all three sources."""
        here = self.store.cursors()
        with self._ledger.reading() as connection:
            return Lag(sum(here), sum(ends(connection)), oldest_waiting(connection, here))

    def digest(self) -> str:
        """Return a hash over all that was made from the sources."""
        return self.store.digest(self._oldest_ms())

    def close(self) -> None:
        self._ledger.close()
        self.store.close()

    def _give_up(self) -> None:
        """Give up one step of what is too old; the next one follows with the next step as long as there is more."""
        now = self._clock()
        if now < self._give_up_at:
            return
        if not self.store.give_up(self._oldest_ms()):
            self._give_up_at = now + _GIVE_UP_EVERY

    def _oldest_ms(self) -> int:
        """Return from when on changes, fill levels and states of the past are kept."""
        return to_ms(self._clock() - timedelta(days=self._history_days))

    def _note_observations(self, batch: Batch) -> Noted:
        before = self.store.values_of(map(subject_of, batch.observations)) if batch.observations else {}
        return note_observations(batch.observations, before)


def _after(batch: Batch, after: Cursors, added: Added) -> Cursors:
    return Cursors(
        added.position if batch.entries else after.position,
        batch.observations[-1].observation_no if batch.observations else after.observation_no,
        batch.events[-1].event_no if batch.events else after.event_no,
    )
