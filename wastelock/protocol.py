"""Protocol: what a technician found and proved at a lock when it was put in service, taken down or swapped.

It is made at the gateway, signed with its page-signing key as a file (wastelock.signed_file), and taken in by
`cloud-sink import`. No transponder's number stands in it. Pure.

    commissioning           opening and closing readings, test pours between them, volumes
    decommissioning         closing reading; its journal was received or exported before
    controller_replacement  closing reading of the old controller, opening one of the new
    gateway_replacement     closing readings as the old gateway knew them, opening ones as the new finds them
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from wastelock.messages import U32, Instant, LockId, Message

PROTOCOL_SUFFIX = ".wlprotocol"


class ProtocolKind(StrEnum):
    COMMISSIONING = "commissioning"
    DECOMMISSIONING = "decommissioning"
    CONTROLLER_REPLACEMENT = "controller_replacement"
    GATEWAY_REPLACEMENT = "gateway_replacement"


class Source(StrEnum):
    """Who says so: the controller, the last of its records on a disk, or the last one that it knows to be confirmed."""

    CONTROLLER = "controller"
    SPOOL = "spool"
    CONFIRMED = "confirmed"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ChamberReading(_Part):
    """A chamber's register. `proven_by`: the record that shows it, None where none is in reach any more."""

    number: Annotated[int, Field(ge=1, le=4)]
    volume_ml: Annotated[int, Field(ge=0, description="as configured at the controller")]
    register_count: U32
    proven_by: U32 | None = None


class Reading(_Part):
    """A lock's registers at an instant: what its chambers' meters read, and which records stand behind that.

    `at` is by the gateway's clock. What the source doesn't tell is absent.
    """

    lock: LockId
    driver: str
    source: Source
    at: Instant
    epoch: U32
    newest_seq: U32
    confirmed_seq: U32 | None = None
    chambers: tuple[ChamberReading, ...]
    model: int | None = None
    firmware: str | None = None
    state: str | None = None
    faults: tuple[str, ...] = ()
    clock_status: int | None = None
    clock_offset_s: int | None = None
    access_list_version: U32 | None = None
    access_list_entries: int | None = None
    enable_mask: int | None = None
    battery_mv: int | None = None


class TrialPour(_Part):
    """A pour that was made to test. `service`: with a service transponder."""

    seq: U32
    chamber: int
    volume_ml: int
    register_count: U32
    result: str
    began_at: Instant | None = None
    service: bool = False


class RegisterCheck(_Part):
    """Of one chamber: by how much its register moved, and how many complete pours the records between show."""

    lock: LockId
    chamber: int
    opening: U32
    closing: U32
    pours: int

    @property
    def moved(self) -> int:
        """How many complete pours the register counted."""
        return (self.closing - self.opening) % 2**32

    @property
    def holds(self) -> bool:
        return self.moved == self.pours


class VolumeCheck(_Part):
    """Of one chamber, in ml: what the plan says, the controller is set to, the records say, and was measured by hand.

    `tolerance_permille` is for what was measured; all else has to agree exactly.
    """

    chamber: int
    planned_ml: int | None = None
    controller_ml: int
    recorded_ml: tuple[int, ...] = ()
    measured_ml: int | None = None
    tolerance_permille: int

    @property
    def deviation_permille(self) -> int | None:
        """By how much what was measured differs from what is charged, rounded; None where nothing was measured."""
        if self.measured_ml is None:
            return None
        return round((self.measured_ml - self.controller_ml) * 1000 / self.controller_ml)

    @property
    def measured_holds(self) -> bool:
        """True if what was measured, if anything was, is near enough to what is charged."""
        off_ml = abs((self.measured_ml or self.controller_ml) - self.controller_ml)
        return off_ml * 1000 <= self.tolerance_permille * self.controller_ml

    @property
    def holds(self) -> bool:
        """True if all that is known of the volume agrees."""
        exact = (self.planned_ml or self.controller_ml, *self.recorded_ml)
        return all(each == self.controller_ml for each in exact) and self.measured_holds


class Finding(_Part):
    """Something that isn't as it should be, or is worth knowing: `code` and what it is about, for any language."""

    code: Annotated[str, Field(pattern="^[a-z_]{1,40}$")]
    values: dict[str, str | int] = {}


class Protocol(Message):
    """The whole of it. `findings`: what isn't as it should be; without any it has `passed`. `notes`: worth knowing."""

    kind: ProtocolKind
    reference: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,120}$", description="never used twice")]
    site: str
    gateway: str
    software: str
    began_at: Instant
    ended_at: Instant
    technician: Annotated[str, Field(min_length=1, max_length=100)]
    remark: Annotated[str, Field(max_length=1000)] = ""
    passed: bool
    opening: Annotated[tuple[Reading, ...], Field(max_length=256)] = ()
    closing: Annotated[tuple[Reading, ...], Field(max_length=256)] = ()
    registers: Annotated[tuple[RegisterCheck, ...], Field(max_length=1024)] = ()
    volumes: Annotated[tuple[VolumeCheck, ...], Field(max_length=4)] = ()
    pours: Annotated[tuple[TrialPour, ...], Field(max_length=1000)] = ()
    old_gateway: str | None = None
    findings: Annotated[tuple[Finding, ...], Field(max_length=1000)] = ()
    notes: Annotated[tuple[Finding, ...], Field(max_length=1000)] = ()
