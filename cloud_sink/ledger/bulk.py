"""Puts many rows into a table at once, by the quickest way that each database has.

SQLite: statements of many rows, so that the interpreter is entered once per statement and not once per row.
PostgreSQL: COPY.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection

_SQLITE_ROWS = 200  # rows of one statement: beyond that nothing is gained
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
    with raw.cursor() as cursor, cursor.copy(f"COPY {table.name} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
