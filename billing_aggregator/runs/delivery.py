"""After finalizing: sending out, who got it when (a person's entry), objections, the end."""

from collections.abc import Sequence
from datetime import date, datetime

from billing_aggregator.days import day_of
from billing_aggregator.errors import IllegalStep
from billing_aggregator.model import CAP_ROW, UNATTRIBUTED_ROW
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.document import RevisionDocument, balances_of, decode
from billing_aggregator.runs.records import RunRecord
from billing_aggregator.runs.states import RunEvent, RunState, next_state
from billing_aggregator.runs.store import Step


def deliver(books: Books, run: RunRecord, actor: str, reason: str = "") -> RunRecord:
    """Note that the statements were sent out; the planned day of receipt is in the revision."""
    next_state(run.state, RunEvent.DELIVERED)
    document = decode(books.store.document(run))
    return books.store.take(_sending(run, document, actor, books.now(), reason))[-1]


def receive(
    books: Books, run: RunRecord, delivered_on: date, rows: Sequence[str], actor: str, reason: str = ""
) -> RunRecord:
    """Note on which local day these parties got their statements (no rows: all of them). The latest entry counts.

    What was received was sent: of a run that is finalized that is noted with it, or, if the entry is wrong, neither.
    """
    unsent = run.state is RunState.FINALIZED
    if not unsent:
        next_state(run.state, RunEvent.RECEIVED)
    document = decode(books.store.document(run))
    known = list_addressed(books, run, document)
    unknown = [row for row in rows if row not in known]
    if unknown:
        raise IllegalStep(f"run {run} has no statement for {', '.join(unknown)}: it has {', '.join(known)}")
    if delivered_on > day_of(books.now(), document.time_zone):
        raise IllegalStep(f"{delivered_on} lies ahead: enter a day of receipt when it is known")
    finalized_on = _finalized_on(books, run, document.time_zone)
    if delivered_on < finalized_on:
        raise IllegalStep(
            f"nobody got on {delivered_on} what was finalized on {finalized_on}: correct the day"
        )
    details = {"rows": list(rows or known), "delivered_on": delivered_on.isoformat()}
    at = books.now()
    sending = [_sending(run, document, actor, at, reason)] if unsent else []
    return books.store.take(*sending, Step(run, RunEvent.RECEIVED, actor, at, reason, details))[-1]


def object_to(books: Books, run: RunRecord, row: str, actor: str, reason: str) -> RunRecord:
    """Note a party's objection; IllegalStep without saying what it is about."""
    next_state(run.state, RunEvent.OBJECTED)
    if not reason.strip():
        raise IllegalStep("say what the objection is about: --reason TEXT")
    known = list_addressed(books, run, decode(books.store.document(run)))
    if row not in known:
        raise IllegalStep(f"run {run} has no statement for {row}: it has {', '.join(known)}")
    return books.store.take(Step(run, RunEvent.OBJECTED, actor, books.now(), reason, {"row": row}))[-1]


def settle(books: Books, run: RunRecord, actor: str, reason: str = "") -> RunRecord:
    """Note that all is paid and nothing is disputed any more."""
    return books.store.take(Step(run, RunEvent.SETTLED, actor, books.now(), reason))[-1]


def list_addressed(books: Books, run: RunRecord, document: RevisionDocument) -> tuple[str, ...]:
    """Return the rows that get a statement: whoever has a dwelling, and whoever a correction has dropped."""
    rows = set(balances_of(document))
    for earlier in books.store.revisions(run.property, run.period.first):
        if earlier.revision == run.revision - 1:
            rows |= set(balances_of(decode(books.store.document(earlier))))
    return tuple(sorted(rows - {CAP_ROW, UNATTRIBUTED_ROW}))


def _sending(run: RunRecord, document: RevisionDocument, actor: str, at: datetime, reason: str) -> Step:
    details = {"receipt_on": document.receipt_on.isoformat()}
    return Step(run, RunEvent.DELIVERED, actor, at, reason, details)


def _finalized_on(books: Books, run: RunRecord, time_zone: str) -> date:
    return next(
        day_of(event.at, time_zone) for event in books.store.events(run) if event.event == RunEvent.FINALIZED
    )
