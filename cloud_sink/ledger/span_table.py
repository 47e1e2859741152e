"""Ranges of numbers in a table: which pages of a journal, which records of a lock's epoch the ledger holds.

So "what is missing" is answered by a handful of rows, however many millions of entries there are.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink import spans
from cloud_sink.ledger.bulk import insert_rows
from cloud_sink.ledger.tables import page_spans, seq_spans
from cloud_sink.spans import Span

Key = tuple[int, ...]
_KEYS_AT_ONCE = 256


class SpanTable:
    """One table of ranges; `columns` are those of the key, before `last` and `first`."""

    def __init__(self, table: sa.Table, columns: Sequence[str]) -> None:
        self._table = table
        self._columns = columns

    def touching(self, connection: Connection, wanted: Mapping[Key, Span]) -> dict[Key, list[Span]]:
        """Return of each key the ranges that overlap the wanted one or lie right beside it, ascending."""
        found: dict[Key, list[Span]] = {key: [] for key in wanted}
        items = list(wanted.items())
        for start in range(0, len(items), _KEYS_AT_ONCE):
            part = items[start : start + _KEYS_AT_ONCE]
            # Filled up to a power of two, so that few different statements are prepared.
            filled = part + part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))
            values = tuple(value for key, (low, high) in filled for value in (*key, low - 1, high + 1))
            for *key, first, last in connection.exec_driver_sql(self._query(connection, len(filled)), values):
                found[tuple(key)].append((first, last))
        return {key: sorted(set(mine)) for key, mine in found.items()}

    def add(
        self, connection: Connection, added: Mapping[Key, Sequence[Span]], there: Mapping[Key, Sequence[Span]]
    ) -> None:
        """Add ranges. `there`: what `touching` returned for a range that covers all of them."""
        prolonged: list[tuple[int, ...]] = []
        gone: list[tuple[int, ...]] = []
        new: list[tuple[int, ...]] = []
        for key, ranges in added.items():
            before = set(there[key])
            after = set(spans.union([*before, *ranges]))
            removed, made = before - after, after - before
            if len(removed) == len(made) == 1:
                # The usual case: a range became longer.
                prolonged.append((*made.pop()[::-1], *key, removed.pop()[1]))
            else:
                gone.extend((*key, last) for _, last in removed)
                new.extend((*key, last, first) for first, last in made)
        same_row = " AND ".join(f"{name} = ?" for name in (*self._columns, "last"))
        table = self._table.name
        _execute_many(connection, f"UPDATE {table} SET last = ?, first = ? WHERE {same_row}", prolonged)
        _execute_many(connection, f"DELETE FROM {table} WHERE {same_row}", gone)
        insert_rows(connection, self._table, new)

    def _query(self, connection: Connection, keys: int) -> str:
        query = _query(self._table.name, tuple(self._columns), keys)
        return _in_dialect(connection, query)


@lru_cache(maxsize=64)
def _query(table: str, columns: tuple[str, ...], keys: int) -> str:
    """By hand, not by SQLAlchemy: this runs twice in each transaction and would be compiled anew each time."""
    width = len(columns) + 2
    typed = f"({', '.join(['CAST(? AS BIGINT)'] * width)})"
    wanted = ", ".join([typed] + [f"({', '.join('?' * width)})"] * (keys - 1))
    same_key = " AND ".join(f"t.{name} = w.{name}" for name in columns)
    return (
        f"WITH w({', '.join(columns)}, low, high) AS (VALUES {wanted}) "
        f"SELECT {', '.join(f't.{name}' for name in columns)}, t.first, t.last FROM w JOIN {table} t "
        f"ON {same_key} AND t.last >= w.low AND t.first <= w.high"
    )


def _execute_many(connection: Connection, statement: str, rows: list[tuple[int, ...]]) -> None:
    if rows:
        connection.exec_driver_sql(_in_dialect(connection, statement), rows)


def _in_dialect(connection: Connection, statement: str) -> str:
    return statement if connection.dialect.name == "sqlite" else statement.replace("?", "%s")


PAGE_SPANS = SpanTable(page_spans, ["journal_no"])
SEQ_SPANS = SpanTable(seq_spans, ["lock_no", "epoch"])
