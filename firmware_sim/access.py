"""The access list: who may pour, and how a new list comes into force (staging, commit).

The staging is volatile, the list in force is not. CRC-32 over count × (flags ‖ UID), in index order (design 2).
"""

import struct
from dataclasses import dataclass
from zlib import crc32

from firmware_sim.errors import Refusal
from firmware_sim.journal import Journal
from firmware_sim.memory import AccessListHead
from wastelock.registers import LIST_COMMIT, LIST_COMMIT_EMPTY, ExceptionCode

ENTRY = struct.Struct(">HQ")
SERVICE, BLOCKED = 1 << 0, 1 << 1


@dataclass(frozen=True, slots=True)
class Transponder:
    """One entry of an access list."""

    uid: int
    service: bool = False
    blocked: bool = False

    def pack(self) -> bytes:
        """Return the entry's 10 bytes as the list's CRC covers them."""
        return ENTRY.pack(SERVICE * self.service | BLOCKED * self.blocked, self.uid)


class AccessList:
    """The list in force and the staging of one controller."""

    def __init__(self, journal: Journal, most_entries: int) -> None:
        self._journal = journal
        self._most = most_entries
        self._begun: AccessListHead | None = None
        self._staged: dict[int, bytes] = {}
        self._in_force = _index(journal.access_list())

    @property
    def head(self) -> AccessListHead:
        return self._journal.memory.access

    def find(self, uid: int) -> Transponder | None:
        """Return the entry of a transponder, None if it is unknown (or no list is in force)."""
        return self._in_force.get(uid)

    def forget_staging(self) -> None:
        """Power was cut: the staging is volatile, and no begin is known any more."""
        self._begun = None
        self._staged.clear()

    def begin(self, version: int, count: int, crc: int) -> None:
        """Clear the staging and expect `count` entries with this CRC-32."""
        if count > self._most:
            raise Refusal(ExceptionCode.ILLEGAL_VALUE)
        self._begun = AccessListHead(version, count, crc)
        self._staged.clear()

    def stage(self, first: int, entries: bytes) -> None:
        """Put packed entries at index `first` and after."""
        count = len(entries) // ENTRY.size
        if first + count > self._most:
            raise Refusal(ExceptionCode.ILLEGAL_VALUE)
        for i in range(count):
            self._staged[first + i] = entries[i * ENTRY.size : (i + 1) * ENTRY.size]

    def commit(self, word: int) -> None:
        """Put the staged list in force, or raise Refusal and leave the list in force as it is."""
        begun = self._begun
        if word not in (LIST_COMMIT, LIST_COMMIT_EMPTY):
            raise Refusal(ExceptionCode.ILLEGAL_VALUE)
        if begun is None:
            raise Refusal(ExceptionCode.REFUSED)
        if begun.version == 0 or word != (LIST_COMMIT if begun.count else LIST_COMMIT_EMPTY):
            raise Refusal(ExceptionCode.ILLEGAL_VALUE)
        if begun == self.head:
            return
        if begun.version == self.head.version:
            raise Refusal(ExceptionCode.REFUSED)
        entries = b"".join(self._staged.get(i, b"") for i in range(begun.count))
        if len(entries) != begun.count * ENTRY.size or crc32(entries) != begun.crc:
            raise Refusal(ExceptionCode.REFUSED)
        self._put_in_force(entries, begun)

    def install(self, transponders: tuple[Transponder, ...], version: int) -> None:
        """Put a list in force without the bus: what the technician's laptop does at commissioning."""
        entries = b"".join(transponder.pack() for transponder in transponders)
        self._put_in_force(entries, AccessListHead(version, len(transponders), crc32(entries)))

    def _put_in_force(self, entries: bytes, head: AccessListHead) -> None:
        self._journal.replace_access_list(entries, access=head)
        self._in_force = _index(entries)


def _index(entries: bytes) -> dict[int, Transponder]:
    return {
        uid: Transponder(uid, bool(flags & SERVICE), bool(flags & BLOCKED))
        for flags, uid in ENTRY.iter_unpack(entries)
    }
