"""Corrections: a finalized revision stays as it is; a new one stands against it, and shows who moves by how much.

What makes one due is looked for, not waited for: pours that came late, master data that were corrected, statements that
turned out to have arrived late.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from billing_aggregator.days import day_of
from billing_aggregator.errors import IllegalStep, InputRejected, NotFound
from billing_aggregator.model import ReviewKind
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.document import RevisionDocument, decode
from billing_aggregator.runs.drafting import calculate_draft
from billing_aggregator.runs.gathering import Purpose, count_for
from billing_aggregator.runs.preview import Move, list_moves
from billing_aggregator.runs.records import RunRecord
from billing_aggregator.runs.states import FINAL_STATES, RunEvent


class Occasion(StrEnum):
    """What makes a revision due."""

    POURS = "pours"
    MASTERDATA = "masterdata"
    LATE_DELIVERY = "late_delivery"
    DECISION = "decision"
    NOT_CALCULABLE = "not_calculable"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A revision that is due. `reasons`: sentences, one for each of `occasions`. `moves`: who would move, empty if it
    changed nobody's money."""

    revision: int
    reasons: tuple[str, ...]
    moves: tuple[Move, ...]
    occasions: tuple[Occasion, ...] = ()


def propose(books: Books, final: RevisionDocument) -> Proposal | None:
    """Return the revision that is due by what is known now, None if there is nothing new for this run."""
    if _is_as_known(books, final):
        return None
    try:
        current = _next(books, final, "proposed", None)
    except (NotFound, InputRejected) as error:
        reason = f"by the master data as they are now nothing can be calculated: {error}"
        return Proposal(final.revision + 1, (reason,), (), (Occasion.NOT_CALCULABLE,))
    found = dict(_reasons(final, current))
    if not found:
        return None
    return Proposal(final.revision + 1, tuple(found.values()), list_moves(final, current), tuple(found))


def preview(books: Books, run: RunRecord, receipt_on: date | None = None) -> tuple[Move, ...]:
    """Return who would move by a revision now; nothing is begun."""
    previous = _revisable(books, run)
    return list_moves(previous, _next(books, previous, "preview", receipt_on))


def revise(
    books: Books, run: RunRecord, actor: str, reason: str, receipt_on: date | None = None
) -> tuple[RunRecord, tuple[Move, ...]]:
    """Begin the next revision and calculate it; returns its run and who moves against the revision before."""
    if not reason.strip():
        raise IllegalStep("say why it is corrected: --reason TEXT, it stands on each statement")
    previous = _revisable(books, run)
    made = books.store.create(run.property, run.period, actor, books.now(), reason, after=run)
    drafted = calculate_draft(books, made, actor, receipt_on)
    return drafted, list_moves(previous, decode(books.store.document(drafted)))


def _revisable(books: Books, run: RunRecord) -> RevisionDocument:
    if run.state not in FINAL_STATES or run.superseded_by is not None:
        raise IllegalStep(
            f"run {run} is {run.state}: only the latest revision that is finalized can be revised; "
            f"`billing-aggregator run list {run.property}` shows all"
        )
    return decode(books.store.document(run))


def _next(books: Books, final: RevisionDocument, reason: str, receipt_on: date | None) -> RevisionDocument:
    fallback = day_of(books.now(), final.time_zone) + timedelta(days=books.config.runs.receipt_days)
    first, revision = final.period.first, final.revision + 1
    # From single entries: the hash of those that count tells whether any has come.
    return count_for(books, Purpose(final.property, first, revision, reason, receipt_on or fallback))


def _is_as_known(books: Books, final: RevisionDocument) -> bool:
    """True if nothing at all has come since: then nothing has to be counted."""
    pins, now = final.pins, books.now()
    return (
        books.door.last_position() == pins.ledger_position
        and books.snapshot(final.property).hash == pins.masterdata_hash
        and not any(
            each.event.at > pins.known_at
            for each in books.store.happened(final.property, now, RunEvent.DECIDED, RunEvent.RECEIVED)
        )
    )


def _reasons(final: RevisionDocument, current: RevisionDocument) -> Iterator[tuple[Occasion, str]]:
    if current.pins.entries_hash != final.pins.entries_hash:
        before, now = _pours(final), _pours(current)
        text = f"pours that came or were settled after the revision: {before} -> {now} billed pours"
        yield Occasion.POURS, text
    if current.pins.masterdata_hash != final.pins.masterdata_hash and _content(current) != _content(final):
        yield Occasion.MASTERDATA, "master data of this period were corrected"
    known = {review.review for review in final.reviews}
    if any(each.kind is ReviewKind.LATE_DELIVERY and each.review not in known for each in current.reviews):
        yield Occasion.LATE_DELIVERY, "statements turned out to have arrived later than planned"
    if not set(current.decisions) <= set(final.decisions):
        yield Occasion.DECISION, "a review was decided anew"


def _pours(document: RevisionDocument) -> int:
    return sum(chamber.pours for row in document.usage.rows for chamber in row.chambers)


def _content(document: RevisionDocument) -> tuple[object, ...]:
    return (
        document.agreement,
        document.costs,
        document.basis,
        document.payments,
        document.usage.rows,
        document.usage.unattributed,
    )
