"""loop: follows the ledger from a cursor and keeps the projections up to date. A process of its own.

    ledger ──next entries──▶ fold ──▶ usage per day, cursor      (one transaction of the projection's database)

It reads the ledger in short snapshots, one for each batch, and writes elsewhere: the intake never waits for it. Killed
at any moment it goes on from the last batch that was committed.
"""

import threading
import zoneinfo
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from cloud_sink.errors import ConfigError
from cloud_sink.ledger.commits import last
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.migrating import check
from cloud_sink.ledger.tables import FINGERPRINT, entries, facts, pages
from cloud_sink.patience import Patience
from cloud_sink.projections.usage import LocalDays, fold
from cloud_sink.projections.usage_store import UsageStore

# The rules of the package `tzdata`, as billing has them, not the machine's own.
zoneinfo.reset_tzpath(to=())
_log = structlog.get_logger(__name__)
_REPORT_EVERY_S = 30

Progress = Callable[[int, int], None]
"""Is told the position that was reached, and the ledger's last one."""


class Projector:
    """Keeps usage per day up to date. For one thread."""

    def __init__(self, ledger_url: str, url: str, zone: str, batch_entries: int) -> None:
        """`url`: the projections' database. ConfigError if there is no ledger of this release's schema."""
        self._ledger = Database(ledger_url, read_only=True)
        check(self._ledger)
        self._days = LocalDays(ZoneInfo(zone))
        self._batch_entries = batch_entries
        self.store = UsageStore(url, zone, self._fingerprint())
        self._position: int | None = None

    def prepare(self, anew: bool = False) -> int:
        """Get the tables ready, from nothing if wanted, and return the position that they go up to."""
        position, end = self.store.prepare(anew), self.last_position()
        if position > end:
            _log.warning("the ledger ends before usage does: it was restored; building anew", ledger=end)
            position = self.store.prepare(anew=True)
        self._position = position
        return position

    def step(self) -> int:
        """Take the next batch of entries; return how many it had, 0 if there is none yet."""
        position = self.prepare() if self._position is None else self._position
        with self._ledger.reading() as connection:
            added = fold(_next_entries(connection, position, self._batch_entries), self._days)
            end = position if added.entries else last(connection).position
        if end < position:
            self.prepare()
        elif added.entries:
            # Where another projector was quicker, the next step asks anew how far usage goes.
            self._position = added.position if self.store.add(position, added) else None
        return added.entries

    def catch_up(self, stop: threading.Event, progress: Progress) -> None:
        """Take all that is in the ledger now, until there is nothing left or `stop` is set."""
        end = self.last_position()
        position = self.prepare() if self._position is None else self._position
        progress(position, end)
        while not stop.is_set() and position < end and self.step():
            position = end if self._position is None else self._position
            if self._position is None:
                position = self.prepare()
            progress(position, end)

    def run(self, stop: threading.Event, idle_s: float, patience: Patience) -> None:
        """Follow the ledger until `stop` is set; a database that is away is waited for."""
        reported_at, taken = datetime.now(UTC), 0
        while not stop.is_set():
            count = patience.until_done(self.step, stop) or 0
            taken += count
            waited_s = (datetime.now(UTC) - reported_at).total_seconds()
            if taken and (waited_s >= _REPORT_EVERY_S or not count):
                _log.info("usage is kept up to date", position=self._position, entries=taken)
                reported_at, taken = datetime.now(UTC), 0
            if count < self._batch_entries:
                stop.wait(idle_s)

    def last_position(self) -> int:
        """Return the position of the ledger's newest entry."""
        with self._ledger.reading() as connection:
            return last(connection).position

    def close(self) -> None:
        self._ledger.close()
        self.store.close()

    def _fingerprint(self) -> str:
        """Return what tells this ledger from another: the fingerprint of the pseudonym key that it is tied to."""
        with self._ledger.reading() as connection:
            known = connection.scalar(sa.select(facts.c.value).where(facts.c.name == FINGERPRINT))
        if known is None:
            raise ConfigError(["the ledger is tied to no pseudonym key yet: start `cloud-sink run` once"])
        return str(known)


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
