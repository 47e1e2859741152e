"""A lock as orders see it: a driver of their own on the bus, and what the poller knows of it, to look at."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic

from edge_agent.clock_keeper import clock_offset_s
from edge_agent.drivers.base import Driver, Registers
from edge_agent.errors import BusError
from edge_agent.lock_report import lock_state
from edge_agent.lock_visitor import LockVisitor
from wastelock.messages import LockState


class Progress:
    """When a thread last went on (monotonic s)."""

    def __init__(self) -> None:
        self.at = monotonic()

    def note(self) -> None:
        self.at = monotonic()


class WatchedRegisters:
    """Registers that note progress with each transaction: a long order isn't a stuck one."""

    def __init__(self, registers: Registers, progress: Progress) -> None:
        self._registers = registers
        self._progress = progress

    @property
    def exchanged_at(self) -> float:
        return self._registers.exchanged_at

    def read(self, function: int, address: int, count: int) -> bytes:
        try:
            return self._registers.read(function, address, count)
        finally:
            self._progress.note()

    def write(self, address: int, words: Sequence[int]) -> None:
        try:
            self._registers.write(address, words)
        finally:
            self._progress.note()


@dataclass(frozen=True, slots=True)
class Target:
    """One lock of one bus; used by that bus's thread of orders. `hasten` has the poller visit it soon."""

    lock: str
    driver: Driver
    visitor: LockVisitor
    usual_interval_s: float
    hasten: Callable[[], None]

    def look(self, now: Callable[[], datetime], clock: Callable[[], float]) -> LockState:
        """Read the lock's state now; raises BusError. Of a bare counter only the poller may read registers."""
        view = self.visitor.view
        if not self.driver.has_journal:
            return lock_state(view, now())
        identity, status = self.driver.identify(), self.driver.read_status()
        age_s = clock() - self.driver.status_at
        offset_s = clock_offset_s(status, now().timestamp() - age_s)
        seen = replace(
            view, identity=identity, status=status, clock_offset_s=offset_s, unreachable_since=None
        )
        return lock_state(seen, now())

    def look_if_it_answers(self, now: Callable[[], datetime], clock: Callable[[], float]) -> LockState | None:
        """Return the same, None where the lock doesn't answer."""
        with suppress(BusError):
            return self.look(now, clock)
        return None
