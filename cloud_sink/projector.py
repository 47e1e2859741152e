"""Usage per day as a projection: follows the ledger's entries from a cursor.

    ledger ──next entries──▶ fold ──▶ usage per day, cursor      (one transaction of the projection's database)

It reads the ledger in short snapshots, one for each batch, and writes elsewhere: the intake never waits for it. Killed
at any moment it goes on from the last batch that was committed.
"""

import zoneinfo
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from cloud_sink.following import Lag
from cloud_sink.ledger.commits import last, waiting_since
from cloud_sink.ledger.opening import open_to_follow
from cloud_sink.ledger.tables import entries, pages
from cloud_sink.projections.usage import LocalDays, fold
from cloud_sink.projections.usage_store import UsageStore
from cloud_sink.projections.usage_tables import VERSION

# The rules of the package `tzdata`, as billing has them, not the machine's own.
zoneinfo.reset_tzpath(to=())
_log = structlog.get_logger(__name__)


class Projector:
    """Keeps usage per day up to date. For one thread."""

    name = "usage"
    title = "usage per day"
    version = VERSION

    def __init__(self, ledger_url: str, url: str, zone: str, batch_entries: int) -> None:
        """`url`: the projections' database. ConfigError if there is no ledger of this release's schema."""
        self._ledger, fingerprint = open_to_follow(ledger_url)
        self._days = LocalDays(ZoneInfo(zone))
        self._batch_entries = batch_entries
        self.store = UsageStore(url, zone, fingerprint)
        self._position: int | None = None

    @property
    def position(self) -> int:
        """The position that usage goes up to; reads it where another projector may have moved it."""
        if self._position is None:
            self.prepare()
        return self._position or 0

    def prepare(self, anew: bool = False) -> None:
        """Get the tables ready, from nothing if wanted."""
        position, end = self.store.prepare(anew), self.last_position()
        if position > end:
            _log.warning("the ledger ends before usage does: it was restored; building anew", ledger=end)
            position = self.store.prepare(anew=True)
        self._position = position

    def step(self) -> int:
        """Take the next batch of entries; return how many it had, 0 if there is none yet."""
        position = self.position
        with self._ledger.reading() as connection:
            added = fold(_next_entries(connection, position, self._batch_entries), self._days)
            end = position if added.entries else last(connection).position
        if end < position:
            self.prepare()
        elif added.entries:
            # Where another projector was quicker, the next step asks anew how far usage goes.
            self._position = added.position if self.store.add(position, added) else None
        return added.entries

    def lag(self) -> Lag:
        """Return how far usage goes."""
        position = self.store.position()
        with self._ledger.reading() as connection:
            return Lag(position, last(connection).position, waiting_since(connection, position))

    def last_position(self) -> int:
        """Return the position of the ledger's newest entry."""
        with self._ledger.reading() as connection:
            return last(connection).position

    def digest(self) -> str:
        """Return a hash over all that is counted."""
        return self.store.digest()

    def close(self) -> None:
        self._ledger.close()
        self.store.close()


def _next_entries(connection: Connection, position: int, limit: int) -> Sequence[Any]:
    e = entries.c
    query = (
        sa.select(
            e.position, e.lock_no, e.epoch, e.seq, e.unverified, e.kind, e.result, e.chamber, e.flags, e.began_clock_s,
            e.volume_ml, e.duration_ds, e.read_ms, e.clock_offset_s, e.credential, pages.c.clock,
        )
        .select_from(entries.join(pages, pages.c.page_no == e.page_no))
        .where(e.position > position)
        .order_by(e.position)
        .limit(limit)
    )  # fmt: skip
    return connection.execute(query).all()
