"""Keeps runs: a run's state is that of its last event. Steps are taken whole or not at all; nothing is ever changed.

One writer at a time (`Database.writing`), so what a step was judged by is still true when it is written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from billing_aggregator.database import Database
from billing_aggregator.errors import IllegalStep, NotFound
from billing_aggregator.model import DayRange
from billing_aggregator.runs.document import digest
from billing_aggregator.runs.states import FINAL_STATES, RunEvent, RunState, next_state
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
class Step:
    """Something that is to happen to a run. `document`: the bytes that stand from now on."""

    run: RunRecord
    event: RunEvent
    actor: str
    at: datetime
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    document: bytes | None = None


class RunStore:
    """All runs of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, property_id: str, period: DayRange, actor: str, at: datetime, reason: str = ""
    ) -> RunRecord:
        """Return a new run, `open`: revision 1, or the one after the last. IllegalStep while that isn't final."""
        with self._database.writing() as connection:
            last = _select_run(connection, property_id, period.first, None)
            if last is not None and last.state not in FINAL_STATES:
                raise IllegalStep(f"run {last} is {last.state}: finish it, there is no second one beside it")
            run_no = (connection.scalar(sa.select(sa.func.max(runs.c.run_no))) or 0) + 1
            revision = 1 if last is None else last.revision + 1
            connection.execute(
                runs.insert().values(
                    run_no=run_no,
                    property=property_id,
                    period_first=period.first.isoformat(),
                    period_end=None if period.end is None else period.end.isoformat(),
                    revision=revision,
                )
            )
            _append(connection, run_no, 1, "created", RunState.OPEN, at, actor, reason, {})
            return _require(_select_run(connection, property_id, period.first, revision))

    def take(self, *steps: Step) -> list[RunRecord]:
        """Take these steps together and return the runs after them; IllegalStep, and nothing changed, if one can't."""
        with self._database.writing() as connection:
            _refuse_stale(connection, steps)
            for step in steps:
                _take(connection, step)
            return [_require(_find(connection, step.run.run_no)) for step in steps]

    def find(self, property_id: str, period_first: date, revision: int | None = None) -> RunRecord:
        """Return a run, by default the latest revision; NotFound, saying what there is."""
        with self._database.reading() as connection:
            found = _select_run(connection, property_id, period_first, revision)
        if found is None:
            there = ", ".join(str(run) for run in self.list(property_id)) or "none"
            wanted = f"{property_id}/{period_first}" + ("" if revision is None else f"/{revision}")
            raise NotFound(f"there is no run {wanted}; runs of {property_id}: {there}")
        return found

    def list(self, property_id: str | None = None) -> tuple[RunRecord, ...]:
        """Return all runs, or those of a property, in the order of property, period and revision."""
        with self._database.reading() as connection:
            return tuple(
                _select(connection, () if property_id is None else (runs.c.property == property_id,))
            )

    def revisions(self, property_id: str, period_first: date) -> tuple[RunRecord, ...]:
        """Return a period's runs in the order of their revisions."""
        return tuple(run for run in self.list(property_id) if run.period.first == period_first)

    def events(self, run: RunRecord) -> tuple[EventRecord, ...]:
        """Return what happened to a run, oldest first."""
        e = run_events.c
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(run_events).where(e.run_no == run.run_no).order_by(e.step))
            return tuple(_event(row) for row in rows)

    def find_document(self, run: RunRecord) -> bytes | None:
        """Return the bytes that stand for this run, None while nothing was calculated."""
        r = revisions.c
        with self._database.reading() as connection:
            row = connection.execute(
                sa.select(r.document).where(r.run_no == run.run_no).order_by(r.draft.desc()).limit(1)
            ).first()
        return None if row is None else bytes(row.document)

    def document(self, run: RunRecord) -> bytes:
        """Return the bytes that stand for this run; IllegalStep while nothing was calculated."""
        content = self.find_document(run)
        if content is None:
            raise IllegalStep(
                f"run {run} is {run.state}: nothing was calculated yet; do it with `run new {run}`"
            )
        return content

    def happened(
        self, property_id: str, event: RunEvent, until: datetime
    ) -> tuple[tuple[RunRecord, EventRecord], ...]:
        """Return what happened of one kind in all runs of a property up to an instant, in the order of time."""
        e = run_events.c
        records = {run.run_no: run for run in self.list(property_id)}
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(run_events)
                .select_from(run_events.join(runs, runs.c.run_no == e.run_no))
                .where(runs.c.property == property_id, e.event == event, e.at_ms <= _to_ms(until))
                .order_by(e.at_ms, e.run_no, e.step)
            )
            return tuple((records[row.run_no], _event(row)) for row in rows)


def _refuse_stale(connection: Connection, steps: Sequence[Step]) -> None:
    for run in {step.run.run_no: step.run for step in steps}.values():
        here = _require(_find(connection, run.run_no))
        if here.steps != run.steps:
            raise IllegalStep(
                f"run {here} has become {here.state} meanwhile: look at it again with `run show`"
            )


def _take(connection: Connection, step: Step) -> None:
    here = _require(_find(connection, step.run.run_no))
    state = next_state(here.state, step.event)
    details = dict(step.details)
    if step.document is not None:
        details["sha256"] = digest(step.document)
        _add_document(connection, here.run_no, step.document, details["sha256"])
    _append(
        connection, here.run_no, here.steps + 1, step.event, state, step.at, step.actor, step.reason, details
    )


def _add_document(connection: Connection, run_no: int, document: bytes, sha256: str) -> None:
    r = revisions.c
    last = connection.execute(
        sa.select(r.draft, r.sha256).where(r.run_no == run_no).order_by(r.draft.desc()).limit(1)
    ).first()
    if last is None or last.sha256 != sha256:
        connection.execute(
            revisions.insert().values(
                run_no=run_no, draft=1 if last is None else last.draft + 1, sha256=sha256, document=document
            )
        )


def _append(
    connection: Connection,
    run_no: int,
    step: int,
    event: str,
    state: RunState,
    at: datetime,
    actor: str,
    reason: str,
    details: Mapping[str, Any],
) -> None:
    connection.execute(
        run_events.insert().values(
            run_no=run_no,
            step=step,
            event=event,
            state=state,
            at_ms=_to_ms(at),
            actor=actor,
            reason=reason,
            details=msgspec.json.encode(details, order="sorted").decode(),
        )
    )


def _select_run(
    connection: Connection, property_id: str, period_first: date, revision: int | None
) -> RunRecord | None:
    where: list[sa.ColumnElement[bool]] = [
        runs.c.property == property_id,
        runs.c.period_first == period_first.isoformat(),
    ]
    if revision is not None:
        where.append(runs.c.revision == revision)
    found = list(_select(connection, where))
    return found[-1] if found else None


def _find(connection: Connection, run_no: int) -> RunRecord | None:
    return next(iter(_select(connection, (runs.c.run_no == run_no,))), None)


def _require(run: RunRecord | None) -> RunRecord:
    if run is None:
        raise NotFound("this run isn't in this database: look for it with `run list`")
    return run


def _select(connection: Connection, where: Sequence[sa.ColumnElement[bool]]) -> Iterator[RunRecord]:
    e, later = run_events.c, run_events.alias()
    newest = sa.select(sa.func.max(later.c.step)).where(later.c.run_no == runs.c.run_no).scalar_subquery()
    taken_over = (
        sa.select(later.c.details)
        .where(later.c.run_no == runs.c.run_no, later.c.event == RunEvent.SUPERSEDED)
        .scalar_subquery()
    )
    query = (
        sa.select(runs, e.state, e.step, e.at_ms, taken_over.label("taken_over"))
        .select_from(runs.join(run_events, sa.and_(e.run_no == runs.c.run_no, e.step == newest)))
        .where(*where)
        .order_by(runs.c.property, runs.c.period_first, runs.c.revision)
    )
    for row in connection.execute(query):
        yield RunRecord(
            run_no=row.run_no,
            property=row.property,
            period=DayRange(date.fromisoformat(row.period_first), date.fromisoformat(row.period_end)),
            revision=row.revision,
            state=RunState(row.state),
            since=_instant(row.at_ms),
            steps=row.step,
            superseded_by=None if row.taken_over is None else msgspec.json.decode(row.taken_over)["by"],
        )


def _event(row: sa.Row[Any]) -> EventRecord:
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


def _to_ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
