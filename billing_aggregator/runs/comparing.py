"""Two agreements on the same data: who wins, who loses. Pure; nothing is kept, the agreement in force isn't touched.

Both are divided afresh, without sticky rounding or cap: what is compared are the agreements, not their history.
"""

from dataclasses import dataclass, replace

from billing_aggregator.model import Agreement, BaseKey
from billing_aggregator.runs.calculation import Inputs, calculate
from billing_aggregator.runs.capping import Sent
from billing_aggregator.runs.document import RevisionDocument

_NOTHING_BEFORE = Sent((), frozenset(), ())


@dataclass(frozen=True, slots=True)
class Variant:
    """Another agreement: what is None stays as it is in the one in force."""

    base_share: int | None = None
    usage_share: int | None = None
    base_key: BaseKey | None = None
    minimum_ml_per_person_week: int | None = None

    def applied_to(self, agreement: Agreement) -> Agreement:
        """Return the agreement with what this variant changes."""
        changes = {
            name: value
            for name in ("base_share", "usage_share", "base_key", "minimum_ml_per_person_week")
            if (value := getattr(self, name)) is not None
        }
        return replace(agreement, **changes)


@dataclass(frozen=True, slots=True)
class Difference:
    """One row's share in cents by both agreements. Above zero: it would pay more by the second one."""

    row: str
    first_cents: int
    second_cents: int

    @property
    def moves_cents(self) -> int:
        return self.second_cents - self.first_cents


def compare(inputs: Inputs, first: Variant, second: Variant) -> tuple[Difference, ...]:
    """Return every row's share by two variants of the agreement; who wins most comes first."""
    left, right = _shares(inputs, first), _shares(inputs, second)
    rows = sorted({*left, *right})
    differences = [Difference(row, left.get(row, 0), right.get(row, 0)) for row in rows]
    return tuple(sorted(differences, key=lambda each: (each.moves_cents, each.row)))


def _shares(inputs: Inputs, variant: Variant) -> dict[str, int]:
    agreement = variant.applied_to(inputs.master.agreement)
    # In time, so that nothing is capped.
    receipt_on = inputs.master.period.end or inputs.receipt_on
    document: RevisionDocument = calculate(
        replace(
            inputs,
            master=replace(inputs.master, agreement=agreement),
            before=_NOTHING_BEFORE,
            receipt_on=receipt_on,
        )
    )
    return {row.row: row.base_cents + row.usage_cents for row in document.balances}
