"""Adds rows to a projection's table: a row that is there already is added up, not replaced.

SQLite: one prepared statement for all rows. PostgreSQL: one statement that takes the columns as arrays.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection

_ARRAYS = {"BigInteger": "bigint", "Integer": "integer", "LargeBinary": "bytea"}
# By database, how the number that is there and the one that comes make one.
_SQLITE = {
    "sum": "{0} + excluded.{0}",
    "min": "MIN({0}, excluded.{0})",
    "max": "MAX({0}, excluded.{0})",
}
_POSTGRES = {
    "sum": "{1}.{0} + excluded.{0}",
    "min": "LEAST({1}.{0}, excluded.{0})",
    "max": "GREATEST({1}.{0}, excluded.{0})",
}


def add_rows(
    connection: Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]], combine: Mapping[str, str]
) -> None:
    """Add rows, in the order of the table's columns; none may have the key of another.

    `combine`: column -> `sum`, `min` or `max`: what becomes of it where a row with this key is there already.
    """
    if not rows:
        return
    raw = connection.connection.driver_connection
    how = tuple(combine.items())
    if isinstance(raw, sqlite3.Connection):
        raw.executemany(_sqlite_statement(table, how), rows)
    elif isinstance(raw, psycopg.Connection):
        columns = list(map(list, zip(*rows, strict=True)))
        raw.execute(_postgres_statement(table, how), columns)
    else:
        raise TypeError(f"no way to add rows by {type(raw).__name__}")


@lru_cache
def _sqlite_statement(table: sa.Table, combine: tuple[tuple[str, str], ...]) -> str:
    places = ",".join("?" * len(table.columns))
    updates = [f"{name} = {_SQLITE[how].format(name)}" for name, how in combine]
    return f"INSERT INTO {table.name} VALUES ({places}) {_on_conflict(table, updates)}"


@lru_cache
def _postgres_statement(table: sa.Table, combine: tuple[tuple[str, str], ...]) -> bytes:
    arrays = ",".join(f"%s::{_array(column)}[]" for column in table.columns)
    updates = [f"{name} = {_POSTGRES[how].format(name, table.name)}" for name, how in combine]
    statement = f"INSERT INTO {table.name} SELECT * FROM unnest({arrays}) {_on_conflict(table, updates)}"
    return statement.encode()


def _on_conflict(table: sa.Table, updates: Sequence[str]) -> str:
    keys = ",".join(column.name for column in table.primary_key)
    return f"ON CONFLICT ({keys}) DO UPDATE SET {', '.join(updates)}" if updates else "ON CONFLICT DO NOTHING"


def _array(column: sa.Column[Any]) -> str:
    return next(_ARRAYS[kind.__name__] for kind in type(column.type).__mro__ if kind.__name__ in _ARRAYS)
