"""The log of writes: who did what, when. A write is logged before it is done: what can't be logged isn't done."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from portal.accounts.database import Database
from portal.accounts.secret import from_ms, to_ms
from portal.accounts.tables import audit

_PAGE = 50
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """`outcome`: HTTP status of the answer; None by the command line, or where none was given any more."""

    event_no: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: str
    outcome: int | None


class AuditLog:
    """Only ever added to; what is older than `keep_days` is dropped."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def begin(self, actor: str, action: str, subject: str = "", detail: str = "") -> int:
        """Log what is about to be done, and return the event's number."""
        with self._database.writing() as connection:
            return write_event(connection, self._clock(), actor, action, subject, detail)

    def conclude(self, event_no: int, outcome: int) -> None:
        """Add how it ended."""
        with self._database.writing() as connection:
            connection.execute(audit.update().where(audit.c.event_no == event_no).values(outcome=outcome))

    def page(self, before: int | None = None, limit: int = _PAGE) -> list[AuditEvent]:
        """Return the newest events, or those before a number, newest first."""
        query = sa.select(audit).order_by(audit.c.event_no.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.c.event_no < before)
        with self._database.reading() as connection:
            return [
                AuditEvent(
                    row.event_no,
                    from_ms(row.at_ms),
                    row.actor,
                    row.action,
                    row.subject,
                    row.detail,
                    row.outcome,
                )
                for row in connection.execute(query)
            ]

    def prune(self, keep_days: int) -> int:
        """Drop what is older, and return how many events that were."""
        oldest_ms = to_ms(self._clock() - timedelta(days=keep_days))
        with self._database.writing() as connection:
            return connection.execute(audit.delete().where(audit.c.at_ms < oldest_ms)).rowcount


def write_event(
    connection: Connection, at: datetime, actor: str, action: str, subject: str = "", detail: str = ""
) -> int:
    """Log an event in a transaction that is open, and return its number."""
    event_no = next_number(connection, audit.c.event_no)
    connection.execute(
        audit.insert().values(
            event_no=event_no,
            at_ms=to_ms(at),
            actor=actor[:_LONGEST],
            action=action[:_LONGEST],
            subject=subject[:_LONGEST],
            detail=detail[:_LONGEST],
        )
    )
    return event_no


def next_number(connection: Connection, column: sa.Column[int]) -> int:
    """Return the number after the greatest one; the write lock is held, so nobody else gets it."""
    return int(connection.scalar(sa.select(sa.func.coalesce(sa.func.max(column), 0))) or 0) + 1
