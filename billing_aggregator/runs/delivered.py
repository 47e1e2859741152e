"""What one party was really sent: each revision of each period, when it came, until when it may object."""

from dataclasses import dataclass
from datetime import date

from billing_aggregator.days import day_of
from billing_aggregator.engine.deadlines import objections_until
from billing_aggregator.model import DayRange
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.deadlines import latest_receipts
from billing_aggregator.runs.delivery import list_addressed
from billing_aggregator.runs.document import balances_of, decode
from billing_aggregator.runs.records import RunRecord
from billing_aggregator.runs.states import RunEvent


@dataclass(frozen=True, slots=True)
class DeliveredStatement:
    """One statement that was sent. `received_on`: None while nobody has entered it; objections are reckoned from the
    planned day then. `superseded_by`: the revision that took its place. `reason`: why it corrected an earlier one."""

    period: DayRange
    revision: int
    sent_on: date
    received_on: date | None
    objections_until: date
    balance_cents: int
    superseded_by: int | None
    reason: str


def list_delivered(books: Books, property_id: str, row: str) -> tuple[DeliveredStatement, ...]:
    """Return the statements that a row was sent, the latest first."""
    found = []
    for run in books.store.list(property_id):
        statement = find_delivered(books, run, row)
        if statement is not None:
            found.append(statement)
    return tuple(sorted(found, key=lambda each: (each.period.first, each.revision), reverse=True))


def find_delivered(books: Books, run: RunRecord, row: str) -> DeliveredStatement | None:
    """Return what a row was sent of a run, None if the run wasn't sent, or has no statement for it."""
    events = books.store.events(run)
    sent = next((event for event in events if event.event == RunEvent.DELIVERED), None)
    if sent is None:
        return None
    document = decode(books.store.document(run))
    if row not in list_addressed(books, run, document):
        return None
    balance = balances_of(document).get(row)
    received_on = latest_receipts(events).get(row)
    return DeliveredStatement(
        period=document.period,
        revision=run.revision,
        sent_on=day_of(sent.at, document.time_zone),
        received_on=received_on,
        objections_until=objections_until(received_on or document.receipt_on),
        balance_cents=0 if balance is None else balance.balance_cents,
        superseded_by=run.superseded_by,
        reason=document.reason,
    )
