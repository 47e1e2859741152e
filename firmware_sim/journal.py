"""The controller's non-volatile memory on disk: a ring of records, the memory image, the access list's entries.

The law of this file: record and register take effect in one atomic write, and `newest` moves only after both are
durable; an unconfirmed record is never overwritten. One SQLite file for each controller; a kill -9 at any instant
leaves the state before or after a write, never between.

    ring:  slot = seq mod capacity, 44 bytes each, mirrored in memory as it lies in the Modbus address space
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from firmware_sim.errors import StateError
from firmware_sim.memory import Memory
from wastelock.record import RECORD_BYTES, Kind, Record, encode_record
from wastelock.registers import SLOTS_FOR_POURS_ONLY

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE memory (id INTEGER PRIMARY KEY CHECK (id = 1), image BLOB NOT NULL) STRICT;
CREATE TABLE slot (slot INTEGER PRIMARY KEY, seq INTEGER NOT NULL, raw BLOB NOT NULL, made_at_s REAL NOT NULL) STRICT;
CREATE TABLE access (id INTEGER PRIMARY KEY CHECK (id = 1), entries BLOB NOT NULL) STRICT;
"""
_U32 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Made:
    """One record that a controller has durably made. `made_at_s`: unix seconds, the simulator's own clock."""

    serial: int
    epoch: int
    seq: int
    raw: bytes
    made_at_s: float


class Journal:
    """One controller's memory. Owned by one thread."""

    def __init__(self, path: Path, birth: Memory, tell: Callable[[Sequence[Made]], None]) -> None:
        """Open the memory at `path`, or begin it with `birth`. `tell` gets each record after it is durable.

        Raises StateError where the file can't be used.
        """
        self._path = path
        self._tell = tell
        self._untold: list[Made] = []
        self._batch_depth = 0
        self.memory = birth
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._prepare(birth)
            self._load()
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise StateError(f"{path}: {error}; move the file away to begin with a new controller") from error

    def _prepare(self, birth: Memory) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        # FULL, because the map says that an acknowledgement is durable before it is answered.
        self._db.execute("PRAGMA synchronous = FULL")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            raise StateError(
                f"{self._path}: schema {version}, this release knows {SCHEMA_VERSION}; move the file away"
            )
        self._db.execute("INSERT OR IGNORE INTO memory VALUES (1, ?)", (msgspec.msgpack.encode(birth),))

    def _load(self) -> None:
        image = self._db.execute("SELECT image FROM memory").fetchone()[0]
        self.memory = msgspec.msgpack.decode(image, type=Memory)
        self.ring = bytearray(self.memory.capacity * RECORD_BYTES)
        for slot, raw in self._db.execute("SELECT slot, raw FROM slot"):
            self.ring[slot * RECORD_BYTES : (slot + 1) * RECORD_BYTES] = raw

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Make everything written inside durable at once, at the end. After an exception inside, give up."""
        self._begin()
        yield
        self._commit()

    def save(self, **changes: Any) -> None:
        """Replace the image by one with these changes, durably."""
        self.replace_image(msgspec.structs.replace(self.memory, **changes))

    def replace_image(self, memory: Memory) -> None:
        """Make `memory` the image, durably."""
        self._execute("UPDATE memory SET image = ?", (msgspec.msgpack.encode(memory),))
        self.memory = memory

    def append(self, draft: Record, made_at_s: float, **changes: Any) -> Record:
        """Make the next record out of `draft`, with the register it counts on and `changes`, in one atomic write.

        Sequence number, MAC and CRC are filled in; so is the cycle register for kinds 1 and 10.
        """
        before = self.memory
        # The last two slots are for pours alone; nobody may overwrite what isn't confirmed (design 2).
        kept_free = 0 if draft.kind == Kind.POUR else SLOTS_FOR_POURS_ONLY
        assert before.free > kept_free, "no room: the caller has to look before it makes a record"
        memory = msgspec.structs.replace(before, newest=before.newest + 1, **changes)
        if draft.is_complete_pour:
            memory = msgspec.structs.replace(memory, registers=_count(memory.registers, draft.chamber))
        record = replace(draft, seq=memory.newest)
        if draft.kind in (Kind.POUR, Kind.REGISTER_REPORT):
            record = replace(record, register_after=memory.registers[draft.chamber - 1])
        raw = encode_record(record, memory.serial, memory.epoch, memory.mac_key)
        self._store(record.seq, raw, made_at_s, memory)
        return record

    def _store(self, seq: int, raw: bytes, made_at_s: float, memory: Memory) -> None:
        slot = seq % memory.capacity
        self._begin()
        self._execute("INSERT OR REPLACE INTO slot VALUES (?, ?, ?, ?)", (slot, seq, raw, made_at_s))
        self.replace_image(memory)
        self.ring[slot * RECORD_BYTES : (slot + 1) * RECORD_BYTES] = raw
        self._untold.append(Made(memory.serial, memory.epoch, seq, raw, made_at_s))
        self._commit()

    def begin_epoch(self, memory: Memory) -> None:
        """Erase the ring and begin a new epoch with `memory`, whose epoch must be greater than any before."""
        assert memory.epoch > self.memory.epoch and memory.newest == 0
        self._begin()
        self._execute("DELETE FROM slot")
        self.replace_image(memory)
        self.ring = bytearray(memory.capacity * RECORD_BYTES)
        self._commit()

    def replace_access_list(self, entries: bytes, **changes: Any) -> None:
        """Put the packed access list (10 bytes an entry: flags, UID) in force together with the image's changes."""
        self._begin()
        self._execute("INSERT OR REPLACE INTO access VALUES (1, ?)", (entries,))
        self.save(**changes)
        self._commit()

    def access_list(self) -> bytes:
        """Return the packed entries in force."""
        row = self._db.execute("SELECT entries FROM access").fetchone()
        return b"" if row is None else bytes(row[0])

    def raw(self, seq: int) -> bytes:
        """Return the 44 bytes of the slot in which record `seq` lies or lay."""
        at = (seq % self.memory.capacity) * RECORD_BYTES
        return bytes(self.ring[at : at + RECORD_BYTES])

    def records_after(self, seq: int) -> list[Made]:
        """Return the readable records beyond `seq` with the instants they were made at, ascending."""
        rows = self._db.execute("SELECT seq, raw, made_at_s FROM slot WHERE seq > ? ORDER BY seq", (seq,))
        return [Made(self.memory.serial, self.memory.epoch, *row) for row in rows]

    def close(self) -> None:
        """Close the file; what was written stays."""
        with suppress(sqlite3.Error):
            self._db.close()

    def _execute(self, sql: str, values: tuple[object, ...] = ()) -> None:
        try:
            self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise StateError(
                f"{self._path}: {error}; the controller's memory can't be written any more"
            ) from error

    def _begin(self) -> None:
        if self._batch_depth == 0:
            self._execute("BEGIN IMMEDIATE")
        self._batch_depth += 1

    def _commit(self) -> None:
        self._batch_depth -= 1
        if self._batch_depth == 0:
            self._execute("COMMIT")
            made, self._untold = self._untold, []
            if made:
                self._tell(made)


def _count(registers: tuple[int, int, int, int], chamber: int) -> tuple[int, ...]:
    """Return the registers after one more complete cycle of `chamber`, mod 2^32."""
    counted = list(registers)
    counted[chamber - 1] = (counted[chamber - 1] + 1) & _U32
    return tuple(counted)
