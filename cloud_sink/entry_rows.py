"""Rows of `entries` as bytes: built where records are checked, completed where the ledger's numbers are given out.

    number of columns (2 bytes), then for each column: its length (4 bytes, -1 for NULL), its value, high byte first

That is a row of PostgreSQL's binary COPY, so there a block goes to the server as it is; for SQLite one call unpacks it.
All rows of a block are NULL in the same columns and so equally long: a column of the whole block is a strided copy, and
a record's own bytes, high byte first too, become columns without ever having been Python's numbers.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from struct import Struct, calcsize
from sys import byteorder
from typing import Any, Final

import msgspec

# A row as `ledger/tables.py` has it (a test compares), with its codes in `struct`; the last two may be NULL.
COLUMNS: Final = (
    ("position", "q"), ("lock_no", "i"), ("page_no", "q"), ("slot", "h"), ("epoch", "q"), ("seq", "q"),
    ("unverified", "h"), ("mac", "h"), ("kind", "h"), ("result", "h"), ("chamber", "h"), ("flags", "h"), ("boot", "i"),
    ("began_clock_s", "q"), ("volume_ml", "i"), ("weight_word", "i"), ("duration_ds", "i"), ("register_after", "q"),
    ("read_ms", "q"), ("clock_offset_s", "i"), ("credential", "16s"),
)  # fmt: skip
_WIDTHS = {name: calcsize(f">{code}") for name, code in COLUMNS}
_OFFSET, _CREDENTIAL = 1, 2  # bits of a shape: which of the last two columns have a value
_NEVER_NULL = len(COLUMNS) - 2
_NO_NUMBERS = (0, 0, 0)
_ZEROS = bytes(16)

# The columns that a record's checker fills in: all but position, lock_no and page_no.
Row = tuple[
    int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int | None, bytes | None
]  # fmt: skip
SLOT: Final = 0
SEQ: Final = 2
UNVERIFIED: Final = 3


class Layout:
    """How rows of one shape lie. `at`: where each column's value begins."""

    def __init__(self, shape: int) -> None:
        present = [shape & bit for bit in (_OFFSET, _CREDENTIAL)]
        self.at: dict[str, int] = {}
        whole, values, lengths = ">h", ">2x", []
        for index, (name, code) in enumerate(COLUMNS):
            null = index >= _NEVER_NULL and not present[index - _NEVER_NULL]
            self.at[name] = calcsize(whole + "i")
            whole += "i" if null else f"i{code}"
            values += "4x" if null else f"4x{code}"
            lengths.append(-1 if null else _WIDTHS[name])
        self._whole = Struct(whole)
        self._lengths = lengths
        self._nulls = [index for index, length in enumerate(lengths) if length < 0]
        self.values = Struct(values)
        self.size = self._whole.size

    def pack(self, row: Sequence[Any]) -> bytes:
        """Return the bytes of a whole row, whose NULLs are this layout's."""
        arguments: list[Any] = [len(COLUMNS)]
        for length, value in zip(self._lengths, row, strict=True):
            arguments += [length] if length < 0 else [length, value]
        return self._whole.pack(*arguments)

    def unpack(self, rows: bytes | bytearray) -> Iterable[tuple[Any, ...]]:
        """Yield the whole rows of a block."""
        if not self._nulls:
            return self.values.iter_unpack(rows)
        return (self._with_nulls(values) for values in self.values.iter_unpack(rows))

    def _with_nulls(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        row = list(values)
        for index in self._nulls:
            row.insert(index, None)
        return tuple(row)


_LAYOUTS = tuple(Layout(shape) for shape in range(4))


class Block(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Rows of one shape, one after the other; position, lock_no and page_no are 0 until `complete`."""

    shape: int
    rows: bytes

    @property
    def layout(self) -> Layout:
        return _LAYOUTS[self.shape]

    @property
    def count(self) -> int:
        return len(self.rows) // self.layout.size

    def unpack(self) -> list[Row]:
        """Return the rows as values, from `slot` on."""
        return [row[3:] for row in self.layout.unpack(self.rows)]

    def complete(self, first_position: int, lock_no: int, page_no: int) -> "CompleteBlock":
        """Return the rows with their numbers in the ledger: positions ascend from the first one."""
        layout, count = self.layout, self.count
        rows = bytearray(self.rows)
        positions = array("Q", range(first_position, first_position + count))
        if byteorder == "little":
            positions.byteswap()
        _spread(rows, layout, "position", positions.tobytes())
        for name, number in (("lock_no", lock_no), ("page_no", page_no)):
            for place, byte in enumerate(number.to_bytes(_WIDTHS[name], "big"), layout.at[name]):
                if byte:
                    rows[place :: layout.size] = bytes([byte]) * count
        return CompleteBlock(layout, rows)


@dataclass(frozen=True, slots=True)
class CompleteBlock:
    """Rows that can be inserted."""

    layout: Layout
    rows: bytearray

    def unpack(self) -> Iterable[tuple[Any, ...]]:
        """Yield the rows as values, in the order of the table's columns."""
        return self.layout.unpack(self.rows)


def pack_rows(rows: Iterable[Row]) -> list[Block]:
    """Return these rows as blocks, in the same order; neighbours of one shape are in one block."""
    blocks = []
    for shape, mine in groupby(rows, key=lambda row: _shape(row[-2], row[-1])):
        pack = _LAYOUTS[shape].pack
        blocks.append(Block(shape, b"".join([pack(_NO_NUMBERS + row) for row in mine])))
    return blocks


def pack_records(
    records: bytes,
    stride: int,
    columns: Mapping[str, tuple[int, int]],
    common: Row,
    slots: Sequence[int],
    credentials: Sequence[bytes | None],
) -> list[Block]:
    """Return blocks of rows made from records that lie `stride` bytes apart.

    `columns`: where in a record a column's bytes begin, and how many there are. `common` has what is the same in all
    rows; each has its own slot and credential.
    """
    blocks = []
    start = 0
    for has_credential, run in groupby(credentials, key=lambda credential: credential is not None):
        mine = list(run)
        end = start + len(mine)
        shape = _shape(common[-2], b"" if has_credential else None)
        layout = _LAYOUTS[shape]
        rows = bytearray(
            layout.pack((*_NO_NUMBERS, *common[:-1], _ZEROS if has_credential else None)) * len(mine)
        )
        part = records[start * stride : end * stride]
        for name, (begin, width) in columns.items():
            to = layout.at[name] + _WIDTHS[name] - width
            for place in range(width):
                rows[to + place :: layout.size] = part[begin + place :: stride]
        _spread(rows, layout, "slot", b"".join([slot.to_bytes(2, "big") for slot in slots[start:end]]))
        if has_credential:
            _spread(rows, layout, "credential", b"".join(mine))  # type: ignore[arg-type]  # none of them is None
        blocks.append(Block(shape, bytes(rows)))
        start = end
    return blocks


def _spread(rows: bytearray, layout: Layout, column: str, values: bytes) -> None:
    """Write a column of all rows: `values` are their bytes, one row's after the other's."""
    at, width = layout.at[column], _WIDTHS[column]
    for place in range(width):
        rows[at + place :: layout.size] = values[place::width]


def _shape(offset_s: int | None, credential: bytes | None) -> int:
    return (0 if offset_s is None else _OFFSET) | (0 if credential is None else _CREDENTIAL)
