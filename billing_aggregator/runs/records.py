"""Runs and what happened to them as values, and the queries that read them: each is written once and compiled once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from billing_aggregator.errors import NotFound
from billing_aggregator.model import DayRange
from billing_aggregator.runs.states import RunEvent, RunState
from billing_aggregator.runs.tables import revisions, run_events, runs

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as it is now. `since`: of its last event, the `steps`th. `superseded_by`: what revision took its place.

    Its name, `property/2025-01-01/1`, is what the command line calls it.
    """

    run_no: int
    property: str
    period: DayRange
    revision: int
    state: RunState
    since: datetime
    steps: int
    superseded_by: int | None

    def __str__(self) -> str:
        return f"{self.property}/{self.period.first}/{self.revision}"


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened to a run: who did it, when and why. `details`: what it needs besides, by name."""

    event: str
    state: RunState
    at: datetime
    actor: str
    reason: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to one of a property's runs."""

    run_no: int
    period_first: date
    revision: int
    event: EventRecord


def _run_query() -> sa.Select[Any]:
    e, later = run_events.c, run_events.alias()
    newest = sa.select(sa.func.max(later.c.step)).where(later.c.run_no == runs.c.run_no).scalar_subquery()
    taken_over = (
        sa.select(later.c.details)
        .where(later.c.run_no == runs.c.run_no, later.c.event == RunEvent.SUPERSEDED.value)
        .scalar_subquery()
    )
    return (
        sa.select(runs, e.state, e.step, e.at_ms, taken_over.label("taken_over"))
        .select_from(runs.join(run_events, sa.and_(e.run_no == runs.c.run_no, e.step == newest)))
        .order_by(runs.c.property, runs.c.period_first, runs.c.revision)
    )


_ALL = _run_query()
_OF_PROPERTY = _ALL.where(runs.c.property == sa.bindparam("name"))
_OF_PERIOD = _OF_PROPERTY.where(runs.c.period_first == sa.bindparam("first"))
_OF_NUMBER = _ALL.where(runs.c.run_no == sa.bindparam("number"))
_EVENTS = (
    sa.select(run_events).where(run_events.c.run_no == sa.bindparam("number")).order_by(run_events.c.step)
)
_HAPPENED = (
    sa.select(run_events, runs.c.period_first, runs.c.revision)
    .select_from(run_events.join(runs, runs.c.run_no == run_events.c.run_no))
    .where(
        runs.c.property == sa.bindparam("name"),
        run_events.c.event.in_(sa.bindparam("kinds", expanding=True)),
        run_events.c.at_ms <= sa.bindparam("until_ms"),
    )
    .order_by(run_events.c.at_ms, run_events.c.run_no, run_events.c.step)
)
_DOCUMENT = (
    sa.select(revisions)
    .where(revisions.c.run_no == sa.bindparam("number"))
    .order_by(revisions.c.draft.desc())
    .limit(1)
)


def read_runs(
    connection: Connection, property_id: str | None = None, period_first: date | None = None
) -> Iterator[RunRecord]:
    """Yield all runs, those of a property or of one of its periods, by property, period and revision."""
    if property_id is None:
        rows = connection.execute(_ALL)
    elif period_first is None:
        rows = connection.execute(_OF_PROPERTY, {"name": property_id})
    else:
        rows = connection.execute(_OF_PERIOD, {"name": property_id, "first": period_first.isoformat()})
    return map(_run, rows)


def read_run(connection: Connection, run_no: int) -> RunRecord:
    """Return the run of this number; NotFound if there is none."""
    row = connection.execute(_OF_NUMBER, {"number": run_no}).first()
    if row is None:
        raise NotFound("this run isn't in this database: look for it with `run list`")
    return _run(row)


def read_events(connection: Connection, run_no: int) -> Iterator[EventRecord]:
    """Yield what happened to a run, oldest first."""
    return map(_event, connection.execute(_EVENTS, {"number": run_no}))


def read_happenings(
    connection: Connection, property_id: str, until: datetime, kinds: tuple[RunEvent, ...]
) -> Iterator[Happening]:
    """Yield what happened of these kinds in all runs of a property up to an instant, in the order of time."""
    names = [kind.value for kind in kinds]
    rows = connection.execute(_HAPPENED, {"name": property_id, "kinds": names, "until_ms": to_ms(until)})
    for row in rows:
        yield Happening(row.run_no, date.fromisoformat(row.period_first), row.revision, _event(row))


def read_document(connection: Connection, run_no: int) -> "sa.Row[Any] | None":
    """Return the last draft's row of `revisions`, None while there is none."""
    return connection.execute(_DOCUMENT, {"number": run_no}).first()


def to_ms(at: datetime) -> int:
    """Return an instant as whole milliseconds since 1970."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _run(row: "sa.Row[Any]") -> RunRecord:
    return RunRecord(
        run_no=row.run_no,
        property=row.property,
        period=DayRange(date.fromisoformat(row.period_first), date.fromisoformat(row.period_end)),
        revision=row.revision,
        state=RunState(row.state),
        since=_instant(row.at_ms),
        steps=row.step,
        superseded_by=None if row.taken_over is None else msgspec.json.decode(row.taken_over)["by"],
    )


def _event(row: "sa.Row[Any]") -> EventRecord:
    return EventRecord(
        event=row.event,
        state=RunState(row.state),
        at=_instant(row.at_ms),
        actor=row.actor,
        reason=row.reason,
        details=msgspec.json.decode(row.details),
    )


def _instant(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)
