"""A page's records -> rows of the ledger: decoded, their CRC-32 and MAC checked, transponders turned into pseudonyms.

Pure: bytes and keys in, values out. This runs for each record that arrives, so whatever can be done once for all
records of a lock's epoch is.
"""

from binascii import a2b_base64
from collections.abc import Callable, Sequence
from datetime import datetime
from struct import Struct
from typing import NamedTuple
from zlib import crc32

import msgspec

from cloud_sink import spans
from cloud_sink.entry_rows import Block, Row, pack_records, pack_rows
from cloud_sink.keys import KeyRing
from cloud_sink.spans import Span
from wastelock.page import PageRecord, from_base64url
from wastelock.record import RECORD_BYTES, MacKey, crc_holds
from wastelock.registers import lock_id

DRIVERS = frozenset({"wlc-1", "counter-1"})  # whose records have the layout that is decoded here
_UNKNOWN_DRIVER = "driver isn't known to this release: upgrade the sink, then run `cloud-sink reprocess`"

# One record and the byte that `_joined` puts behind it.
_RECORD = Struct(">IIHBBBBQHHHI8sIx")
_STRIDE = 45
_CHECKED = Struct(">I10xQ10x8sIx")  # of the same: sequence number, transponder, MAC, CRC-32
# Those of its fields that are columns of the ledger as they are: where they begin, how many bytes they have.
_COLUMNS = {
    "seq": (0, 4), "began_clock_s": (4, 4), "boot": (8, 2), "kind": (10, 1), "result": (11, 1), "chamber": (12, 1),
    "flags": (13, 1), "volume_ml": (22, 2), "weight_word": (24, 2), "duration_ds": (26, 2), "register_after": (28, 4),
}  # fmt: skip
_BASE64_LENGTH = 59
_TO_STANDARD_BASE64 = bytes.maketrans(
    b"-_+/", b"+/**"
)  # what base64url doesn't have becomes what no base64 has
_BINDING = Struct(">QI")
_U32 = 2**32
_U64 = 2**64
_I32 = 2**31


class Group(msgspec.Struct, array_like=True):
    """The records of one lock and epoch in a page that may become entries, in the page's order.

    `spans`: their sequence numbers; `count`: how many records, more than numbers in `spans` if some come twice.
    """

    lock: str
    epoch: int
    blocks: list[Block]
    spans: list[Span]
    count: int

    @property
    def rows(self) -> list[Row]:
        """The records as the ledger's values."""
        return [row for block in self.blocks for row in block.unpack()]


class Forged(msgspec.Struct, frozen=True, array_like=True):
    """A record whose MAC is wrong though its lock's key is known: not an entry, a dispute."""

    slot: int
    lock: str
    epoch: int
    seq: int


class Decoded(msgspec.Struct, array_like=True):
    """What became of a page's records. `unread`: (slot, reason) of those that this release or these keys can't read."""

    groups: list[Group] = []
    forged: list[Forged] = []
    unread: list[tuple[int, str]] = []


class _Journal(NamedTuple):
    """Whose records are decoded, and with which keys. `key`: None where no MAC can be checked."""

    lock: str
    serial: int
    epoch: int
    key: MacKey | None
    pseudonym: Callable[[int], bytes | None]


class _Readable(msgspec.Struct):
    """What could be read of one lock's epoch so far."""

    blocks: list[Block] = []
    numbers: list[int] = []


class Unreadable(ValueError):
    """This record can't become an entry; the message says why and what to do."""


def decode_records(records: Sequence[PageRecord], keys: KeyRing) -> Decoded:
    """Return rows for all records that can be read, and what is wrong with the others."""
    decoded = Decoded()
    slots: dict[tuple[str, str, int], list[int]] = {}
    for slot, record in enumerate(records):
        slots.setdefault((record.driver, record.lock, record.epoch), []).append(slot)
    readable: dict[tuple[str, int], _Readable] = {}
    for (driver, lock, epoch), mine in slots.items():
        try:
            serial = _check_journal(driver, lock, epoch)
        except Unreadable as error:
            decoded.unread.extend((slot, str(error)) for slot in mine)
            continue
        key = keys.mac_key(lock, epoch)
        found = readable.setdefault((lock, epoch), _Readable())
        journal = _Journal(lock, serial, epoch, key, keys.pseudonyms.of)
        _decode_journal(journal, mine, records, found, decoded)
    decoded.groups = [
        Group(lock, epoch, found.blocks, spans.from_numbers(found.numbers), len(found.numbers))
        for (lock, epoch), found in readable.items()
        if found.numbers
    ]
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


def _decode_journal(
    journal: _Journal, slots: Sequence[int], records: Sequence[PageRecord], found: _Readable, decoded: Decoded
) -> None:
    """Decode the records of one lock's epoch: all at once where nothing is wrong with any, else one by one."""
    mine = [records[slot] for slot in slots]
    block = _joined([record.raw for record in mine])
    if block is None or not _decode_at_once(journal, slots, mine, block, found):
        _decode_singly(journal, slots, mine, found, decoded)


def _decode_at_once(
    journal: _Journal, slots: Sequence[int], records: Sequence[PageRecord], block: bytes, found: _Readable
) -> bool:
    """Add rows for all of these records, or return False and add none: something about one of them is unusual."""
    serial, epoch, key = journal.serial, journal.epoch, journal.key
    binding = _BINDING.pack(serial, epoch)
    fields = list(_CHECKED.iter_unpack(block))
    raws = [block[i : i + RECORD_BYTES] for i in range(0, len(block), _STRIDE)]
    first = records[0]
    offset_s = first.clock_offset_s
    numbers = [record.seq for record in records]
    usual = (
        [crc32(binding, crc32(raw[:40])) for raw in raws] == [field[3] for field in fields]
        and numbers == [field[0] for field in fields]
        and len({record.read_at for record in records}) == 1
        and len({record.clock_offset_s for record in records}) == 1
        and (offset_s is None or -_I32 <= offset_s < _I32)
        and (key is None or key.tags(raws, serial, epoch) == [field[2] for field in fields])
        and 0 not in numbers
    )
    if not usual:
        return False
    try:
        read_ms = _read_ms(first.read_at)
    except Unreadable:
        return False
    mac_held = 0 if key is None else 1
    common = (0, epoch, 0, 0, mac_held, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, read_ms, offset_s, None)
    credentials = list(map(journal.pseudonym, [field[1] for field in fields]))
    found.blocks += pack_records(block, _STRIDE, _COLUMNS, common, slots, credentials)
    found.numbers += numbers
    return True


def _decode_singly(
    journal: _Journal, slots: Sequence[int], records: Sequence[PageRecord], found: _Readable, decoded: Decoded
) -> None:
    """Add a row for each record that can be read, and say of each other one what is wrong with it."""
    serial, epoch, key = journal.serial, journal.epoch, journal.key
    rows: list[Row] = []
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
            decoded.forged.append(Forged(slot, journal.lock, epoch, seq))
            continue
        rows.append(
            (slot, epoch, record.seq, int(unverified), int(mac_held), kind, result, chamber, flags, boot, began, volume,
             weight, duration, register, read_ms, offset_s, journal.pseudonym(uid))
        )  # fmt: skip
        found.numbers.append(record.seq)
    found.blocks += pack_rows(rows)


def _joined(texts: list[str]) -> bytes | None:
    """Return the records' 44 bytes with one byte behind each, or None if one of them isn't of that length.

    44 bytes are 58 2/3 base64 characters: with an "A" behind each, whole groups of four remain, so that all of them
    are decoded in one call.
    """
    if set(map(len, texts)) != {_BASE64_LENGTH}:
        return None
    try:
        text = ("A".join(texts) + "A").encode("ascii")
        return a2b_base64(text.translate(_TO_STANDARD_BASE64), strict_mode=True)
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
