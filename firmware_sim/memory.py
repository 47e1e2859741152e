"""What a controller keeps through a power cut, as one immutable image that is replaced whole.

The law of this file: a change of non-volatile memory is a new `Memory`, and the journal stores it in one atomic write,
together with the record that tells of it. So no power cut can show half a change.
"""

from typing import Any

import msgspec

from wastelock.record import ClockStatus
from wastelock.registers import CommandResult, Fault


class CycleMark(msgspec.Struct, frozen=True):
    """The open-cycle mark: durable before the flap opens, and again (`passed`) at the discharge point (design 2)."""

    chamber: int
    uid: int
    began_clock_s: int
    boot: int
    flags: int
    volume_ml: int
    passed: bool = False


class ClockBase(msgspec.Struct, frozen=True):
    """The battery-backed clock: it showed `base_s` at instant `base_at_s` and gains `drift_ppm`."""

    status: int = ClockStatus.NEVER_SET
    base_s: float = 0.0
    base_at_s: float = 0.0
    drift_ppm: float = 0.0


class AccessListHead(msgspec.Struct, frozen=True):
    """The access list in force; its entries lie beside the image. Version 0: none, all locked."""

    version: int = 0
    count: int = 0
    crc: int = 0


class LastCommand(msgspec.Struct, frozen=True):
    """The last command, kept so that its token isn't executed again, also after a power cut."""

    token: int = 0
    code: int = 0
    result: int = CommandResult.OK


class Torn(msgspec.Struct, frozen=True):
    """A cell that has gone bad: `word` of the slot reads wrongly for as long as record `seq` lies in it."""

    seq: int
    word: int


class Memory(msgspec.Struct, frozen=True):
    """Everything non-volatile but the records and the access list's entries.

    `registers` are the cycle registers of chambers 1..4; `faults` is the fault word; `blocked_mask` has bit 0 for
    chamber 1; `told_full` says what the journal last told of fault 9. `lived_until_s` and `backlog_done` belong to the
    residents: up to which instant their habits have been lived at this lock.
    """

    serial: int
    epoch: int
    capacity: int
    volumes_ml: tuple[int, ...]
    mac_key: bytes | None = None
    mac_key_id: int = 0
    newest: int = 0
    confirmed: int = 0
    confirmed_crc: int = 0
    registers: tuple[int, int, int, int] = (0, 0, 0, 0)
    boot: int = 0
    faults: int = 0
    blocked_mask: int = 0
    told_full: bool = False
    enable_mask: int = 0
    maintenance: bool = False
    clock: ClockBase = ClockBase()
    access: AccessListHead = AccessListHead()
    command: LastCommand = LastCommand()
    mark: CycleMark | None = None
    torn: tuple[Torn, ...] = ()
    filled_ml: int = 0
    lived_until_s: float = 0.0
    backlog_done: bool = False

    @property
    def free(self) -> int:
        """Slots of the ring that hold no unconfirmed record."""
        return self.capacity - (self.newest - self.confirmed)

    @property
    def oldest(self) -> int:
        """Oldest readable sequence number, 0 while the journal is empty."""
        return max(1, self.newest - self.capacity + 1) if self.newest else 0


def next_epoch(kept: Memory, *, epoch: int, **changes: Any) -> Memory:
    """Return the memory with which a later epoch begins: an empty journal; registers, clock, access list go on."""
    return msgspec.structs.replace(
        kept, newest=0, confirmed=0, confirmed_crc=0, told_full=False, mark=None, torn=(), epoch=epoch,
        faults=kept.faults & ~(1 << Fault.JOURNAL_NEARLY_FULL), **changes,
    )  # fmt: skip
