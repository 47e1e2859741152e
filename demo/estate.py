"""What is simulated: an estate's buses and waste locks, as data; where and how they run is layout.py's business."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from typing import Literal


@dataclass(frozen=True, slots=True)
class Bus:
    """A line with controllers. `pace`: "wire" keeps the line's speed (RTU at `baudrate`), "none" answers at once."""

    name: str
    kind: Literal["rtu", "tcp"]
    baudrate: int = 19200
    pace: Literal["wire", "none"] = "none"

    @property
    def description(self) -> str:
        if self.kind == "tcp":
            return "Modbus TCP"
        pace = "at the pace of the wire" if self.pace == "wire" else "without the pace of a wire"
        return f"Modbus RTU on a pseudo-terminal, {self.baudrate:,} Bd, {pace}"


@dataclass(frozen=True, slots=True)
class Household:
    """Who comes to a lock: transponders as 16 hexadecimal digits, from `moved_in` up to, not including, `moved_out`."""

    persons: int
    transponders: tuple[str, ...]
    large_share: float
    pours_per_day: float
    moved_in: date
    moved_out: date | None


@dataclass(frozen=True, slots=True)
class Lock:
    """A waste lock: `serial` as its controller knows it, `unit` is its Modbus address on `bus`.

    `capacity` in records. `pours_per_day`: of the whole lock (None: as many as people of that number throw).
    `households`: who comes; None: so many `dwellings` as the simulator's seed has it.
    """

    serial: int
    bus: str
    unit: int
    capacity: int = 2047
    chambers_ml: tuple[int, ...] = (5000, 20000)
    epoch: int = 1
    dwellings: int = 24
    pours_per_day: float | None = None
    households: tuple[Household, ...] | None = None

    @property
    def name(self) -> str:
        """The serial number as contract and ledger write it."""
        return f"{self.serial:06x}"

    @property
    def mac_key(self) -> bytes:
        """The lock's AES-128 key. Derived, because a demonstration's keys needn't be secret; real ones are random."""
        return sha256(b"wastelock demonstration MAC key %d" % self.serial).digest()[:16]


@dataclass(frozen=True, slots=True)
class Estate:
    """A housing estate with one gateway."""

    site: str
    gateway: str
    buses: tuple[Bus, ...]
    locks: tuple[Lock, ...]

    def locks_on(self, bus: str) -> tuple[Lock, ...]:
        return tuple(lock for lock in self.locks if lock.bus == bus)

    @property
    def dwellings(self) -> int:
        return sum(lock.dwellings for lock in self.locks)

    def with_capacity(self, capacity: int) -> "Estate":
        """Return the same estate with other rings: small ones fill up, in large ones nothing is ever overwritten."""
        return replace(self, locks=tuple(replace(lock, capacity=capacity) for lock in self.locks))


def demo_estate(
    chambers_ml: Mapping[str, tuple[int, ...]], households: Mapping[str, tuple[Household, ...]]
) -> Estate:
    """Return the estate of the demonstration: three locks on one RTU line and two on Modbus TCP.

    `chambers_ml`, `households`: by lock.
    """
    # Faster than any wire: at 19200 Bd five records take 0.15 s, and a year of pours a quarter of an hour.
    buses = (Bus("courtyard", "rtu", baudrate=460_800, pace="none"), Bus("tower", "tcp"))
    units = [("courtyard", 1), ("courtyard", 2), ("courtyard", 3), ("tower", 1), ("tower", 2)]
    locks = (Lock(serial=0x1F00A1 + i, bus=bus, unit=unit) for i, (bus, unit) in enumerate(units))
    locks_with_people = tuple(
        replace(lock, chambers_ml=chambers_ml[lock.name], households=households[lock.name]) for lock in locks
    )
    return Estate("lindenhof", "gw-0001", buses, locks_with_people)
