"""Reads pages out of a damaged spool file, whatever else in it is broken, by walking its raw blocks.

SQLite itself gives up a whole subtree for one bad interior block. Here every block that looks like a table leaf is
taken apart cell by cell, and what comes out is kept only if the payload's SHA-256 is the hash stored beside it: so
nothing about the file needs to be trusted, and nothing wrong gets through.

    leaf block   [ 0x0D ][ … ][ cells: u16 ][ … ][ pointer u16 ]*          block 1 begins after 100 bytes of file header
    cell         [ size: varint ][ rowid: varint ][ local part … ][ next overflow block: u32, if it doesn't fit ]
    record       [ header size: varint ][ type: varint ]* [ values ]       as in the file format of SQLite 3
    overflow     [ next block: u32 ][ part … ]

The write-ahead log is laid over the file's blocks as SQLite would, and then the file is read once more without it.
"""

import struct
from collections.abc import Iterator, Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path

from edge_agent.spool_journals import SalvagedPage
from edge_agent.spool_schema import PAGE_BYTES
from wastelock.page import MAX_PAGE_BYTES, MalformedPage, page_hash, parse_header

_LEAF = 0x0D
_FILE_HEADER = 100
_MAX_LOCAL = PAGE_BYTES - 35
_MIN_LOCAL = (PAGE_BYTES - 12) * 32 // 255 - 23
_CELLS_MAX = PAGE_BYTES // 4
_ROW_MAX = MAX_PAGE_BYTES + 1024
_COLUMNS = 9  # of table `page`; the first is the rowid and stored as NULL
_U16, _U32 = struct.Struct(">H"), struct.Struct(">I")
_WAL_HEADER, _FRAME_HEADER = 32, 24
_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8, 8)


class _NotARow(Exception):
    """These bytes aren't a row of table `page`."""


class Blocks:
    """A file's blocks, numbered from 1, with those of a write-ahead log laid over them."""

    def __init__(self, data: mmap | bytes, log: mmap | bytes = b"") -> None:
        self._data = data
        self._log = log
        self._frames = _frames(log)
        self.count = max(len(data) // PAGE_BYTES, max(self._frames, default=0))

    def block(self, number: int) -> bytes:
        """Return one block; shorter, or empty, where the file ends."""
        frame = self._frames.get(number)
        if frame is not None:
            return self._log[frame : frame + PAGE_BYTES]
        if not 1 <= number <= self.count:
            return b""
        return self._data[(number - 1) * PAGE_BYTES : number * PAGE_BYTES]


def salvage_pages(path: Path) -> Iterator[SalvagedPage]:
    """Yield every intact page of the file, some twice. Memory is bounded; nothing in the file can raise."""
    with _Mapped(path) as data, _Mapped(path.with_name(path.name + "-wal")) as log:
        yield from _pages(Blocks(data, log))
        if len(log) > _WAL_HEADER:
            yield from _pages(Blocks(data))


def _pages(blocks: Blocks) -> Iterator[SalvagedPage]:
    for number in range(1, blocks.count + 1):
        block = blocks.block(number)
        for offset in _cells(block, _FILE_HEADER if number == 1 else 0):
            try:
                yield _read_page(_row(blocks, block, offset))
            except (_NotARow, MalformedPage):
                continue


def _cells(block: bytes, start: int) -> Iterator[int]:
    """Yield where a leaf's cells begin; the pointers alone say so, each is checked by what it points at."""
    if len(block) < PAGE_BYTES or block[start] != _LEAF:
        return
    count = min(_U16.unpack_from(block, start + 3)[0], _CELLS_MAX)
    for index in range(count):
        at = start + 8 + 2 * index
        if at + 2 > PAGE_BYTES:
            return
        offset: int = _U16.unpack_from(block, at)[0]
        if start + 8 <= offset < PAGE_BYTES:
            yield offset


def _row(blocks: Blocks, block: bytes, offset: int) -> bytes:
    """Return a row's bytes, collected from its leaf and its overflow blocks."""
    size, offset = _varint(block, offset)
    _rowid, offset = _varint(block, offset)
    if not 0 < size <= _ROW_MAX:
        raise _NotARow
    if size <= _MAX_LOCAL:
        return block[offset : offset + size]
    local = _MIN_LOCAL + (size - _MIN_LOCAL) % (PAGE_BYTES - 4)
    if local > _MAX_LOCAL:
        local = _MIN_LOCAL
    parts = [block[offset : offset + local]]
    if offset + local + 4 > len(block):
        raise _NotARow
    (follower,) = _U32.unpack_from(block, offset + local)
    missing = size - local
    while missing > 0:
        overflow = blocks.block(follower)
        if len(overflow) < PAGE_BYTES:
            raise _NotARow
        parts.append(overflow[4 : 4 + missing])
        missing -= PAGE_BYTES - 4
        (follower,) = _U32.unpack_from(overflow, 0)
    return b"".join(parts)


def _read_page(row: bytes) -> SalvagedPage:
    """Return the page that a row holds, or raise _NotARow; MalformedPage where its payload isn't one."""
    header_size, at = _varint(row, 0)
    types: list[int] = []
    while at < header_size and len(types) < _COLUMNS:
        kind, at = _varint(row, at)
        types.append(kind)
    if len(types) != _COLUMNS or at != header_size or types[0] != 0:
        raise _NotARow
    values: list[int | bytes] = []
    for kind in types[1:]:
        value, at = _value(row, at, kind)
        values.append(value)
    match values:
        case [
            int(),
            int(page),
            int(sealed_at),
            int(records),
            bytes(digest),
            bytes(kid),
            bytes(sig),
            bytes(payload),
        ]:
            header = parse_header(payload)
            if page_hash(payload).encode() == digest and header.page == page:
                return SalvagedPage(
                    gateway=header.gateway,
                    journal=header.journal,
                    page=page,
                    sealed_at_ms=sealed_at,
                    records=records,
                    hash=digest.decode(),
                    kid=_text(kid),
                    signature=_text(sig),
                    payload=payload,
                )
    raise _NotARow


def _value(row: bytes, at: int, kind: int) -> tuple[int | bytes, int]:
    if kind >= 12:
        length = (kind - 12) // 2
        return row[at : at + length], at + length
    if kind in (8, 9):
        return kind - 8, at
    if 1 <= kind <= 6:
        length = _INTEGER_BYTES[kind]
        return int.from_bytes(row[at : at + length], "big", signed=True), at + length
    raise _NotARow


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return SQLite's variable-length integer at `at`, and where the next byte is."""
    value = 0
    for index in range(9):
        if at + index >= len(data):
            raise _NotARow
        byte = data[at + index]
        if index == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    raise _NotARow


def _frames(log: mmap | bytes) -> Mapping[int, int]:
    """Return for each block where its newest frame in the log begins; only frames of the log's present generation."""
    frames: dict[int, int] = {}
    if len(log) < _WAL_HEADER:
        return frames
    salts = log[16:24]
    for at in range(_WAL_HEADER, len(log) - _FRAME_HEADER - PAGE_BYTES + 1, _FRAME_HEADER + PAGE_BYTES):
        if log[at + 8 : at + 16] == salts:
            (number,) = _U32.unpack_from(log, at)
            if 0 < number < 2**31:
                frames[number] = at + _FRAME_HEADER
    return frames


def _text(data: bytes) -> str:
    return data.decode("ascii", "replace")


class _Mapped:
    """A file mapped for reading, or nothing where it isn't there or is empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._map: mmap | None = None

    def __enter__(self) -> mmap | bytes:
        try:
            with self._path.open("rb") as file:
                self._map = mmap(file.fileno(), 0, access=ACCESS_READ)
        except (FileNotFoundError, ValueError):  # ValueError: an empty file can't be mapped
            return b""
        return self._map

    def __exit__(self, *_: object) -> None:
        if self._map is not None:
            self._map.close()
