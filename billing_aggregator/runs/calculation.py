"""From master data, usage, decisions and the revisions before to a revision document. Pure: the same inputs always
give the same bytes, in whatever order they come.

    costs, agreement, basis ─┐
    usage ─▶ substitutes ────┼─▶ engine: pools ─▶ money by row ─▶ cap ─▶ RevisionDocument
    previous revisions ──────┘
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from billing_aggregator.days import TZDATA_VERSION
from billing_aggregator.engine.allocation import allocate
from billing_aggregator.engine.cap import charge, review_late_deliveries
from billing_aggregator.engine.substitutes import Reference
from billing_aggregator.engine.weights import Stretch
from billing_aggregator.model import (
    CAP_ROW,
    Agreement,
    Allocation,
    AllocationInput,
    DayRange,
    Decision,
    PropertyUsage,
    Review,
    RowBasis,
)
from billing_aggregator.runs.capping import Sent, cap_residents, cap_review, issued_to_residents, present_cap
from billing_aggregator.runs.document import (
    FORMAT,
    Balance,
    Cap,
    Cost,
    Payment,
    Pins,
    RevisionDocument,
    digest,
    encode,
    pools_of,
)
from billing_aggregator.runs.estimating import estimate_lost

# Of the rules by which a calculation goes: raise it with each change that could give another cent or another byte.
ENGINE_VERSION = "1"


@dataclass(frozen=True, slots=True)
class MasterPart:
    """What a calculation takes from the master data: one property and period, no names.

    `old_readings`: of the system before this one, as sources of estimates.
    """

    property: str
    period: DayRange
    time_zone: str
    owner: str
    seed: str
    agreement: Agreement
    costs: tuple[Cost, ...]
    payments: tuple[Payment, ...]
    basis: tuple[RowBasis, ...]
    stretches: tuple[Stretch, ...]
    old_readings: tuple[Reference, ...]
    hash: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that a revision is calculated from. `before`: this period's final revisions; `history`: the last
    revision of the period before, for estimates."""

    master: MasterPart
    usage: PropertyUsage
    decisions: tuple[Decision, ...]
    before: Sent
    history: RevisionDocument | None
    revision: int
    reason: str
    receipt_on: date
    known_at: datetime
    config_hash: str


def calculate(inputs: Inputs) -> RevisionDocument:
    """Return the revision that these inputs make."""
    master, usage = inputs.master, inputs.usage
    previous = inputs.before.documents[-1] if inputs.before.documents else None
    substitutes = estimate_lost(usage, master.stretches, master.old_readings, inputs.history, master.seed)
    allocation = allocate(
        AllocationInput(
            seed=master.seed,
            agreement=master.agreement,
            rows=master.basis,
            costs=_costs_by_fraction(master.costs),
            metered={(row.row, row.fraction): row.metered_ml for row in usage.rows},
            unattributed=usage.unattributed,
            substitutes=substitutes,
            previous={} if previous is None else pools_of(previous),
        )
    )
    payments = _sums((payment.row, payment.amount_cents) for payment in master.payments)
    shares = _shares(allocation)
    issued = issued_to_residents(inputs.before, master.owner)
    capped = cap_residents(
        balances={row: sum(shares.get(row, (0, 0))) - payments.get(row, 0) for row in {*shares, *payments}},
        owner=master.owner,
        period=master.period,
        revision=inputs.revision,
        receipt_on=inputs.receipt_on,
        issued=issued,
        decisions=inputs.decisions,
    )
    caps = tuple(present_cap(each) for each in capped)
    late = _grouped(review_late_deliveries(master.seed, issued, master.period))
    pools = [pool for part in allocation.fractions for pool in (part.base, part.usage)]
    reviews = tuple(sorted((*usage.reviews, *allocation.reviews, *late), key=lambda review: review.review))
    return RevisionDocument(
        format=FORMAT,
        property=master.property,
        period=master.period,
        time_zone=master.time_zone,
        owner=master.owner,
        seed=master.seed,
        revision=inputs.revision,
        previous_sha256=None if previous is None else digest(encode(previous)),
        reason=inputs.reason,
        receipt_on=inputs.receipt_on,
        pins=_pins(inputs),
        agreement=master.agreement,
        costs=master.costs,
        total_cents=sum(cost.gross_cents for cost in master.costs if cost.apportionable),
        basis=master.basis,
        usage=usage,
        substitutes=allocation.substitutes,
        fractions=allocation.fractions,
        payments=master.payments,
        caps=caps,
        charged=charge(pools, capped),
        balances=_balances(shares, payments, caps),
        reviews=reviews,
        decisions=_concerned(inputs, reviews),
        receipts=tuple(inputs.before.receipts),
    )


def _grouped(late: Iterable[Review]) -> tuple[Review, ...]:
    """One letter that came too late is decided once, not for each party."""
    return tuple(replace(each, group=each.review.rpartition(":")[0].rpartition(":")[0]) for each in late)


def _concerned(inputs: Inputs, reviews: Iterable[Review]) -> tuple[Decision, ...]:
    """Return the decisions about what this revision asks: others of the property may be about other periods."""
    asked = {name for review in reviews for name in (review.review, review.group)}
    caps = cap_review(inputs.master.period.first, inputs.revision, "")
    return tuple(each for each in inputs.decisions if each.review in asked or each.review.startswith(caps))


def _pins(inputs: Inputs) -> Pins:
    return Pins(
        known_at=inputs.known_at,
        masterdata_hash=inputs.master.hash,
        ledger_position=inputs.usage.position,
        entries_hash=inputs.usage.entries_hash,
        engine_version=ENGINE_VERSION,
        tzdata_version=TZDATA_VERSION,
        config_hash=inputs.config_hash,
    )


def _costs_by_fraction(costs: Iterable[Cost]) -> dict[str, int]:
    return _sums((cost.fraction, cost.gross_cents) for cost in costs if cost.apportionable)


def _shares(allocation: Allocation) -> dict[str, tuple[int, int]]:
    """Return base and usage cents by row, over all fractions."""
    base = _sums(
        (share.row, share.allocated_cents) for part in allocation.fractions for share in part.base.shares
    )
    usage = _sums(
        (share.row, share.allocated_cents) for part in allocation.fractions for share in part.usage.shares
    )
    return {row: (base.get(row, 0), usage.get(row, 0)) for row in {*base, *usage}}


def _balances(
    shares: Mapping[str, tuple[int, int]], payments: Mapping[str, int], caps: tuple[Cap, ...]
) -> tuple[Balance, ...]:
    """Return each row's money; what the cap waives is a row of its own, so that all that is charged is the total."""
    waived = {cap.row: cap.waived_cents for cap in caps}
    balances = []
    for row in sorted({*shares, *payments, *waived}):
        base, usage = shares.get(row, (0, 0))
        charged = base + usage - waived.get(row, 0)
        paid = payments.get(row, 0)
        balances.append(Balance(row, base, usage, -waived.get(row, 0), charged, paid, charged - paid))
    total = sum(waived.values())
    if total:
        balances.append(Balance(CAP_ROW, 0, 0, total, total, 0, total))
    return tuple(balances)


def _sums(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: defaultdict[str, int] = defaultdict(int)
    for name, cents in pairs:
        sums[name] += cents
    return dict(sums)
