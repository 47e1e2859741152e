"""The engine's cap after the 12 months (§ 556 (3) BGB), applied to a revision: from documents and receipts to rows.

The owner's rows aren't capped: nobody claims of himself.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from billing_aggregator.engine.cap import CappedRow, Issued, cap_balances
from billing_aggregator.model import CAP_ROW, UNATTRIBUTED_ROW, DayRange, Decision
from billing_aggregator.runs.document import Cap, Receipt, RevisionDocument

LIFT = "lift"
KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Sent:
    """What went before a revision: this period's final ones, oldest first, which of them were sent out, who got which
    when (entries of persons)."""

    documents: Sequence[RevisionDocument]
    sent: frozenset[int]
    receipts: Sequence[Receipt]


def cap_review(first: date, revision: int, row: str) -> str:
    """Return by what name the cap of a row can be decided about, in this revision only."""
    return f"cap:{first}/{revision}:{row}"


def issued_to_residents(before: Sent, owner: str) -> tuple[Issued, ...]:
    """Return what each resident was sent in earlier revisions, and when it came."""
    got = {(receipt.revision, receipt.row): receipt.delivered_on for receipt in before.receipts}
    return tuple(
        Issued(
            revision=document.revision,
            row=balance.row,
            claimed_cents=balance.balance_cents,
            planned_on=document.receipt_on,
            received_on=got.get((document.revision, balance.row)),
            lifted=any(cap.row == balance.row and cap.lifted_because is not None for cap in document.caps),
        )
        for document in before.documents
        if document.revision in before.sent
        for balance in document.balances
        if is_resident(balance.row, owner)
    )


def cap_residents(
    balances: Mapping[str, int],
    owner: str,
    period: DayRange,
    revision: int,
    receipt_on: date,
    issued: Iterable[Issued],
    decisions: Iterable[Decision],
) -> tuple[CappedRow, ...]:
    """Return each resident's row as the cap leaves it; nothing if this revision comes in time.

    `balances`: share less advances by row, in cents, before the cap.
    """
    residents = {row: cents for row, cents in balances.items() if is_resident(row, owner)}
    reasons = {each.review: each.reason for each in decisions if each.choice == LIFT}
    lifts = {
        row: reasons[name]
        for row in residents
        if (name := cap_review(period.first, revision, row)) in reasons
    }
    return cap_balances(residents, issued, period, receipt_on, lifts)


def present_cap(capped: CappedRow) -> Cap:
    """Return the cap as a document holds it."""
    return Cap(
        row=capped.row,
        balance_cents=capped.balance_cents,
        baseline_cents=capped.baseline.claimable_cents,
        baseline_revision=capped.baseline.revision,
        claimed_cents=capped.claimed_cents,
        waived_cents=capped.waived_cents,
        lifted_because=capped.lifted_because,
    )


def is_resident(row: str, owner: str) -> bool:
    """True for rows of somebody who can be claimed of."""
    return row not in (UNATTRIBUTED_ROW, CAP_ROW) and row.partition("/")[2] != owner
