"""The controller's clock: battery-backed, drifting, sometimes lost. Pure arithmetic over a ClockBase."""

from firmware_sim.memory import ClockBase
from wastelock.record import ClockStatus

_U32 = 0xFFFFFFFF


def read_clock(base: ClockBase, now_s: float, powered_at_s: float) -> int:
    """Return what the clock shows: unix seconds if set, else (never set, or lost since) seconds since power-up."""
    if base.status != ClockStatus.SET:
        return max(0, int(now_s - powered_at_s)) & _U32
    elapsed = (now_s - base.base_at_s) * (1 + base.drift_ppm / 1e6)
    return int(base.base_s + elapsed) & _U32


def set_clock(base: ClockBase, new_s: float, now_s: float, status: int) -> ClockBase:
    """Return the clock after it was brought to show `new_s`."""
    return ClockBase(status, new_s, now_s, base.drift_ppm)


def drift(base: ClockBase, ppm: float, now_s: float) -> ClockBase:
    """Return a clock that shows the same now but gains `ppm` from here on."""
    elapsed = (now_s - base.base_at_s) * (1 + base.drift_ppm / 1e6)
    return ClockBase(base.status, base.base_s + elapsed, now_s, ppm)


def lose(base: ClockBase) -> ClockBase:
    """Return the clock after its battery gave out; one that was never set has nothing to lose."""
    status = base.status if base.status == ClockStatus.NEVER_SET else ClockStatus.LOST
    return ClockBase(status, 0.0, 0.0, base.drift_ppm)
