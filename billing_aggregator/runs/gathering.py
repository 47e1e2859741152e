"""Gathers what a calculation needs from master data, ledger and the runs before, as it was known at one instant.

draft       from usage per day, as known now
count_now   from single entries, as known now
recount     from single entries, exactly as pinned: what a replay does
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from billing_aggregator.days import day_of
from billing_aggregator.errors import IllegalStep, NotFound
from billing_aggregator.masterdata.facts import Period
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.model import DayRange, Decision, PropertyUsage
from billing_aggregator.pours.usage import read_daily_usage, read_usage
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.calculation import Inputs, calculate
from billing_aggregator.runs.capping import Sent
from billing_aggregator.runs.document import Receipt, RevisionDocument, decode
from billing_aggregator.runs.extracting import master_part
from billing_aggregator.runs.records import Happening
from billing_aggregator.runs.states import RunEvent

_KINDS = (RunEvent.DECIDED, RunEvent.RECEIVED, RunEvent.DELIVERED, RunEvent.FINALIZED)
Counting = Callable[[Snapshot, DayRange, tuple[Decision, ...]], PropertyUsage]


@dataclass(frozen=True, slots=True)
class Purpose:
    """What is asked for: which revision, why, and on which local day the parties are to get it."""

    property: str
    period_first: date
    revision: int
    reason: str
    receipt_on: date


def draft(books: Books, purpose: Purpose) -> RevisionDocument:
    """Calculate a revision from usage per day and all that is known now."""
    return calculate(gather_now(books, purpose))


def count_for(books: Books, purpose: Purpose) -> RevisionDocument:
    """Calculate a revision from single entries and all that is known by now."""

    def count(snapshot: Snapshot, days: DayRange, decisions: tuple[Decision, ...]) -> PropertyUsage:
        return read_usage(books.door, snapshot, days, decisions)

    return calculate(gather(books, purpose, books.now(), count))


def count_now(books: Books, document: RevisionDocument) -> RevisionDocument:
    """Calculate the same revision from single entries and all that is known by now."""
    return count_for(books, _purpose(document))


def recount(books: Books, document: RevisionDocument) -> RevisionDocument:
    """Calculate a revision again from its pins and single entries: the same bytes, whatever came since."""

    def count(snapshot: Snapshot, days: DayRange, decisions: tuple[Decision, ...]) -> PropertyUsage:
        return read_usage(books.door, snapshot, days, decisions, pinned=document.usage)

    inputs = gather(books, _purpose(document), document.pins.known_at, count)
    return calculate(replace(inputs, config_hash=document.pins.config_hash))


def gather_now(books: Books, purpose: Purpose) -> Inputs:
    """Return the inputs of a calculation as they are known now, from usage per day."""
    return gather(books, purpose, books.now(), _count_days(books))


def gather_until(books: Books, property_id: str, on: date) -> tuple[Inputs, int]:
    """Return the inputs as if the period that `on` lies in ended with it, and how many days it really has."""
    now = books.now()
    snapshot = books.snapshot(property_id, now)
    period = next((each for each in snapshot.periods if on in each.days), None)
    if period is None:
        there = ", ".join(f"from {each.days.first}" for each in snapshot.periods) or "none"
        raise NotFound(f"{on} lies in no period of {property_id}; periods: {there}")
    if on > day_of(now, snapshot.property.time_zone):
        raise IllegalStep(f"{on} lies ahead: how things will stand then isn't known")
    so_far = replace(period, days=DayRange(period.days.first, on + timedelta(days=1)))
    purpose = Purpose(property_id, period.days.first, 1, f"provisional, as of {on}", on)
    return gather(books, purpose, now, _count_days(books), so_far), period.days.days


def gather(
    books: Books, purpose: Purpose, known_at: datetime, count: Counting, cut_short: Period | None = None
) -> Inputs:
    """Return the inputs of a calculation as they were known at an instant. `cut_short`: taken instead of the period."""
    snapshot = books.snapshot(purpose.property, known_at)
    period = cut_short or snapshot.period(purpose.period_first)
    happened = books.store.happened(purpose.property, known_at, *_KINDS)
    decisions = _decisions(happened)
    before = _finalized(books, purpose, happened)
    history = [document for document in before if document.period.first < purpose.period_first]
    return Inputs(
        master=master_part(snapshot, period),
        usage=count(snapshot, period.days, decisions),
        decisions=decisions,
        before=Sent(
            documents=tuple(each for each in before if each.period.first == purpose.period_first),
            sent=_sent(purpose, happened),
            receipts=_receipts(purpose, happened),
        ),
        history=history[-1] if history else None,
        revision=purpose.revision,
        reason=purpose.reason,
        receipt_on=purpose.receipt_on,
        known_at=known_at,
        config_hash=books.config.calculation_hash,
    )


def find_decisions(books: Books, property_id: str, until: datetime) -> tuple[Decision, ...]:
    """Return what was decided by then, the latest for each review, in the order of their ids.

    Of all runs of the property: a pour at the edge of two periods is a review in both, and goes to one of them.
    """
    return _decisions(books.store.happened(property_id, until, RunEvent.DECIDED))


def find_history(books: Books, document: RevisionDocument) -> RevisionDocument | None:
    """Return the period before as this document knew it: its last revision that was final then."""
    happened = books.store.happened(document.property, document.pins.known_at, RunEvent.FINALIZED)
    before = _finalized(books, _purpose(document), happened)
    return next((each for each in before if each.period.first < document.period.first), None)


def _count_days(books: Books) -> Counting:
    return lambda snapshot, days, decisions: read_daily_usage(books.door, snapshot, days, decisions)


def _decisions(happened: Iterable[Happening]) -> tuple[Decision, ...]:
    latest = {}
    for each in happened:
        if each.event.event == RunEvent.DECIDED:
            review, choice = each.event.details["review"], each.event.details["choice"]
            latest[review] = Decision(review, choice, each.event.reason, each.event.actor, each.event.at)
    return tuple(latest[review] for review in sorted(latest))


def _receipts(purpose: Purpose, happened: Iterable[Happening]) -> tuple[Receipt, ...]:
    """Return who got which earlier revision of the period when, by the entries of persons; the latest counts."""
    latest = {}
    for each in _earlier(purpose, happened, RunEvent.RECEIVED):
        delivered_on = date.fromisoformat(each.event.details["delivered_on"])
        for row in each.event.details["rows"]:
            latest[each.revision, row] = Receipt(each.revision, row, delivered_on)
    return tuple(latest[key] for key in sorted(latest))


def _sent(purpose: Purpose, happened: Iterable[Happening]) -> frozenset[int]:
    return frozenset(each.revision for each in _earlier(purpose, happened, RunEvent.DELIVERED))


def _earlier(purpose: Purpose, happened: Iterable[Happening], kind: RunEvent) -> Iterator[Happening]:
    """Yield what happened of one kind to earlier revisions of the same period."""
    for each in happened:
        of_period = each.period_first == purpose.period_first and each.revision < purpose.revision
        if of_period and each.event.event == kind:
            yield each


def _finalized(books: Books, purpose: Purpose, happened: Iterable[Happening]) -> list[RevisionDocument]:
    """Return what was final: of this period the revisions before this one, of earlier periods the last one."""
    before = sorted(
        (each.period_first, each.revision, each.run_no)
        for each in happened
        if each.event.event == RunEvent.FINALIZED
        and (each.period_first, each.revision) < (purpose.period_first, purpose.revision)
    )
    wanted = [key for key in before if key[0] == purpose.period_first]
    others = [key for key in before if key[0] != purpose.period_first]
    contents = [books.store.content(run_no) for _, _, run_no in [*others[-1:], *wanted]]
    return [decode(content) for content in contents if content is not None]


def _purpose(document: RevisionDocument) -> Purpose:
    return Purpose(
        document.property, document.period.first, document.revision, document.reason, document.receipt_on
    )
