"""The controllers of one run, on their buses: who is where, and life going on in them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from tests.conformance.gateway import SETS_CLOCK_BEYOND_S, Value
from tests.conformance.theme import Theme
from tests.conformance.vendor.bus import Bus
from tests.conformance.vendor.conduct import Conduct, OnDisk
from tests.conformance.vendor.controller import Controller
from tests.conformance.vendor.frames import Request
from tests.conformance.vendor.legacy import LegacyUnit, draw_legacy
from tests.conformance.vendor.life import Life
from tests.conformance.vendor.manners import Manners
from tests.conformance.vendor.registers import Registers
from tests.conformance.vendor.rtu import BAUDRATE, RtuBus
from tests.conformance.vendor.tcp import TcpBus
from tests.conformance.vendor.traits import LAST_SEQ, Traits, draw_serial, draw_traits
from tests.conformance.vendor.unit import LockUnit, OtherDevice

POLL_INTERVAL_S = 0.1
_ANSWER_TIMEOUT_MS = 300
_SHARE_OF_BUSY_WRITES = 0.04
_LIFE_PAUSE_S = 0.02


@dataclass(eq=False)
class Lock:
    """A controller at its address. `stranger`: why the agent must leave it alone; empty for a good one."""

    bus: Bus
    unit: int
    controller: Controller
    conduct: Conduct
    life: Life
    registers: Registers
    configured_serial: int
    stranger: str = ""

    def connect(self, meanwhile: Callable[[Request | None], None]) -> None:
        """Answer at this address from now on; whoever did before doesn't any more."""
        self.bus.units[self.unit] = LockUnit(self.registers, self.conduct, meanwhile)


Watch = Callable[[Lock, Request], None]


@dataclass(eq=False)
class OldLock:
    """A legacy counter at its address."""

    bus: Bus
    unit: int
    serial: int
    legacy: LegacyUnit


@dataclass
class Estate:
    """`world` guards everything that happens at the controllers; `is_calm`: nothing happens by itself any more."""

    theme: Theme
    rng: Random
    on_disk: OnDisk
    world: threading.RLock = field(default_factory=threading.RLock)
    tcp: TcpBus | None = None
    rtu: RtuBus | None = None
    locks: list[Lock] = field(default_factory=list)
    old_locks: list[OldLock] = field(default_factory=list)
    past: list[Lock] = field(default_factory=list)  # were there for a while
    others: dict[int, OtherDevice | None] = field(default_factory=dict)  # by configured serial; None: nobody
    other_places: list[dict[str, Value]] = field(default_factory=list)
    is_calm: bool = False
    watch: Watch | None = None
    afterwards: list[Callable[[], object]] = field(default_factory=list)  # when the next answer has left

    @property
    def buses(self) -> list[Bus]:
        return [bus for bus in (self.tcp, self.rtu) if bus is not None]

    @property
    def good_locks(self) -> list[Lock]:
        return [lock for lock in self.locks if not lock.stranger]

    def build(self) -> None:
        theme, rng = self.theme, self.rng
        if theme.tcp_locks or theme.counters:
            manners = Manners(Random(rng.random()), mute=theme.mute, hangs_up=theme.hangs_up)
            manners.slow = 0.0 if theme.tiny_spool else manners.slow  # a spool takes long enough to fill
            self.tcp = TcpBus("tcp", self.world, Random(rng.random()), manners)
        if theme.rtu_locks:
            manners = Manners(Random(rng.random()), mute=theme.mute)
            patience_s = _ANSWER_TIMEOUT_MS / 1000
            self.rtu = RtuBus("rtu", self.world, Random(rng.random()), manners, patience_s)
        for _ in range(theme.tcp_locks):
            self.add_lock(self.tcp)
        for _ in range(theme.rtu_locks):
            self.add_lock(self.rtu)
        for number in range(theme.counters):
            self._add_counter(rng.choice(self.buses), number)

    def live(self, stop: threading.Event) -> None:
        """Let things happen at the locks, in no order with what the agent does. Runs in a thread of its own."""
        rng = Random(self.rng.random())
        while not stop.wait(_LIFE_PAUSE_S * rng.random()):
            with self.world:
                if not self.is_calm and self.locks:
                    rng.choice(self.locks).life.step()

    def calm_down(self) -> None:
        """From here on only what is there already is to be fetched; it's still fetched from odd controllers."""
        with self.world:
            self.is_calm = True
            self.watch = None
            for lock in self.locks:
                lock.life.finish()
                lock.controller.make_up()
            for bus in self.buses:
                bus.faults.armed.clear()
                bus.manners.mute = bus.manners.hangs_up = 0.0

    def config_buses(self) -> list[dict[str, Value]]:
        tables: list[dict[str, Value]] = []
        if self.tcp is not None:
            tables.append({"name": "tcp", "kind": "tcp", "host": "127.0.0.1", "port": self.tcp.port})
        if self.rtu is not None:
            # Two stop bits: a character without parity takes 11 bits, as the map's silence is reckoned.
            table: dict[str, Value] = {"name": "rtu", "kind": "rtu", "device": self.rtu.device}
            tables.append({**table, "baudrate": BAUDRATE, "parity": "N", "stopbits": 2})
        return [{**table, "answer_timeout_ms": _ANSWER_TIMEOUT_MS} for table in tables]

    def config_locks(self) -> list[dict[str, Value]]:
        tables: list[dict[str, Value]] = []
        for lock in self.locks:
            tables.append(place_table(lock.configured_serial, lock.bus, lock.unit))
        tables += self.other_places
        for old in self.old_locks:
            chambers = [
                {
                    "number": counter.chamber,
                    "address": counter.address,
                    "width": counter.width,
                    "word_order": counter.word_order,
                    "volume_ml": counter.volume,
                }
                for counter in old.legacy.counters
            ]
            place = place_table(old.serial, old.bus, old.unit)
            tables.append(
                {**place, "driver": "counter-1", "function": old.legacy.function, "chambers": chambers}
            )
        return tables

    def offences(self) -> list[str]:
        with self.world:
            found = [offence for bus in self.buses for offence in bus.offences]
            found += [offence for lock in self.locks + self.past for offence in lock.conduct.offences]
            found += [offence for other in self.others.values() if other for offence in other.offences]
            return found + [offence for old in self.old_locks for offence in old.legacy.offences]

    def add_lock(
        self, bus: Bus | None, *, stranger: str = "", serial: int | None = None, version: int = 1
    ) -> Lock:
        """Put a lock at a free address. `stranger`: why it must be left alone; `serial`: what it says it is."""
        assert bus is not None
        traits = self.draw_traits()
        configured = traits.serial
        if serial is not None:
            traits = replace(traits, serial=serial)
        lock = self.make_lock(bus, self.free_unit(bus), traits, configured, stranger, version)
        self.locks.append(lock)
        return lock

    def make_lock(
        self, bus: Bus, unit: int, traits: Traits, configured: int, stranger: str = "", version: int = 1
    ) -> Lock:
        """Connect a new controller to this address."""
        controller = Controller(traits, Random(self.rng.random()), time.time)
        beyond = SETS_CLOCK_BEYOND_S if self.theme.knows_time else None
        name = f"lock {traits.serial:06x} at unit {unit} of {bus.name}"
        conduct = Conduct(name, controller, self.on_disk, time.monotonic, beyond, stranger)
        life = Life(
            controller,
            Random(self.rng.random()),
            epochs=self.theme.epochs,
            power_cuts=self.theme.power_cuts,
        )
        registers = Registers(controller, version, _SHARE_OF_BUSY_WRITES)
        lock = Lock(bus, unit, controller, conduct, life, registers, configured, stranger)
        self.connect(lock)
        return lock

    def connect(self, lock: Lock) -> None:
        """Let this lock answer at its address."""
        lock.connect(lambda request: self._meanwhile(lock, request))

    def draw_traits(self) -> Traits:
        """Return a make of lock whose serial number nobody else here has."""
        while True:
            traits = draw_traits(self.rng)
            if any(lock.controller.traits.serial == traits.serial for lock in self.locks):
                continue
            if self.theme.small_rings:
                traits = replace(traits, capacity=self.rng.choice((32, 33, 40, 64)), newest=3, confirmed=0)
            if self.theme.near_the_end:
                newest = LAST_SEQ - self.rng.randint(20, 120)
                traits = replace(traits, newest=newest, confirmed=newest - self.rng.randint(0, 20))
            if self.theme.tiny_spool:
                traits = replace(traits, capacity=2047, newest=2000, confirmed=0)
            return traits

    def _add_counter(self, bus: Bus, number: int) -> None:
        unit = self.free_unit(bus)
        legacy = draw_legacy(self.rng, f"counter {number} at unit {unit} of {bus.name}")
        bus.units[unit] = legacy
        self.old_locks.append(OldLock(bus, unit, draw_serial(self.rng), legacy))

    def free_unit(self, bus: Bus) -> int:
        while True:
            unit = self.rng.choice((1, 247, self.rng.randint(1, 247)))
            if unit not in bus.units:
                return unit

    def _meanwhile(self, lock: Lock, request: Request | None) -> None:
        """Between any two requests: what the run has prepared for this request, and life."""
        if request is not None and self.watch is not None:
            self.watch(lock, request)
        elif request is None:
            while self.afterwards:
                self.afterwards.pop()()
        if not self.is_calm and self.rng.random() < self.theme.pour_per_request:
            lock.life.step()


def place_table(serial: int, bus: Bus, unit: int) -> dict[str, Value]:
    """Return what the configuration says of a lock's place; its driver is wlc-1 unless it says another."""
    return {"serial": f"{serial:x}", "bus": bus.name, "unit": unit, "poll_interval_s": POLL_INTERVAL_S}
