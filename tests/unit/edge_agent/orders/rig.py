"""A lock, a real spool and everything that orders need, on a clock turned by hand; power may be cut at any instant."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import Any, TypeVar

from edge_agent.alarms import Alarms
from edge_agent.arrival import Arrival
from edge_agent.drivers.wlc_1 import Wlc1Driver
from edge_agent.orders.actions import Means
from edge_agent.orders.book import OrderBook, Store
from edge_agent.orders.intake import OrderIntake
from edge_agent.orders.memory import Order
from edge_agent.orders.order_alarms import OrderAlarms
from edge_agent.orders.results import ResultSender
from edge_agent.orders.runner import OrderRunner
from edge_agent.orders.target import Progress, Target
from edge_agent.orders.trust import OrderTrust
from edge_agent.spool import Spool, SpoolLimits
from edge_agent.spool_pages import Sealer
from edge_agent.spool_schema import connect, migrate
from edge_agent.uplink import Acknowledgement
from tests.support.controller import Controller
from tests.support.lock_rig import DirectRegisters, LockRig
from tests.support.order_issuer import ORDER_KEY, PUBLIC_ORDER_KEY
from tests.unit.edge_agent.gateway import KEY, MIB, TOPICS, opened
from wastelock.orders import Command, CommandOutcome, Desired, DesiredLock
from wastelock.page import SigningKey

T = TypeVar("T")
RUNNING = 0xFFFF
LOCK = "1f00a1"
SECRET_UID = 0xE004_0123_4567_89AB


class PowerCut(BaseException):
    """The end, at once: nothing may catch it."""


class Instants:
    """Counts instants at which power may be cut; cuts it at `cut_at` (from 1; 0: never)."""

    def __init__(self, cut_at: int = 0) -> None:
        self.cut_at = cut_at
        self.passed = 0

    def pass_one(self) -> None:
        self.passed += 1
        if self.passed == self.cut_at:
            raise PowerCut


class QuickStore:
    """The spool's database without the spool: nothing is written through to the disk, which no test can see anyway."""

    def __init__(self, path: Path) -> None:
        self.database = connect(path)
        self.database.conn.execute("PRAGMA synchronous = OFF")
        migrate(self.database)

    def transact(self, work: Callable[[Connection], T]) -> T:
        with self.database.atomic():
            return work(self.database.conn)


class CuttingStore:
    """A spool with an instant before and one after each commit."""

    def __init__(self, spool: Store, instants: Instants) -> None:
        self._spool = spool
        self._instants = instants

    def transact(self, work: Callable[[Connection], T]) -> T:
        self._instants.pass_one()
        result = self._spool.transact(work)
        self._instants.pass_one()
        return result


class PlayedLine:
    """An uplink that keeps what is published; `takes` is the reason code by which the broker acknowledges."""

    def __init__(self) -> None:
        self.is_connected = True
        self.published: list[tuple[bytes, str, str, bytes | None]] = []
        self.takes: int | None = 0
        self._acks: list[Acknowledgement] = []

    def publish_result(self, payload: bytes, kid: str, signature: str, correlation: bytes | None) -> int:
        self.published.append((payload, kid, signature, correlation))
        if self.takes is not None:
            self._acks.append(Acknowledgement(len(self.published), self.takes, "as played"))
        return len(self.published)

    def take_acknowledgements_for_results(self) -> list[Acknowledgement]:
        taken, self._acks = self._acks, []
        return taken

    def told(self, number: str) -> list[CommandOutcome]:
        """Return what was told of a command, in order."""
        outcomes = [CommandOutcome.model_validate_json(payload) for payload, *_ in self.published]
        return [outcome for outcome in outcomes if outcome.id == number]

    def words(self, number: str) -> list[str]:
        return [outcome.outcome for outcome in self.told(number)]


class SlowController(Controller):
    """Its commands run until `end_command`."""

    def _command(self, words: list[int]) -> int | None:
        code = super()._command(words)
        if code is None and words[0] == self.last_command[0]:
            self.last_command = (words[0], RUNNING)
        return code

    def end_command(self) -> None:
        self.last_command = (self.last_command[0], 0)


class WatchedBook(OrderBook):
    """Notes which order goes by which token."""

    def __init__(self, store: Store, now: Callable[[], datetime], started: dict[int, str]) -> None:
        super().__init__(store, now)
        self._started = started

    def start(self, order: Order, token: int | None = None, token_before: int | None = None) -> Order:
        if token is not None:
            self._started[token] = order.id
        return super().start(order, token, token_before)


class OrderRig:
    """Context manager `on(directory)`. `restart` is a new agent on the same spool; the lock and the line stay."""

    def __init__(self, path: Path, controller: Controller | None = None) -> None:
        self.path = path
        self.lock = LockRig(controller or Controller())
        self.clock = self.lock.clock
        self.controller = self.lock.controller
        self.line = PlayedLine()
        self.alarms = Alarms()
        self.clock_is_set = self.clock_is_certain = True
        self.locks: tuple[str, ...] = (LOCK,)
        self.off_by_s = 0.0
        self.started: dict[int, str] = {}  # which order the controller knows by which token
        self.waited: list[float] = []

    @contextmanager
    def running(self, instants: Instants | None = None) -> Iterator["OrderRig"]:
        limits = SpoolLimits(64 * MIB, 86_400_000, 4096)
        self.spool = Spool(self.path, limits, Sealer(TOPICS, KEY), self.clock.utc, lambda: "ntp")
        with opened(self.spool):
            self.lock.restart()
            self._build(instants or Instants(), self.spool)
            yield self

    @contextmanager
    def running_quickly(self, instants: Instants | None = None) -> Iterator["OrderRig"]:
        """The same, without a spool's threads and the waiting for the disk."""
        store = QuickStore(self.path)
        try:
            self.lock.restart()
            self._build(instants or Instants(), store)
            yield self
        finally:
            store.database.close()

    def _build(self, instants: Instants, spool: Store) -> None:
        store = CuttingStore(spool, instants)
        self.registers = DirectRegisters(self.controller, self.clock)
        self.registers.before_read = lambda _address, _count: instants.pass_one()
        self.registers.before_write = lambda _address, _words: instants.pass_one()
        self.registers.after_write = lambda _address: instants.pass_one()
        self.book = WatchedBook(store, self.utc, self.started)
        self.order_alarms = OrderAlarms(self.alarms, self.clock.monotonic)
        self.trust = OrderTrust([PUBLIC_ORDER_KEY], None)
        self.intake = OrderIntake(
            TOPICS, self.locks, self.trust, store, self.book, self.order_alarms, lambda: self.clock_is_set
        )
        self.results = ResultSender(
            self.book, self.line, Sealer(TOPICS, KEY), self.order_alarms, self.clock.monotonic
        )
        self.means = Means(self.book, lambda: self.intake.wishes, self.utc, self.clock.monotonic)
        driver = Wlc1Driver(self.registers, self.controller.serial, self.clock.monotonic, self.clock.sleep)
        self.hastened = 0
        self.target = Target(LOCK, driver, self.lock.visitor, 1.0, self._hasten)
        self.runner = self.make_runner(self.target, Progress())
        self.book.load(self.locks)
        self.intake.load()
        if self.clock_is_set:
            self.book.begin(is_certain=self.clock_is_certain and self.off_by_s == 0)

    def utc(self) -> datetime:
        """Return what the gateway takes for the time; the cloud's clock is right."""
        return self.clock.utc() + timedelta(seconds=self.off_by_s)

    def make_runner(self, target: Target, progress: Progress, *others: Target) -> OrderRunner:
        return OrderRunner(
            "yard", [target, *others], self.means, self.order_alarms, lambda: self.clock_is_set,
            self.results.look_again, progress,
        )  # fmt: skip

    def _hasten(self) -> None:
        self.hastened += 1

    # ---- the cloud ----

    def command(
        self, number: str, action: str = "self_test", *, ago_s: float = 0, ttl_s: float = 600, **more: Any
    ) -> Command:
        issued_at: datetime = self.clock.utc() - timedelta(seconds=ago_s)
        fields = {
            "id": number, "lock": LOCK, "action": action, "issued_at": issued_at,
            "expires_at": issued_at + timedelta(seconds=ttl_s),
        }  # fmt: skip
        return Command.model_validate(fields | more)

    def desired(self, revision: int, lock: str = LOCK, **wanted: Any) -> Desired:
        return Desired(revision=revision, at=self.clock.utc(), locks={lock: DesiredLock(**wanted)})

    def arrival(
        self,
        message: Command | Desired,
        key: SigningKey = ORDER_KEY,
        dup: bool = False,
        topic: str | None = None,
    ) -> Arrival:
        """Return a message as it comes, signed for `topic`, its own unless told otherwise."""
        own = TOPICS.command if isinstance(message, Command) else TOPICS.desired
        payload = message.to_json()
        return Arrival(own, payload, dup, key.kid, key.sign(topic or own, payload), b"corr")

    def send(self, message: Command | Desired, dup: bool = False) -> bool:
        return self.intake.take(self.arrival(message, dup=dup))

    # ---- time ----

    def work(self, seconds: float = 5.0) -> None:
        """Let orders be carried out and told for a while; the lock is visited each second."""
        end = self.clock.seconds + seconds
        while self.clock.seconds < end:
            self.lock.visit()
            pause_s = self.runner.step()
            self.results.look_again()
            self.results.step()
            self.clock.seconds += min(pause_s, 0.5)
        self.results.step()

    def alarm_names(self) -> tuple[str, ...]:
        return self.alarms.names()
