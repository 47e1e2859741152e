"""Loop: MQTT message -> check -> ledger -> receipt -> acknowledge. Three threads, one direction:

    paho's thread ──queue──▶ Checking (signature, decode, MAC) ──queue──▶ Writing (commit, receipts, PUBACK)

The queues are bounded by the receive maximum: the broker sends no more than that without acknowledgement. Everything
slow happens outside the transaction; one transaction takes all pages that have gathered meanwhile. While the database
is away the batch at hand is tried again with back-off; nothing is acknowledged, so the broker sends no more and keeps
the rest.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Any

import structlog

from cloud_sink.checking import CheckedPage, Reason, Rejected, check_message
from cloud_sink.errors import LedgerRefused
from cloud_sink.keys import KeyRing
from cloud_sink.ledger.book import Book, Outcome
from cloud_sink.metrics_intake import IntakeFigures
from cloud_sink.patience import Patience
from cloud_sink.receipts import receipts, resend_request
from cloud_sink.resending import Resending
from cloud_sink.session import Incoming, Session
from wastelock.topics import GatewayTopics

_log = structlog.get_logger(__name__)
_IDLE_S = 0.2

Result = CheckedPage | Rejected
CheckedQueue = SimpleQueue[tuple[Incoming, Result]]


class Checking:
    """The checking thread's loop. `keys` is asked for each page, so that a reload takes effect at once."""

    def __init__(self, keys: Callable[[], KeyRing], current_connection: Callable[[], int]) -> None:
        self._keys = keys
        self._current_connection = current_connection
        self._incoming: SimpleQueue[Incoming] = SimpleQueue()
        self.checked: CheckedQueue = SimpleQueue()
        self.progressed_at = time.monotonic()

    @property
    def waiting(self) -> int:
        """How many messages haven't been looked at yet."""
        return self._incoming.qsize()

    @property
    def loops(self) -> dict[str, Callable[[threading.Event], None]]:
        """What has to run in threads, by name, once `start` has returned."""
        return {"checking": self.run}

    def start(self) -> None:
        """Nothing to prepare: it is the sink's own process that checks."""

    def close(self) -> None:
        """Nothing to clear up."""

    def put(self, incoming: Incoming) -> None:
        """Hand over a message; called by paho's thread."""
        self._incoming.put(incoming)

    def forget(self) -> None:
        """Drop what waits: the connection is lost, and all of it comes again. So queues don't grow by reconnects."""
        for queue in (self._incoming, self.checked):
            drain(queue)

    def run(self, stop: threading.Event) -> None:
        """Check what comes in until asked to stop."""
        while not stop.is_set():
            self.progressed_at = time.monotonic()
            try:
                incoming = self._incoming.get(timeout=_IDLE_S)
            except Empty:
                continue
            if incoming.connection != self._current_connection():
                continue  # taken out of the queue just before the connection was lost
            self.checked.put((incoming, check_message(incoming.message, self._keys())))


def drain(queue: "SimpleQueue[Any]") -> None:
    """Take out everything that is in a queue."""
    with suppress(Empty):
        while True:
            queue.get_nowait()


class Writing:
    """The writing thread's loop: the only one that writes pages to the ledger."""

    def __init__(
        self,
        checked: CheckedQueue,
        book: Book,
        session: Session,
        resending: Resending,
        batch_pages: int,
        clock: Callable[[], datetime],
        patience: Patience,
        figures: IntakeFigures,
    ) -> None:
        self.progressed_at = time.monotonic()
        self._figures = figures
        self._checked = checked
        self._book = book
        self._session = session
        self._resending = resending
        self._batch_pages = batch_pages
        self._clock = clock
        self._patience = patience

    def run(self, stop: threading.Event) -> None:
        """Commit what was checked until asked to stop; what isn't committed by then comes again."""
        holes = self._patience.until_done(self._book.standings_with_holes, stop)
        self._resending.note(holes or [], time.monotonic())
        while not stop.is_set():
            self.progressed_at = time.monotonic()
            batch = self._gather()
            if batch:
                self._settle(batch, stop)
            self._ask_for_missing()

    def _gather(self) -> list[tuple[Incoming, Result]]:
        """Return what has gathered, at most one batch; wait a moment if there is nothing."""
        batch: list[tuple[Incoming, Result]] = []
        try:
            batch.append(self._checked.get(timeout=_IDLE_S))
            while len(batch) < self._batch_pages:
                batch.append(self._checked.get_nowait())
        except Empty:
            pass
        return batch

    def _settle(self, batch: Sequence[tuple[Incoming, Result]], stop: threading.Event) -> None:
        """Commit a batch, send its receipts, acknowledge it: in that order, and each only after the one before."""
        pages = [result for _, result in batch if isinstance(result, CheckedPage)]
        rejected = [result for _, result in batch if isinstance(result, Rejected)]
        began_s = time.monotonic()
        try:
            outcome = self._patience.until_done(lambda: self._book.commit(pages, rejected), stop)
        except LedgerRefused as error:
            if len(batch) > 1:
                for one in batch:
                    self._settle([one], stop)
                return
            rejected = [self._refused(batch[0][1], error)]
            outcome = self._patience.until_done(lambda: self._book.commit([], rejected), stop)
        if outcome is None:
            return  # asked to stop before the database came back
        self._figures.note_batch(len(pages), rejected, outcome, time.monotonic() - began_s)
        self._report(outcome)
        self._resending.note(outcome.standings, time.monotonic())
        self._send_receipts(outcome, rejected)
        for incoming, _ in batch:
            self._session.acknowledge(incoming)

    def _refused(self, result: Result, error: LedgerRefused) -> Rejected:
        """The database takes everything but this one: it is kept for people to look at, and the queue goes on."""
        _log.error(
            "the database refuses a page", topic=result.message.topic, page=result.page, why=str(error)
        )
        return Rejected(result.message, Reason.REFUSED, str(error), result.key, result.page)

    def _send_receipts(self, outcome: Outcome, rejected: Sequence[Rejected]) -> None:
        for standing, receipt in receipts(outcome.standings, rejected, self._clock()):
            topic = GatewayTopics(standing.key.site, standing.key.gateway).receipt
            is_sent = self._session.publish(topic, receipt.to_json(), retain=standing.is_latest)
            self._figures.note_receipt(is_sent)
            if not is_sent:
                # Without its receipt the gateway sends the page again, and is told then.
                _log.warning("a receipt couldn't be sent", gateway=standing.key.gateway)

    def _ask_for_missing(self) -> None:
        if not self._session.connected:
            return
        for key, missing in self._resending.due(time.monotonic()):
            topic = GatewayTopics(key.site, key.gateway).resend
            self._session.publish(topic, resend_request(key, missing).to_json())
            self._figures.note_request()
            _log.info("asked for missing pages", gateway=key.gateway, journal=key.journal, first=missing[0][0],
                      ranges=len(missing))  # fmt: skip

    def _report(self, outcome: Outcome) -> None:
        _log.debug("committed", pages=outcome.pages, entries=outcome.entries)
        if outcome.disputes or outcome.unread:
            _log.error("disagreement in committed pages: see `cloud-sink disputes` and `cloud-sink quarantine`",
                       disputes=outcome.disputes, unread_records=outcome.unread)  # fmt: skip
        if outcome.quarantined:
            _log.error("messages went into quarantine: see `cloud-sink quarantine`", messages=outcome.quarantined,
                       without_room=outcome.without_room)  # fmt: skip
