"""Every Modbus address, width and scale of the controller map `wlc-1`, version 1 (design 2).

Addresses are 0-based protocol addresses; function 4 (input) and functions 3/6/16 (holding) are separate tables.
Values of several words are big-endian, high word first.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag

MAGIC = 0x574C
MAP_VERSION = 1
MAX_CHAMBERS = 4
MIN_CAPACITY, MAX_CAPACITY = 32, 2047
MAX_ACCESS_ENTRIES = 2048
UNKNOWN_FILL = 0xFFFF

# input registers (function 4)
IDENTITY_ADDRESS, IDENTITY_WORDS = 0x0000, 32
STATUS_ADDRESS, STATUS_WORDS = 0x0040, 40
RING_ADDRESS = 0x4000
RECORDS_PER_READ = 5

# holding registers (functions 3, 6, 16)
ACK_ADDRESS, ACK_WORDS = 0x0100, 6
CLOCK_ADDRESS, CLOCK_WORDS = 0x0106, 2
ENABLE_MASK_ADDRESS = 0x0108
COMMAND_ADDRESS, COMMAND_WORDS = 0x0109, 2
LIST_BEGIN_ADDRESS, LIST_BEGIN_WORDS = 0x0110, 5
LIST_COMMIT_ADDRESS = 0x0118
LIST_COMMIT, LIST_COMMIT_EMPTY = 0xA5A5, 0x5A5A
STAGING_ADDRESS, STAGING_ENTRY_WORDS, STAGING_ENTRIES_PER_WRITE = 0x1000, 5, 24

# room in the ring
SLOTS_TO_UNLOCK = 12  # a pour unlocks only with so many free
SLOTS_TO_REOPEN = 20  # out of service for want of room ends here
SLOTS_FOR_POURS_ONLY = 2

LOCK_ID_PATTERN = r"[0-9a-f]{6}|[1-9a-f][0-9a-f]{6,15}"  # what `lock_id` makes of 64 bits, and nothing else

_IDENTITY = struct.Struct(">HHQHHIHHHHI4IIHH8x")  # 0x001C..0x001F: not assigned
_STATUS = struct.Struct(">HIIHIHHhHHIIII4IHHHIIQ")


class NotThisMap(ValueError):
    """The unit answers, but it isn't a `wlc-1` controller of a version that this program knows."""


class State(IntEnum):
    LOCKED = 0
    AUTHORISED = 1
    OPEN = 2
    DISCHARGING = 3
    JAMMED = 4
    MAINTENANCE = 5
    OUT_OF_SERVICE = 6


class Fault(IntEnum):
    """Bit numbers in the status block's fault word, and word 13 of records of kinds 5 and 6."""

    CHAMBER_BLOCKED = 0
    CONTAINER_FULL = 1
    FLAP_OPEN = 2
    DOOR_OPEN = 3
    BATTERY_LOW = 4
    CLOCK_LOST = 5
    MEMORY_CORRUPT = 6
    TAMPER = 7
    READER_FAILED = 8
    JOURNAL_NEARLY_FULL = 9


class Capability(IntFlag):
    RECORD_MAC = 1 << 0
    WEIGHT = 1 << 1
    ACCESS_LIST = 1 << 2
    FILL_SENSOR = 1 << 3
    CHAMBER_ENABLE = 1 << 4


class CommandCode(IntEnum):
    CLEAR_FAULTS = 1
    SELF_TEST = 2
    REBOOT = 3


class CommandResult(IntEnum):
    OK = 0
    REFUSED = 1
    FAILED = 2
    RUNNING = 0xFFFF


class ExceptionCode(IntEnum):
    """Modbus exception codes that the map uses."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    REFUSED = 4
    BUSY = 6
    NO_SUCH_UNIT = 0x0B


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity block. `volumes_ml` has one entry per chamber that exists (1..4)."""

    serial: int
    model: int
    hardware_revision: int
    firmware_version: int
    chambers: int
    capabilities: int
    capacity: int
    epoch: int
    volumes_ml: tuple[int, ...]
    mac_key_id: int
    access_list_max: int
    map_version: int = MAP_VERSION

    @property
    def firmware(self) -> str:
        """Firmware version as people write it: major.minor.patch."""
        v = self.firmware_version
        return f"{v >> 16}.{(v >> 8) & 0xFF}.{v & 0xFF}"


@dataclass(frozen=True, slots=True)
class Status:
    """The status block: one snapshot. `registers` always has four entries; those of absent chambers are 0."""

    state: int
    faults: int
    clock_s: int
    clock_status: int
    uptime_s: int
    boot: int
    battery_mv: int
    temperature_dc: int
    fill_permille: int | None
    enable_mask: int
    access_list_version: int
    oldest_seq: int
    newest_seq: int
    confirmed_seq: int
    registers: tuple[int, int, int, int]
    command_token: int
    command_result: int
    access_list_entries: int
    access_list_crc: int
    epoch: int
    serial: int


def decode_identity(words: Sequence[int]) -> Identity:
    """Return the identity held in the 32 words from 0x0000, or raise NotThisMap saying what doesn't fit."""
    (magic, version, serial, model, hardware, firmware, chambers, capabilities, capacity, record_words, epoch,
     v1, v2, v3, v4, key_id, list_max, _reserved) = _IDENTITY.unpack(_pack(words, IDENTITY_WORDS))  # fmt: skip
    if magic != MAGIC:
        raise NotThisMap(f"magic word is 0x{magic:04X}, a wlc-1 controller has 0x{MAGIC:04X}")
    if version != MAP_VERSION:
        raise NotThisMap(f"map version is {version}, this driver knows version {MAP_VERSION}")
    if not 1 <= chambers <= MAX_CHAMBERS:
        raise NotThisMap(f"number of chambers is {chambers}, the map allows 1..{MAX_CHAMBERS}")
    if not MIN_CAPACITY <= capacity <= MAX_CAPACITY:
        raise NotThisMap(f"ring capacity is {capacity}, the map allows {MIN_CAPACITY}..{MAX_CAPACITY}")
    if record_words != 22:
        raise NotThisMap(f"a record has {record_words} words, the map has 22")
    return Identity(
        serial=serial, model=model, hardware_revision=hardware, firmware_version=firmware, chambers=chambers,
        capabilities=capabilities, capacity=capacity, epoch=epoch, volumes_ml=(v1, v2, v3, v4)[:chambers],
        mac_key_id=key_id, access_list_max=list_max, map_version=version,
    )  # fmt: skip


def encode_identity(identity: Identity) -> tuple[int, ...]:
    """Return the 32 words of the identity block."""
    volumes = (*identity.volumes_ml, 0, 0, 0, 0)[:MAX_CHAMBERS]
    block = _IDENTITY.pack(
        MAGIC, identity.map_version, identity.serial, identity.model, identity.hardware_revision,
        identity.firmware_version, identity.chambers, identity.capabilities, identity.capacity, 22,
        identity.epoch, *volumes, identity.mac_key_id, identity.access_list_max, 0,
    )  # fmt: skip
    return _unpack(block)


def decode_status(words: Sequence[int]) -> Status:
    """Return the snapshot held in the 40 words from 0x0040."""
    (state, faults, clock, clock_status, uptime, boot, battery, temperature, fill, mask, list_version, oldest, newest,
     confirmed, r1, r2, r3, r4, token, result, entries, list_crc, epoch, serial) = _STATUS.unpack(
        _pack(words, STATUS_WORDS)
    )  # fmt: skip
    return Status(
        state=state, faults=faults, clock_s=clock, clock_status=clock_status, uptime_s=uptime, boot=boot,
        battery_mv=battery, temperature_dc=temperature, fill_permille=None if fill == UNKNOWN_FILL else fill,
        enable_mask=mask, access_list_version=list_version, oldest_seq=oldest, newest_seq=newest,
        confirmed_seq=confirmed, registers=(r1, r2, r3, r4), command_token=token, command_result=result,
        access_list_entries=entries, access_list_crc=list_crc, epoch=epoch, serial=serial,
    )  # fmt: skip


def encode_status(status: Status) -> tuple[int, ...]:
    """Return the 40 words of the status block."""
    fill = UNKNOWN_FILL if status.fill_permille is None else status.fill_permille
    block = _STATUS.pack(
        status.state, status.faults, status.clock_s, status.clock_status, status.uptime_s, status.boot,
        status.battery_mv, status.temperature_dc, fill, status.enable_mask, status.access_list_version,
        status.oldest_seq, status.newest_seq, status.confirmed_seq, *status.registers, status.command_token,
        status.command_result, status.access_list_entries, status.access_list_crc, status.epoch, status.serial,
    )  # fmt: skip
    return _unpack(block)


def ring_slot(seq: int, capacity: int) -> int:
    """Return the address of the first word of record `seq` in the journal ring."""
    return RING_ADDRESS + (seq % capacity) * 22


def lock_id(serial: int) -> str:
    """Return a lock's name outside the bus: its serial number in lower-case hexadecimal, at least six digits.

    One lock has exactly this one name (LOCK_ID_PATTERN): `001f00a3` beside `1f00a3` would be a second identity, and
    its pours would count twice.
    """
    return f"{serial:06x}"


def _pack(words: Sequence[int], expected: int) -> bytes:
    if len(words) != expected:
        raise NotThisMap(f"block has {len(words)} words, the map has {expected}")
    return struct.pack(f">{expected}H", *words)


def _unpack(block: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(block) // 2}H", block)
