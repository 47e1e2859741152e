"""Rows of entries as bytes: the columns are the table's, and what goes in comes out, NULLs and order included."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cloud_sink.entry_rows import COLUMNS, Row, pack_rows
from cloud_sink.ledger.tables import BIG, INT, SMALL, entries

U8, U16, U32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
ROWS: st.SearchStrategy[Row] = st.tuples(
    st.integers(0, 499), U32, U32, st.integers(0, 1), st.integers(0, 1), U8, U8, U8, U8, U16, U32, U16, U16, U16, U32,
    st.integers(0, 2**42), st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.binary(min_size=16, max_size=16),
)  # fmt: skip
CODES = {BIG: "q", INT: "i", SMALL: "h"}


def test_columns_are_those_of_the_table() -> None:
    codes = [CODES.get(column.type, f"{getattr(column.type, 'length', None)}s") for column in entries.columns]
    assert list(COLUMNS) == list(zip(entries.columns.keys(), codes, strict=True))
    assert [name for name, _ in COLUMNS if entries.columns[name].nullable] == [COLUMNS[-2][0], COLUMNS[-1][0]]


@given(st.lists(ROWS, max_size=12), st.integers(1, 2**40), st.integers(1, 2**31 - 1), st.integers(1, 2**40))
def test_rows_come_out_as_they_went_in_and_in_their_order(
    rows: list[Row], position: int, lock_no: int, page_no: int
) -> None:
    blocks = pack_rows(rows)
    assert [row for block in blocks for row in block.unpack()] == rows
    assert sum(block.count for block in blocks) == len(rows)
    complete: list[tuple[Any, ...]] = []
    for block in blocks:
        complete += block.complete(position + len(complete), lock_no, page_no).unpack()
    assert complete == [(at, lock_no, page_no, *row) for at, row in enumerate(rows, position)]


def test_neighbours_that_are_null_in_the_same_columns_share_a_block() -> None:
    row: Row = (0, 1, 9, 0, 1, 1, 0, 1, 1, 3, 77, 5000, 65535, 34, 56, 1_795_338_000_000, -2, bytes(16))
    bare: Row = (*row[:-1], None)
    assert [block.count for block in pack_rows([row, row, bare, row])] == [2, 1, 1]
