"""Keeps runs: a run's state is that of its last event. Steps are taken whole or not at all; nothing is ever changed.

One writer at a time (`Database.writing`), so what a step was judged by is still true when it is written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from billing_aggregator.database import Database
from billing_aggregator.errors import IllegalStep, NotFound
from billing_aggregator.model import DayRange
from billing_aggregator.runs.document import digest
from billing_aggregator.runs.records import (
    EventRecord,
    Happening,
    RunRecord,
    read_document,
    read_events,
    read_happenings,
    read_run,
    read_runs,
    to_ms,
)
from billing_aggregator.runs.states import FINAL_STATES, RunEvent, RunState, next_state
from billing_aggregator.runs.tables import revisions, run_events, runs

_NEXT_NUMBER = sa.select(sa.func.coalesce(sa.func.max(runs.c.run_no), 0) + 1)


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
        self,
        property_id: str,
        period: DayRange,
        actor: str,
        at: datetime,
        reason: str = "",
        after: RunRecord | None = None,
        then: Callable[[RunRecord], Sequence[Step]] = lambda _: (),
    ) -> RunRecord:
        """Return a new run, `open`: of a period's first revision, or of the one `after` that, which must be final.

        `then`: steps that it takes at once, together with being created.
        """
        if period.end is None:
            raise IllegalStep(f"the period of {property_id} from {period.first} on has no end yet: import it")
        with self._database.writing() as connection:
            last = next(iter([*read_runs(connection, property_id, period.first)][-1:]), None)
            _refuse_second(last, after)
            run = RunRecord(
                run_no=connection.scalar(_NEXT_NUMBER) or 1,
                property=property_id,
                period=period,
                revision=1 if last is None else last.revision + 1,
                state=RunState.OPEN,
                since=_whole_ms(at),
                steps=1,
                superseded_by=None,
            )
            row = {
                "run_no": run.run_no,
                "property": property_id,
                "period_first": period.first.isoformat(),
                "period_end": period.end.isoformat(),
                "revision": run.revision,
            }
            connection.execute(runs.insert(), row)
            _append(connection, run, "created", actor, reason, {})
            for step in then(run):
                run = _take(connection, run, step)
        return run

    def take(self, *steps: Step) -> list[RunRecord]:
        """Take these steps together and return the runs after each; IllegalStep, and nothing changed, if one can't."""
        taken = []
        with self._database.writing() as connection:
            here: dict[int, RunRecord] = {}
            for step in steps:
                before = here.get(step.run.run_no) or _read_fresh(connection, step.run)
                here[before.run_no] = _take(connection, before, step)
                taken.append(here[before.run_no])
        return taken

    def find(self, property_id: str, period_first: date, revision: int | None = None) -> RunRecord:
        """Return a run, by default the latest revision; NotFound, saying what there is."""
        runs_of_period = self.revisions(property_id, period_first)
        found = [run for run in runs_of_period if revision in (None, run.revision)]
        if not found:
            there = ", ".join(str(run) for run in self.list(property_id)) or "none"
            wanted = f"{property_id}/{period_first}" + ("" if revision is None else f"/{revision}")
            raise NotFound(f"there is no run {wanted}; runs of {property_id}: {there}")
        return found[-1]

    def list(self, property_id: str | None = None) -> tuple[RunRecord, ...]:
        """Return all runs, or those of a property, in the order of property, period and revision."""
        with self._database.reading() as connection:
            return tuple(read_runs(connection, property_id))

    def revisions(self, property_id: str, period_first: date) -> tuple[RunRecord, ...]:
        """Return a period's runs in the order of their revisions."""
        with self._database.reading() as connection:
            return tuple(read_runs(connection, property_id, period_first))

    def events(self, run: RunRecord) -> tuple[EventRecord, ...]:
        """Return what happened to a run, oldest first."""
        with self._database.reading() as connection:
            return tuple(read_events(connection, run.run_no))

    def happened(self, property_id: str, until: datetime, *kinds: RunEvent) -> tuple[Happening, ...]:
        """Return what happened of these kinds in all runs of a property up to an instant, in the order of time."""
        with self._database.reading() as connection:
            return tuple(read_happenings(connection, property_id, until, kinds))

    def content(self, run_no: int) -> bytes | None:
        """Return the bytes that stand for the run of this number, None while nothing was calculated."""
        with self._database.reading() as connection:
            row = read_document(connection, run_no)
        return None if row is None else bytes(row.document)

    def document(self, run: RunRecord) -> bytes:
        """Return the bytes that stand for this run; IllegalStep while nothing was calculated."""
        content = self.content(run.run_no)
        if content is None:
            raise IllegalStep(
                f"run {run} is {run.state}: nothing was calculated yet; do it with `run new {run}`"
            )
        return content


def _refuse_second(last: RunRecord | None, after: RunRecord | None) -> None:
    if last is not None and last.state not in FINAL_STATES:
        raise IllegalStep(f"run {last} is {last.state}: finish it, there is no second one beside it")
    if last is not None and (after is None or after.revision != last.revision):
        raise IllegalStep(
            f"run {last} is there already and {last.state}: correct it with `run revise {last}`"
        )


def _read_fresh(connection: Connection, run: RunRecord) -> RunRecord:
    """Return the run as it is; IllegalStep if it isn't what the step was judged by."""
    here = read_run(connection, run.run_no)
    if here.steps != run.steps:
        raise IllegalStep(f"run {here} has become {here.state} meanwhile: look at it again with `run show`")
    return here


def _take(connection: Connection, before: RunRecord, step: Step) -> RunRecord:
    details = dict(step.details)
    after = replace(
        before,
        state=next_state(before.state, step.event),
        since=_whole_ms(step.at),
        steps=before.steps + 1,
        superseded_by=details["by"] if step.event is RunEvent.SUPERSEDED else before.superseded_by,
    )
    if step.document is not None:
        details["sha256"] = digest(step.document)
        _add_document(connection, before.run_no, step.document, details["sha256"])
    _append(connection, after, step.event, step.actor, step.reason, details)
    return after


def _add_document(connection: Connection, run_no: int, document: bytes, sha256: str) -> None:
    last = read_document(connection, run_no)
    if last is None or last.sha256 != sha256:
        draft = 1 if last is None else last.draft + 1
        row = {"run_no": run_no, "draft": draft, "sha256": sha256, "document": document}
        connection.execute(revisions.insert(), row)


def _append(
    connection: Connection, run: RunRecord, event: str, actor: str, reason: str, details: Mapping[str, Any]
) -> None:
    """Add what happened; `run`: as it is after that."""
    row = {
        "run_no": run.run_no,
        "step": run.steps,
        "event": str(event),
        "state": run.state.value,
        "at_ms": to_ms(run.since),
        "actor": actor,
        "reason": reason,
        "details": msgspec.json.encode(details, order="sorted").decode(),
    }
    connection.execute(run_events.insert(), row)


def _whole_ms(at: datetime) -> datetime:
    return at - timedelta(microseconds=at.microsecond % 1000)
