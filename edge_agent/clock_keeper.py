"""When to set a controller's clock, and how far it is off. Records are never rewritten: the offset goes with them."""

from collections.abc import Callable

from wastelock.record import ClockStatus
from wastelock.registers import Status

HOUR_S = 3600.0
# After a failed or refused attempt at a clock that has no time at all.
RETRY_S = 60.0


def clock_offset_s(status: Status, true_at_s: float) -> int | None:
    """Return controller minus gateway in whole seconds, None where the controller's clock was never set.

    `true_at_s`: the gateway's unix time at the moment for which the status holds. A controller tells whole seconds, so
    half a second is added to what it says.
    """
    if status.clock_status == ClockStatus.NEVER_SET:
        return None
    return round(status.clock_s + 0.5 - true_at_s)


class ClockKeeper:
    """One lock's clock. Setting makes a journal record and shifts the times of pours: it is done sparingly."""

    def __init__(self, set_beyond_s: float, trusted: Callable[[], bool]) -> None:
        """`trusted`: may the gateway's own clock be believed now?"""
        self._set_beyond_s = set_beyond_s
        self._trusted = trusted
        self._set_at: float | None = None  # monotonic s: last attempt that may have taken effect
        self._set_in_boot = -1
        self._tried_at: float | None = None

    def is_due(self, status: Status, offset_s: int | None, now: float) -> bool:
        """True if the clock is to be set now (`now`: monotonic s)."""
        if self._tried_at is not None and now - self._tried_at < RETRY_S:
            return False
        set_lately = self._set_at is not None and now - self._set_at < HOUR_S
        if status.clock_status != ClockStatus.SET:
            # A clock without time is set at once, and again at once if the controller lost it by another power-up.
            wanted = not (set_lately and status.boot == self._set_in_boot)
        else:
            wanted = offset_s is not None and abs(offset_s) > self._set_beyond_s and not set_lately
        return wanted and self._trusted()

    def note_attempt(self, now: float) -> None:
        """The clock is about to be set: not again within the next minute, whatever comes of it."""
        self._tried_at = now

    def note_effect(self, boot: int, now: float) -> None:
        """The clock was set, or nobody knows: a drifting clock isn't touched again within the hour."""
        self._set_at, self._set_in_boot = now, boot
