"""Commands in the ledger: added, looked up, withdrawn, given up when old. Sending and answers: `command_sending`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.bulk import insert_rows
from cloud_sink.ledger.instants import from_ms, to_ms
from cloud_sink.ledger.tables import command_outcomes, commands
from cloud_sink.orders.model import Action, CommandState, CommandView, state_of

WITHDRAWN = CommandState.WITHDRAWN.value
_ACCEPTED = CommandState.ACCEPTED.value
c = commands.c


@dataclass(frozen=True, slots=True)
class NewCommand:
    """What is asked for, of whom, until when, by whom and why."""

    id: str
    site: str
    gateway: str
    lock: str
    action: Action
    enable_mask: int | None
    requested_by: str
    reason: str
    issued_at: datetime
    expires_at: datetime


def add_command(connection: Connection, new: NewCommand) -> None:
    """Write a command that is to be sent at once, in a transaction that holds the write lock."""
    number = int(connection.scalar(sa.select(sa.func.max(c.command_no))) or 0) + 1
    issued_ms = to_ms(new.issued_at)
    row = (
        number, new.id, new.site, new.gateway, new.lock, new.action.value, new.enable_mask, new.requested_by,
        new.reason, issued_ms, to_ms(new.expires_at), 0, None, issued_ms, None, None, None, None,
    )  # fmt: skip
    insert_rows(connection, commands, [row])


def find_command(connection: Connection, command_id: str) -> sa.Row[Any] | None:
    """Return a command's row, None if there is none of that id."""
    return connection.execute(sa.select(commands).where(c.id == command_id)).one_or_none()


def count_open(connection: Connection, lock: str, now: datetime) -> int:
    """Return how many commands to a lock may still be carried out."""
    waiting = sa.or_(c.outcome.is_(None), c.outcome == _ACCEPTED)
    query = sa.select(sa.func.count()).where(c.lock == lock, waiting, c.expires_ms > to_ms(now))
    return int(connection.scalar(query) or 0)


def list_commands(
    connection: Connection,
    lock: str | None,
    place: tuple[str, str] | None,
    before: str | None,
    limit: int,
) -> Sequence[sa.Row[Any]]:
    """Return commands, the newest first: of a lock, of a gateway (site, name), before the one of that id."""
    query = sa.select(commands)
    if lock is not None:
        query = query.where(c.lock == lock)
    if place is not None:
        query = query.where(c.site == place[0], c.gateway == place[1])
    if before is not None:
        number = sa.select(c.command_no).where(c.id == before).scalar_subquery()
        query = query.where(c.command_no < number)
    return connection.execute(query.order_by(c.command_no.desc()).limit(limit)).all()


def withdraw_command(connection: Connection, command_id: str, now: datetime) -> bool:
    """Take back a command that wasn't sent yet; False if it is too late for that."""
    taken = connection.execute(
        commands.update()
        .where(c.id == command_id, c.attempt == 0, c.outcome.is_(None))
        .values(outcome=WITHDRAWN, outcome_ms=to_ms(now), next_send_ms=None)
    )
    return taken.rowcount == 1


def latest_commands(
    connection: Connection, locks: Sequence[str] | None, since: datetime
) -> list[sa.Row[Any]]:
    """Return of each lock (None: of all) and action the newest command that was asked for since then and not taken
    back."""
    newest = (
        sa.select(sa.func.max(c.command_no))
        .where(c.issued_ms >= to_ms(since), sa.or_(c.outcome.is_(None), c.outcome != WITHDRAWN))
        .group_by(c.lock, c.action)
    )
    if locks is not None:
        newest = newest.where(c.lock.in_(locks))
    return list(
        connection.execute(sa.select(commands).where(c.command_no.in_(newest)).order_by(c.command_no))
    )


def commands_until(connection: Connection, lock: str, at: datetime, limit: int) -> list[CommandView]:
    """Return a lock's commands as they stood at an instant, the newest first."""
    query = sa.select(commands).where(c.lock == lock, c.issued_ms <= to_ms(at))
    rows = connection.execute(query.order_by(c.command_no.desc()).limit(limit))
    return [view_command(row, at) for row in rows]


def give_up_commands(connection: Connection, before: datetime, limit: int) -> int:
    """Delete commands that were asked for before then, with their outcomes, at most `limit`; return how many."""
    old = sa.select(c.command_no).where(c.issued_ms < to_ms(before)).order_by(c.issued_ms).limit(limit)
    numbers = list(connection.scalars(old))
    connection.execute(command_outcomes.delete().where(command_outcomes.c.command_no.in_(numbers)))
    connection.execute(commands.delete().where(c.command_no.in_(numbers)))
    return len(numbers)


def view_command(row: sa.Row[Any], now: datetime) -> CommandView:
    """Return a row as it is shown, as things stood at this instant; how often it was sent is as it is."""
    expires_at = from_ms(row.expires_ms)
    accepted_at = _until(row.accepted_ms, now)
    is_known = row.outcome not in (None, _ACCEPTED) and _until(row.outcome_ms, now) is not None
    outcome = row.outcome if is_known else (None if accepted_at is None else _ACCEPTED)
    state = state_of(outcome, row.attempt, expires_at, now)
    ended_at = _instant(row.outcome_ms) if is_known else None
    return CommandView(
        id=row.id,
        lock=row.lock,
        site=row.site,
        gateway=row.gateway,
        action=Action(row.action),
        enable_mask=row.enable_mask,
        requested_by=row.requested_by,
        reason=row.reason,
        issued_at=from_ms(row.issued_ms),
        expires_at=expires_at,
        attempt=row.attempt,
        last_sent_at=_instant(row.last_sent_ms),
        state=state,
        told=row.told if is_known else None,
        accepted_at=accepted_at,
        ended_at=expires_at if state is CommandState.UNANSWERED else ended_at,
    )


def _until(ms: int | None, now: datetime) -> datetime | None:
    """Return an instant that isn't after now, else None."""
    return None if ms is None or ms > to_ms(now) else from_ms(ms)


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)
