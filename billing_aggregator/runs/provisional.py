"""How a period stands on any day: as if it ended there, marked provisional; kept nowhere, sent to nobody as a bill.

What the part of the period will have cost isn't known before its end. Two figures bound it: what is recorded so far,
and the cost of the period before (without one: what is recorded) in proportion to the days. The former period's is
taken as the likely one if there is one; the two give the band.
"""

from dataclasses import dataclass, replace
from datetime import date

from billing_aggregator.errors import IllegalStep
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.calculation import Inputs, calculate
from billing_aggregator.runs.document import Cost, RevisionDocument
from billing_aggregator.runs.gathering import gather_until


@dataclass(frozen=True, slots=True)
class Band:
    """One row's share in cents: likely, and within what bounds, by what the period may come to cost."""

    row: str
    likely_cents: int
    low_cents: int
    high_cents: int


@dataclass(frozen=True, slots=True)
class Provisional:
    """`document`: the likely result, never finalized. `basis`: what its costs are, in words."""

    as_of: date
    basis: str
    likely_total_cents: int
    low_total_cents: int
    high_total_cents: int
    bands: tuple[Band, ...]
    document: RevisionDocument


def look_ahead(books: Books, property_id: str, on: date) -> Provisional:
    """Return how the period that `on` lies in stands at the end of that local day; NotFound if none does."""
    inputs, days = gather_until(books, property_id, on)
    return estimate(inputs, days, on)


def estimate(inputs: Inputs, days: int, on: date) -> Provisional:
    """The same of inputs that are there already; IllegalStep if no costs are known. `days`: of the whole period."""
    recorded = inputs.master.costs
    scaled, basis = _scale(inputs, days)
    if not recorded and not scaled:
        raise IllegalStep(
            f"no costs are known of {inputs.master.property}, neither of this period nor of the one before: import "
            "cost items"
        )
    likely = _calculate(inputs, scaled or recorded)
    others = [_calculate(inputs, costs) for costs in (recorded, scaled) if costs]
    totals = [document.total_cents for document in (likely, *others)]
    return Provisional(
        as_of=on,
        basis=basis,
        likely_total_cents=likely.total_cents,
        low_total_cents=min(totals),
        high_total_cents=max(totals),
        bands=_bands(likely, others),
        document=likely,
    )


def _scale(inputs: Inputs, days: int) -> tuple[tuple[Cost, ...], str]:
    """Return the costs in proportion to the days so far, rounded down, and what they are. `days`: of the period."""
    so_far = inputs.master.period.days
    if inputs.history is not None and inputs.history.costs:
        source, whole = inputs.history.costs, inputs.history.period.days
        basis = f"the costs of the period from {inputs.history.period.first}, {so_far} of {whole} days"
    else:
        source, whole = inputs.master.costs, days
        basis = f"the costs recorded so far, {so_far} of {whole} days"
    so_many = min(so_far, whole)
    return tuple(replace(cost, gross_cents=cost.gross_cents * so_many // whole) for cost in source), basis


def _calculate(inputs: Inputs, costs: tuple[Cost, ...]) -> RevisionDocument:
    return calculate(replace(inputs, master=replace(inputs.master, costs=costs)))


def _bands(likely: RevisionDocument, others: list[RevisionDocument]) -> tuple[Band, ...]:
    shares = [
        {row.row: row.base_cents + row.usage_cents for row in document.balances}
        for document in (likely, *others)
    ]
    return tuple(
        Band(
            row,
            shares[0][row],
            min(each.get(row, 0) for each in shares),
            max(each.get(row, 0) for each in shares),
        )
        for row in sorted(shares[0])
    )
