"""The estate to simulate: buses and locks, checked whole; all that is wrong is told at once.

The TOML file is described in docs/simulator.md and config/sim-estate.toml.
"""

import tomllib
from collections import Counter
from collections.abc import Hashable, Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from firmware_sim.access import Transponder
from firmware_sim.errors import ConfigError
from firmware_sim.memory import Memory
from firmware_sim.residents import Household
from wastelock.registers import MAX_ACCESS_ENTRIES, MAX_CAPACITY, MAX_CHAMBERS, MIN_CAPACITY

_U32 = 2**32
_T = TypeVar("_T", bound=Hashable)
_M = TypeVar("_M", bound=BaseModel)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BusConfig(_Section):
    """One serial line (a pseudo-terminal) or one TCP port with any number of units.

    `device`: the symbolic link that is made to the pseudo-terminal. `pace` "wire" keeps the time that the bytes would
    take at `baudrate` with 11 bits a character (8E1).
    """

    name: Annotated[str, Field(min_length=1, max_length=64)]
    kind: Literal["tcp", "rtu"]
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    device: Path | None = None
    baudrate: Annotated[int, Field(ge=1200, le=4_000_000)] = 19200
    pace: Literal["wire", "none"] = "none"

    @model_validator(mode="after")
    def _device_for_rtu(self) -> Self:
        if self.kind == "rtu" and self.device is None:
            raise ValueError("an rtu bus needs `device`: the path of the symbolic link to make")
        return self


class TransponderConfig(_Section):
    """One entry of a lock's first access list."""

    uid: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{1,16}$")]
    service: bool = False
    blocked: bool = False

    def transponder(self) -> Transponder:
        return Transponder(int(self.uid, 16), self.service, self.blocked)


class HouseholdConfig(_Section):
    """Who lives in a dwelling from `moved_in` up to, not including, `moved_out` (local days; neither: all the time).

    `large_share`: how many of its pours go into the largest chamber. `pours_per_day`: as so many persons make.
    """

    persons: Annotated[int, Field(ge=1, le=20)]
    transponders: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[0-9a-fA-F]{1,16}$")], ...], Field(min_length=1, max_length=16)
    ]
    large_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    pours_per_day: Annotated[float, Field(ge=0, le=1000)] | None = None
    moved_in: date | None = None
    moved_out: date | None = None

    def household(self) -> Household:
        uids = tuple(int(uid, 16) for uid in self.transponders)
        return Household(
            self.persons, uids, self.large_share, self.pours_per_day, self.moved_in, self.moved_out
        )


class LockConfig(_Section):
    """One controller and who lives around it. `registers`: where the cycle registers begin, one for each chamber."""

    serial: Annotated[str, Field(pattern=r"^[0-9a-f]{1,16}$")]
    bus: str
    unit: Annotated[int, Field(ge=1, le=247)]
    capacity: Annotated[int, Field(ge=MIN_CAPACITY, le=MAX_CAPACITY)] = 2047
    chambers_ml: Annotated[
        tuple[Annotated[int, Field(ge=1, le=65535)], ...], Field(min_length=1, max_length=MAX_CHAMBERS)
    ] = (5000, 20000)
    epoch: Annotated[int, Field(ge=1, lt=_U32)] = 1
    mac_key: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{32}$")] | None = None
    mac_key_id: Annotated[int, Field(ge=0, lt=_U32)] = 0
    registers: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=_U32)], ...], Field(max_length=MAX_CHAMBERS)
    ] = ()
    dwellings: Annotated[int, Field(ge=0, le=500)] = 24
    pours_per_day: Annotated[float, Field(ge=0, le=100_000)] | None = None
    households: Annotated[tuple[HouseholdConfig, ...], Field(max_length=500)] | None = None
    transponders: tuple[TransponderConfig, ...] | None = None
    access_list_max: Annotated[int, Field(ge=1, le=MAX_ACCESS_ENTRIES)] = MAX_ACCESS_ENTRIES
    clock_set: bool = True
    clock_drift_ppm: Annotated[float, Field(ge=-100_000, le=100_000)] = 0.0
    weighs: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if int(self.serial, 16) == 0:
            raise ValueError("serial 0 is no serial number")
        if (self.mac_key is None) != (self.mac_key_id == 0):
            raise ValueError("mac_key and a mac_key_id other than 0 belong together: give both or neither")
        if self.registers and len(self.registers) != len(self.chambers_ml):
            raise ValueError(f"registers: give one for each of the {len(self.chambers_ml)} chambers, or none")
        if self.transponders is not None and len(self.transponders) > self.access_list_max:
            raise ValueError("transponders: more than access_list_max")
        if self.transponders is not None and self.households is not None:
            raise ValueError("households come with transponders of their own: give one or the other")
        return self

    @property
    def serial_number(self) -> int:
        return int(self.serial, 16)

    def birth(self) -> Memory:
        """Return the memory of this controller as it leaves the factory."""
        registers = (*self.registers, 0, 0, 0, 0)[:MAX_CHAMBERS]
        return Memory(
            serial=self.serial_number, epoch=self.epoch, capacity=self.capacity, volumes_ml=self.chambers_ml,
            mac_key=None if self.mac_key is None else bytes.fromhex(self.mac_key), mac_key_id=self.mac_key_id,
            registers=(registers[0], registers[1], registers[2], registers[3]),
            enable_mask=(1 << len(self.chambers_ml)) - 1,
        )  # fmt: skip


class EstateConfig(_Section):
    """The whole file."""

    buses: Annotated[tuple[BusConfig, ...], Field(min_length=1)]
    locks: Annotated[tuple[LockConfig, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> Self:
        wrong = [
            f"two buses are named {name!r}: rename one" for name in _repeated(b.name for b in self.buses)
        ]
        wrong += [
            f"two locks have serial {s:x}" for s in _repeated(lock.serial_number for lock in self.locks)
        ]
        wrong += [
            f"two locks are unit {unit} on bus {bus!r}: give each its own unit"
            for bus, unit in _repeated((lock.bus, lock.unit) for lock in self.locks)
        ]
        names = {bus.name for bus in self.buses}
        wrong += [f"lock {x.serial}: there is no bus {x.bus!r}" for x in self.locks if x.bus not in names]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


def _repeated(values: Iterable[_T]) -> list[_T]:
    return [value for value, n in Counter(values).items() if n > 1]


def load_estate(path: Path) -> EstateConfig:
    """Return the checked configuration, links relative to the file; raise ConfigError naming all that is wrong."""
    estate = parse_toml(path, EstateConfig)
    buses = tuple(
        bus.model_copy(update={"device": path.parent / bus.device}) if bus.device else bus
        for bus in estate.buses
    )
    return estate.model_copy(update={"buses": buses})


def parse_toml(path: Path, model: type[_M]) -> _M:
    """Return the file as `model`, or raise ConfigError with one line for each thing that is wrong."""
    try:
        with path.open("rb") as file:
            return model.model_validate(tomllib.load(file))
    except OSError as error:
        raise ConfigError(
            f"{path}: can't be read: {error.strerror}; check the path and its permissions"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in describe(error))) from error


def describe(error: ValidationError) -> list[str]:
    """Return each problem as `key: what is wrong`."""
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"])
        lines.append(f"{key}: {problem['msg']}" if key else problem["msg"])
    return lines
