"""A journal record: 22 words on the wire <-> Record; its CRC-32 and its MAC.

The law of this file: bytes in, values out. Nothing here reads a clock, a file or a line. The layout is that of the
controller map `wlc-1` (design 2), and is also what the driver `counter-1` writes for the pours that it derives.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from zlib import crc32

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

RECORD_WORDS = 22
RECORD_BYTES = 2 * RECORD_WORDS
MAC_BYTES = 8
NOT_WEIGHED = 0xFFFF

_LAYOUT = struct.Struct(">IIHBBBBQHHHI8sI")
_UNSIGNED_HEAD = struct.Struct(">IIHBBBBQHHHI")  # words 0..15: what the MAC covers
_BINDING = struct.Struct(">QI")  # serial, epoch: ties a record to one journal of one lock
_WORDS = struct.Struct(f">{RECORD_WORDS}H")
_KIND_AT, _RESULT_AT = 10, 11  # bytes: word 5


class MalformedRecord(ValueError):
    """These bytes can't be a journal record, whatever they say: the length is wrong."""


class Kind(IntEnum):
    """What a record tells. A kind that isn't listed is kept raw, confirmed, and never billed."""

    POUR = 1
    ACCESS_DENIED = 2
    EMPTYING = 3
    CONTAINER_SWAP = 4
    FAULT_RAISED = 5
    FAULT_CLEARED = 6
    POWER_UP = 7
    CLOCK_SET = 8
    MAINTENANCE = 9
    REGISTER_REPORT = 10


class PourResult(IntEnum):
    COMPLETE = 0  # the discharge point was passed: this is what is charged
    GIVEN_UP = 1
    JAMMED = 2


class ClockStatus(IntEnum):
    NEVER_SET = 0
    SET = 1
    LOST = 2


class Flag(IntEnum):
    """Bits of a record's flag byte; bits 0 and 1 are the clock status."""

    RETRY_AFTER_JAM = 1 << 2
    SERVICE = 1 << 3
    DEGRADED = 1 << 4
    RECOVERED = 1 << 5
    DERIVED = 1 << 6  # never set by a controller: a gateway's driver made this record from a bare counter


@dataclass(frozen=True, slots=True)
class Record:
    """One journal record as the controller wrote it.

    `began_clock_s` is the controller's clock (unix seconds; seconds since power-up while the clock was never set).
    `duration_ds` is in 0.1 s; for kinds 5 and 6 it holds the fault's bit number. `register_after` is the chamber's
    cycle register after the record; for kind 8 the clock before it was set. `weight_word` is in 10 g, 0xFFFF unweighed.
    """

    seq: int
    began_clock_s: int
    boot: int
    kind: int
    result: int = 0
    chamber: int = 0
    flags: int = 0
    uid: int = 0
    volume_ml: int = 0
    weight_word: int = NOT_WEIGHED
    duration_ds: int = 0
    register_after: int = 0
    mac: bytes = bytes(MAC_BYTES)
    crc: int = 0

    @property
    def clock_status(self) -> int:
        """0 never set, 1 set, 2 lost since (3 isn't defined by the map)."""
        return self.flags & 0b11

    @property
    def weight_g(self) -> int | None:
        """Weight in grams, None where the pour wasn't weighed."""
        return None if self.weight_word == NOT_WEIGHED else self.weight_word * 10

    @property
    def is_complete_pour(self) -> bool:
        """True for exactly the records that the chamber's cycle register counts."""
        return self.kind == Kind.POUR and self.result == PourResult.COMPLETE


def decode_record(raw: bytes) -> Record:
    """Return the journal record held in these 44 bytes, or raise MalformedRecord.

    Layout, in 16-bit words, high word first::

        [ seq ][ began ][ boot ][ kind | result ][ chamber | flags ][ uid ]
           2       2       1            1                 1            4
        [ volume ][ weight ][ duration ][ register ][ mac ][ crc ]
            1         1           1           2        4      2

    The CRC isn't checked here: see `crc_holds`, which needs the serial number and the epoch as well.
    """
    if len(raw) != RECORD_BYTES:
        raise MalformedRecord(f"a record has {RECORD_BYTES} bytes, got {len(raw)}")
    return Record(*_LAYOUT.unpack(raw))


def encode_record(record: Record, serial: int, epoch: int, key: bytes | None = None) -> bytes:
    """Return the 44 bytes of a record, sealed with its CRC-32 and, if a key is given, with its MAC.

    `record.mac` and `record.crc` are ignored: they are computed. Without a key the MAC words are 0, as the map says
    of controllers without capability bit 0.
    """
    head = _UNSIGNED_HEAD.pack(
        record.seq, record.began_clock_s, record.boot, record.kind, record.result, record.chamber, record.flags,
        record.uid, record.volume_ml, record.weight_word, record.duration_ds, record.register_after,
    )  # fmt: skip
    mac = MacKey(key).tags([head], serial, epoch)[0] if key is not None else bytes(MAC_BYTES)
    body = head + mac
    return body + crc32(body + _BINDING.pack(serial, epoch)).to_bytes(4, "big")


def crc_holds(raw: bytes, serial: int, epoch: int) -> bool:
    """True if words 20-21 are the CRC-32 (ISO-HDLC) over words 0..19, serial number and epoch."""
    return crc32(raw[:40] + _BINDING.pack(serial, epoch)) == int.from_bytes(raw[40:44], "big")


def is_complete_pour(raw: bytes) -> bool:
    """True for the 44 bytes of a record that its chamber's cycle register counts; all else isn't decoded for it."""
    return raw[_KIND_AT] == Kind.POUR and raw[_RESULT_AT] == PourResult.COMPLETE


def words_to_bytes(words: Sequence[int]) -> bytes:
    """Return a record's 22 register words as 44 big-endian bytes."""
    if len(words) != RECORD_WORDS:
        raise MalformedRecord(f"a record has {RECORD_WORDS} words, got {len(words)}")
    return _WORDS.pack(*words)


def bytes_to_words(raw: bytes) -> tuple[int, ...]:
    """Return a record's 44 bytes as the 22 words that a register read gives."""
    if len(raw) != RECORD_BYTES:
        raise MalformedRecord(f"a record has {RECORD_BYTES} bytes, got {len(raw)}")
    return _WORDS.unpack(raw)


class MacKey:
    """One lock's AES-128 key, ready to compute record MACs in bulk.

    AES-CMAC (RFC 4493) of the 44-byte message `words 0..15 ‖ serial ‖ epoch`, cut to 8 bytes. The message is always
    two full blocks and a padded third one that is the same for all records of a journal, so n records cost three ECB
    calls and three wide XORs instead of n CMAC objects: the intake checks each record without being slowed by it.
    """

    def __init__(self, key: bytes) -> None:
        """`key`: 16 bytes, else ValueError."""
        if len(key) != 16:
            raise ValueError(f"a MAC key has 16 bytes (32 hexadecimal digits), got {len(key)} bytes")
        self.key = key
        self._ecb = Cipher(algorithms.AES(key), modes.ECB())  # the bare block cipher that CMAC is made of
        self._k2 = _double(_double(self._encrypt(bytes(16))))

    def tags(self, raws: Sequence[bytes], serial: int, epoch: int) -> list[bytes]:
        """Return the 8-byte MAC of each record; of each item only the first 32 bytes (words 0..15) are looked at.

        ValueError if an item has fewer: the MACs of those behind it would be computed over the wrong bytes.
        """
        n = len(raws)
        if n == 0:
            return []
        first = b"".join([raw[:16] for raw in raws])
        second = b"".join([raw[16:32] for raw in raws])
        if len(first) != 16 * n or len(second) != 16 * n:
            raise ValueError(
                f"a MAC covers the first {_UNSIGNED_HEAD.size} bytes of a record; one of these has fewer"
            )
        padded_binding = _BINDING.pack(serial, epoch) + b"\x80\x00\x00\x00"
        last = _xor(padded_binding, self._k2)
        state = self._encrypt(first)
        state = self._encrypt(_xor(state, second))
        state = self._encrypt(_xor(state, last * n))
        return [state[i : i + MAC_BYTES] for i in range(0, 16 * n, 16)]

    def holds(self, raw: bytes, serial: int, epoch: int) -> bool:
        """True if words 16..19 of this record are its MAC under this key."""
        return self.tags([raw], serial, epoch)[0] == raw[32:40]

    def _encrypt(self, blocks: bytes) -> bytes:
        encryptor = self._ecb.encryptor()
        return encryptor.update(blocks) + encryptor.finalize()


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).to_bytes(len(a), "big")


def _double(block: bytes) -> bytes:
    """Multiply by x in GF(2^128), RFC 4493 section 2.3."""
    value = int.from_bytes(block, "big") << 1
    if value >> 128:
        value = (value & ((1 << 128) - 1)) ^ 0x87
    return value.to_bytes(16, "big")
