"""Reads the feed from any number on: for the replay over HTTP, for the publisher, and for `cloud-sink feed`.

    feed_events (which pour is which number) ──positions──▶ ledger (what it says) ──▶ FeedEvent

Read-only, beside a running projector. An event that is read again is, byte for byte, the one that was published.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.errors import ConfigError
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.operator_events import events_of
from cloud_sink.ledger.tables import entries
from cloud_sink.operator_events import EventKind, LockDescription, SubjectKind
from cloud_sink.projections import feed_tables as t
from cloud_sink.projections.feed_events import (
    BATCH_CONTENT_TYPE,
    CONTENT_TYPE,
    Numbered,
    filed_at,
    make_event,
    to_batch,
)
from cloud_sink.reading import Entry, entry_of, entry_query
from wastelock.messages import FeedEvent

# What whoever serves the feed needs to know of it.
__all__ = [
    "BATCH_CONTENT_TYPE",
    "CONTENT_TYPE",
    "READ_MAX",
    "FeedEvents",
    "FeedReader",
    "FeedSite",
    "to_batch",
]

READ_MAX = 1000  # events of one reading
_IN_CHUNK = 400
_DESCRIPTIONS_MAX = 1000  # of one lock; people write them


@dataclass(frozen=True, slots=True)
class FeedSite:
    """One site's feed: the number of its newest event, and of the newest one that the broker has confirmed."""

    site: str
    last_sequence: int
    published_through: int


class FeedEvents:
    """Makes events of the feed's rows, from the ledger."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger

    def of(self, rows: Sequence[Numbered]) -> list[FeedEvent]:
        """Return the events of these rows, in their order. ConfigError if the ledger lacks one: it was restored."""
        found: dict[int, Entry] = {}
        with self._ledger.reading() as connection:
            for start in range(0, len(rows), _IN_CHUNK):
                positions = [row.position for row in rows[start : start + _IN_CHUNK]]
                query = entry_query().where(entries.c.position.in_(positions))
                found.update({row.position: entry_of(row) for row in connection.execute(query)})
            if len(found) < len(rows):
                raise ConfigError(
                    ["the feed names entries that the ledger lacks, so that was restored: "
                     "run `cloud-sink rebuild feed`"]
                )  # fmt: skip
            fractions = _Fractions(connection, {entry.lock for entry in found.values()})
        return [make_event(row, found[row.position], fractions.of(found[row.position])) for row in rows]


class _Fractions:
    """What went into locks' chambers at any time, by what people said of the locks."""

    def __init__(self, connection: Connection, locks: Iterable[str]) -> None:
        self._descriptions = {
            lock: events_of(connection, SubjectKind.LOCK, lock, EventKind.DESCRIBED, _DESCRIPTIONS_MAX)
            for lock in locks
        }

    def of(self, entry: Entry) -> str | None:
        """Return the chamber's fraction when the pour began, None where nobody had described the lock by then."""
        at = filed_at(entry)
        body = next((event.body for event in self._descriptions[entry.lock] if event.at <= at), None)
        chamber = body.chambers.get(entry.chamber) if isinstance(body, LockDescription) else None
        return None if chamber is None else chamber.fraction


class FeedReader:
    """The feed of each site, from any number on. Each call is a snapshot of its own."""

    def __init__(self, ledger_url: str, projections_url: str) -> None:
        """Both as in the sink's configuration. Nothing is opened yet."""
        self._database = Database(projections_url, read_only=True)
        self._ledger = Database(ledger_url, read_only=True)
        self._events = FeedEvents(self._ledger)

    def after(self, site: str, sequence: int = 0, limit: int = 100) -> list[FeedEvent]:
        """Return the next events of a site after a number, at most `limit` (and READ_MAX).

        Nothing there yet, an unknown site: no events. ConfigError where no feed was ever made.
        """
        self._check()
        e = t.events.c
        query = (
            sa.select(e.position, t.sites.c.site, e.sequence)
            .join(t.sites, t.sites.c.site_no == e.site_no)
            .where(t.sites.c.site == site, e.sequence > sequence)
            .order_by(e.sequence)
            .limit(min(limit, READ_MAX))
        )
        with self._database.reading() as connection:
            rows = [Numbered(*row) for row in connection.execute(query)]
        return self._events.of(rows)

    def sites(self) -> list[FeedSite]:
        """Return how far each site's feed goes, by name."""
        self._check()
        e, s = t.events.c, t.sites.c
        confirmed = (
            sa.select(sa.func.coalesce(sa.func.max(e.sequence), 0))
            .where(e.site_no == s.site_no, e.position <= sa.select(t.published.c.position).scalar_subquery())
            .scalar_subquery()
        )
        query = sa.select(s.site, s.last_sequence, confirmed).order_by(s.site)
        with self._database.reading() as connection:
            return [FeedSite(*row) for row in connection.execute(query)]

    def last_sequence(self, site: str) -> int:
        """Return the number of a site's newest event, 0 where it has none."""
        self._check()
        s = t.sites.c
        with self._database.reading() as connection:
            return int(connection.scalar(sa.select(s.last_sequence).where(s.site == site)) or 0)

    def close(self) -> None:
        self._database.close()
        self._ledger.close()

    def _check(self) -> None:
        url = self._database.url
        if self._database.dialect == "sqlite" and not Path(url.database or "").exists():
            raise ConfigError([f"{url.render_as_string()}: no feed is kept there: run `cloud-sink project`"])
        with self._database.reading() as connection:
            there = sa.inspect(connection).has_table(t.state.name)
            version = connection.scalar(sa.select(t.state.c.version)) if there else None
        if version != t.VERSION:
            raise ConfigError(
                [f"{url.render_as_string()}: no feed of this release is kept there: run `cloud-sink project`"]
            )
