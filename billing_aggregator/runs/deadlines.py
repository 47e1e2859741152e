"""What § 556 (3) BGB asks of a run: the day until which statements must have come, the end of objections by party.

The days themselves: `engine/deadlines.py`. Here they meet what was entered and what day it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from billing_aggregator.days import day_of
from billing_aggregator.engine.deadlines import claim_until, objections_until
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.document import RevisionDocument
from billing_aggregator.runs.records import EventRecord, RunRecord
from billing_aggregator.runs.states import RunEvent, RunState

_ZONE = "Europe/Berlin"  # for lists of thousands of runs, whose documents aren't read for it
_TO_DELIVER = frozenset(
    {RunState.OPEN, RunState.COLLECTING, RunState.DRAFT, RunState.IN_REVIEW, RunState.FINALIZED}
)


@dataclass(frozen=True, slots=True)
class Received:
    """One party's receipt and until when it may object. `in_time`: within the 12 months."""

    row: str
    delivered_on: date
    in_time: bool
    objections_until: date


@dataclass(frozen=True, slots=True)
class Deadlines:
    """`claim_until`: the last day on which a statement comes in time. `alarms`: sentences, and what they are about:
    `days_left` while statements still have to be sent and little time is left (below zero: it's over), `late` rows that
    got theirs too late."""

    claim_until: date
    received: tuple[Received, ...]
    alarms: tuple[str, ...]
    days_left: int | None = None
    late: tuple[str, ...] = ()


def deadlines_of(books: Books, run: RunRecord, document: RevisionDocument | None = None) -> Deadlines:
    """Return a run's deadlines as they are today: a property's local day where its document is given."""
    limit = claim_until(run.period if document is None else document.period)
    today = day_of(books.now(), _ZONE if document is None else document.time_zone)
    latest = latest_receipts(books.store.events(run))
    received = tuple(
        Received(row, day, day <= limit, objections_until(day)) for row, day in sorted(latest.items())
    )
    planned_in_time = run.revision == 1 if document is None else document.receipt_on <= limit
    late = tuple(each.row for each in received if planned_in_time and not each.in_time)
    alarms = [
        f"{each.row} got revision {run.revision} on {each.delivered_on}, after {limit}: its claim is capped (§ 556 (3) "
        "BGB), the next revision shows it"
        for each in received
        if each.row in late
    ]
    soon = limit - timedelta(days=books.config.runs.alarm_days)
    is_due = run.state in _TO_DELIVER and today >= soon
    if is_due:
        alarms.append(
            f"statements must be there by {limit} and are {run.state}: {_left((limit - today).days)}"
        )
    return Deadlines(limit, received, tuple(alarms), (limit - today).days if is_due else None, late)


def latest_receipts(events: Iterable[EventRecord]) -> dict[str, date]:
    """Return by row on which local day a run's statement came; what was entered last counts."""
    latest: dict[str, date] = {}
    for event in events:
        if event.event == RunEvent.RECEIVED:
            day = date.fromisoformat(event.details["delivered_on"])
            latest.update(dict.fromkeys(event.details["rows"], day))
    return latest


def _left(days: int) -> str:
    return f"{days} days are left" if days >= 0 else "the 12 months are over, claims are capped now"
