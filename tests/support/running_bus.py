"""A bus and its poller running in a thread, as the agent runs them, with a spool in memory or a real one."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from edge_agent.bus import Bus
from edge_agent.drivers.wlc_1 import Wlc1Driver
from edge_agent.journal_keeper import Spool
from edge_agent.line import Line
from edge_agent.lock_report import LockReport
from edge_agent.lock_visitor import LockVisitor, Time
from edge_agent.poller import Poller
from wastelock.messages import LockState
from wastelock.registers import lock_id


@dataclass(frozen=True)
class Wlc1Lock:
    serial: int
    unit: int
    poll_interval_s: float = 0.1


def utc_now() -> datetime:
    return datetime.now(UTC)


class RunningBus:
    """Context manager. `states` holds the last state told of each lock, `failures` what ended the thread."""

    def __init__(
        self, line: Line, locks: Iterable[Wlc1Lock], spool: Spool, trusted: Callable[[], bool] = lambda: True
    ) -> None:
        self.bus = Bus("bus under test", line)
        self.states: dict[str, LockState] = {}
        self.failures: list[BaseException] = []
        self._stop = threading.Event()
        visitors = [
            LockVisitor(
                lock_id(lock.serial),
                Wlc1Driver(self.bus.unit(lock.unit), lock.serial),
                lock.poll_interval_s,
                spool,
                LockReport(self._report, utc_now, time.monotonic, lambda: 1.0),
                Time(utc_now, time.monotonic, trusted),
                30,
            )
            for lock in locks
        ]
        self.poller = Poller("bus under test", visitors, time.monotonic, self.failures.append)
        self._thread = threading.Thread(target=self.poller.run, args=(self._stop,), name="poller")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive(), "the poller didn't end"
        self.bus.close()
        assert self.failures == []

    def _report(self, state: LockState) -> None:
        self.states[state.lock] = state
