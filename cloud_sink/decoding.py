"""A page's records -> rows of the ledger: decoded, their CRC-32 and MAC checked, transponders turned into pseudonyms.

Pure: bytes and keys in, values out. This runs for each record that arrives, so whatever can be done once for all
records of a lock's epoch is.
"""

from binascii import a2b_base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from struct import Struct
from typing import Final
from zlib import crc32

from cloud_sink.keys import KeyRing
from wastelock.page import PageRecord, from_base64url
from wastelock.record import RECORD_BYTES, MacKey, crc_holds
from wastelock.registers import lock_id

DRIVERS = frozenset({"wlc-1", "counter-1"})  # whose records have the layout that is decoded here
_UNKNOWN_DRIVER = "driver isn't known to this release: upgrade the sink, then run `cloud-sink reprocess`"

# One record and the byte that `_joined` puts behind it.
_RECORD = Struct(">IIHBBBBQHHHI8sIx")
_STRIDE = 45
_BASE64_LENGTH = 59
_TO_STANDARD_BASE64 = str.maketrans("-_", "+/")
_BINDING = Struct(">QI")
_U32 = 2**32
_U64 = 2**64
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
    """The records of one lock and epoch in a page that may become entries.

    `raws[i]` are the 44 bytes of `rows[i]`, `numbers[i]` is its sequence number.
    """

    lock: str
    epoch: int
    rows: list[Row] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)


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
        if not 0 <= serial < _U64 or lock_id(serial) != lock:
            raise ValueError
    except ValueError:
        raise Unreadable("lock isn't named by its serial number in lower-case hexadecimal") from None
    if not 0 <= epoch < _U32:
        raise Unreadable("epoch isn't a number of 32 bits")
    return serial


def _decode_group(
    group: Group,
    serial: int,
    slots: Sequence[int],
    records: Sequence[PageRecord],
    keys: KeyRing,
    decoded: Decoded,
) -> None:
    """Decode the records of one lock's epoch: all at once where nothing is wrong with any, else one by one."""
    mine = [records[slot] for slot in slots]
    key = keys.mac_key(group.lock, group.epoch)
    block = _joined([record.raw for record in mine])
    if block is None or not _decode_at_once(group, serial, slots, mine, block, key, keys.pseudonyms.of):
        _decode_singly(group, serial, slots, mine, key, keys.pseudonyms.of, decoded)


def _decode_at_once(
    group: Group,
    serial: int,
    slots: Sequence[int],
    records: Sequence[PageRecord],
    block: bytes,
    key: MacKey | None,
    pseudonym: Callable[[int], bytes | None],
) -> bool:
    """Add rows for all of these records, or return False and add none: something about one of them is unusual."""
    epoch = group.epoch
    binding = _BINDING.pack(serial, epoch)
    fields = list(_RECORD.iter_unpack(block))
    raws = [block[i : i + RECORD_BYTES] for i in range(0, len(block), _STRIDE)]
    first = records[0]
    offset_s = first.clock_offset_s
    numbers = [record.seq for record in records]
    usual = (
        [crc32(binding, crc32(raw[:40])) for raw in raws] == [field[13] for field in fields]
        and numbers == [field[0] for field in fields]
        and len({record.read_at for record in records}) == 1
        and len({record.clock_offset_s for record in records}) == 1
        and (offset_s is None or -_I32 <= offset_s < _I32)
        and (key is None or key.tags(raws, serial, epoch) == [field[12] for field in fields])
        and 0 not in numbers
    )
    if not usual:
        return False
    try:
        read_ms = _read_ms(first.read_at)
    except Unreadable:
        return False
    mac_held = 0 if key is None else 1
    group.rows += [
        (slot, epoch, seq, 0, mac_held, kind, result, chamber, flags, boot, began, volume, weight, duration, register,
         read_ms, offset_s, pseudonym(uid))
        for slot, (seq, began, boot, kind, result, chamber, flags, uid, volume, weight, duration, register, _, _)
        in zip(slots, fields, strict=True)
    ]  # fmt: skip
    group.raws += raws
    group.numbers += numbers
    return True


def _decode_singly(
    group: Group,
    serial: int,
    slots: Sequence[int],
    records: Sequence[PageRecord],
    key: MacKey | None,
    pseudonym: Callable[[int], bytes | None],
    decoded: Decoded,
) -> None:
    """Add a row for each record that can be read, and say of each other one what is wrong with it."""
    epoch = group.epoch
    for slot, record in zip(slots, records, strict=True):
        try:
            raw = _raw_bytes(record.raw)
            (seq, began, boot, kind, result, chamber, flags, uid, volume, weight, duration, register, _mac,
             _) = _RECORD.unpack(raw + b"\0")  # fmt: skip
            unverified = not crc_holds(raw, serial, epoch)
            if not 0 < record.seq < _U32 or (seq != record.seq and not unverified):
                raise Unreadable("sequence number isn't the one in the record")
            offset_s = record.clock_offset_s
            if offset_s is not None and not -_I32 <= offset_s < _I32:
                raise Unreadable("clock offset isn't a number of 32 bits")
            read_ms = _read_ms(record.read_at)
        except Unreadable as error:
            decoded.unread.append((slot, str(error)))
            continue
        mac_held = key is not None and key.holds(raw, serial, epoch)
        if key is not None and not mac_held and not unverified:
            decoded.forged.append(Forged(slot, group.lock, epoch, seq))
            continue
        group.rows.append(
            (slot, epoch, record.seq, int(unverified), int(mac_held), kind, result, chamber, flags, boot, began, volume,
             weight, duration, register, read_ms, offset_s, pseudonym(uid))
        )  # fmt: skip
        group.raws.append(raw)
        group.numbers.append(record.seq)


def _joined(texts: list[str]) -> bytes | None:
    """Return the records' 44 bytes with one byte behind each, or None if one of them isn't of that length.

    44 bytes are 58 2/3 base64 characters: with an "A" behind each, whole groups of four remain, so that all of them
    are decoded in one call.
    """
    if set(map(len, texts)) != {_BASE64_LENGTH}:
        return None
    try:
        return a2b_base64(("A".join(texts) + "A").translate(_TO_STANDARD_BASE64), strict_mode=True)
    except ValueError:
        return None


def _raw_bytes(text: str) -> bytes:
    try:
        raw = from_base64url(text)
    except ValueError:
        raw = b""
    if len(raw) != RECORD_BYTES:
        raise Unreadable(f"a record has {RECORD_BYTES} bytes in base64url; this one hasn't")
    return raw


def _read_ms(text: str) -> int:
    """Return a record's `read_at` in milliseconds."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError
        return round(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Unreadable("read_at isn't an instant with its time zone") from None
