"""The controller's clock: never set, set, or lost since."""

from collections.abc import Callable

NEVER_SET, SET, LOST = 0, 1, 2
_WRAP = 1 << 32


class Clock:
    """Seconds as words 0x0043 show them. `now` gives the true unix time in seconds."""

    def __init__(
        self, now: Callable[[], float], status: int, error_s: int, survives: bool, uptime_when_lost: bool
    ) -> None:
        self.status = status
        self._now = now
        self._error_s = float(error_s)
        self._drift = 0.0
        self._drifts_since = now()
        self._survives = survives
        self._uptime_when_lost = uptime_when_lost
        self._powered_at = now()

    @property
    def uptime_s(self) -> int:
        return max(0, int(self._now() - self._powered_at)) % _WRAP

    @property
    def value(self) -> int:
        """What the clock shows; while it isn't set: seconds since power-up."""
        if self.status == NEVER_SET or (self.status == LOST and self._uptime_when_lost):
            return self.uptime_s
        return int(self._now() + self.error_s) % _WRAP

    @property
    def error_s(self) -> float:
        """How far the clock is ahead of the true time, while it shows a time."""
        return self._error_s + self._drift * (self._now() - self._drifts_since)

    def drift(self, rate: float) -> None:
        """Run this much faster than time from now on (0.01: one second in a hundred)."""
        self._error_s, self._drifts_since, self._drift = self.error_s, self._now(), rate

    def set(self, seconds: int) -> None:
        """Show this time from now on."""
        self.status, self._drifts_since = SET, self._now()
        self._error_s = seconds - self._now()

    def lose(self) -> None:
        """An empty battery: what was set is lost."""
        self.status = LOST if self.status == SET else self.status

    def power_up(self) -> None:
        self._powered_at = self._now()
        if not self._survives:
            self.lose()
