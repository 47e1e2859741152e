"""Where each record is now: in its lock's ring, in the gateway's spool, or in the ledger; and how fast they move."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from demo.estate import Estate
from demo.observer import Seen

_WINDOW_S = 5.0


@dataclass(frozen=True, slots=True)
class LockProgress:
    """Counts of records. `spool`: confirmed to the controller, so on the gateway's disk, but not yet receipted.

    `lived_until_s`: up to when this lock's residents have lived (unix seconds); while `backlog`, that is the past.
    """

    lock: str
    bus: str
    unit: int
    made: int
    ring: int
    spool: int
    committed: int
    lived_until_s: float
    backlog: bool


@dataclass(frozen=True, slots=True)
class Progress:
    locks: tuple[LockProgress, ...]
    records_per_s: float

    @property
    def made(self) -> int:
        return sum(lock.made for lock in self.locks)

    @property
    def ring(self) -> int:
        return sum(lock.ring for lock in self.locks)

    @property
    def spool(self) -> int:
        return sum(lock.spool for lock in self.locks)

    @property
    def committed(self) -> int:
        return sum(lock.committed for lock in self.locks)

    @property
    def lived_until_s(self) -> float:
        """Up to when everybody has lived."""
        return min(lock.lived_until_s for lock in self.locks)

    @property
    def backlog(self) -> bool:
        """True while any lock's residents live in the past."""
        return any(lock.backlog for lock in self.locks)


class ProgressMeter:
    """Puts together what the controllers say and what the observer saw."""

    def __init__(self, estate: Estate, clock: Callable[[], float] = time.monotonic) -> None:
        self._estate = estate
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque()

    def read(self, rings: Mapping[str, Mapping[str, Any]], seen: Seen) -> Progress:
        """`rings`: what the simulator's control socket answers to `status`, by lock."""
        locks = []
        for lock in self._estate.locks:
            ring = rings[lock.name]
            made, confirmed = int(ring["newest"]), int(ring["confirmed"])
            committed = min(made, seen.committed.get(lock.name, 0))
            # A record is receipted before its controller is told, now and then: then it is in the ring for form's sake.
            waiting = max(0, confirmed - committed)
            locks.append(
                LockProgress(
                    lock=lock.name,
                    bus=lock.bus,
                    unit=lock.unit,
                    made=made,
                    ring=made - confirmed,
                    spool=waiting,
                    committed=committed,
                    lived_until_s=float(ring["lived_until_s"]),
                    backlog=not ring["backlog_done"],
                )
            )
        return Progress(tuple(locks), self._rate(sum(lock.committed for lock in locks)))

    def _rate(self, committed: int) -> float:
        now = self._clock()
        self._samples.append((now, committed))
        while len(self._samples) > 2 and self._samples[0][0] < now - _WINDOW_S:
            self._samples.popleft()
        began, before = self._samples[0]
        return (committed - before) / (now - began) if now > began else 0.0
