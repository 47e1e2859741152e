"""Publishes the feed to the broker, in order, at least once: what is confirmed is noted, what isn't is sent again.

    rows after `published` ──events──▶ broker ──PUBACK of each──▶ `published` moves

Killed between the PUBACK and the note, it publishes at most BATCH events a second time: same source, id and sequence.
While the broker is away nobody waits: pours go on being numbered, and can be read.
"""

import time
from collections.abc import Callable
from random import Random

import structlog

from cloud_sink.errors import BrokerUnavailable
from cloud_sink.feed_reading import FeedEvents
from cloud_sink.projections.feed_link import FeedLink
from cloud_sink.projections.feed_store import FeedStore, Unpublished
from wastelock.topics import feed

_log = structlog.get_logger(__name__)
BATCH = 500
_FIRST_S, _MAX_S = 0.5, 30.0
_NOTHING = Unpublished([], 0, 0)


class FeedPublisher:
    """Publishes what a store has numbered. For one thread, the one that also numbers."""

    def __init__(
        self,
        store: FeedStore,
        events: FeedEvents,
        link: FeedLink,
        random: Random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._events = events
        self._link = link
        self._random = random
        self._clock = clock
        self._wait_s = _FIRST_S
        self._again_s = 0.0
        self._through = (
            -1
        )  # confirmed so far, once that is known: nobody asks the database again while that is all
        self._away = False  # told once for each time that the broker is away

    def publish_next(self, position: int) -> int:
        """Publish the next events and return how many the broker has confirmed; 0 also while it is away.

        `position`: that the feed goes up to, as far as its numbering knows.
        """
        if self._clock() < self._again_s:
            return 0
        pending = self._store.unpublished(BATCH) if position != self._through else _NOTHING
        events = self._events.of(pending.rows)
        messages = [
            (feed(row.site), event.to_json()) for row, event in zip(pending.rows, events, strict=True)
        ]
        try:
            if messages:
                self._link.publish(messages)
            else:
                self._link.keep()
        except BrokerUnavailable as error:
            self._note_away(error)
            return 0
        if messages:
            self._note_back()
        if pending.through > pending.after:
            self._store.mark_published(pending.through)
        if pending is not _NOTHING:
            self._through = pending.through
        return len(messages)

    def close(self) -> None:
        self._link.close()

    def _note_away(self, error: BrokerUnavailable) -> None:
        if not self._away:
            _log.error("the feed can't be published; trying again until it can", why=str(error))
        self._away = True
        self._again_s = self._clock() + self._wait_s * (0.75 + 0.5 * self._random.random())
        self._wait_s = min(2 * self._wait_s, _MAX_S)

    def _note_back(self) -> None:
        if self._away:
            _log.info("the feed is published again")
        self._away = False
        self._wait_s = _FIRST_S
