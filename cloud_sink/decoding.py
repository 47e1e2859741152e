"""A page's records -> rows of the ledger: decoded, their CRC-32 and MAC checked, transponders turned into pseudonyms.

Pure: bytes and keys in, values out. This runs for each record that arrives, so whatever can be done once for all
records of a lock's epoch is.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from struct import Struct
from typing import Final
from zlib import crc32

from cloud_sink.keys import KeyRing
from wastelock.page import PageRecord, from_base64url
from wastelock.record import RECORD_BYTES, MacKey
from wastelock.registers import lock_id

DRIVERS = frozenset({"wlc-1", "counter-1"})  # whose records have the layout that is decoded here
_UNKNOWN_DRIVER = "driver isn't known to this release: upgrade the sink, then run `cloud-sink reprocess`"

# One record and the byte that the trick in `_unpack_all` puts behind it.
_RECORD = Struct(">IIHBBBBQHHHI8sIx")
_STRIDE = 45
_BASE64_LENGTH = 59
_TO_STANDARD_BASE64 = str.maketrans("-_", "+/")
_BINDING = Struct(">QI")
_U32 = 2**32
_I32 = 2**31

# A row as the ledger keeps it, from `slot` on; see `ledger/tables.py`.
Row = tuple[
    int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int | None, bytes | None
]  # fmt: skip
SLOT: Final = 0
SEQ: Final = 2
UNVERIFIED: Final = 3


@dataclass(slots=True)
class Group:
    """The records of one lock and epoch in a page that may become entries. `raws[i]` are the 44 bytes of `rows[i]`."""

    lock: str
    epoch: int
    rows: list[Row] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Forged:
    """A record whose MAC is wrong though its lock's key is known: not an entry, a dispute."""

    slot: int
    lock: str
    epoch: int
    seq: int


@dataclass(slots=True)
class Decoded:
    """What became of a page's records. `unread`: (slot, reason) of those that this release or these keys can't read."""

    groups: list[Group] = field(default_factory=list)
    forged: list[Forged] = field(default_factory=list)
    unread: list[tuple[int, str]] = field(default_factory=list)


class Unreadable(ValueError):
    """This record can't become an entry; the message says why and what to do."""


def decode_records(records: Sequence[PageRecord], keys: KeyRing) -> Decoded:
    """Return rows for all records that can be read, and what is wrong with the others."""
    decoded = Decoded()
    slots: dict[tuple[str, str, int], list[int]] = {}
    for slot, record in enumerate(records):
        slots.setdefault((record.driver, record.lock, record.epoch), []).append(slot)
    groups: dict[tuple[str, int], Group] = {}
    for (driver, lock, epoch), mine in slots.items():
        try:
            serial = _check_journal(driver, lock, epoch)
        except Unreadable as error:
            decoded.unread.extend((slot, str(error)) for slot in mine)
            continue
        group = groups.setdefault((lock, epoch), Group(lock, epoch))
        _decode_group(group, serial, mine, records, keys, decoded)
    decoded.groups = [group for group in groups.values() if group.rows]
    return decoded


def _check_journal(driver: str, lock: str, epoch: int) -> int:
    """Return the lock's serial number."""
    if driver not in DRIVERS:
        raise Unreadable(_UNKNOWN_DRIVER)
    try:
        serial = int(lock, 16)
        if len(lock) > 16 or lock_id(serial) != lock:
            raise ValueError
    except ValueError:
        raise Unreadable("lock isn't named by its serial number in lower-case hexadecimal") from None
    if not 0 <= epoch < _U32:
        raise Unreadable("epoch isn't a number of 32 bits")
    return serial


def _decode_group(
    group: Group,
    serial: int,
    slots: list[int],
    records: Sequence[PageRecord],
    keys: KeyRing,
    decoded: Decoded,
) -> None:
    epoch = group.epoch
    raws = _raw_bytes([records[slot].raw for slot in slots])
    macs = _right_macs(keys.mac_key(group.lock, epoch), raws, serial, epoch)
    pseudonym = keys.pseudonyms.of
    binding = _BINDING.pack(serial, epoch)
    times: dict[str, int] = {}
    unpack = _RECORD.unpack
    for slot, raw, right_mac in zip(slots, raws, macs, strict=True):
        record = records[slot]
        seq, offset_s = record.seq, record.clock_offset_s
        try:
            read_ms = times.get(record.read_at) or _read_ms(record.read_at, times)
            if len(raw) != _STRIDE:
                raise Unreadable(f"a record has {RECORD_BYTES} bytes in base64url; this one hasn't")
            (inner_seq, began, boot, kind, result, chamber, flags, uid, volume, weight, duration, register, mac,
             crc) = unpack(raw)  # fmt: skip
            unverified = 0 if crc32(binding, crc32(raw[:40])) == crc else 1
            if not 0 < seq < _U32 or (seq != inner_seq and not unverified):
                raise Unreadable("sequence number isn't the one in the record")
            if offset_s is not None and not -_I32 <= offset_s < _I32:
                raise Unreadable("clock offset isn't a number of 32 bits")
        except Unreadable as error:
            decoded.unread.append((slot, str(error)))
            continue
        if right_mac is not None and right_mac != mac and not unverified:
            decoded.forged.append(Forged(slot, group.lock, epoch, seq))
            continue
        mac_held = 1 if right_mac == mac else 0
        group.rows.append(
            (slot, epoch, seq, unverified, mac_held, kind, result, chamber, flags, boot, began, volume, weight,
             duration, register, read_ms, offset_s, pseudonym(uid))
        )  # fmt: skip
        group.raws.append(raw[:RECORD_BYTES])


def _raw_bytes(texts: list[str]) -> list[bytes]:
    """Return each record's 44 bytes with one byte behind it; what isn't such a record comes back with another length.

    44 bytes are 58 2/3 base64 characters: with an "A" behind each, whole groups of four remain, so that all of them
    are decoded in one call.
    """
    if set(map(len, texts)) == {_BASE64_LENGTH}:
        joined = ("A".join(texts) + "A").translate(_TO_STANDARD_BASE64)
        try:
            block = a2b_base64(joined, strict_mode=True)
            return [block[i : i + _STRIDE] for i in range(0, len(texts) * _STRIDE, _STRIDE)]
        except (Base64Error, ValueError):
            pass
    return [_raw_bytes_slowly(text) for text in texts]


def _raw_bytes_slowly(text: str) -> bytes:
    try:
        raw = from_base64url(text)
    except ValueError:
        return b""
    return raw + b"\0" if len(raw) == RECORD_BYTES else b""


def _right_macs(key: MacKey | None, raws: list[bytes], serial: int, epoch: int) -> Sequence[bytes | None]:
    if key is None:
        return [None] * len(raws)
    # A record of another length is refused later on; here it must only keep its place.
    return key.tags([raw if len(raw) == _STRIDE else bytes(_STRIDE) for raw in raws], serial, epoch)


def _read_ms(text: str, times: dict[str, int]) -> int:
    """Return a record's `read_at` in milliseconds; all records of a visit have the same."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError
        times[text] = round(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Unreadable("read_at isn't an instant with its time zone") from None
    return times[text]
