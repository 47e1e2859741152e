"""What can be ordered of a running simulator: the actions of scenario file and control socket, checked.

One JSON object or TOML table is one action; `do` names it. docs/simulator.md lists them for people.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from firmware_sim.config import BusConfig, EstateConfig, describe
from firmware_sim.errors import UnknownTarget
from wastelock.registers import MAX_CAPACITY, MIN_CAPACITY

Serial = Annotated[str, Field(pattern=r"^[0-9a-f]{1,16}$")]
Chamber = Annotated[int, Field(ge=1, le=4)]
Key = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{32}$")]
U32 = Annotated[int, Field(ge=0, lt=2**32)]
Seconds = Annotated[float, Field(gt=0, le=86_400 * 30)]
Word = Annotated[int, Field(ge=0, le=21)]


class Action(BaseModel):
    """What every action has. `at_s`, `every_s`, `times` are for scenarios: real seconds after ready, then again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_s: Annotated[float, Field(ge=0)] | None = None
    every_s: Seconds | None = None
    times: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class LockAction(Action):
    lock: Serial


class Pour(LockAction):
    """Somebody comes. Without `uid` it is a resident. `instant`: all steps at once instead of some 12 s at speed 1."""

    do: Literal["pour"]
    chamber: Chamber = 1
    uid: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{1,16}$")] | None = None
    outcome: Literal["complete", "given_up", "never_opened"] = "complete"
    instant: bool = False


class WireFaultAction(Action):
    """A fault on the wire: for `for_s` seconds or `count` requests, whichever ends first (neither: for 10 s)."""

    do: Literal["fault"]
    fault: Literal[
        "silence", "lost_reply", "late_reply", "broken_crc", "cut_frame", "exception_6", "foreign_reply",
        "reset_connection",
    ]  # fmt: skip
    lock: Serial | None = None
    bus: str | None = None
    for_s: Seconds | None = None
    count: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    delay_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    after_bytes: Annotated[int, Field(ge=0, le=255)] = 5

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.lock is None) == (self.bus is None):
            raise ValueError("name either a lock or a bus")
        return self


class ClearFaults(Action):
    """The wire heals: all faults of a lock or a bus end at once."""

    do: Literal["heal"]
    lock: Serial | None = None
    bus: str | None = None


class TornRecord(LockAction):
    """A slot whose CRC is wrong for `reads` reads, or (without) for ever: of the newest, the next or a given record."""

    do: Literal["torn_record"]
    seq: Annotated[int, Field(ge=1)] | Literal["newest", "next"] = "newest"
    reads: Annotated[int, Field(ge=1)] | None = None
    word: Word = 13


class PowerCutAction(Action):
    """Power goes away now, or when the next pour reaches a point. Without `lock`: for the whole estate, now."""

    do: Literal["power_cut"]
    lock: Serial | None = None
    at: Literal["now", "mid_cycle", "authorised", "open", "before_discharge", "after_discharge"] = "now"
    off_s: Annotated[float, Field(ge=0, le=86_400)] = 2.0

    @model_validator(mode="after")
    def _point_of_one_lock(self) -> Self:
        if self.lock is None and self.at != "now":
            raise ValueError("name the lock whose next pour it is")
        return self


class ClockDrift(LockAction):
    do: Literal["clock_drift"]
    ppm: Annotated[float, Field(ge=-100_000, le=100_000)]


class ClockStep(LockAction):
    do: Literal["clock_step"]
    by_s: Annotated[float, Field(ge=-(2**31), le=2**31)]


class ClockLoss(LockAction):
    do: Literal["clock_loss"]


class JamAction(LockAction):
    """The next pour jams `times_over` times in a row; then the retry goes well, or (`stuck`) nobody retries."""

    do: Literal["jam"]
    times_over: Annotated[int, Field(ge=1, le=5)] = 1
    stuck: bool = False


class Degraded(LockAction):
    """A chamber is out of order: who wants it gets the next larger one."""

    do: Literal["degraded"]
    chamber: Chamber = 1


class Repaired(LockAction):
    do: Literal["repaired"]
    chamber: Chamber = 1


class ContainerFull(LockAction):
    do: Literal["container_full"]


class Emptying(LockAction):
    do: Literal["emptying"]


class ContainerSwap(LockAction):
    do: Literal["container_swap"]


class Maintenance(LockAction):
    do: Literal["maintenance"]
    begins: bool


class Alarm(LockAction):
    """A fault bit that isn't raised by anything else, raised or taken back."""

    do: Literal["alarm"]
    bit: Literal["flap_open", "door_open", "battery_low", "memory_corrupt", "tamper", "reader_failed"]
    raised: bool = True


class EpochAction(LockAction):
    """What begins a new epoch. `when` "confirmed": residents wait until the gateway has confirmed everything (at most
    `wait_s`), so that no record goes with the old ring; "now": what isn't confirmed is lost, as when memory fails."""

    when: Literal["confirmed", "now"] = "confirmed"
    wait_s: Seconds = 60.0


class NewEpoch(EpochAction):
    """A new journal, with another capacity or key if asked for; the cycle registers go on."""

    do: Literal["new_epoch"]
    capacity: Annotated[int, Field(ge=MIN_CAPACITY, le=MAX_CAPACITY)] | None = None
    mac_key: Key | None = None
    mac_key_id: Annotated[int, Field(ge=1, lt=2**32)] | None = None

    @model_validator(mode="after")
    def _key_and_id(self) -> Self:
        if (self.mac_key is None) != (self.mac_key_id is None):
            raise ValueError("mac_key and mac_key_id belong together: give both or neither")
        return self


class RegisterWrap(EpochAction):
    """A new epoch whose registers begin `before` cycles short of 2^32 (a register can't jump within an epoch)."""

    do: Literal["register_wrap"]
    before: Annotated[int, Field(ge=1, le=1000)] = 2


class SwapController(LockAction):
    """Another controller takes the place of this one: other serial number, own journal; `serial` the same as `lock`:
    the first one comes back. What it needs to know of a controller that was never there: epoch, capacity, key."""

    do: Literal["swap_controller"]
    serial: Serial
    epoch: Annotated[int, Field(ge=1, lt=2**32)] = 1
    capacity: Annotated[int, Field(ge=MIN_CAPACITY, le=MAX_CAPACITY)] = MAX_CAPACITY
    mac_key: Key | None = None
    mac_key_id: U32 = 0


class Residents(Action):
    """Residents stop coming (a technician at work goes home, too), or come again; without `lock` everywhere."""

    do: Literal["residents"]
    come: bool
    lock: Serial | None = None


class StatusQuery(Action):
    do: Literal["status"]


AnyAction = Annotated[
    Pour | WireFaultAction | ClearFaults | TornRecord | PowerCutAction | ClockDrift | ClockStep | ClockLoss | JamAction
    | Degraded | Repaired | ContainerFull | Emptying | ContainerSwap | Maintenance | Alarm | NewEpoch | RegisterWrap
    | SwapController | Residents | StatusQuery,
    Field(discriminator="do"),
]  # fmt: skip
ADAPTER: TypeAdapter[AnyAction] = TypeAdapter(AnyAction)


def parse_action(fields: Any) -> AnyAction:
    """Return the action that these fields say, or raise UnknownTarget telling what is wrong."""
    try:
        return ADAPTER.validate_python(fields)
    except ValidationError as error:
        raise UnknownTarget("; ".join(describe(error))) from error


def check_targets(action: AnyAction, estate: EstateConfig) -> None:
    """Raise UnknownTarget unless everything that the action names is in the estate and can do it."""
    locks = {lock.serial: lock for lock in estate.locks}
    buses = {bus.name: bus for bus in estate.buses}
    lock_name, bus_name = getattr(action, "lock", None), getattr(action, "bus", None)
    if lock_name is not None and lock_name not in locks:
        raise UnknownTarget(f"there is no lock {lock_name!r}; there are {', '.join(sorted(locks))}")
    if bus_name is not None and bus_name not in buses:
        raise UnknownTarget(f"there is no bus {bus_name!r}; there are {', '.join(sorted(buses))}")
    chamber = getattr(action, "chamber", None)
    if chamber is not None and lock_name is not None and chamber > len(locks[lock_name].chambers_ml):
        raise UnknownTarget(f"lock {lock_name} has no chamber {chamber}")
    if isinstance(action, WireFaultAction):
        _check_fault(action, buses[bus_name or locks[str(lock_name)].bus])
    if isinstance(action, SwapController) and action.serial != action.lock and action.serial in locks:
        raise UnknownTarget(f"serial {action.serial} is another lock of this estate; choose a new one")


def _check_fault(action: WireFaultAction, bus: BusConfig) -> None:
    if action.fault == "broken_crc" and bus.kind == "tcp":
        raise UnknownTarget("broken_crc: Modbus TCP has no CRC; choose a lock on an rtu bus")
    if action.fault == "reset_connection" and bus.kind == "rtu":
        raise UnknownTarget("reset_connection: a serial line has no connection; choose a tcp bus")
