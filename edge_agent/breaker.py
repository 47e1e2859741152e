"""The circuit breaker of one unit on a bus: a dead or flickering unit may not take the others' time.

    CLOSED ──3 failures in a row, or budget of wasted time spent──▶ OPEN ──back-off over──▶ HALF OPEN: one probe
      ▲                                                              ▲                         │        │
      │                                                              └─ failed: back-off × 2 ──┘        │
      └───────────────────────────────────────────── answered ──────────────────────────────────────────┘

The law of this file: pure, no clock and no I/O; whoever holds the bus's turn calls it.
"""

from dataclasses import dataclass

FAILURES_TO_OPEN = 3
BACKOFF_FIRST_S = 1.0
BACKOFF_MOST_S = 30.0
BACKOFF_MOST_ALONE_S = 5.0  # nobody else's time is lost: be back soon
# The time that a unit may waste by not answering: a tenth of the bus in the long run, and so much at once.
WASTE_SHARE = 0.1
WASTE_BUDGET_S = 3.0


@dataclass(slots=True)
class Breaker:
    """Counts one unit's failures. `now` is a monotonic clock's time in s, never running backwards."""

    open_until: float | None = None
    _failures: int = 0
    _backoff_s: float = BACKOFF_FIRST_S
    _wasted_s: float = 0.0
    _wasted_at: float = 0.0

    @property
    def is_open(self) -> bool:
        """True until the unit has answered again, the half-open time included."""
        return self.open_until is not None

    def allows(self, now: float) -> bool:
        """True if the unit may be asked: it is closed, or its back-off is over and this is the probe."""
        return self.open_until is None or now >= self.open_until

    def succeeded(self) -> None:
        """The unit answered, be it with a Modbus exception."""
        self._failures = 0
        self.open_until = None
        self._backoff_s = BACKOFF_FIRST_S

    def failed(self, now: float, wasted_s: float, is_alone: bool = False) -> None:
        """The unit gave no usable answer, which cost the bus `wasted_s`; `is_alone`: no other unit is on the bus."""
        most_s = BACKOFF_MOST_ALONE_S if is_alone else BACKOFF_MOST_S
        self._wasted_s = max(0.0, self._wasted_s - (now - self._wasted_at) * WASTE_SHARE) + wasted_s
        self._wasted_at = now
        self._failures += 1
        if self.open_until is not None:
            self._backoff_s = min(self._backoff_s * 2, most_s)
            self.open_until = now + self._backoff_s
        elif self._failures >= FAILURES_TO_OPEN:
            self.open_until = now + self._backoff_s
        elif self._wasted_s > WASTE_BUDGET_S and not is_alone:
            self.open_until = now + min((self._wasted_s - WASTE_BUDGET_S / 2) / WASTE_SHARE, most_s)
