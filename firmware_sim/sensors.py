"""What the sensors of a lock show: believable values, derived from time and memory alone."""

import math

from firmware_sim.memory import Memory
from wastelock.registers import Fault

_DAY_S, _YEAR_S = 86_400.0, 365.25 * 86_400.0
_CONTAINER_ML = 1_100_000
_COMPACTED_PERMILLE = 400  # a chamber is seldom full, and what has fallen is pressed by what follows
_FLAT_MV = 3050


def temperature_dc(now_s: float) -> int:
    """Return the temperature in 0.1 °C: as the season and the hour have it, warmest in July and in the afternoon."""
    season = math.cos(math.tau * (now_s / _YEAR_S - 0.55))
    hour = math.cos(math.tau * (now_s / _DAY_S - 0.58))
    return round(105 + 95 * season + 35 * hour)


def battery_mv(memory: Memory, now_s: float) -> int:
    """Return the battery's voltage: lower in the cold, and low while the fault says so."""
    if memory.faults >> Fault.BATTERY_LOW & 1:
        return _FLAT_MV
    return 3600 + (temperature_dc(now_s) - 200) // 4


def fill_permille(memory: Memory) -> int:
    """Return how full the container is; 1000 only while the fault says so."""
    if memory.faults >> Fault.CONTAINER_FULL & 1:
        return 1000
    return min(memory.filled_ml * _COMPACTED_PERMILLE // _CONTAINER_ML, 999)
