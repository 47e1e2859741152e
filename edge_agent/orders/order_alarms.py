"""Alarms about orders: most tell of something that happened, not of something that lasts, so they end after a while.

Whoever floods the gateway with forged orders gets one alarm, and one line in the log for each minute of it.
"""

import threading
from collections.abc import Callable

from edge_agent.alarms import Alarms

# What tells of something that happened, and what tells of something that is so.
HAPPENED = (
    "order expired",
    "order forged",
    "order not understood",
    "order rejected",
    "order replayed",
    "orders too many",
    "orders without keys",
)
IS_SO = ("desired not in force", "desired unknown locks", "order keys", "results not taken")

LASTS_S = 3600.0
_REWORDED_AFTER_S = 60.0


class OrderAlarms:
    """Thread-safe. `clock` is monotonic s."""

    def __init__(self, alarms: Alarms, clock: Callable[[], float]) -> None:
        self._alarms = alarms
        self._clock = clock
        self._guard = threading.Lock()
        self._worded: dict[str, float] = {}
        self._outside: dict[str, str] = {}
        self._counts = dict.fromkeys(HAPPENED, 0)
        # The agent may have begun afresh: what happened before ends by itself, too, what is still so is told again.
        self._happened = {name: clock() for name in alarms.names() if name in HAPPENED}
        for name in IS_SO:
            alarms.clear(name)

    def happened(self, name: str, text: str) -> None:
        """Something happened that somebody should look at; the alarm stays for an hour after the last time."""
        assert name in HAPPENED
        with self._guard:
            now = self._clock()
            self._counts[name] += 1
            self._happened[name] = now
            if now - self._worded.get(name, -_REWORDED_AFTER_S) < _REWORDED_AFTER_S:
                return
            self._worded[name] = now
        self._alarms.raise_(name, text)

    def counts(self) -> dict[str, int]:
        """Return how often each thing has happened since the start."""
        with self._guard:
            return dict(self._counts)

    def lasts(self, name: str, text: str | None) -> None:
        """Something is so, or (None) no longer."""
        assert name in IS_SO
        if text is None:
            self._alarms.clear(name)
        else:
            self._alarms.raise_(name, text)

    def lock_stays_outside(self, lock: str, why: str | None) -> None:
        """This lock can't be brought to what is desired, or (None) it is there."""
        with self._guard:
            if why is None:
                self._outside.pop(lock, None)
            else:
                self._outside[lock] = why
            text = "; ".join(f"lock {name}: {text}" for name, text in sorted(self._outside.items())[:5])
        self.lasts("desired not in force", text or None)

    def forget_old(self) -> None:
        """End what happened long enough ago."""
        with self._guard:
            before = self._clock() - LASTS_S
            over = [name for name, at in self._happened.items() if at < before]
            for name in over:
                del self._happened[name]
                self._worded.pop(name, None)
        for name in over:
            self._alarms.clear(name)
