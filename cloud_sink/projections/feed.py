"""The feed as a projection: numbers the ledger's pours, and publishes one event for each.

    ledger ──next entries──▶ FeedStore: numbers, cursor ──▶ FeedPublisher: broker, PUBACK, `published`

Numbering never waits for publishing. Read again from any number on, the feed comes from `cloud_sink.feed_reading`.
"""

from random import Random

import structlog

from cloud_sink.config import MqttSection
from cloud_sink.feed_reading import FeedEvents
from cloud_sink.following import Lag
from cloud_sink.ledger.commits import last, waiting_since
from cloud_sink.ledger.opening import open_to_follow
from cloud_sink.projections.feed_events import CONTENT_TYPE
from cloud_sink.projections.feed_link import FeedLink
from cloud_sink.projections.feed_publishing import FeedPublisher
from cloud_sink.projections.feed_store import FeedStore, pours_between
from cloud_sink.projections.feed_tables import VERSION

_log = structlog.get_logger(__name__)


class Feed:
    """Keeps the feed up to date. For one thread, but `lag`."""

    name = "feed"
    title = "feed"
    version = VERSION

    def __init__(
        self, ledger_url: str, url: str, batch_entries: int, broker: MqttSection | None, random: Random
    ) -> None:
        """`url`: the projections' database. `broker`: as whom to publish; None: the feed is only kept."""
        self._ledger, fingerprint = open_to_follow(ledger_url)
        self._store = FeedStore(url, fingerprint)
        self._batch_entries = batch_entries
        self._position: int | None = None
        self._publisher = None
        if broker is not None:
            link = FeedLink(broker, CONTENT_TYPE)
            self._publisher = FeedPublisher(self._store, FeedEvents(self._ledger), link, random)

    def prepare(self, anew: bool = False) -> None:
        """Get the tables ready, from nothing if wanted. What is published already isn't published again by that."""
        self._position = self._store.prepare(self._end(), anew)

    def step(self) -> int:
        """Number the next pours, publish the next events; return how many entries and events that were."""
        if self._position is None:
            self.prepare()
        taken = self._number(self._position or 0)
        if self._publisher is not None and self._position is not None:
            taken += self._publisher.publish_next(self._position)
        return taken

    def lag(self) -> Lag:
        """Return how far the feed goes; where it is published, how far the broker has confirmed it."""
        position = self._store.position()
        if self._publisher is not None:
            position = min(position, self._store.published())
        with self._ledger.reading() as connection:
            return Lag(position, last(connection).position, waiting_since(connection, position))

    def digest(self) -> str:
        """Return a hash over all numbers."""
        return self._store.digest()

    def close(self) -> None:
        if self._publisher is not None:
            self._publisher.close()
        self._store.close()
        self._ledger.close()

    def _number(self, position: int) -> int:
        with self._ledger.reading() as connection:
            end = last(connection).position
            through = min(end, position + self._batch_entries)
            pours = pours_between(connection, position, through)
        if end < position:
            _log.warning("the ledger ends before the feed does: it was restored; numbering anew", ledger=end)
            self._position = None
        elif through > position:
            # Where another process was quicker, the next step asks anew how far the feed goes.
            self._position = through if self._store.append(position, through, pours) else None
        return max(0, through - position)

    def _end(self) -> int:
        with self._ledger.reading() as connection:
            return last(connection).position
