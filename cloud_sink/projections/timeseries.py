"""Time series as a projection: points of what the ledger has, written to a server from a cursor.

    entries, observations ──▶ lines ──▶ server answers ──▶ cursor moves

The server may be away for as long as it likes: nothing is lost, since the ledger keeps what isn't written, and nobody
else waits. Killed between the answer and the cursor, the same points are written twice, which changes nothing.
"""

import structlog

from cloud_sink.config import TimeseriesSection
from cloud_sink.following import Lag
from cloud_sink.ledger.commits import waiting_since
from cloud_sink.ledger.opening import open_to_follow
from cloud_sink.projections.timeseries_points import lines_of, quality_lines
from cloud_sink.projections.timeseries_quality import Intervals
from cloud_sink.projections.timeseries_server import TimeseriesServer
from cloud_sink.projections.timeseries_sources import Batch, TimeseriesSources
from cloud_sink.projections.timeseries_store import Cursor, TimeseriesStore
from cloud_sink.projections.timeseries_tables import VERSION

_log = structlog.get_logger(__name__)


class _Known:
    """What the quality of data is made of besides the entries at hand."""

    def __init__(self, store: TimeseriesStore, sources: TimeseriesSources) -> None:
        self.locks = store.locks
        self.disputes = sources.disputes


class Timeseries:
    """Keeps the server's points up to date. For one thread, but `lag`."""

    name = "timeseries"
    title = "time series"
    version = VERSION

    def __init__(self, ledger_url: str, url: str, settings: TimeseriesSection) -> None:
        """`url`: the projections' database, where the cursor is. ConfigError if the token can't be read."""
        self._settings = settings
        self._server = TimeseriesServer(settings)
        self._ledger, fingerprint = open_to_follow(ledger_url)
        self._sources = TimeseriesSources(self._ledger)
        self._store = TimeseriesStore(url, fingerprint, settings.quality_every_s)
        self._known = _Known(self._store, self._sources)
        self._cursor: Cursor | None = None

    def prepare(self, anew: bool = False) -> None:
        """Get the cursor ready; `anew`: back to the beginning, so that all points are written again."""
        self._cursor = self._store.prepare(*self._sources.ends(), anew=anew)

    def step(self) -> int:
        """Write the points of the next entries and observations; return how many of those there were."""
        if self._cursor is None:
            self.prepare()
        before = self._cursor or Cursor()
        batch = self._sources.after(before.position, before.observation_no, self._settings.batch_lines)
        if batch.last_position < before.position or batch.last_observation_no < before.observation_no:
            _log.warning(
                "the ledger ends before the time series do: it was restored; writing all of it again"
            )
            self._cursor = None
        elif batch.size:
            self._write(before, batch)
        return batch.size

    def lag(self) -> Lag:
        """Return how far points are written, entries and observations together."""
        here, ends = self._store.cursor(), self._sources.ends()
        with self._ledger.reading() as connection:
            since = waiting_since(connection, here.position)
        return Lag(here.position + here.observation_no, sum(ends), since)

    def digest(self) -> str:
        """Return a hash over all that is remembered of what was written."""
        return self._store.digest()

    def close(self) -> None:
        self._server.close()
        self._store.close()
        self._ledger.close()

    def _write(self, before: Cursor, batch: Batch) -> None:
        open_locks = self._store.locks_of(before.interval_no)
        intervals = Intervals(self._settings.quality_every_s, before.interval_no, open_locks, self._known)
        intervals.take(batch.entries, batch.again)
        self._server.write([*lines_of(batch.entries, batch.seen), *quality_lines(intervals.points)])
        after = Cursor(
            batch.entries[-1].position if batch.entries else before.position,
            batch.seen[-1].observation_no if batch.seen else before.observation_no,
            intervals.interval_no,
        )
        changed = [intervals.locks[name] for name in {entry.lock for entry in batch.entries}]
        # Where another process was quicker, the next step asks anew how far points are written.
        self._cursor = after if self._store.move(before, after, changed) else None
