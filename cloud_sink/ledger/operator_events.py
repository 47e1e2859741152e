"""What people decided, in the ledger: added to, and read from a number on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.bulk import insert_rows
from cloud_sink.ledger.instants import from_ms
from cloud_sink.ledger.tables import lock_wishes, operator_events
from cloud_sink.ledger.upserting import upsert
from cloud_sink.operator_events import Body, EventKind, SubjectKind, Wish, body_of, kind_of


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be written: about whom, what, by whom and why."""

    subject_kind: SubjectKind
    subject: str
    body: Body
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OperatorEvent:
    """One event as it is kept."""

    event_no: int
    at: datetime
    subject_kind: SubjectKind
    subject: str
    kind: EventKind
    body: Body
    actor: str
    reason: str


def add_events(connection: Connection, decisions: Sequence[Decision], now_ms: int) -> list[int]:
    """Write decisions in a transaction that holds the write lock; return the events' numbers.

    Their instant is now, but never before that of the event before: whoever sorts by it has the order of numbers.
    """
    o = operator_events.c
    last_one = sa.select(sa.func.max(o.event_no)).scalar_subquery()
    newest = connection.execute(sa.select(o.event_no, o.at_ms).where(o.event_no == last_one)).one_or_none()
    last_no, last_ms = newest or (0, now_ms)
    at_ms = max(now_ms, last_ms)
    numbers = list(range(last_no + 1, last_no + 1 + len(decisions)))
    rows = [
        (
            number, at_ms, each.subject_kind.value, each.subject, kind_of(each.body).value, each.body.to_json(),
            each.actor, each.reason,
        )
        for number, each in zip(numbers, decisions, strict=True)
    ]  # fmt: skip
    insert_rows(connection, operator_events, rows)
    _note_wishes(connection, zip(numbers, decisions, strict=True))
    return numbers


def _note_wishes(connection: Connection, decided: Iterable[tuple[int, Decision]]) -> None:
    """Keep what locks shall be where it is found by lock; of several wishes for one property the last one holds."""
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for number, each in decided:
        if isinstance(each.body, Wish) and each.subject_kind is SubjectKind.LOCK:
            name, wished = each.body.property.value, each.body.value
            value = None if wished is None else str(wished)
            row: dict[str, object] = {
                "lock": each.subject,
                "property": name,
                "value": value,
                "event_no": number,
            }
            rows[each.subject, name] = row
    upsert(connection, lock_wishes, ["lock", "property"], list(rows.values()))


def operator_events_after(connection: Connection, number: int, limit: int) -> list[OperatorEvent]:
    """Return the next events after a number, at most `limit`, in the order of numbers."""
    o = operator_events.c
    query = sa.select(operator_events).where(o.event_no > number).order_by(o.event_no).limit(limit)
    return [_event(row) for row in connection.execute(query)]


def last_event_no(connection: Connection) -> int:
    """Return the newest event's number, 0 while there is none."""
    return int(connection.scalar(sa.select(sa.func.max(operator_events.c.event_no))) or 0)


def events_of(
    connection: Connection, subject_kind: SubjectKind, subject: str, kind: EventKind, limit: int = 1
) -> list[OperatorEvent]:
    """Return the newest events of a subject and kind, the newest first, at most `limit`."""
    o = operator_events.c
    query = (
        sa.select(operator_events)
        .where(o.subject_kind == subject_kind.value, o.subject == subject, o.kind == kind.value)
        .order_by(o.event_no.desc())
        .limit(limit)
    )
    return [_event(row) for row in connection.execute(query)]


def last_bodies(connection: Connection, subject_kind: SubjectKind, kind: EventKind) -> dict[str, Body]:
    """Return the newest body of this kind of each subject."""
    o = operator_events.c
    newest = (
        sa.select(sa.func.max(o.event_no))
        .where(o.subject_kind == subject_kind.value, o.kind == kind.value)
        .group_by(o.subject)
    )
    query = sa.select(o.subject, o.body).where(o.event_no.in_(newest))
    return {row.subject: body_of(subject_kind, kind, row.body) for row in connection.execute(query)}


def _event(row: sa.Row[Any]) -> OperatorEvent:
    subject_kind, kind = SubjectKind(row.subject_kind), EventKind(row.kind)
    return OperatorEvent(
        row.event_no, from_ms(row.at_ms), subject_kind, row.subject, kind, body_of(subject_kind, kind, row.body),
        row.actor, row.reason,
    )  # fmt: skip
