"""Check sums: CRC-16 of an RTU frame, CRC-32 and AES-CMAC of a journal record."""

import struct
import zlib

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

_POLYNOMIAL = 0xA001  # Modbus, reflected


def _table_entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = tuple(_table_entry(value) for value in range(256))


def frame_check(frame: bytes) -> bytes:
    """Return the two bytes that end an RTU frame, low byte first as on the wire."""
    check = 0xFFFF
    for byte in frame:
        check = (check >> 8) ^ _TABLE[(check ^ byte) & 0xFF]
    return struct.pack("<H", check)


def record_check(body: bytes, serial: int, epoch: int) -> int:
    """Return the CRC-32 over words 0..19 (40 bytes) of a record, serial and epoch."""
    return zlib.crc32(body + struct.pack(">QI", serial, epoch))


def record_mac(key: bytes, words: bytes, serial: int, epoch: int) -> bytes:
    """Return the first 8 bytes of AES-CMAC over words 0..15 (32 bytes) of a record, serial and epoch."""
    mac = CMAC(AES(key))
    mac.update(words + struct.pack(">QI", serial, epoch))
    return mac.finalize()[:8]
