"""START HERE: where orders from the cloud arrive at the gateway, and from where their outcomes go back.

    uplink ──▶ inbox ──▶ intake: trusted? judged, remembered ──▶ a runner for each bus ──▶ lock
      ▲                                    │                         │
      └──────────── results ◀── book (the spool's database) ◀────────┘

One thread here, one for each bus. Everything that counts is on disk before it is acted on.
"""

import threading
from collections.abc import Iterator
from functools import partial
from time import monotonic

import structlog

from edge_agent.alarms import Alarms
from edge_agent.arrival import Arrival
from edge_agent.clock import GatewayClock
from edge_agent.config import AgentConfig
from edge_agent.errors import SpoolFull, SpoolUnavailable
from edge_agent.field import Field, build_driver
from edge_agent.identity import IdentityStore
from edge_agent.orders.actions import Means
from edge_agent.orders.book import OrderBook, Store
from edge_agent.orders.inbox import OrderInbox
from edge_agent.orders.intake import OrderIntake
from edge_agent.orders.order_alarms import OrderAlarms
from edge_agent.orders.results import Line, ResultSender
from edge_agent.orders.runner import OrderRunner
from edge_agent.orders.target import Progress, Target, WatchedRegisters
from edge_agent.orders.trust import OrderTrust
from edge_agent.spool_pages import Sealer

_log = structlog.get_logger(__name__)

_TURN_S = 1.0
_FORGET_EVERY_S = 600.0


class OrderDesk:
    """`run` is the thread; `runners` are those of the buses, each to be run in a thread of its own.

    `book` and `alarms` may be looked at by others.
    """

    def __init__(
        self,
        config: AgentConfig,
        inbox: OrderInbox,
        store: Store,
        line: Line,
        sealer: Sealer,
        field: Field,
        alarms: Alarms,
        clock: GatewayClock,
    ) -> None:
        self._inbox = inbox
        self._clock = clock
        self.alarms = OrderAlarms(alarms, monotonic)
        self.book = OrderBook(store, clock.now)
        self._results = ResultSender(self.book, line, sealer, self.alarms, monotonic)
        identity = IdentityStore(config.identity.directory) if config.identity is not None else None
        self._locks = frozenset(lock.lock for lock in config.locks)
        self._intake = OrderIntake(
            sealer.topics,
            self._locks,
            OrderTrust(config.orders.keys, identity),
            store,
            self.book,
            self.alarms,
            self._clock_is_set,
        )
        means = Means(self.book, lambda: self._intake.wishes, clock.now, monotonic)
        self.runners = tuple(self._build_runners(config, field, means))
        self._is_loaded = self._spool_fails = False
        self._begun_by: str | None = None  # with a clock of this trust
        self._forget_due_s = 0.0
        self.progressed_at = monotonic()

    @property
    def desired_revision(self) -> int | None:
        """Of the desired state that is followed; None where there is none."""
        return self._intake.wishes.revision

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._inbox.wake.clear()
            self.step()
            self.progressed_at = monotonic()
            self._inbox.wake.wait(_TURN_S)

    def step(self) -> None:
        """Take in what came, send what is to be told; what the disk doesn't take now is done at a later turn."""
        try:
            self._load()
            while (arrival := self._inbox.next()) is not None:
                self._take(arrival)
            self._results.step()
            self._forget()
            self._spool_fails = False
        except (SpoolUnavailable, SpoolFull) as error:
            if not self._spool_fails:
                _log.warning("orders wait: the spool can't be written", why=str(error))
            self._spool_fails = True
        self.alarms.forget_old()

    def _load(self) -> None:
        if not self._is_loaded:
            self._intake.load()
            self.book.load(self._locks)
            self._is_loaded = True
            self._wake_runners()
        trust = self._clock.trust()
        if trust != "unset" and self._begun_by not in ("ntp", trust):
            self.book.begin(is_certain=trust == "ntp")
            self._begun_by = trust

    def _take(self, arrival: Arrival) -> None:
        try:
            has_changed = self._intake.take(arrival)
        except (SpoolUnavailable, SpoolFull):
            self._inbox.put_back(arrival)
            raise
        if has_changed:
            self._results.look_again()
            self._wake_runners()

    def _forget(self) -> None:
        if self._clock_is_set() and monotonic() >= self._forget_due_s and not self.book.forget_old():
            self._forget_due_s = monotonic() + _FORGET_EVERY_S

    def _wake_runners(self) -> None:
        for runner in self.runners:
            runner.wake.set()

    def _note_outcome(self) -> None:
        self._results.look_again()
        self._inbox.wake.set()

    def _clock_is_set(self) -> bool:
        return self._clock.trust() != "unset"

    def _build_runners(self, config: AgentConfig, field: Field, means: Means) -> Iterator[OrderRunner]:
        """Yield one for each bus that has locks, with drivers of their own."""
        buses = {bus.name: bus for bus in field.buses}
        for poller in field.pollers:
            visitors = {visitor.lock: visitor for visitor in poller.visitors}
            progress, targets = Progress(), []
            for lock in (lock for lock in config.locks if lock.bus == poller.bus):
                registers = WatchedRegisters(buses[poller.bus].unit(lock.unit, urgent=True), progress)
                driver = build_driver(lock, registers, self._clock)
                hasten = partial(poller.hasten, lock.lock)
                targets.append(Target(lock.lock, driver, visitors[lock.lock], lock.poll_interval_s, hasten))
            yield OrderRunner(
                poller.bus, targets, means, self.alarms, self._clock_is_set, self._note_outcome, progress
            )
