"""How fast to send and when to lose patience: a window of pages without receipt, a time-out, both adapting.

The window bounds what a broker that drops in silence can cost, and what is sent twice. As in TCP it is halved by
losses, begins small after a time-out, and grows with each receipt that shows progress: fast up to where it was last
good, then one by one. So it finds out by itself how much a broker's queue holds. The time-out doubles with each one
that ran out.
"""

from collections.abc import Callable

_WINDOW_MIN = 4
_TIMEOUT_FIRST_S = 5.0
_TIMEOUT_MAX_S = 60.0


class Pace:
    """`jitter` returns a factor around 1 (0.5..1.5), so that many gateways don't all come at once after an outage."""

    def __init__(self, window_max: int, jitter: Callable[[], float]) -> None:
        self._window_max = window_max
        self._jitter = jitter
        self.window = window_max
        self._good = window_max
        self._timeout_s = _TIMEOUT_FIRST_S
        self._deadline_s: float | None = None

    def note_sent(self, now_s: float) -> None:
        """Pages are under way now: from here on their receipt is awaited."""
        if self._deadline_s is None:
            self._deadline_s = now_s + self._timeout_s * self._jitter()

    def note_receipt(self, now_s: float, *, arrived: int, lost: int, all_received: bool) -> None:
        """A receipt showed that pages arrived, or that some were lost on the way."""
        if lost:
            self._good = self.window = max(_WINDOW_MIN, self.window // 2)
        elif arrived:
            grown = min(self.window * 2, self._good) if self.window < self._good else self.window + 1
            self.window = min(grown, self._window_max)
        if arrived:
            self._timeout_s = _TIMEOUT_FIRST_S
            self._deadline_s = None if all_received else now_s + self._timeout_s * self._jitter()

    def has_run_out(self, now_s: float) -> bool:
        return self._deadline_s is not None and now_s >= self._deadline_s

    def note_timeout(self) -> None:
        self._good = max(_WINDOW_MIN, self.window // 2)
        self.window = _WINDOW_MIN
        self._timeout_s = min(self._timeout_s * 2, _TIMEOUT_MAX_S)
        self._deadline_s = None

    def hasten(self, now_s: float, *, all_received: bool) -> None:
        """A new session, or the sink came back: don't wait out what was learnt while nobody answered.

        Pages under way may have been lost with the session: their receipt is awaited anew, however long none is sent.
        """
        self._timeout_s = _TIMEOUT_FIRST_S
        self._deadline_s = None if all_received else now_s + self._timeout_s * self._jitter()

    def wait_s(self, now_s: float, at_most_s: float) -> float:
        """Return how long to sleep until the time-out may run out."""
        if self._deadline_s is None:
            return at_most_s
        return max(0.0, min(at_most_s, self._deadline_s - now_s))
