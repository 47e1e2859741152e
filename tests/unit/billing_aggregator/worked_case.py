"""The worked case of the design: 2025, 1,000.01 € of residual waste, 30/70, 5 l per person and week, six rows."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime

from billing_aggregator.engine.weights import Stretch, row_bases
from billing_aggregator.model import Agreement, AllocationInput, BaseKey, DayRange, Pool, RowBasis

SEED = "A-2025"
PERIOD = DayRange(date(2025, 1, 1), date(2026, 1, 1))
AGREEMENT = Agreement(
    base_share=30,
    usage_share=70,
    base_key=BaseKey.AREA,
    minimum_ml_per_person_week=5000,
    minimum_fractions=frozenset({"residual"}),
    affected_area_percent=25,
    vacancy_persons=1,
    declared_at=datetime(2024, 11, 1, tzinfo=UTC),
    effective_from=date(2025, 1, 1),
    by_law="Abfallsatzung",
)
_MOVED_IN, _VACATED = date(2025, 5, 1), date(2025, 7, 1)
STRETCHES = (
    Stretch("WE1", "T1", False, PERIOD, 6240, 2),
    Stretch("WE2", "T2", False, DayRange(PERIOD.first, _MOVED_IN), 4815, 1),
    Stretch("WE2", "T3", False, DayRange(_MOVED_IN, PERIOD.end), 4815, 2),
    Stretch("WE3", "T4", False, PERIOD, 7530, 4),
    Stretch("WE4", "T5", False, DayRange(PERIOD.first, _VACATED), 4815, 1),
    Stretch("WE4", "owner", True, DayRange(_VACATED, PERIOD.end), 4815, 0),
)
METERED = {"WE1/T1": 1_385_000, "WE2/T2": 150_000, "WE2/T3": 610_000, "WE3/T4": 2_240_000}


def worked_rows() -> tuple[RowBasis, ...]:
    """Return the six rows' base weights."""
    return row_bases(STRETCHES, AGREEMENT.vacancy_persons)


def worked_input(
    metered: Mapping[str, int] = METERED,
    *,
    agreement: Agreement = AGREEMENT,
    costs: Mapping[str, int] | None = None,
    previous: Mapping[str, Pool] | None = None,
) -> AllocationInput:
    """Return the case, with other ml by row, agreement, costs or a previous revision where given."""
    return AllocationInput(
        seed=SEED,
        agreement=agreement,
        rows=worked_rows(),
        costs=costs or {"residual": 100_001},
        metered={(row, "residual"): volume_ml for row, volume_ml in metered.items()},
        unattributed={},
        previous=previous or {},
    )


def corrected_input(previous: Mapping[str, Pool] | None = None) -> AllocationInput:
    """Return the case with four pours of 20 l moved from T3 to T4: a lost transponder."""
    moved = {**METERED, "WE2/T3": METERED["WE2/T3"] - 80_000, "WE3/T4": METERED["WE3/T4"] + 80_000}
    return replace(worked_input(moved), previous=previous or {})
