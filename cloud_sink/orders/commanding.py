"""Sends commands: at once, then again with back-off until their gateway has said what became of them.

    asked for ──▶ attempt 1 ──15 s──▶ 2 ──30 s──▶ 3 … at most every 5 min ──▶ expires ──▶ asked about for 15 min more

Each attempt has a number of its own, taken in the ledger before it is sent: a gateway answers a later attempt of a
command that it knows, and carries it out once. What wasn't sent before it expired is never sent; after that a command
is only asked about.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any

import sqlalchemy as sa
import structlog
from pydantic import ValidationError

from cloud_sink.ledger.command_sending import due_commands, stop_sending, take_attempt
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.instants import from_ms
from cloud_sink.orders.model import CommandState
from cloud_sink.session import Envelope, Session
from wastelock.orders import Command
from wastelock.page import SigningKey
from wastelock.topics import GatewayTopics

_log = structlog.get_logger(__name__)
_BATCH = 100
_FIRST_WAIT = timedelta(seconds=15)
_LONGEST_WAIT = timedelta(minutes=5)
_ASK_AFTER = timedelta(minutes=15)
_ASK_EXPIRY_S = 60  # an answer to a question that was asked longer ago is of no use
_JITTER = 0.25

Row = sa.Row[Any]


class Commanding:
    """`send_due` sends what is due now; for one thread."""

    def __init__(
        self,
        database: Database,
        session: Session,
        key: SigningKey,
        clock: Callable[[], datetime],
        random: Random,
    ) -> None:
        self._database = database
        self._session = session
        self._key = key
        self._clock = clock
        self._random = random

    def send_due(self) -> int:
        """Send one batch of what is due; return how many attempts were handed to the broker. LedgerUnavailable."""
        now = self._clock()
        with self._database.reading() as connection:
            due = due_commands(connection, now, _BATCH)
        if not due:
            return 0
        with self._database.writing() as connection:
            mine = [command for command in due if self._take(connection, command, now)]
        return sum(self._send(command, now) for command in mine)

    def _take(self, connection: sa.Connection, command: Row, now: datetime) -> bool:
        expires_at = from_ms(command.expires_ms)
        if now >= expires_at and (command.attempt == 0 or now >= expires_at + _ASK_AFTER):
            stop_sending(connection, command.command_no)
            return False
        next_at = now + self._wait(command)
        return take_attempt(connection, command, now, next_at if next_at < expires_at + _ASK_AFTER else None)

    def _wait(self, command: Row) -> timedelta:
        if command.outcome == CommandState.ACCEPTED:
            wait = _LONGEST_WAIT  # it is being worked on, and will be told of
        else:
            wait = min(_FIRST_WAIT * 2 ** min(command.attempt, 16), _LONGEST_WAIT)
        return wait * (1 + _JITTER * (2 * self._random.random() - 1))

    def _send(self, command: Row, now: datetime) -> bool:
        try:
            order = _order(command)
        except (
            ValidationError
        ) as error:  # a later release may know other ones, and write into the same ledger
            _log.error("this release can't send a command: it needs an update", command=command.id,
                       action=command.action, lock=command.lock, problems=error.error_count())  # fmt: skip
            return False
        topics, payload = GatewayTopics(command.site, command.gateway), order.to_json()
        left_s = int((order.expires_at - now).total_seconds())
        envelope = Envelope(
            self._key.kid,
            self._key.sign(topics.command, payload),
            expiry_s=left_s if left_s > 0 else _ASK_EXPIRY_S,
            response_topic=topics.result,
            correlation=command.id.encode(),
        )
        is_sent = self._session.publish_order(topics.command, payload, envelope)
        _log.info("command sent" if is_sent else "a command couldn't be sent: it is tried again",
                  command=command.id, action=command.action, lock=command.lock, gateway=command.gateway,
                  attempt=order.attempt)  # fmt: skip
        return is_sent


def _order(command: Row) -> Command:
    """Return the next attempt at a command."""
    return Command(
        id=command.id,
        lock=command.lock,
        action=command.action,
        issued_at=from_ms(command.issued_ms),
        expires_at=from_ms(command.expires_ms),
        attempt=command.attempt + 1,
        enable_mask=command.enable_mask,
    )
