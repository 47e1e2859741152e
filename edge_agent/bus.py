"""One serial line or TCP link with its units: arbiter, breakers, reopening, statistics. The only door to a line.

    poller thread ──┐                   ┌─ breaker of the unit: may it be asked?
                    ├─▶ arbiter's turn ─┤
    an order ───────┘                   └─ line: open it if it is down, one exchange, drained where it went wrong

A line that is down is no unit's fault: it is opened again with a growing pause, and no breaker counts it. The same
holds while it is lent: somebody else, a technician's command, has the device and opens it with settings of its own.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from edge_agent.arbiter import Arbiter
from edge_agent.breaker import Breaker
from edge_agent.bus_counts import UnitCounts
from edge_agent.errors import BrokenAnswer, LineDown, NoAnswer, Refused, UnitResting
from edge_agent.line import Line
from edge_agent.modbus import Request, read_request, write_request
from wastelock.messages import BusStatistics

REOPEN_FIRST_S = 0.5
REOPEN_MOST_S = 10.0


class Bus:
    """One line shared by the poller and whoever has an order for a lock. All methods may be called from any thread."""

    def __init__(self, name: str, line: Line, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._line = line
        self._clock = clock
        self._arbiter = Arbiter()
        self._breakers: dict[int, Breaker] = {}
        self._reopen_at = 0.0
        self._reopen_after_s = REOPEN_FIRST_S
        self._down_because = ""
        self._lent_to: str | None = None
        self._is_retired = False
        self._unit_counts: dict[int, UnitCounts] = {}
        self.times_opened = self.times_broken = 0
        self._requests = self._timeouts = self._exceptions = 0
        self._counted_at, self._counted_wire_s = clock(), 0.0

    def unit(self, unit: int, urgent: bool = False) -> "Unit":
        """Return one unit's registers; `urgent` ones (orders) go before the polls' next transaction."""
        self._breakers.setdefault(unit, Breaker())
        return Unit(self, unit, urgent)

    def guest(self, unit: int) -> "Unit":
        """Return the registers of any unit, for a person who looks: urgent, and asked although its breaker is open."""
        return Unit(self, unit, urgent=True, insists=True)

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Within it polls visit one lock: orders hold back, so that what it has recorded is soon on disk."""
        self._arbiter.begin_visit()
        try:
            yield
        finally:
            self._arbiter.end_visit()

    def rests_until(self, unit: int) -> float | None:
        """Return when a unit that is left alone may be probed next (monotonic s), None if it is in use."""
        return self._breakers[unit].open_until

    def transact(self, request: Request, urgent: bool, insists: bool = False) -> tuple[bytes, float]:
        """Run one transaction; return the answer's data and the middle of the transaction (monotonic s).

        `insists`: also where the unit is left alone. Raises a BusError: NoAnswer, BrokenAnswer, Refused, UnitResting or
        LineDown.
        """
        self._arbiter.acquire(urgent)
        try:
            # A guest may ask for a unit that nobody visits.
            breaker = self._breakers.get(request.unit) or Breaker()
            began = self._clock()
            if not insists and not breaker.allows(began):
                raise UnitResting(request.unit, breaker.open_until or began)
            self._open(began)
            return self._exchange(request, breaker)
        finally:
            self._arbiter.release()

    def statistics(self) -> BusStatistics:
        """Return the counts since the start; `wire_busy_permille` is over the time since the last call."""
        now, wire_s = self._clock(), self._line.counters.wire_s
        elapsed, busy_s = now - self._counted_at, wire_s - self._counted_wire_s
        self._counted_at, self._counted_wire_s = now, wire_s
        busy = min(1000, round(1000 * busy_s / elapsed)) if self._line.has_wire and elapsed > 0 else None
        return self.counts().model_copy(update={"wire_busy_permille": busy})

    def counts(self) -> BusStatistics:
        """Return the counts since the start; asking changes nothing."""
        counters = self._line.counters
        return BusStatistics(
            bus=self.name,
            requests=self._requests,
            timeouts=self._timeouts,
            late_or_foreign_replies=counters.late_or_foreign,
            crc_errors=counters.crc_errors,
            exceptions=self._exceptions,
            breaker_open_units=tuple(unit for unit, b in sorted(self._breakers.copy().items()) if b.is_open),
        )

    def unit_counts(self) -> dict[int, UnitCounts]:
        """Return the counts of each unit that was ever asked, since the start; asking changes nothing."""
        return {unit: counts.copy() for unit, counts in sorted(self._unit_counts.copy().items())}

    def is_resting(self, unit: int) -> bool:
        """True if this unit failed so often that it is left alone between probes."""
        breaker = self._breakers.get(unit)
        return breaker is not None and breaker.is_open

    @property
    def lent_to(self) -> str | None:
        """Who has the device instead of this bus."""
        return self._lent_to

    @property
    def trouble(self) -> str | None:
        """Why the device or connection isn't open, None while it is."""
        return None if self._line.is_open else self._lent_to or self._down_because or "not opened yet"

    @property
    def wire_s(self) -> float | None:
        """For how long bytes were on the wire since the start; None where there is no wire (TCP)."""
        return self._line.counters.wire_s if self._line.has_wire else None

    @property
    def is_open(self) -> bool:
        """True while the device or connection is open."""
        return self._line.is_open

    def lend(self, to: str) -> None:
        """Let go of the device once the transaction under way has ended, until `take_back`; it is free on return."""
        self._arbiter.acquire(urgent=True)
        try:
            self._lent_to = to
            self._line.close()
        finally:
            self._arbiter.release()

    def take_back(self) -> None:
        """The device is free again: it is opened at the next transaction."""
        self._arbiter.acquire(urgent=True)
        self._lent_to, self._reopen_at = None, 0.0
        self._arbiter.release()

    def close(self) -> None:
        """Close the line for good once the transaction under way has ended."""
        self._arbiter.acquire(urgent=True)
        try:
            self._is_retired = True
            self._line.close()
        finally:
            self._arbiter.release()

    def _open(self, now: float) -> None:
        """Make sure that the line is open; a line that can't be opened is tried again with a growing pause."""
        if self._lent_to is not None or self._is_retired:
            raise LineDown(self._lent_to or "the bus is closed")
        if self._line.is_open:
            return
        if now < self._reopen_at:
            raise LineDown(self._down_because)
        try:
            self._line.open()
            self.times_opened += 1
        except LineDown as error:
            self._down_because = str(error)
            self._reopen_at = self._clock() + self._reopen_after_s
            self._reopen_after_s = min(self._reopen_after_s * 2, REOPEN_MOST_S)
            raise

    def _exchange(self, request: Request, breaker: Breaker) -> tuple[bytes, float]:
        self._requests += 1
        began = self._clock()
        counts = self._unit_counts.setdefault(request.unit, UnitCounts())
        try:
            with counts.counting(self._line.counters, self._clock):
                data = self._line.exchange(request)
        except Refused:
            self._exceptions += 1
            self._answered(breaker)
            raise
        except (NoAnswer, BrokenAnswer) as error:
            self._timeouts += isinstance(error, NoAnswer)
            now = self._clock()
            breaker.failed(now, now - began, is_alone=len(self._breakers) == 1)
            raise
        except LineDown as error:
            # Not the unit's fault: its breaker stays as it is, so that it is asked at once when the line is back.
            self._down_because = str(error)
            self._reopen_at = self._clock() + self._reopen_after_s
            self.times_broken += 1
            raise
        self._answered(breaker)
        return data, (began + self._clock()) / 2

    def _answered(self, breaker: Breaker) -> None:
        self._reopen_after_s = REOPEN_FIRST_S
        breaker.succeeded()


class Unit:
    """One unit's registers (drivers.base.Registers). Reads may be repeated at will: a failed one is, once."""

    def __init__(self, bus: Bus, unit: int, urgent: bool, insists: bool = False) -> None:
        self._bus = bus
        self._unit = unit
        self._urgent = urgent
        self._insists = insists
        self.exchanged_at = 0.0

    def read(self, function: int, address: int, count: int) -> bytes:
        request = read_request(self._unit, function, address, count)
        try:
            data, self.exchanged_at = self._bus.transact(request, self._urgent, self._insists)
        except (NoAnswer, BrokenAnswer) as error:
            try:
                data, self.exchanged_at = self._bus.transact(request, self._urgent, self._insists)
            except UnitResting:
                raise error from None  # the first failure tells more than that its breaker has opened
        return data

    def write(self, address: int, words: Sequence[int]) -> None:
        request = write_request(self._unit, address, words)
        _, self.exchanged_at = self._bus.transact(request, self._urgent, self._insists)
