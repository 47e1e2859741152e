"""Loop: orders on their way out, outcomes on their way in. The sink's thread `orders`.

    commands due ──▶ Commanding ──▶ broker ──▶ gateway
    wishes, lists ──▶ Desiring ───▶ broker ──▶ gateway
    ledger ◀── checked, committed ◀── broker ◀── outcome            acknowledged last, like a page

While the database is away all of it waits; the broker keeps the outcomes.
"""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from random import Random

import structlog

from cloud_sink.errors import LedgerRefused
from cloud_sink.keys import KeyRing
from cloud_sink.ledger.access_lists import forget
from cloud_sink.ledger.command_sending import Answer, Kept, keep_outcomes
from cloud_sink.ledger.commands import give_up_commands
from cloud_sink.ledger.database import Database
from cloud_sink.orders.answers import NoAnswer, check_answer
from cloud_sink.orders.commanding import Commanding
from cloud_sink.orders.desiring import Desiring
from cloud_sink.orders.order_figures import OrderFigures
from cloud_sink.orders.settings import OrdersSection
from cloud_sink.orders.signing_key import load_signing_key
from cloud_sink.patience import Patience
from cloud_sink.session import Incoming, Session

_log = structlog.get_logger(__name__)
_IDLE_S = 0.5
_BATCH = 200
_GIVE_UP_ROWS = 1000
_FORGET_ENTRIES = 2000  # pages wait for the same lock
_GIVE_UP_EVERY = timedelta(minutes=10)


def make_dispatching(
    url: str,
    settings: OrdersSection,
    session: Session,
    keys: Callable[[], KeyRing],
    clock: Callable[[], datetime],
    random: Random,
    figures: OrderFigures,
) -> "Dispatching | None":
    """Return what sends a sink's orders, None without a signing key. ConfigError if that can't be used.

    `url`: the ledger's. Its connections are its own: pages never wait for one that orders have.
    """
    if settings.signing_key is None:
        return None
    key, database = load_signing_key(settings.signing_key), Database(url)
    commanding = Commanding(database, session, key, clock, random)
    desiring = Desiring(database, session, key, clock)
    patience = Patience(random)
    return Dispatching(database, session, keys, commanding, desiring, settings, clock, patience, figures)


class Dispatching:
    """The orders thread's loop. `put` is called by paho's thread."""

    def __init__(
        self,
        database: Database,
        session: Session,
        keys: Callable[[], KeyRing],
        commanding: Commanding,
        desiring: Desiring,
        settings: OrdersSection,
        clock: Callable[[], datetime],
        patience: Patience,
        figures: OrderFigures,
    ) -> None:
        """`keys` is asked for each outcome, so that a reload takes effect at once."""
        self._figures = figures
        self._database = database
        self._session = session
        self._keys = keys
        self._commanding = commanding
        self._desiring = desiring
        self._settings = settings
        self._clock = clock
        self._patience = patience
        self._incoming: SimpleQueue[Incoming] = SimpleQueue()
        self._give_up_at = clock()
        self._came_round_at = time.monotonic()
        self._refused: set[str] = set()  # steps that failed last time: it is said once

    @property
    def progressed_at(self) -> float:
        """When it last came round, or last tried while the database is away (monotonic s)."""
        return max(self._came_round_at, self._patience.progressed_at)

    def close(self) -> None:
        self._database.close()

    def put(self, incoming: Incoming) -> None:
        """Hand over an outcome; what isn't acknowledged is bounded by the receive maximum, and so is this queue."""
        self._incoming.put(incoming)

    def forget(self) -> None:
        """Drop what waits: the connection is lost, and all of it comes again."""
        while not self._incoming.empty():
            try:
                self._incoming.get_nowait()
            except Empty:
                return

    def run(self, stop: threading.Event) -> None:
        """Send and take in until asked to stop."""
        while not stop.is_set():
            self._came_round_at = time.monotonic()
            self._settle(self._gather(), stop)
            if self._session.connected:
                self._figures.note_commands(self._do(self._commanding.send_due, stop))
                self._do(self._desiring.look, stop)
                self._figures.note_desired(self._do(self._desiring.publish_due, stop))
            self._do(self._give_up, stop)

    def _do(self, step: Callable[[], int], stop: threading.Event) -> int:
        """Take a step once the database is there. Values that it refuses end this step, not the others."""
        try:
            done = self._patience.until_done(step, stop) or 0
            self._refused.discard(step.__name__)
        except LedgerRefused as error:
            done = 0
            if step.__name__ not in self._refused:
                self._refused.add(step.__name__)
                _log.error("the database refuses what orders need", step=step.__name__, why=str(error))
        return done

    def _gather(self) -> list[Incoming]:
        """Return what has come, at most one batch; wait a moment if there is nothing."""
        batch: list[Incoming] = []
        try:
            batch.append(self._incoming.get(timeout=_IDLE_S))
            while len(batch) < _BATCH:
                batch.append(self._incoming.get_nowait())
        except Empty:
            pass
        return batch

    def _settle(self, batch: Sequence[Incoming], stop: threading.Event) -> None:
        """Commit a batch, then acknowledge it."""
        answers = [answer for each in batch if (answer := self._checked(each)) is not None]
        if answers:
            kept = self._patience.until_done(lambda: self._keep(answers), stop)
            if kept is None:
                return  # asked to stop before the database came back
            self._report(kept)
        for incoming in batch:
            self._session.acknowledge(incoming)

    def _checked(self, incoming: Incoming) -> Answer | None:
        try:
            return check_answer(incoming.message, self._keys())
        except NoAnswer as error:
            self._figures.note_refused()
            _log.error("an answer to a command isn't taken", topic=incoming.message.topic, why=str(error))
            return None

    def _keep(self, answers: Sequence[Answer]) -> list[Kept]:
        try:
            with self._database.writing() as connection:
                return keep_outcomes(connection, answers)
        except LedgerRefused as error:
            if len(answers) > 1:
                return [kept for each in answers for kept in self._keep([each])]
            _log.error(
                "the database refuses an answer to a command", gateway=answers[0].gateway, why=str(error)
            )
            return []

    def _report(self, kept: Sequence[Kept]) -> None:
        for each in kept:
            told = each.answer.outcome
            if each.command is None:
                self._figures.note_refused()
                _log.error("a gateway answers to a command that it wasn't given", command=told.id,
                           gateway=each.answer.gateway, lock=told.lock)  # fmt: skip
            elif each.is_news:
                self._figures.note_outcome(told.outcome)
                _log.info("command answered", command=told.id, action=each.command.action, lock=told.lock,
                          outcome=told.outcome)  # fmt: skip

    def _give_up(self) -> int:
        """Give up one step of what is too old; the next one follows at once as long as there is more."""
        now = self._clock()
        if now < self._give_up_at:
            return 0
        old = now - timedelta(days=self._settings.keep_days)
        forgettable = now - timedelta(days=self._settings.forget_days)
        with self._database.writing() as connection:
            given_up = give_up_commands(connection, old, _GIVE_UP_ROWS)
        with self._database.writing() as connection:
            given_up += forget(connection, forgettable, _FORGET_ENTRIES)
        if not given_up:
            self._give_up_at = now + _GIVE_UP_EVERY
        return given_up
