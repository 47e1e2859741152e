"""Ranges of numbers in a table: which pages of a journal, which records of a lock's epoch the ledger holds.

So "what is missing" is answered by a handful of rows, however many millions of entries there are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink import spans
from cloud_sink.ledger.tables import page_spans, seq_spans
from cloud_sink.spans import Span

Key = tuple[int, ...]
_KEYS_AT_ONCE = 200


class SpanTable:
    """One table of ranges; `columns` are those of the key, before `last` and `first`."""

    def __init__(self, table: sa.Table, columns: Sequence[str]) -> None:
        self._table = table
        self._columns = [table.c[name] for name in columns]

    def touching(self, connection: Connection, wanted: Mapping[Key, Span]) -> dict[Key, list[Span]]:
        """Return of each key the ranges that overlap the wanted one or lie right beside it, ascending."""
        found: dict[Key, list[Span]] = {key: [] for key in wanted}
        items = list(wanted.items())
        for start in range(0, len(items), _KEYS_AT_ONCE):
            for row in connection.execute(self._query(items[start : start + _KEYS_AT_ONCE])):
                values: tuple[int, ...] = tuple(row)
                found[values[:-2]].append((row.first, row.last))
        return found

    def add(
        self, connection: Connection, added: Mapping[Key, Sequence[Span]], there: Mapping[Key, Sequence[Span]]
    ) -> None:
        """Add ranges. `there`: what `touching` returned for a range that covers all of them."""
        gone: list[Key] = []
        new: list[dict[str, int]] = []
        for key, ranges in added.items():
            before = set(there[key])
            after = set(spans.union([*before, *ranges]))
            gone.extend((*key, last) for _, last in before - after)
            new.extend(self._row(key, span) for span in after - before)
        if gone:
            names = [*(column.name for column in self._columns), "last"]
            condition = sa.and_(*(self._table.c[name] == sa.bindparam(f"k_{name}") for name in names))
            connection.execute(
                self._table.delete().where(condition),
                [{f"k_{name}": value for name, value in zip(names, row, strict=True)} for row in gone],
            )
        if new:
            connection.execute(self._table.insert(), new)

    def _row(self, key: Key, span: Span) -> dict[str, int]:
        names = (column.name for column in self._columns)
        return {**dict(zip(names, key, strict=True)), "first": span[0], "last": span[1]}

    def _query(self, items: Sequence[tuple[Key, Span]]) -> sa.Select[Any]:
        names = [*(column.name for column in self._columns), "low", "high"]
        wanted = (
            sa.values(*(sa.column(name, sa.BigInteger) for name in names), name="wanted")
            .data([(*key, low - 1, high + 1) for key, (low, high) in items])
            .cte("wanted")
        )
        c = self._table.c
        same_key = sa.and_(*(column == wanted.c[column.name] for column in self._columns))
        return (
            sa.select(*self._columns, c["first"], c["last"])
            .join_from(
                wanted, self._table, sa.and_(same_key, c["last"] >= wanted.c.low, c["first"] <= wanted.c.high)
            )
            .order_by(*self._columns, c["last"])
        )


PAGE_SPANS = SpanTable(page_spans, ["journal_no"])
SEQ_SPANS = SpanTable(seq_spans, ["lock_no", "epoch"])
