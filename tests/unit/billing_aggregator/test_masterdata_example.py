"""The worked example of config/, imported and divided, is the worked case of design 4, to the cent."""

from collections import Counter

from billing_aggregator.engine.allocation import allocate
from billing_aggregator.masterdata.importing import import_files
from billing_aggregator.model import AllocationInput
from tests.unit.billing_aggregator.masterdata_files import EXAMPLE, NAME, open_masterdata

METERED = {"WE1/T1": 1_385_000, "WE2/T2": 150_000, "WE2/T3": 610_000, "WE3/T4": 2_240_000}
SHARES = {
    "WE1/T1": 29476, "WE2/T2": 4355, "WE2/T3": 13603, "WE3/T4": 44389, "WE4/T5": 5066, "WE4/owner": 3112,
}  # fmt: skip


def test_the_example_s_master_data_give_the_worked_case_to_the_cent(sqlite_url: str) -> None:
    """§ 556a BGB, as agreed; BGH VIII ZR 78/15: 30 % by area, 70 % by volume, with a minimum."""
    masterdata = open_masterdata(sqlite_url)
    import_files(masterdata, [EXAMPLE], "clerk")
    snapshot = masterdata.snapshot(NAME)
    [period] = snapshot.periods
    agreement = snapshot.agreement_for(period)
    costs: Counter[str] = Counter()
    for cost in snapshot.costs:
        if cost.apportionable and cost.period_first == period.days.first:
            costs[cost.fraction] += cost.gross_cents
    result = allocate(
        AllocationInput(
            seed=period.seed,
            agreement=agreement,
            rows=snapshot.rows(period, agreement.vacancy_persons),
            costs=costs,
            metered={(row, "residual"): volume_ml for row, volume_ml in METERED.items()},
            unattributed={},
        )
    )
    shares: Counter[str] = Counter()
    for part in result.fractions:
        for share in (*part.base.shares, *part.usage.shares):
            shares[share.row] += share.allocated_cents
    assert shares == SHARES
    assert sum(shares.values()) == 100001
    masterdata.close()
