"""The interface of a driver: what the poller and the orders from the cloud may ask of any lock (design 2).

A driver knows one map and nothing of buses, threads and spools: it decodes what `Registers` reads, checks it, and reads
back what it wrote. Each method costs at most a few transactions, so that commands and polls can share a bus.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

from edge_agent.custody import Cursor, JournalRecord
from wastelock.registers import CommandCode, Identity, Status

RECORDS_PER_STEP = 5  # most that one `read_journal` returns: what fits one Modbus read


class Registers(Protocol):
    """One unit's registers on a bus. Every method raises BusError where the answer can't be trusted."""

    @property
    def exchanged_at(self) -> float:
        """Middle of the last answered transaction, by the bus's monotonic clock in s: when its values were true."""
        ...

    def read(self, function: int, address: int, count: int) -> bytes:
        """Return `count` registers (function 3 or 4) as 2 × count big-endian bytes."""
        ...

    def write(self, address: int, words: Sequence[int]) -> None:
        """Write consecutive holding registers in one request of function 16. Never repeated by itself."""
        ...


@dataclass(frozen=True, slots=True)
class JournalRead:
    """What one step through the journal found.

    `records`: one for each sequence number from the one asked for; `verified` False where the CRC-32 didn't hold in
    this read (it may in the next). `overwritten_by`: the slot after those records already holds this later record.
    """

    records: Sequence[JournalRecord]
    overwritten_by: int | None = None


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What is on disk here: everything of `epoch` up to `seq`, whose last two words (CRC-32) read `crc`."""

    epoch: int
    seq: int
    crc: int


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One transponder in an access list."""

    uid: int
    service: bool = False
    blocked: bool = False


_ENTRY = struct.Struct(">HQ")


def pack_list(entries: Iterable[ListEntry]) -> bytes:
    """Return an access list as its CRC-32 covers it: 10 bytes for each entry, flags and UID, in their order."""
    return b"".join(_ENTRY.pack(entry.service | entry.blocked << 1, entry.uid) for entry in entries)


def unpack_list(packed: bytes) -> list[ListEntry]:
    """Return the entries of a packed access list."""
    return [ListEntry(uid, bool(flags & 1), bool(flags & 2)) for flags, uid in _ENTRY.iter_unpack(packed)]


@dataclass(frozen=True, slots=True)
class ListMark:
    """By what a status tells the access list in force."""

    version: int
    entries: int
    crc: int

    @classmethod
    def of(cls, version: int, packed: bytes) -> "ListMark":
        """Return the mark that a lock will tell once this list is in force."""
        return cls(version, len(packed) // _ENTRY.size, crc32(packed))

    @classmethod
    def in_force(cls, status: Status) -> "ListMark":
        """Return the mark of the list that is in force by this status."""
        return cls(status.access_list_version, status.access_list_entries, status.access_list_crc)

    def __str__(self) -> str:
        return f"version {self.version} of {self.entries} entries, CRC-32 {self.crc:08x}"


class Driver(Protocol):
    """One lock, through the eyes of its map."""

    name: str
    """As in the configuration and in pages: `wlc-1`, `counter-1`."""

    has_journal: bool
    """False: the controller keeps nothing but registers; its records are derived here and can't be read twice."""

    status_at: float
    """When the last status was true, by the monotonic clock in s."""

    @property
    def notice(self) -> str | None:
        """What somebody has to know about this lock beside its status, None if nothing."""
        ...

    def restore(self, cursor: Cursor | None) -> None:
        """Take up where the spool says that this lock's journal ends. Called once before anything else."""
        ...

    def identify(self) -> Identity:
        """Read who answers. Raises WrongController where it isn't the configured lock or not this map."""
        ...

    def read_status(self) -> Status:
        """Read the state now. Raises WrongController where the serial number isn't the configured one."""
        ...

    def read_journal(self, from_seq: int, limit: int) -> JournalRead:
        """Read at most `limit` (and RECORDS_PER_STEP) records from `from_seq` on, of the identified epoch."""
        ...

    def acknowledge(self, confirmation: Confirmation) -> int:
        """Tell the controller what is safe elsewhere; return the confirmed sequence number that it then reads."""
        ...

    def memo(self, seq: int) -> bytes | None:
        """Return what to store in the same transaction as the records up to `seq` (0: none), None if nothing."""
        ...

    def set_clock(self, unix_s: int) -> Status:
        """Set the controller's clock, return the status that shows it."""
        ...

    def enable_chambers(self, mask: int) -> None:
        """Set which chambers may open (bit 0: chamber 1)."""
        ...

    def write_access_list(self, version: int, entries: Sequence[ListEntry]) -> None:
        """Bring a whole access list into force, or leave the one in force as it is and raise."""
        ...

    def run_command(self, token: int, command: CommandCode, timeout_s: float) -> int:
        """Run a command at most once per token; return its result (CommandResult.OK, REFUSED or FAILED).

        Raises StillRunning where there is none within `timeout_s` (0: one look): call it again, with the same token.
        """
        ...
