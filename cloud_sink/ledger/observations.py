"""What gateways report, as it is kept in the ledger: read from a number on, and what was heard of each subject last.

What they answer to commands is among it, in the order in which it came; it isn't how something is, so it is in no
hearing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.instants import from_ms
from cloud_sink.ledger.tables import hearings, observations
from cloud_sink.orders.model import AnsweredCommand
from wastelock.messages import GatewayState, LockState, Telemetry

State = GatewayState | LockState | Telemetry


class ReportKind(StrEnum):
    """What a report is about: the gateway itself, a lock, how its machine is doing; or a command's outcome."""

    GATEWAY = "gateway"
    LOCK = "lock"
    TELEMETRY = "telemetry"
    COMMAND = "command"


_MODELS: dict[ReportKind, type[State]] = {
    ReportKind.GATEWAY: GatewayState,
    ReportKind.LOCK: LockState,
    ReportKind.TELEMETRY: Telemetry,
}


@dataclass(frozen=True, slots=True)
class Observation:
    """A report that was kept. `heard_before_at`: when the same was heard before, None if never."""

    observation_no: int
    heard_at: datetime
    kind: ReportKind
    site: str
    gateway: str
    lock: str | None
    heard_before_at: datetime | None
    state: State | AnsweredCommand


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was heard last of a gateway, a lock or a gateway's machine, kept or not: `heard_at` is when it was alive."""

    kind: ReportKind
    site: str
    gateway: str
    lock: str | None
    heard_at: datetime
    state: State


def observations_after(connection: Connection, number: int, limit: int) -> list[Observation]:
    """Return the next observations after a number, at most `limit`, in the order of numbers."""
    o = observations.c
    query = sa.select(observations).where(o.observation_no > number).order_by(o.observation_no).limit(limit)
    return [
        Observation(
            row.observation_no,
            from_ms(row.heard_ms),
            ReportKind(row.kind),
            row.site,
            row.gateway,
            row.lock,
            None if row.heard_before_ms is None else from_ms(row.heard_before_ms),
            _said(ReportKind(row.kind), row.report),
        )
        for row in connection.execute(query)
    ]


def last_observation_no(connection: Connection) -> int:
    """Return the newest observation's number, 0 while there is none."""
    return int(connection.scalar(sa.select(sa.func.max(observations.c.observation_no))) or 0)


def hearings_of(connection: Connection, gateways: Iterable[str] | None = None) -> list[Hearing]:
    """Return what was heard last of these gateways (by name) and of the locks behind them; None: of all."""
    query = sa.select(hearings)
    if gateways is not None:
        query = query.where(hearings.c.gateway.in_(list(gateways)))
    return [_hearing(row) for row in connection.execute(query)]


def parse(kind: ReportKind, report: str | bytes) -> State:
    """Return a report on how something is from its JSON, or raise ValidationError."""
    return _MODELS[kind].model_validate_json(report)


def _said(kind: ReportKind, report: str) -> State | AnsweredCommand:
    if kind is ReportKind.COMMAND:
        return AnsweredCommand.model_validate_json(report)
    return parse(kind, report)


def _hearing(row: sa.Row[Any]) -> Hearing:
    kind = ReportKind(row.kind)
    return Hearing(
        kind,
        row.site,
        row.gateway,
        row.lock or None,
        from_ms(row.heard_ms),
        parse(kind, row.report),
    )
