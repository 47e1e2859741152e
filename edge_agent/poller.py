"""The loop that visits the locks of one bus: who is due, for how long, and back to whoever has a backlog.

Each lock is visited every `poll_interval_s`. A backlog is drained in slices: one lasts until another lock is due, so a
month of one lock's records doesn't keep the others from their rate, and nobody else's silence keeps the wire idle.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import structlog

from edge_agent.lock_visitor import LockVisitor

SLICE_LEAST_S = 0.25  # even while others are overdue, else a crowded bus would never drain
SLICE_AMONG_DRAINING_S = 2.0
SLICE_MOST_S = 10.0
_PAUSE_MOST_S = 1.0

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Turn:
    """When a lock is to be visited next (monotonic s); `is_draining`: as soon as the others had their turn."""

    visitor: LockVisitor
    due_at: float
    interval_s: float
    is_draining: bool = False


class Poller:
    """One thread for one bus. `progressed_at` (monotonic s) moves as long as the loop goes round."""

    def __init__(
        self,
        bus: str,
        visitors: Sequence[LockVisitor],
        clock: Callable[[], float],
        on_failure: Callable[[BaseException], None],
        visiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`on_failure` is told the error that ended the thread: the program must not go on without it.

        `visiting`: entered for each visit (`Bus.visit`).
        """
        self.bus = bus
        self.visitors = tuple(visitors)
        self._clock = clock
        self._on_failure = on_failure
        self._visiting = visiting
        self._turns = [_Turn(visitor, clock(), visitor.poll_interval_s) for visitor in visitors]
        self._hastened: set[str] = set()
        self.progressed_at = clock()

    def run(self, stop: threading.Event) -> None:
        """Visit the locks until asked to stop. Entry point of the thread."""
        try:
            while not stop.is_set():
                pause_s = self.step(stop)
                if pause_s > 0:
                    stop.wait(min(pause_s, _PAUSE_MOST_S))
        except BaseException as error:  # noqa: BLE001 - a thread's entry point: reported, and the program ends
            _log.critical("poller ended", bus=self.bus, exc_info=True)
            self._on_failure(error)

    def hasten(self, lock: str) -> None:
        """Visit this lock soon: something about it has changed. May be called from any thread."""
        self._hastened.add(lock)

    def step(self, stop: threading.Event) -> float:
        """Visit the lock that has waited longest, if one is due; return how long nobody will be (s, 0: go on)."""
        now = self._progress()
        if not self._turns:
            return _PAUSE_MOST_S
        self._look_for_changes(now)
        turn = min(self._turns, key=lambda t: t.due_at)
        if turn.due_at > now:
            return turn.due_at - now
        until = now + self._slice_s(turn, now)
        with self._visiting():
            outcome = turn.visitor.visit(lambda: stop.is_set() or self._progress() >= until)
        now = self._progress()
        turn.is_draining = outcome.has_more
        if outcome.has_more:
            turn.due_at = now
        elif outcome.wait_s is not None:
            turn.due_at = now + outcome.wait_s
        else:
            # Due times stand on a grid, so that the locks of a bus are visited in one go and the processor sleeps
            # in between. On a crowded bus what was missed isn't made up for.
            turn.due_at = self._next_on_grid(turn, now)
        return 0.0

    def _next_on_grid(self, turn: _Turn, now: float) -> float:
        turn.interval_s = turn.visitor.poll_interval_s
        return (now // turn.interval_s + 1) * turn.interval_s

    def _look_for_changes(self, now: float) -> None:
        """Bring visits forward that were asked for, or whose lock is visited more often from now on."""
        for turn in self._turns:
            if turn.visitor.lock in self._hastened:
                self._hastened.discard(turn.visitor.lock)
                turn.due_at = min(turn.due_at, now)
            if turn.visitor.poll_interval_s != turn.interval_s:
                turn.due_at = min(turn.due_at, self._next_on_grid(turn, now))

    def _progress(self) -> float:
        """Note that the loop, or the visit that it is in, goes on; return the time."""
        self.progressed_at = self._clock()
        return self.progressed_at

    def _slice_s(self, turn: _Turn, now: float) -> float:
        """Return how long this visit may read: until another lock is due, longer among locks that are draining."""
        slice_s = SLICE_MOST_S
        for other in self._turns:
            if other is turn:
                continue
            room_s = SLICE_AMONG_DRAINING_S if other.is_draining else max(SLICE_LEAST_S, other.due_at - now)
            slice_s = min(slice_s, room_s)
        return slice_s
