"""What the calendar of a test's residents shows: no test may depend on the day, or the hour, that it runs at."""

import time
from datetime import datetime
from zoneinfo import ZoneInfo

# An hour at which nobody is at a lock, neither residents nor truck nor technician, and nobody comes for hours. A test
# says itself who comes when.
QUIET_NIGHT = datetime(2026, 11, 18, 1, 15, tzinfo=ZoneInfo("Europe/Berlin"))


def quiet_night_options() -> list[str]:
    """Return the options of `firmware-sim run` by which it is that night when it starts."""
    return ["--calendar-ahead-s", f"{QUIET_NIGHT.timestamp() - time.time():.3f}"]
