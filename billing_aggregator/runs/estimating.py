"""What the engine's substitutes are estimated from: this period's months without a loss, the period before, and what
the system before this one read."""

from collections.abc import Sequence
from datetime import timedelta

from billing_aggregator.engine.substitutes import Reference, references_in, substitute_lost
from billing_aggregator.engine.weights import Stretch
from billing_aggregator.model import PropertyUsage, Substitute
from billing_aggregator.runs.document import RevisionDocument


def estimate_lost(
    usage: PropertyUsage,
    stretches: Sequence[Stretch],
    old_readings: Sequence[Reference],
    history: RevisionDocument | None,
    seed: str,
) -> tuple[Substitute, ...]:
    """Return the substitutes for all that this period's registers counted and no record names."""
    if not usage.lost:
        return ()
    references = (*references_in(usage.rows, usage.lost, stretches), *old_readings)
    fractions = {loss.fraction for loss in usage.lost}
    if history is not None:
        references = (*references, *_references_of(history, fractions))
    return substitute_lost(usage.lost, stretches, references, seed)


def _references_of(history: RevisionDocument, fractions: set[str]) -> list[Reference]:
    """Return what residents threw in the period before, where nothing was lost for their dwelling.

    Who threw nothing counts, too: nothing is a figure.
    """
    metered = {(row.row, row.fraction): row.metered_ml for row in history.usage.rows}
    unsure = {(dwelling, loss.fraction) for loss in history.usage.lost for dwelling in loss.dwellings}
    end = history.period.end
    source = f"{history.period.first}..{None if end is None else end - timedelta(days=1)}"
    return [
        Reference(
            row=basis.row,
            fraction=fraction,
            volume_ml=metered.get((basis.row, fraction), 0),
            days=basis.days - basis.vacant_days,
            person_days=basis.person_days,
            this_period=False,
            source=source,
        )
        for fraction in sorted(fractions)
        for basis in history.basis
        if basis.days > basis.vacant_days and (basis.dwelling, fraction) not in unsure
    ]
