"""A controller that keeps to the map wlc-1 and to nothing else: written from the map, knows nothing of firmware_sim.

`Controller` is the registers' meaning, free of I/O. tests/support/modbus_peers.py puts several of them on TCP or on a
pseudo-terminal. Tests reach into it: `ring`, `epoch`, `boot`, `busy` … are theirs to change.
"""

import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from wastelock.record import Kind, Record, encode_record
from wastelock.registers import Identity, Status, encode_identity, encode_status

ILLEGAL_ADDRESS, ILLEGAL_VALUE, REFUSED, BUSY = 2, 3, 4, 6


@dataclass
class Controller:
    """One lock's controller. Safe to be read by a server thread while a test makes pours."""

    serial: int = 0x1F00A1
    epoch: int = 7
    capacity: int = 32
    volumes_ml: tuple[int, ...] = (5000, 20000)
    capabilities: int = 0b10100
    access_list_max: int = 100
    boot: int = 3
    clock_status: int = 1
    clock_offset_s: float = 0.0
    wall: Callable[[], float] = time.time
    newest: int = 0
    confirmed: int = 0
    registers: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    ring: dict[int, bytes] = field(default_factory=dict)  # slot -> 44 bytes
    enable_mask: int = 0b11
    faults: int = 0
    state: int = 0
    list_in_force: tuple[int, int, int] = (0, 0, 0)  # version, entries, CRC-32
    last_command: tuple[int, int] = (0, 0)  # token, result
    commands: list[tuple[int, int]] = field(default_factory=list)  # those that were really executed
    busy: bool = False
    guard: threading.RLock = field(default_factory=threading.RLock)
    log: list[tuple[str, int, int]] = field(
        default_factory=list
    )  # what was asked: "read"/"write", address, words
    _begin: tuple[int, int, int] | None = None
    _staged: dict[int, bytes] = field(default_factory=dict)

    def pour(self, chamber: int = 1, uid: int = 0xE004_0123_4567_89AB) -> int:
        """Complete one pour; return its sequence number."""
        self.registers[chamber - 1] = (self.registers[chamber - 1] + 1) % 2**32
        return self.add(
            kind=Kind.POUR, chamber=chamber, uid=uid, volume_ml=self.volumes_ml[chamber - 1],
            register_after=self.registers[chamber - 1],
        )  # fmt: skip

    def add(self, **fields: Any) -> int:
        """Write one record into the ring; return its sequence number. No room: the test asked for too much."""
        with self.guard:
            assert self.newest - self.confirmed < self.capacity, (
                "a controller never overwrites what isn't confirmed"
            )
            seq = self.newest + 1
            record = Record(
                seq=seq, began_clock_s=self.clock_s(), boot=self.boot, flags=self.clock_status, **fields
            )
            self.ring[seq % self.capacity] = encode_record(record, self.serial, self.epoch)
            self.newest = seq
            return seq

    def begin_epoch(self, epoch: int) -> None:
        """Lose the journal and begin a new one, as after a swapped memory."""
        with self.guard:
            self.epoch, self.newest, self.confirmed, self.ring = epoch, 0, 0, {}

    def power_up(self) -> None:
        with self.guard:
            self.boot = (self.boot + 1) & 0xFFFF
            self._begin, self._staged = None, {}

    def clock_s(self) -> int:
        return int(self.wall() + self.clock_offset_s)

    @property
    def oldest(self) -> int:
        return max(1, self.newest - self.capacity + 1) if self.newest else 0

    def raw(self, seq: int) -> bytes:
        return self.ring[seq % self.capacity]

    # ---- what a Modbus server asks: a list of words or nothing, or an exception code ----

    def read(self, function: int, address: int, count: int) -> list[int] | int:
        with self.guard:
            self.log.append(("read", address, count))
            if self.busy:
                return BUSY
            return self._read_input(address, count) if function == 4 else self._read_holding(address, count)

    def write(self, address: int, words: Sequence[int]) -> int | None:
        with self.guard:
            self.log.append(("write", address, len(words)))
            if self.busy:
                return BUSY
            if 0x1000 <= address < 0x1000 + 5 * self.access_list_max:
                return self._stage(address, words)
            fields = {
                0x100: (6, self._acknowledge),
                0x106: (2, self._set_clock),
                0x108: (1, self._enable),
                0x109: (2, self._command),
                0x110: (5, self._begin_list),
                0x118: (1, self._commit),
            }
            if address not in fields:
                return ILLEGAL_ADDRESS
            length, act = fields[address]
            return act(list(words)) if len(words) == length else ILLEGAL_VALUE

    def _read_input(self, address: int, count: int) -> list[int] | int:
        ring_words = self.capacity * 22
        if address >= 0x4000 and address + count <= 0x4000 + ring_words:
            ring = b"".join(self.ring.get(slot, bytes(44)) for slot in range(self.capacity))
            return _words(ring[2 * (address - 0x4000) :][: 2 * count])
        for start, block in ((0x0000, self._identity), (0x0040, self._status)):
            words = block()
            if start <= address and address + count <= start + len(words):
                return list(words[address - start :][:count])
        return ILLEGAL_ADDRESS

    def _read_holding(self, address: int, count: int) -> list[int] | int:
        crc = int.from_bytes(self.raw(self.confirmed)[40:], "big") if self.confirmed else 0
        blocks = {
            0x100: struct.pack(">III", self.epoch, self.confirmed, crc),
            0x106: struct.pack(">I", self.clock_s()),
            0x108: struct.pack(">H", self.enable_mask),
        }
        block = blocks.get(address)
        return _words(block) if block is not None and len(block) == 2 * count else ILLEGAL_ADDRESS

    def _identity(self) -> tuple[int, ...]:
        identity = Identity(
            serial=self.serial,
            model=2,
            hardware_revision=1,
            firmware_version=0x010203,
            chambers=len(self.volumes_ml),
            capabilities=self.capabilities,
            capacity=self.capacity,
            epoch=self.epoch,
            volumes_ml=self.volumes_ml,
            mac_key_id=0,
            access_list_max=self.access_list_max,
        )
        return encode_identity(identity)

    def _status(self) -> tuple[int, ...]:
        version, entries, list_crc = self.list_in_force
        r1, r2, r3, r4 = self.registers
        status = Status(
            state=self.state,
            faults=self.faults,
            clock_s=self.clock_s(),
            clock_status=self.clock_status,
            uptime_s=60,
            boot=self.boot,
            battery_mv=3600,
            temperature_dc=185,
            fill_permille=250,
            enable_mask=self.enable_mask,
            access_list_version=version,
            oldest_seq=self.oldest,
            newest_seq=self.newest,
            confirmed_seq=self.confirmed,
            registers=(r1, r2, r3, r4),
            command_token=self.last_command[0],
            command_result=self.last_command[1],
            access_list_entries=entries,
            access_list_crc=list_crc,
            epoch=self.epoch,
            serial=self.serial,
        )
        return encode_status(status)

    def _acknowledge(self, words: list[int]) -> int | None:
        epoch, seq, crc = struct.unpack(">III", struct.pack(">6H", *words))
        if epoch != self.epoch or seq > self.newest:
            return ILLEGAL_VALUE
        if seq <= self.confirmed:
            return None
        if crc != int.from_bytes(self.raw(seq)[40:], "big"):
            return ILLEGAL_VALUE
        self.confirmed = seq
        return None

    def _set_clock(self, words: list[int]) -> int | None:
        if self.newest - self.confirmed >= self.capacity - 2:
            return REFUSED
        old, new = self.clock_s(), words[0] << 16 | words[1]
        changes = abs(new - old) >= 2 or self.clock_status != 1
        self.clock_offset_s, self.clock_status = new - self.wall(), 1
        if changes:
            self.add(kind=Kind.CLOCK_SET, register_after=old % 2**32)
        return None

    def _enable(self, words: list[int]) -> int | None:
        self.enable_mask = words[0]
        return None

    def _command(self, words: list[int]) -> int | None:
        token, command = words
        if self.last_command[1] == 0xFFFF and token != self.last_command[0]:
            return BUSY
        if token != self.last_command[0]:
            self.commands.append((token, command))
            self.last_command = (token, 0 if command in (1, 2, 3) else 1)
        return None

    def _begin_list(self, words: list[int]) -> int | None:
        version, count, crc = struct.unpack(">IHI", struct.pack(">5H", *words))
        if version == 0 or count > self.access_list_max:
            return ILLEGAL_VALUE
        self._begin, self._staged = (version, count, crc), {}
        return None

    def _stage(self, address: int, words: Sequence[int]) -> int | None:
        if (address - 0x1000) % 5 or len(words) % 5 or not 5 <= len(words) <= 120:
            return ILLEGAL_VALUE
        for offset in range(0, len(words), 5):
            self._staged[(address - 0x1000 + offset) // 5] = struct.pack(">5H", *words[offset : offset + 5])
        return None

    def _commit(self, words: list[int]) -> int | None:
        if self._begin is None:
            return REFUSED
        version, count, crc = self._begin
        if words[0] != (0xA5A5 if count else 0x5A5A):
            return ILLEGAL_VALUE
        if self._begin == self.list_in_force:
            return None
        staged = b"".join(self._staged.get(index, bytes(10)) for index in range(count))
        if version == self.list_in_force[0] or crc32(staged) != crc:
            return REFUSED
        self.list_in_force = self._begin
        return None


def _words(block: bytes) -> list[int]:
    return list(struct.unpack(f">{len(block) // 2}H", block))
