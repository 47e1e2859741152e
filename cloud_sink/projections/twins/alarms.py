"""Conditions that last become alarms: they open, escalate and close, and each of that is logged once.

    condition ──opens_after_s──▶ open ──escalates_after_s──▶ escalated
                                   └──────── gone ─────────────┴──▶ closed

Whether an alarm is open, how bad it is, and since when, follows from the sources and the clock alone. That it was told,
and when it was over, is written down (`twin_alarms`): the past of what people were told isn't made anew.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from cloud_sink.ledger.database import Database
from cloud_sink.ledger.instants import from_ms, to_ms
from cloud_sink.projections.adding import add_rows
from cloud_sink.projections.twins import tables as t
from cloud_sink.projections.twins.alarm_rules import RULES
from cloud_sink.projections.twins.conditions import Condition, Identity, conditions, identify
from cloud_sink.projections.twins.loading import Loading
from cloud_sink.projections.twins.lock_gaps import GapFinder
from cloud_sink.projections.twins.summing import Summing
from cloud_sink.projections.twins.terms import AlarmKind, Severity
from cloud_sink.projections.twins.thresholds import Thresholds

_log = structlog.get_logger(__name__)
_PRUNED_AT_ONCE = 1_000
_IN_CHUNK = 400
_PAUSE_FACTOR = 9.0  # of the time no more than a tenth is spent on looking, however many locks there are
_LEVELS = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.CRITICAL: logging.ERROR}

Row = sa.Row[Any]


@dataclass(slots=True)
class Moves:
    """What becomes of alarms at one look: rows of twin_alarms that are new or have moved, and those that closed."""

    opened: list[dict[str, Any]] = field(default_factory=list)
    escalated: list[dict[str, Any]] = field(default_factory=list)
    reworded: list[dict[str, Any]] = field(default_factory=list)
    closed: list[dict[str, Any]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.opened or self.escalated or self.reworded or self.closed)


class AlarmLog:
    """Looks at all conditions now and then, and writes down what opens, escalates and closes. For one thread."""

    def __init__(
        self,
        database: Database,
        ledger: Database,
        zone: ZoneInfo,
        thresholds: Thresholds,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._zone = zone
        self._thresholds = thresholds
        self._clock = clock
        self._gaps = GapFinder()
        self._since: dict[Identity, datetime] = {}
        self._due_s = -math.inf

    def look(self, caught_up: bool) -> None:
        """Look, if it is time. While much is still to be taken, what is known would be of long ago."""
        began_s = monotonic()
        if caught_up and began_s >= self._due_s:
            self.look_now()
            ended_s = monotonic()
            pause_s = max(self._thresholds.evaluate_every_s, _PAUSE_FACTOR * (ended_s - began_s))
            self._due_s = ended_s + pause_s

    def look_now(self) -> Moves:
        """Look at all conditions, write down what moved, and tell it."""
        now = self._clock()
        with self._database.reading() as connection, self._ledger.reading() as ledger:
            facts = Loading(connection, ledger, self._zone, self._thresholds, now).gather()
            gaps = self._gaps.find(ledger, facts)
            here = connection.execute(sa.select(t.alarms).where(t.alarms.c.closed_ms.is_(None))).all()
            old = _outdated(connection, now - timedelta(days=self._thresholds.closed_alarms_days))
        found = lasting(conditions(Summing(facts, self._thresholds), self._thresholds, gaps), self._since)
        self._since = {condition.identity: condition.since_at for condition in found}
        moves = judge(here, found, now)
        if moves or old:
            self._write(moves, old)
            _tell(moves)
        return moves

    def _write(self, moves: Moves, old: Sequence[str]) -> None:
        columns = [column.name for column in t.alarms.columns]
        moved = {row["alarm_id"]: row for part in _PARTS for row in getattr(moves, part)}
        rows = [tuple(row[name] for name in columns) for row in moved.values()]
        kept = dict.fromkeys(_MOVING, "new")
        with self._database.writing() as connection:
            add_rows(connection, t.alarms, rows, kept)
            for start in range(0, len(old), _IN_CHUNK):
                part = old[start : start + _IN_CHUNK]
                connection.execute(t.alarms.delete().where(t.alarms.c.alarm_id.in_(part)))


_MOVING = ("severity", "escalated_ms", "closed_ms", "detail", "site", "gateway")
_PARTS = ("opened", "escalated", "reworded", "closed")


def lasting(found: Iterable[Condition], since: Mapping[Identity, datetime]) -> list[Condition]:
    """Return what is wrong, since when it has been so at every look. `since`: as the look before knew it. Pure.

    Some reports tell how things are but not since when, and come again and again: each would begin the wait anew.
    """
    return [
        replace(
            condition, since_at=min(condition.since_at, since.get(condition.identity, condition.since_at))
        )
        if RULES[condition.kind].opens_after_s
        else condition
        for condition in found
    ]


def judge(here: Iterable[Row], found: Iterable[Condition], now: datetime) -> Moves:
    """Return what becomes of the alarms that are open (`here`), given what is wrong now. Pure."""
    moves = Moves()
    open_alarms = {_identity(row): dict(row._mapping) for row in here}
    for condition in found:
        rule = RULES[condition.kind]
        alarm = open_alarms.pop(condition.identity, None)
        if alarm is None:
            opened_at = condition.since_at + timedelta(seconds=rule.opens_after_s)
            if opened_at > now:
                continue
            alarm = _new(condition, opened_at)
            moves.opened.append(alarm)
        else:
            told = {"detail": condition.detail, "site": condition.site, "gateway": condition.gateway}
            if any(alarm[name] != value for name, value in told.items()):
                alarm.update(told)
                moves.reworded.append(alarm)
        if rule.escalates_after_s is not None and alarm["escalated_ms"] is None:
            escalated_at = from_ms(alarm["opened_ms"]) + timedelta(seconds=rule.escalates_after_s)
            if escalated_at <= now and Severity(alarm["severity"]) is not Severity.CRITICAL:
                alarm.update(escalated_ms=to_ms(escalated_at), severity=rule.escalated.value)
                moves.escalated.append(alarm)
    for alarm in open_alarms.values():
        alarm["closed_ms"] = to_ms(now)
        moves.closed.append(alarm)
    return moves


def _identity(row: Row) -> Identity:
    return identify(row.kind, row.site, row.lock, row.gateway, row.key)


def _new(condition: Condition, opened_at: datetime) -> dict[str, Any]:
    opened_ms = to_ms(opened_at)
    about = "\n".join([*condition.identity, str(opened_ms)])
    return {
        "alarm_id": blake2b(about.encode(), digest_size=6).hexdigest(),
        "kind": condition.kind.value,
        "severity": condition.severity.value,
        "site": condition.site,
        "lock": condition.lock,
        "gateway": condition.gateway,
        "key": condition.key,
        "opened_ms": opened_ms,
        "escalated_ms": None,
        "closed_ms": None,
        "detail": condition.detail,
        "impact": condition.impact.value,
    }


def _outdated(connection: Connection, before: datetime) -> list[str]:
    a = t.alarms.c
    query = sa.select(a.alarm_id).where(a.closed_ms < to_ms(before)).limit(_PRUNED_AT_ONCE)
    return list(connection.scalars(query))


def _tell(moves: Moves) -> None:
    for what, alarms in (("opened", moves.opened), ("escalated", moves.escalated), ("closed", moves.closed)):
        for alarm in alarms:
            told = {name: alarm[name] for name in ("kind", "severity", "site", "lock", "gateway", "detail")}
            told["which"] = alarm["key"]  # a field of the name "key" is withheld from the log
            level = logging.INFO if what == "closed" else _LEVELS[Severity(alarm["severity"])]
            _log.log(level, f"alarm {what}", alarm=alarm["alarm_id"], **told)


def count_open(connection: Connection) -> dict[tuple[AlarmKind, Severity], int]:
    """Return how many alarms of each kind and severity are open; for figures."""
    a = t.alarms.c
    query = sa.select(a.kind, a.severity, sa.func.count()).where(a.closed_ms.is_(None))
    rows = connection.execute(query.group_by(a.kind, a.severity))
    return {(AlarmKind(kind), Severity(severity)): count for kind, severity, count in rows}
