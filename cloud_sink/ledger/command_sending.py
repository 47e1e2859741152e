"""A command's way out and back, in the ledger: attempts are taken, outcomes kept.

An attempt is taken by an update that only one can do: of several sinks one sends it. An outcome is kept once, with its
signed bytes; the first last word on a command holds, and is an observation too, from which twins learn of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.bulk import insert_rows
from cloud_sink.ledger.command_wishes import take_back_wish
from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.observations import ReportKind, last_observation_no
from cloud_sink.ledger.tables import command_outcomes, commands, observations
from cloud_sink.orders.model import Action, AnsweredCommand, CommandState
from wastelock.orders import CommandOutcome

_ACCEPTED = CommandState.ACCEPTED.value
_REJECTED = CommandState.REJECTED.value
_ACTOR = "cloud-sink"
c = commands.c


@dataclass(frozen=True, slots=True)
class Answer:
    """An outcome whose signature holds: from which gateway it came, when, and the bytes that prove it."""

    site: str
    gateway: str
    outcome: CommandOutcome
    received_at: datetime
    kid: str
    sig: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of an answer: `command` None: it is about none that this gateway was given. `is_news`: first."""

    answer: Answer
    command: sa.Row[Any] | None
    is_news: bool


def due_commands(connection: Connection, now: datetime, limit: int) -> Sequence[sa.Row[Any]]:
    """Return commands of which something is to be sent now, those that wait longest first."""
    due = sa.select(commands).where(c.next_send_ms <= to_ms(now))
    return connection.execute(due.order_by(c.next_send_ms, c.command_no).limit(limit)).all()


def take_attempt(
    connection: Connection, command: sa.Row[Any], now: datetime, next_at: datetime | None
) -> bool:
    """Take the next attempt to send a command; False if somebody else was quicker, or it is settled by now."""
    taken = connection.execute(
        commands.update()
        .where(c.command_no == command.command_no, c.attempt == command.attempt, c.next_send_ms.is_not(None))
        .values(attempt=c.attempt + 1, last_sent_ms=to_ms(now), next_send_ms=_ms(next_at))
    )
    return taken.rowcount == 1


def stop_sending(connection: Connection, command_no: int) -> None:
    """Leave it at what was sent."""
    connection.execute(commands.update().where(c.command_no == command_no).values(next_send_ms=None))


def keep_outcomes(connection: Connection, answers: Sequence[Answer]) -> list[Kept]:
    """Keep what gateways answered, in a transaction that holds the write lock; what is known changes nothing."""
    kept = [_keep(connection, answer) for answer in answers]
    news = [each for each in kept if each.is_news and each.command is not None]
    number = last_observation_no(connection)
    rows = [_observation(place, each) for place, each in enumerate(news, number + 1)]
    insert_rows(connection, observations, rows)
    return kept


def _keep(connection: Connection, answer: Answer) -> Kept:
    told, received_ms = answer.outcome, to_ms(answer.received_at)
    command = connection.execute(sa.select(commands).where(c.id == told.id)).one_or_none()
    if command is None or (command.site, command.gateway, command.lock) != (
        answer.site, answer.gateway, told.lock,
    ):  # fmt: skip
        return Kept(answer, None, is_news=False)
    o = command_outcomes.c
    there = sa.select(o.outcome).where(o.command_no == command.command_no, o.outcome == told.outcome)
    if connection.scalar(there) is not None:
        return Kept(answer, command, is_news=False)
    row = (
        command.command_no, told.outcome, to_ms(told.at), received_ms, answer.kid, answer.sig, answer.payload,
    )  # fmt: skip
    insert_rows(connection, command_outcomes, [row])
    is_first = command.outcome in (None, _ACCEPTED) and told.outcome != command.outcome
    if told.outcome == _ACCEPTED:
        changed: dict[str, object] = {"accepted_ms": received_ms}
        changed |= {"outcome": _ACCEPTED} if command.outcome is None else {}
        is_first = command.outcome is None
    else:
        changed = {"outcome": told.outcome, "told": _clean(told.reason), "outcome_ms": received_ms,
                   "next_send_ms": None} if is_first else {}  # fmt: skip
    if changed:
        connection.execute(commands.update().where(c.command_no == command.command_no).values(changed))
    if is_first and told.outcome == _REJECTED and command.action == Action.ENABLE_CHAMBERS:
        why = f"command {command.id} was rejected"
        take_back_wish(connection, command.lock, command.id, _ACTOR, why, answer.received_at)
    return Kept(answer, command, is_news=is_first)


def _observation(number: int, kept: Kept) -> tuple[object, ...]:
    answer, told = kept.answer, kept.answer.outcome
    assert kept.command is not None  # only what is about a command is news
    said = AnsweredCommand(
        id=told.id,
        lock=told.lock,
        action=kept.command.action,
        outcome=told.outcome,
        at=told.at,
        reason=_clean(told.reason),
    )
    return (
        number, to_ms(answer.received_at), ReportKind.COMMAND.value, answer.site, answer.gateway, told.lock, None,
        said.to_json().decode(),
    )  # fmt: skip


def _clean(reason: str | None) -> str | None:
    """Return a gateway's words without NUL, which PostgreSQL doesn't keep."""
    return None if reason is None else reason.replace("\0", "")


def _ms(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)
