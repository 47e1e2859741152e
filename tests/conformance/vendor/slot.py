"""One record as it lies in the ring: 22 words, 44 bytes."""

import struct
from dataclasses import dataclass

from tests.conformance.vendor.sums import record_check, record_mac

BYTES = 44
NOT_WEIGHED = 0xFFFF

POUR, DENIED, EMPTYING, SWAP, RAISED, CLEARED, POWER_UP, CLOCK_SET, MAINTENANCE, REPORT = range(1, 11)

RETRY, SERVICE, DEGRADED, RECOVERED = 0x04, 0x08, 0x10, 0x20


@dataclass(frozen=True)
class Content:
    """What a record says, without its place in the journal. Volume in ml, weight in 10 g, duration in 0.1 s."""

    kind: int
    began: int
    boot: int
    flags: int
    result: int = 0
    chamber: int = 0
    uid: int = 0
    volume: int = 0
    weight: int = NOT_WEIGHED
    duration: int = 0
    register: int = 0


def pack(content: Content, seq: int, serial: int, epoch: int, key: bytes | None) -> bytes:
    """Return the record's 44 bytes; without a key its MAC is 0."""
    words = struct.pack(
        ">IIHBBBBQHHHI",
        seq,
        content.began,
        content.boot,
        content.kind,
        content.result,
        content.chamber,
        content.flags,
        content.uid,
        content.volume,
        content.weight,
        content.duration,
        content.register,
    )
    mac = record_mac(key, words, serial, epoch) if key is not None else bytes(8)
    return words + mac + struct.pack(">I", record_check(words + mac, serial, epoch))


def check_of(raw: bytes) -> int:
    """Return words 20-21 of a record as it is read."""
    return int.from_bytes(raw[40:44], "big")


def seq_of(raw: bytes) -> int:
    """Return words 0-1 of a record as it is read."""
    return int.from_bytes(raw[:4], "big")
