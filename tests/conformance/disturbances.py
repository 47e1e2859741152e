"""What befalls an estate and its gateway while the agent works: each act of a theme, done at some moment."""

import time
from collections.abc import Callable
from random import Random

from tests.conformance.estate import Estate, Lock, OldLock, Watch
from tests.conformance.gateway import Gateway
from tests.conformance.pages import SpoolFile
from tests.conformance.sink import Sink
from tests.conformance.strangers import exchange, put_right
from tests.conformance.theme import Act
from tests.conformance.vendor.frames import READ_INPUT, Request
from tests.conformance.vendor.journal import Tear
from tests.conformance.vendor.manners import Fault, FaultKind
from tests.conformance.vendor.registers import ACK, RING, STATUS
from tests.conformance.vendor.slot import BYTES
from tests.conformance.vendor.traits import LAST_SEQ
from tests.support.broker import Broker
from tests.support.waiting import wait_until

_LINE_FAULTS: tuple[FaultKind, ...] = (
    "mute",
    "noise",
    "bad check",
    "cut",
    "wrong unit",
    "wrong function",
    "wrong size",
    "wrong echo",
    "wrong transaction",
)
_LATE: tuple[FaultKind, ...] = ("late", "late", "very late", "late with the next")
_COMES_WITHIN_S = 1.5
_GIVES_UP_WITHIN_S = 30.0
_FILLS_RING = 2100


class Disturbances:
    """Does acts by name. `done` counts them."""

    def __init__(
        self, estate: Estate, gateway: Gateway, broker: Broker, sink: Sink, spool: SpoolFile, rng: Random
    ) -> None:
        self.done: dict[str, int] = {}
        self._estate = estate
        self._gateway = gateway
        self._broker = broker
        self._sink = sink
        self._spool = spool
        self._rng = rng
        self._acts: dict[Act, Callable[[], None]] = {
            "kill agent": self._kill,
            "kill agent at a read": lambda: self._kill_at(_is_ring_read),
            "kill agent at an acknowledgement": lambda: self._kill_at(_is_ack),
            "restart agent": self._restart,
            "power cut at an acknowledgement": self._cut_power_at_ack,
            "hang up": self._hang_up,
            "line fault": lambda: self._arm(self._draw_line_fault()),
            "late status": lambda: self._arm(Fault(self._rng.choice(_LATE), address=STATUS)),
            "late acknowledgement": lambda: self._arm(
                Fault(self._rng.choice(_LATE), address=ACK, writes=True)
            ),
            "broker killed": self._kill_broker,
            "sink away": self._take_sink_away,
            "others confirm": self._confirm_elsewhere,
            "ring fills while the agent is away": self._fill_ring,
            "tear": lambda: self._tear(self._rng.choice((1, 1, 2))),
            "tear for ever": lambda: self._tear(None),
            "new epoch behind a status": self._begin_epoch_behind_status,
            "new epoch behind giving up": self._begin_epoch_behind_giving_up,
            "clock goes wrong": self._upset_clock,
            "stranger put right": self._put_stranger_right,
            "controller exchanged": self._exchange_controller,
            "spool lost": self._lose_spool,
            "counters turn": self._turn_counters,
            "counter replaced": self._replace_counter,
            "live on": self._pause,
        }

    def do(self, act: Act) -> None:
        self._acts[act]()
        self.done[act] = self.done.get(act, 0) + 1

    def _pause(self, longest_s: float = 0.5) -> None:
        """Leave the agent to its work: this isn't waiting for anything, any length will do."""
        time.sleep(self._rng.uniform(0.02, longest_s))

    def _a_lock(self) -> Lock:
        return self._rng.choice(self._estate.good_locks)

    def _start_agent(self) -> None:
        if self._estate.rtu is not None:
            self._estate.rtu.forgive()
        self._gateway.start()
        if self._rng.random() < 0.8:  # else whatever comes next finds it just starting
            self._gateway.wait_at_work()

    def _kill(self) -> None:
        self._gateway.kill()
        self._pause(0.4)
        self._start_agent()
        self._pause(2.0)

    def _restart(self) -> None:
        self._gateway.wait_at_work()
        complaint = self._gateway.stop()
        if complaint is not None:
            self._estate.buses[0].offences.append(complaint)
        self._start_agent()
        self._pause(1.5)

    def _kill_at(self, is_it: Callable[[Request], bool]) -> None:
        """Kill the agent while one of its requests is on its way: it is still carried out."""

        def watch(lock: Lock, request: Request) -> None:
            if is_it(request):
                self._estate.watch = None
                self._gateway.kill()

        self._watch_for(watch, lambda: not self._gateway.running)
        self._kill()

    def _cut_power_at_ack(self) -> None:
        """The controller confirms, loses its power, and never answers."""

        def watch(lock: Lock, request: Request) -> None:
            if not _is_ack(request):
                return
            self._estate.watch = None
            lock.bus.faults.arm(Fault("mute", unit=request.unit, address=ACK, writes=True))
            self._estate.afterwards.append(lock.controller.power_up)

        self._watch_for(watch, lambda: self._estate.watch is None)
        self._pause()

    def _begin_epoch_behind_status(self) -> None:
        """The status is still true when it leaves; when its journal is read there is another, as long already."""

        def watch(lock: Lock, request: Request) -> None:
            if request.address == STATUS and not lock.stranger:
                self._estate.watch = None
                self._estate.afterwards.append(lambda: _begin_long_epoch(lock))

        self._watch_for(watch, lambda: self._estate.watch is None)
        self._pause()

    def _watch_for(
        self, watch: Watch, happened: Callable[[], bool], within_s: float = _COMES_WITHIN_S
    ) -> None:
        with self._estate.world:
            self._estate.watch = watch
            for lock in self._estate.good_locks:
                lock.life.pour(1)
        deadline = time.monotonic() + within_s
        while not happened() and time.monotonic() < deadline:
            time.sleep(0.005)
        with self._estate.world:
            self._estate.watch = None

    def _hang_up(self) -> None:
        if self._estate.tcp is not None:
            self._estate.tcp.hang_up_all()
        self._pause()

    def _draw_line_fault(self) -> Fault:
        kind = self._rng.choice(_LINE_FAULTS)
        return Fault(kind, writes={"wrong echo": True, "wrong size": False}.get(kind))

    def _arm(self, fault: Fault) -> None:
        with self._estate.world:
            self._rng.choice(self._estate.buses).faults.arm(fault)
            for lock in self._estate.good_locks:
                lock.life.pour(1)
        self._pause(1.0)

    def _kill_broker(self) -> None:
        self._broker.kill()
        self._pause()
        self._broker.start()
        self._pause()

    def _take_sink_away(self) -> None:
        self._sink.close()
        self._pause(1.0)
        self._sink.open()

    def _confirm_elsewhere(self) -> None:
        """Another master confirms what the agent may not have read yet, and the ring goes on."""
        lock = self._a_lock()
        with self._estate.world:
            journal = lock.controller.journal
            unconfirmed = journal.newest - journal.confirmed
            lock.life.pour(self._rng.randint(0, journal.capacity))
            if journal.newest > journal.confirmed:
                last = self._rng.choice((journal.newest, journal.confirmed + 1 + unconfirmed // 2))
                lock.controller.confirm(min(last, journal.newest), elsewhere=True)
            lock.life.pour(self._rng.choice((0, 5, journal.capacity)))
        self._pause()

    def _fill_ring(self) -> None:
        self._gateway.kill()
        with self._estate.world:
            self._a_lock().life.pour(_FILLS_RING)
        self._start_agent()
        self._pause(2.0)

    def _tear(self, reads: int | None) -> None:
        """Make some records, some of which can't be read (yet)."""
        with self._estate.world:
            lock = self._a_lock()
            journal = lock.controller.journal
            first = journal.newest
            lock.life.pour(self._rng.randint(1, 9))
            if journal.newest == first:
                return
            for _ in range(self._rng.randint(1, 2)):
                seq = self._rng.randint(first + 1, journal.newest)
                journal.tear(
                    seq, Tear(self._draw_mask(seq, journal.capacity), reads, self._rng.random() < 0.4)
                )
        self._pause(1.0)

    def _draw_mask(self, seq: int, capacity: int) -> bytes:
        """Bits anywhere, in the CRC alone, or in the number, so that it reads greater or 0, or as one round later."""
        if self._rng.random() < 0.4:
            other = self._rng.choice((0, min(seq + capacity, LAST_SEQ), min(seq + capacity, LAST_SEQ)))
            return (seq ^ other).to_bytes(4, "big") + bytes(BYTES - 4)
        where = self._rng.choice((range(BYTES), range(40, 44), range(4), range(4, 32)))
        mask = bytearray(BYTES)
        for _ in range(self._rng.randint(1, 8)):
            mask[self._rng.choice(where)] |= self._rng.randint(1, 255)
        return bytes(mask)

    def _begin_epoch_behind_giving_up(self) -> None:
        """A record that never can be read, and a new epoch just before the last look at it."""
        lock = self._a_lock()
        place = wait_until(lambda: self._pour_unreadable(lock), _GIVES_UP_WITHIN_S, "a pour")

        def watch(watched: Lock, request: Request) -> None:
            reads = lock.conduct.torn.get(place) if place else None
            if watched is lock and request.address == STATUS and reads is not None and reads.count >= 4:
                self._estate.watch = None
                self._estate.afterwards.append(lambda: _begin_long_epoch(lock))

        self._watch_for(watch, lambda: self._estate.watch is None, _GIVES_UP_WITHIN_S)
        self._pause()

    def _pour_unreadable(self, lock: Lock) -> tuple[int, int] | None:
        """Make a pour whose record can never be read; return its epoch and number, None while the lock is full."""
        with self._estate.world:
            journal = lock.controller.journal
            if not lock.life.pour(1):
                return None
            journal.tear(journal.newest, Tear(b"\0" * 16 + b"\x5a" * 28, None))
            return journal.epoch, journal.newest

    def _upset_clock(self) -> None:
        with self._estate.world:
            clock = self._a_lock().controller.clock
            if clock.status == 1 and self._rng.random() < 0.5:
                clock.set(int(time.time()) + self._rng.choice((-100_000, -29, -2, 29, 31, 7200)))
            else:
                self._rng.choice((clock.lose, lambda: clock.drift(self._rng.uniform(-0.2, 0.2))))()
        self._pause(1.0)

    def _put_stranger_right(self) -> None:
        strangers = [lock for lock in self._estate.locks if lock.stranger]
        if strangers:
            put_right(self._estate, self._rng.choice(strangers))
        self._pause()

    def _exchange_controller(self) -> None:
        """Somebody connects another controller, sees his mistake, and brings the right one back."""
        lock = self._a_lock()
        exchange(self._estate, lock)
        self._pause(1.0)
        with self._estate.world:
            self._estate.connect(lock)

    def _lose_spool(self) -> None:
        """The SD card is exchanged, after all that was on it had been received: an empty one takes its place."""
        for old in self._estate.old_locks:
            self._wait_for_readings(old)
        self._gateway.kill()
        self._spool.refresh()
        if self._sink.holds(self._spool.pages):
            for file in self._gateway.spool.parent.glob(f"{self._gateway.spool.name}*"):
                file.unlink()
            for old in self._estate.old_locks:
                old.legacy.counters[0].steps.append(
                    "replaced"
                )  # what it did meanwhile nobody knows: a new epoch
        self._start_agent()
        self._pause(2.0)

    def _turn_counters(self) -> None:
        """One pour a register at most between two readings: more would be a jump that no residents can make."""
        for old in self._estate.old_locks:
            self._wait_for_readings(old)
            with self._estate.world:
                for counter in self._rng.sample(
                    old.legacy.counters, self._rng.randint(1, len(old.legacy.counters))
                ):
                    counter.pour()

    def _replace_counter(self) -> None:
        if not self._estate.old_locks:
            return
        old = self._rng.choice(self._estate.old_locks)
        self._wait_for_readings(old)
        with self._estate.world:
            counter = self._rng.choice(old.legacy.counters)
            limit = 1 << counter.width
            back_to_zero = 1000 < counter.value < limit - 1000 and self._rng.random() < 0.5
            counter.replace(0 if back_to_zero else counter.value + self._rng.randint(1000, limit // 2))
        self._wait_for_readings(old)

    def _wait_for_readings(self, old: OldLock) -> None:
        """Wait until what the registers show was read for sure, twice: a strange reading is looked at again."""
        with self._estate.world:
            wanted = old.legacy.reads + 3 * len(old.legacy.counters)
        wait_until(lambda: old.legacy.reads >= wanted, 60, f"readings of {old.legacy.name}")


def _begin_long_epoch(lock: Lock) -> None:
    newest = min(lock.controller.journal.newest, lock.controller.journal.capacity)
    lock.life.finish()
    if lock.controller.begin_epoch(capacity=lock.controller.journal.capacity):
        lock.controller.make_up()
        lock.life.pour(max(0, newest - lock.controller.journal.newest))


def _is_ring_read(request: Request) -> bool:
    return request.function == READ_INPUT and request.address >= RING


def _is_ack(request: Request) -> bool:
    return request.is_write and request.address == ACK
