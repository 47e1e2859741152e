"""The worked case of design 4, every column, to the cent; and its correction."""

from billing_aggregator.engine.allocation import allocate
from billing_aggregator.model import Allocation
from tests.unit.billing_aggregator.engine_inputs import cents_of, pools_of
from tests.unit.billing_aggregator.worked_case import corrected_input, worked_input, worked_rows

ROWS = ("WE1/T1", "WE2/T2", "WE2/T3", "WE3/T4", "WE4/T5", "WE4/owner")


def totals_of(allocation: Allocation) -> dict[str, int]:
    totals: dict[str, int] = {}
    for pool in pools_of(allocation).values():
        for row, cents in cents_of(pool).items():
            totals[row] = totals.get(row, 0) + cents
    return totals


def test_worked_case_has_the_documented_base_weights() -> None:
    assert [(row.row, row.area_dm2_days, row.days, row.person_days) for row in worked_rows()] == [
        ("WE1/T1", 6240 * 365, 365, 730),
        ("WE2/T2", 4815 * 120, 120, 120),
        ("WE2/T3", 4815 * 245, 245, 490),
        ("WE3/T4", 7530 * 365, 365, 1460),
        ("WE4/T5", 4815 * 181, 181, 181),
        ("WE4/owner", 4815 * 184, 184, 0),
    ]


def test_worked_case_is_met_to_the_cent_in_every_column() -> None:
    """§ 556a (1), (2) BGB; VIII ZR 78/15: 30 % by area, 70 % by recorded volume, with a minimum volume."""
    allocation = allocate(worked_input())
    (fraction,) = allocation.fractions
    assert [(v.row, v.metered_ml, v.minimum_ml, v.billed_ml) for v in fraction.volumes] == [
        ("WE1/T1", 1_385_000, 521_428, 1_385_000),
        ("WE2/T2", 150_000, 85_714, 150_000),
        ("WE2/T3", 610_000, 350_000, 610_000),
        ("WE3/T4", 2_240_000, 1_042_857, 2_240_000),
        ("WE4/T5", 0, 129_285, 129_285),
        ("WE4/owner", 0, 0, 0),
    ]
    assert sum(volume.billed_ml for volume in fraction.volumes) == 4_514_285
    base = (8000, 2029, 4144, 9654, 3061, 3112)
    usage = (21476, 2326, 9459, 34735, 2005, 0)
    total = (29476, 4355, 13603, 44389, 5066, 3112)
    assert cents_of(fraction.base) == dict(zip(ROWS, base, strict=True))
    assert cents_of(fraction.usage) == dict(zip(ROWS, usage, strict=True))
    assert totals_of(allocation) == dict(zip(ROWS, total, strict=True))
    assert (fraction.base.total_cents, fraction.usage.total_cents, sum(total)) == (30000, 70001, 100001)
    assert allocation.reviews == ()


def test_plain_rounding_would_move_the_uninvolved_t1_by_a_cent() -> None:
    before, after = totals_of(allocate(worked_input())), totals_of(allocate(corrected_input()))
    assert abs(after["WE1/T1"] - before["WE1/T1"]) == 1


def test_four_pours_moved_from_t3_to_t4_move_nobody_else() -> None:
    first = allocate(worked_input())
    second = allocate(corrected_input(pools_of(first)))
    before, after = totals_of(first), totals_of(second)
    assert {row: after[row] - before[row] for row in ROWS} == {
        **dict.fromkeys(ROWS, 0),
        "WE2/T3": -1240,
        "WE3/T4": 1240,
    }
    assert [pool.moved_by_rounding for pool in pools_of(second).values()] == [(), ()]
