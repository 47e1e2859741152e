"""Puts many rows into a table at once, by the quickest way that each database has.

SQLite: statements of many rows, so that the interpreter is entered once per statement and not once per row.
PostgreSQL: binary COPY. Entries come as bytes that are laid out for it already (`cloud_sink/entry_rows.py`).
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from struct import Struct, calcsize, pack
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.entry_rows import CompleteBlock

_SQLITE_ROWS = 1024  # rows of one statement: few long calls, during which other threads can run
_COPY_ROWS = 2000  # rows handed to libpq at once
_COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_INTEGER_CODES = {"BigInteger": "q", "Integer": "i", "SmallInteger": "h"}
_SQLITE_VARIABLES = 30_000  # SQLite's own bound is 32,766 per statement


def insert_rows(connection: Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows whose values are in the order of the table's columns; IntegrityError if one is there already."""
    if not rows:
        return
    raw = connection.connection.driver_connection
    if isinstance(raw, sqlite3.Connection):
        _insert_sqlite(raw, table, rows)
    elif isinstance(raw, psycopg.Connection):
        _copy_postgres(raw, table, rows)
    else:
        raise TypeError(f"no bulk insert for {type(raw).__name__}")


def insert_blocks(connection: Connection, table: sa.Table, blocks: Sequence[CompleteBlock]) -> None:
    """The same for rows that are packed."""
    if not blocks:
        return
    raw = connection.connection.driver_connection
    if isinstance(raw, psycopg.Connection):
        _copy_bytes(raw, table, (block.rows for block in blocks))
    else:
        insert_rows(connection, table, list(chain.from_iterable(block.unpack() for block in blocks)))


def _insert_sqlite(raw: sqlite3.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
    width = len(table.columns)
    for part in _parts(rows, min(_SQLITE_ROWS, _SQLITE_VARIABLES // width)):
        raw.execute(_sqlite_statement(table.name, width, len(part)), list(chain.from_iterable(part)))


def _parts(rows: Sequence[tuple[Any, ...]], size: int) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Cut rows into parts of `size`, then of sizes of 2^n: few different statements, so each stays prepared."""
    start = 0
    while start < len(rows):
        left = len(rows) - start
        take = size if left >= size else 1 << (left.bit_length() - 1)
        yield rows[start : start + take]
        start += take


@lru_cache(maxsize=64)
def _sqlite_statement(table: str, width: int, rows: int) -> str:
    row = f"({','.join('?' * width)})"
    return f"INSERT INTO {table} VALUES {','.join([row] * rows)}"


def _copy_postgres(raw: "psycopg.Connection[Any]", table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Binary COPY: each row as the table's columns say, packed by one call where it has no NULL and no text."""
    pack = _packer(table).pack
    parts = (rows[start : start + _COPY_ROWS] for start in range(0, len(rows), _COPY_ROWS))
    _copy_bytes(raw, table, (b"".join(map(pack, part)) for part in parts))


def _copy_bytes(raw: "psycopg.Connection[Any]", table: sa.Table, parts: Iterable[bytes | bytearray]) -> None:
    with raw.cursor() as cursor, cursor.copy(f"COPY {table.name} FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(_COPY_HEAD)
        for part in parts:
            copy.write(part)
        copy.write(_COPY_END)


class _Packer:
    """Packs rows of one table for binary COPY.

    A row is its number of columns (2 bytes), then for each column its length (4 bytes, -1 for NULL) and its bytes.
    Where all columns have a fixed length, a row without NULL goes through one struct.
    """

    def __init__(self, columns: Sequence[sa.Column[Any]]) -> None:
        codes = [_code(column) for column in columns]
        known = [code for code in codes if code is not None]
        self._codes = codes
        self._whole = (
            Struct(">h" + "".join(f"i{code}" for code in known)) if len(known) == len(codes) else None
        )
        self._args: list[Any] = [len(columns)]
        for code in known:
            self._args += [calcsize(f">{code}"), None]

    def pack(self, row: tuple[Any, ...]) -> bytes:
        if self._whole is None or None in row:
            return len(row).to_bytes(2, "big") + b"".join(map(_pack_value, row, self._codes))
        self._args[2::2] = row
        return self._whole.pack(*self._args)


def _code(column: sa.Column[Any]) -> str | None:
    """Return the column's struct code, None where its length isn't fixed."""
    if isinstance(column.type, sa.LargeBinary):
        return f"{column.type.length}s" if column.type.length else None
    return _INTEGER_CODES.get(type(column.type).__name__)


def _pack_value(value: Any, code: str | None) -> bytes:
    if value is None:
        return _NULL
    if code is not None:
        data = pack(f">{code}", value)
    else:
        data = value.encode() if isinstance(value, str) else value
    return len(data).to_bytes(4, "big") + data


@lru_cache(maxsize=32)
def _packer(table: sa.Table) -> _Packer:
    return _Packer(list(table.columns))
