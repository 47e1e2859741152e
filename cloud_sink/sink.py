"""The cloud sink: START HERE. Builds everything, runs it, and ends it.

    session (MQTT) ─▶ Checking ─▶ Writing ─▶ ledger/book.py     pages, receipts, PUBACK
                      (or Checkers: the same in processes of their own)
         ├──────────▶ Inbox ────▶ Reporting ─▶ ledger           what gateways say of themselves
         └◀─────────▶ Dispatching ◀──────────▶ ledger           orders out, their outcomes in; only with a signing key

Each loop has a thread. If one of them ends, whatever the reason, the whole process stops with an error: what wasn't
acknowledged comes again at the next start, so nothing is lost by that, and nobody believes in a sink that only looks
alive.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from random import Random
from traceback import extract_tb

import structlog

from cloud_sink.checkers import Checkers
from cloud_sink.config import Config
from cloud_sink.errors import ConfigError, ThreadDied
from cloud_sink.intake import Checking, Writing
from cloud_sink.keys import KeyFiles, KeyRing
from cloud_sink.ledger.book import Book
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.quarantine import Quota
from cloud_sink.metrics import SinkSight
from cloud_sink.metrics_intake import IntakeFigures
from cloud_sink.orders.dispatching import make_dispatching
from cloud_sink.orders.order_figures import OrderFigures
from cloud_sink.patience import Patience
from cloud_sink.reporting import Reporting
from cloud_sink.reports import Inbox
from cloud_sink.reprocessing import reprocess
from cloud_sink.resending import Resending
from cloud_sink.session import Handlers, Incoming, Session

_log = structlog.get_logger(__name__)
_MIB = 1024 * 1024
_WATCH_S = 0.5
_JOIN_S = 1.0


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Failure:
    """The first error that ended a thread, and the event that tells the main thread of it."""

    happened: threading.Event
    error: Exception | None = None

    def report(self, error: Exception) -> None:
        # Where it happened, but not what it says: the text of an unforeseen error may hold anything.
        places = [
            f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in extract_tb(error.__traceback__)
        ]
        _log.critical("a thread failed", error=type(error).__name__, places=places)
        if self.error is None:
            self.error = error
        self.happened.set()


class Sink:
    """One sink process. `run` returns when `stop` is set; ThreadDied if a thread ended before."""

    def __init__(
        self, config: Config, clock: Callable[[], datetime] = now, random: Random | None = None
    ) -> None:
        """Read the keys; ConfigError with everything that is wrong with them."""
        self._files: KeyFiles = config.keys.files()
        self._keys = self._files.load()
        self._failure = Failure(threading.Event())
        random = random or Random()
        limits = config.limits
        self._database = Database(config.ledger.url)
        self._quota = _quota(config)
        self._book = Book(self._database, self._quota, clock)
        self._patience, self._reporting_patience = Patience(random), Patience(random)
        inbox = Inbox(clock)
        with_orders = config.orders.signing_key is not None
        handlers = Handlers(
            self._take_page,
            self._forget_incoming,
            inbox.put,
            self._failure.report,
            self._take_result if with_orders else None,
        )
        self.session = Session(
            config.mqtt, limits.receive_maximum, f"cloud-sink {software()}", handlers, clock
        )
        self._figures = IntakeFigures()
        self._dispatching = make_dispatching(
            config.ledger.url,
            config.orders,
            self.session,
            self.keys,
            clock,
            random,
            OrderFigures(self._figures.registry),
        )
        self._checking = self._make_checking(limits.checking_processes)
        resending = Resending(limits.resend_after_s, limits.resend_at_most_every_s, random)
        self._writing = Writing(
            self._checking.checked,
            self._book,
            self.session,
            resending,
            limits.batch_pages,
            clock,
            self._patience,
            self._figures,
        )
        self._reporting = Reporting(
            inbox,
            self._database,
            self.keys,
            limits.report_interval_s,
            config.observations,
            config.mqtt.share_group is not None,
            clock,
            self._reporting_patience,
        )

    @property
    def sight(self) -> SinkSight:
        """What may be looked at while it runs. Who waits for the database makes progress, too."""
        checking, writing, patience = self._checking, self._writing, self._patience
        loops: dict[str, Callable[[], float]] = {
            "checking": lambda: checking.progressed_at,
            "writing": lambda: max(writing.progressed_at, patience.progressed_at),
            "reporting": lambda: self._reporting_patience.progressed_at,
        }
        if (dispatching := self._dispatching) is not None:
            loops["orders"] = lambda: dispatching.progressed_at
        return SinkSight(
            self.session,
            self._figures,
            loops,
            lambda: {"incoming": checking.waiting, "checked": checking.checked.qsize()},
            self._quota.total_bytes,
        )

    def keys(self) -> KeyRing:
        """Return the keys in force."""
        return self._keys

    def reload_keys(self) -> None:
        """Read the key files again; if there is anything wrong with them, say so and keep what is in force."""
        try:
            keys = self._files.load()
            if keys.pseudonyms.fingerprint != self._keys.pseudonyms.fingerprint:
                raise ConfigError(
                    [f"{self._files.pseudonym_key}: another pseudonym key: restore the one in force"]
                )
        except ConfigError as error:
            _log.error("keys weren't reloaded; those in force stay", problems=error.problems)
            return
        self._keys = keys
        _log.info("keys reloaded", gateways=len(keys.gateways), locks=len(keys.locks))

    def run(self, stop: threading.Event, reload: threading.Event) -> None:
        """Run until `stop` is set; read the keys again whenever `reload` is. ThreadDied, ConfigError."""
        self._checking.start()
        try:
            revision = self._patience.until_done(
                lambda: self._book.prepare(self._keys.pseudonyms.fingerprint), stop
            )
            if revision is not None:
                _log.info(
                    "ledger is ready",
                    schema=revision,
                    gateways=len(self._keys.gateways),
                    locks=len(self._keys.locks),
                )
                self._take_in(stop, reload)
        finally:
            self._checking.close()
            self._database.close()
            if self._dispatching is not None:
                self._dispatching.close()

    def _take_in(self, stop: threading.Event, reload: threading.Event) -> None:
        loops = {**self._checking.loops, "writing": self._writing.run, "reporting": self._reporting.run}
        if self._dispatching is not None:
            loops["orders"] = self._dispatching.run
        threads = [self._thread(name, loop, stop) for name, loop in loops.items()]
        self.session.start()
        try:
            self._watch(threads, stop, reload)
        finally:
            stop.set()
            self._checking.close()  # so that whoever waits for its answers sees the end
            for thread in threads:
                thread.join(_JOIN_S)
            self.session.stop()

    def _make_checking(self, processes: int) -> Checking | Checkers:
        def connection() -> int:
            return self.session.connection

        return Checkers(processes, self.keys, connection) if processes else Checking(self.keys, connection)

    def _watch(
        self, threads: Sequence[threading.Thread], stop: threading.Event, reload: threading.Event
    ) -> None:
        while not stop.wait(_WATCH_S):
            if reload.is_set() or self._files.have_changed():
                reload.clear()
                self.reload_keys()
            dead = [thread.name for thread in threads if not thread.is_alive()]
            if not self.session.alive:
                dead.append("network")
            if self._failure.happened.is_set() or dead:
                raise ThreadDied(f"thread ended: {', '.join(dead) or 'callback'}") from self._failure.error

    def _thread(
        self, name: str, loop: Callable[[threading.Event], None], stop: threading.Event
    ) -> threading.Thread:
        def guarded() -> None:
            try:
                loop(stop)
            except Exception as error:  # noqa: BLE001 - a thread's entry point: report, and the process stops
                self._failure.report(error)

        # Daemons: a database that doesn't answer must not keep the process from ending within its 5 s.
        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread

    def _forget_incoming(self) -> None:
        self._checking.forget()
        if self._dispatching is not None:
            self._dispatching.forget()

    def _take_result(self, incoming: Incoming) -> None:
        if self._dispatching is not None:
            self._dispatching.put(incoming)

    def _take_page(self, incoming: Incoming) -> None:
        self._checking.put(incoming)


def reprocess_ledger(config: Config, clock: Callable[[], datetime] = now) -> dict[str, int]:
    """Try again what wasn't taken or couldn't be read (`cloud-sink reprocess`) and return what came of it."""
    keys = config.keys.files().load()
    with opened_book(config, keys, clock) as (database, book):
        return reprocess(database, book, keys, clock).as_dict()


@contextmanager
def opened_book(
    config: Config, keys: KeyRing, clock: Callable[[], datetime] = now
) -> Iterator[tuple[Database, Book]]:
    """The ledger for a command that writes beside a running sink, its schema up to date."""
    database = Database(config.ledger.url)
    try:
        book = Book(database, _quota(config), clock)
        book.prepare(keys.pseudonyms.fingerprint)
        yield database, book
    finally:
        database.close()


def _quota(config: Config) -> Quota:
    return Quota(config.limits.quarantine_mib * _MIB, config.limits.quarantine_mib_per_gateway * _MIB)


def software() -> str:
    """Return this release's version."""
    return version("wastelock")
