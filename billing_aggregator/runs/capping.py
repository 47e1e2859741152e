"""§ 556 (3) sentence 3 BGB for a revision: what can still be claimed of each resident after the 12 months.

What counts is the result, advances included (BGH VIII ZR 190/06). The bound is the balance of the last revision that
demonstrably reached this party in time, by a person's entry; 0 without one. A later one that lowered it lowers the
bound; a balance for which a person lifted the cap is the next bound. The owner's rows aren't capped: nobody claims of
himself.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from billing_aggregator.model import UNATTRIBUTED_ROW, DayRange, Decision
from billing_aggregator.runs.deadlines import claim_until
from billing_aggregator.runs.document import Cap, Receipt, RevisionDocument, balances_of

LIFT = frozenset({"lift", "keep"})


def cap_review(row: str) -> str:
    """Return by what name the cap of a row can be decided about: `cap:WE1/T1`."""
    return f"cap:{row}"


def cap_rows(
    balances: Mapping[str, int],
    owner: str,
    period: DayRange,
    receipt_on: date,
    earlier: Sequence[RevisionDocument],
    receipts: Iterable[Receipt],
    decisions: Iterable[Decision],
) -> tuple[Cap, ...]:
    """Return the cap of each resident's row if this revision comes after the 12 months, else none.

    `balances`: share less advances by row, in cents, before the cap. `earlier`: this period's final revisions before.
    """
    limit = claim_until(period)
    if receipt_on <= limit:
        return ()
    got = {(receipt.revision, receipt.row): receipt.delivered_on for receipt in receipts}
    lifted = {each.review: each.reason for each in decisions if each.choice == "lift"}
    caps = []
    for row in sorted(balances):
        if row == UNATTRIBUTED_ROW or row.partition("/")[2] == owner:
            continue
        baseline, revision = _baseline(row, limit, earlier, got)
        balance, reason = balances[row], lifted.get(cap_review(row))
        claimed = balance if reason is not None else min(balance, baseline)
        caps.append(Cap(row, balance, baseline, revision, claimed, balance - claimed, reason))
    return tuple(caps)


def _baseline(
    row: str, limit: date, earlier: Sequence[RevisionDocument], got: Mapping[tuple[int, str], date]
) -> tuple[int, int | None]:
    """Return the most that can still be claimed of a row, and which revision set that."""
    baseline, revision = 0, None
    for document in earlier:
        balance = balances_of(document).get(row)
        if balance is None:
            continue
        delivered_on = got.get((document.revision, row))
        was_lifted = any(cap.row == row and cap.lifted_because is not None for cap in document.caps)
        in_time = delivered_on is not None and delivered_on <= limit
        if in_time or was_lifted or balance.balance_cents < baseline:
            baseline, revision = balance.balance_cents, document.revision
    return baseline, revision
