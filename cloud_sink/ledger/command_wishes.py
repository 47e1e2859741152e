"""What `enable_chambers` wishes lasts, and is taken back with a command that never counted.

command asked for        wish is written with it            the event after the command's own
withdrawn, rejected      what was wished before, again      unless somebody has wished something else since
expired, failed, unanswered: the wish stays. The lock comes to it once it can, or an alarm tells that it doesn't.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.operator_events import Decision, add_events
from cloud_sink.ledger.tables import commands, lock_wishes, operator_events
from cloud_sink.operator_events import EventKind, Ordered, SubjectKind, Wish, WishedProperty
from cloud_sink.orders.model import CommandState

_MASK = WishedProperty.ENABLE_MASK
_LOOKED_AT = 100  # wishes before; a lock has fewer commands under way at once
_DEADLINE = timedelta(minutes=10)
_o = operator_events.c


def take_back_wish(
    connection: Connection, lock: str, command_id: str, actor: str, reason: str, now: datetime
) -> bool:
    """Wish again what was wished of a lock's chambers before this command, in the transaction that ends it; False if
    its wish isn't the one that holds, so that nothing is to be done."""
    wished_no = _number_of_wish(connection, lock, command_id)
    w = lock_wishes.c
    holds = sa.select(w.event_no).where(w.lock == lock, w.property == _MASK.value)
    if wished_no is None or connection.scalar(holds) != wished_no:
        return False
    again = _wished_before(connection, lock, wished_no, now)
    add_events(connection, [Decision(SubjectKind.LOCK, lock, again, actor, reason)], to_ms(now))
    return True


def _of(lock: str, kind: EventKind) -> tuple[sa.ColumnElement[bool], ...]:
    return _o.subject_kind == SubjectKind.LOCK.value, _o.subject == lock, _o.kind == kind.value


def _number_of_wish(connection: Connection, lock: str, command_id: str) -> int | None:
    named = _o.body.startswith(f'{{"id":"{command_id}"', autoescape=True)
    query = sa.select(_o.event_no).where(*_of(lock, EventKind.ORDERED), named)
    ordered_no = connection.scalar(query.order_by(_o.event_no.desc()).limit(1))
    return None if ordered_no is None else int(ordered_no) + 1


def _wished_before(connection: Connection, lock: str, wished_no: int, now: datetime) -> Wish:
    """Return the newest wish before this one that doesn't come from a command that never counted either."""
    query = sa.select(_o.event_no, _o.body).where(
        *_of(lock, EventKind.DESIRED), _o.event_no < wished_no, _o.body.contains(f'"{_MASK.value}"')
    )
    rows = connection.execute(query.order_by(_o.event_no.desc()).limit(_LOOKED_AT)).all()
    void = _void(connection, lock, [row.event_no for row in rows])
    for row in rows:
        if row.event_no not in void:
            wish = Wish.model_validate_json(row.body)
            until = wish.deadline_at and max(wish.deadline_at, now + _DEADLINE)
            return wish.model_copy(update={"deadline_at": until})
    return Wish(property=_MASK, value=None)


def _void(connection: Connection, lock: str, wishes: Sequence[int]) -> set[int]:
    """Return those of these wishes that came with a command which was withdrawn or rejected."""
    told = sa.select(_o.event_no, _o.body).where(
        *_of(lock, EventKind.ORDERED), _o.event_no.in_([number - 1 for number in wishes])
    )
    ordered = ((row.event_no, Ordered.model_validate_json(row.body)) for row in connection.execute(told))
    by_id = {body.id: int(number) + 1 for number, body in ordered if body.enable_mask is not None}
    if not by_id:
        return set()
    c = commands.c
    never = CommandState.WITHDRAWN.value, CommandState.REJECTED.value
    ids = connection.scalars(sa.select(c.id).where(c.id.in_(list(by_id)), c.outcome.in_(never)))
    return {by_id[command_id] for command_id in ids}
