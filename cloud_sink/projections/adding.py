"""Adds rows to a projection's table: a row that is there already is added up, not replaced.

SQLite: one prepared statement for all rows. PostgreSQL: binary COPY into a temporary table, and from there at once.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.bulk import insert_rows

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
    `least a,b` and `greatest a,b` take the value of the row whose columns a and b are smaller, or greater, and so
    does `new` of the one that comes.
    """
    if not rows:
        return
    raw = connection.connection.driver_connection
    how = tuple(combine.items())
    if isinstance(raw, sqlite3.Connection):
        raw.executemany(_sqlite_statement(table, how), rows)
    elif isinstance(raw, psycopg.Connection):
        batch = _batch_of(table)
        connection.exec_driver_sql(f"CREATE TEMPORARY TABLE IF NOT EXISTS {batch.name} (LIKE {table.name})")
        insert_rows(connection, batch, rows)
        connection.exec_driver_sql(_postgres_statement(table, how))
        connection.exec_driver_sql(f"TRUNCATE {batch.name}")
    else:
        raise TypeError(f"no way to add rows by {type(raw).__name__}")


@lru_cache
def _sqlite_statement(table: sa.Table, combine: tuple[tuple[str, str], ...]) -> str:
    places = ",".join("?" * len(table.columns))
    updates = [f"{name} = {_combined(_SQLITE, table, name, how)}" for name, how in combine]
    return f"INSERT INTO {table.name} VALUES ({places}) {_on_conflict(table, updates)}"


@lru_cache
def _postgres_statement(table: sa.Table, combine: tuple[tuple[str, str], ...]) -> str:
    updates = [f"{name} = {_combined(_POSTGRES, table, name, how)}" for name, how in combine]
    return f"INSERT INTO {table.name} SELECT * FROM {_batch_of(table).name} {_on_conflict(table, updates)}"


def _combined(dialect: Mapping[str, str], table: sa.Table, name: str, how: str) -> str:
    if how == "new":
        return f"excluded.{name}"
    if how in dialect:
        return dialect[how].format(name, table.name)
    which, _, columns = how.partition(" ")
    mine = ", ".join(f"{table.name}.{column}" for column in columns.split(","))
    theirs = ", ".join(f"excluded.{column}" for column in columns.split(","))
    sign = {"least": "<", "greatest": ">"}[which]
    return f"CASE WHEN ({theirs}) {sign} ({mine}) THEN excluded.{name} ELSE {table.name}.{name} END"


@lru_cache
def _batch_of(table: sa.Table) -> sa.Table:
    """Return what the rows of one batch are put into: of this session only, emptied after each."""
    columns = [sa.Column(column.name, column.type) for column in table.columns]
    return sa.Table(f"{table.name}_batch", sa.MetaData(), *columns)


def _on_conflict(table: sa.Table, updates: Sequence[str]) -> str:
    keys = ",".join(column.name for column in table.primary_key)
    return f"ON CONFLICT ({keys}) DO UPDATE SET {', '.join(updates)}" if updates else "ON CONFLICT DO NOTHING"
