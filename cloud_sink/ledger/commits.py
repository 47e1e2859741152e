"""The ledger's own journal: one row for each transaction that added something, with the numbers given out last.

The writer that holds the write lock reads the newest row, gives out the numbers after it, and adds its own row: so
numbers have no gaps and follow the order of commits.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.bulk import insert_rows
from cloud_sink.ledger.instants import from_ms
from cloud_sink.ledger.tables import commits


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers given out last."""

    commit_no: int
    page_no: int
    position: int


def last(connection: Connection) -> Numbers:
    """Return the newest numbers; all 0 in an empty ledger."""
    query = sa.select(commits.c.commit_no, commits.c.last_page_no, commits.c.last_position)
    row = connection.execute(query.order_by(commits.c.commit_no.desc()).limit(1)).one_or_none()
    return Numbers(*row) if row else Numbers(0, 0, 0)


def waiting_since(connection: Connection, position: int) -> datetime | None:
    """Return when the first entry after a position was committed, None if there is none."""
    c = commits.c
    query = sa.select(c.committed_ms).where(c.last_position > position).order_by(c.last_position).limit(1)
    found = connection.scalar(query)
    return None if found is None else from_ms(found)


def committed_at(connection: Connection, position: int) -> datetime | None:
    """Return when an entry was committed, None if there is none of that position."""
    c = commits.c
    query = sa.select(c.committed_ms).where(c.last_position >= position)
    found = connection.scalar(query.order_by(c.last_position, c.commit_no).limit(1))
    return None if found is None else from_ms(found)


def add(connection: Connection, numbers: Numbers, now_ms: int) -> None:
    """Write this transaction's row; `numbers.commit_no` is its own."""
    insert_rows(connection, commits, [(numbers.commit_no, now_ms, numbers.page_no, numbers.position)])
