"""Writes rows by their key: those that are there already are replaced."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection


def upsert(
    connection: Connection,
    table: sa.Table,
    key: Sequence[str],
    rows: Sequence[dict[str, object]],
    newest: str | None = None,
) -> None:
    """Write rows. `newest`: a column; a row that is there stays if it is greater in that."""
    if not rows:
        return
    insert = (sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert)(table)
    new = insert.excluded
    updated = {column.name: new[column.name] for column in table.columns if column.name not in key}
    where = None if newest is None else table.c[newest] <= new[newest]
    connection.execute(
        insert.on_conflict_do_update(index_elements=list(key), set_=updated, where=where), list(rows)
    )
