"""§ 556 (3) sentence 3 BGB: after twelve months nothing more can be claimed than what came in time. VIII ZR 190/06."""

from dataclasses import replace
from datetime import date
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing_aggregator.engine.allocation import allocate
from billing_aggregator.engine.cap import (
    Baseline,
    CappedRow,
    Issued,
    cap_balances,
    charge,
    find_baseline,
    review_late_deliveries,
)
from billing_aggregator.model import CAP_ROW, AllocationInput, Pool, PoolShare, ReviewKind
from tests.unit.billing_aggregator.engine_inputs import allocation_inputs, pools_of
from tests.unit.billing_aggregator.worked_case import PERIOD, SEED, corrected_input, worked_input

IN_TIME, LATE = date(2026, 12, 31), date(2027, 1, 1)
ADVANCES = {"WE1/T1": 30_000, "WE2/T2": 4000, "WE2/T3": 10_000, "WE3/T4": 40_000, "WE4/T5": 0}
CENTS = st.integers(-50_000, 50_000)


def issued(
    revision: int,
    claimed_cents: int,
    received_on: date | None = IN_TIME,
    *,
    row: str = "WE1/T1",
    planned_on: date = IN_TIME,
    lifted: bool = False,
) -> Issued:
    return Issued(revision, row, claimed_cents, planned_on, received_on, lifted)


def cap(balance_cents: int, *before: Issued, lifted_because: str | None = None) -> CappedRow:
    lifts = {} if lifted_because is None else {"WE1/T1": lifted_because}
    (capped,) = cap_balances({"WE1/T1": balance_cents}, before, PERIOD, LATE, lifts)
    return capped


def totals_of(pools: dict[str, Pool]) -> dict[str, int]:
    rows = {share.row for pool in pools.values() for share in pool.shares}
    return {
        row: sum(
            share.allocated_cents for pool in pools.values() for share in pool.shares if share.row == row
        )
        for row in rows
    }


def test_a_documented_correction_after_the_deadline_is_borne_by_the_owner() -> None:
    """VIII ZR 190/06, advances credited rightly: T3 123.63, T4 stays 443.89, the owner bears 12.40."""
    before = pools_of(allocate(worked_input()))
    after = pools_of(allocate(corrected_input(before)))
    was, now = totals_of(before), totals_of(after)
    received = [issued(1, was[row] - paid, IN_TIME, row=row) for row, paid in ADVANCES.items()]
    balances = {row: now[row] - paid for row, paid in ADVANCES.items()}
    capped = cap_balances(balances, received, PERIOD, LATE, {})
    charged: dict[str, int] = {}
    for share in charge(list(after.values()), capped):
        charged[share.row] = charged.get(share.row, 0) + share.charged_cents
    assert (charged["WE2/T3"], charged["WE3/T4"], charged[CAP_ROW]) == (12_363, 44_389, 1240)
    assert (now["WE3/T4"], totals_of(after)["WE3/T4"]) == (45_629, 45_629), "what is allocated stays"
    assert all(charged[row] == was[row] for row in ("WE1/T1", "WE2/T2", "WE4/T5", "WE4/owner"))
    assert sum(charged.values()) == 100_001


def test_in_time_nothing_is_capped() -> None:
    assert cap_balances({"WE1/T1": 5000}, [], PERIOD, IN_TIME, {}) == ()


def test_without_a_statement_in_time_nothing_can_be_claimed_but_a_credit_is_paid() -> None:
    """§ 556 (3) sentence 3 BGB excludes claims of the landlord, not those of the tenant."""
    assert cap(5000) == CappedRow("WE1/T1", 5000, Baseline(0, None), 0, 5000, None)
    assert (cap(-5000).claimed_cents, cap(-5000).waived_cents) == (-5000, 0)


def test_a_late_correction_can_lower_a_claim_but_not_raise_it() -> None:
    """VIII ZR 190/06: what counts is the result, advances included."""
    assert cap(12_000, issued(1, 10_000)).claimed_cents == 10_000
    assert cap(9000, issued(1, 10_000)).claimed_cents == 9000
    assert cap(-1000, issued(1, -3000)).claimed_cents == -3000, "a credit that came in time stays"


def test_a_mistake_in_advances_is_capped_like_any_other() -> None:
    """VIII ZR 190/06 was about advances: agreed ones had been credited instead of those really paid."""
    capped = cap(44_389 - 20_000, issued(1, 44_389 - 40_000))
    assert (capped.claimed_cents, capped.waived_cents) == (4389, 20_000)


def test_the_last_revision_in_time_is_the_baseline_even_if_it_raised_the_claim() -> None:
    assert find_baseline([issued(1, 10_000), issued(2, 12_000)], PERIOD) == Baseline(12_000, 2)
    assert find_baseline([issued(2, 9000), issued(1, 10_000)], PERIOD) == Baseline(9000, 2)


def test_a_late_revision_lowers_the_baseline_and_never_raises_it() -> None:
    lowered = [issued(1, 10_000), issued(2, 8000, LATE)]
    assert find_baseline(lowered, PERIOD) == Baseline(8000, 2)
    assert find_baseline([*lowered, issued(3, 9500, LATE)], PERIOD) == Baseline(8000, 2)
    assert cap(12_000, *lowered).claimed_cents == 8000


def test_a_receipt_that_nobody_entered_lowers_and_never_raises() -> None:
    """The landlord has to prove receipt; what he wrote himself binds him."""
    assert find_baseline([issued(1, 10_000, None)], PERIOD) == Baseline(0, None)
    assert find_baseline([issued(1, 10_000), issued(2, 8000, None)], PERIOD) == Baseline(8000, 2)
    assert find_baseline([issued(1, -2000, None)], PERIOD) == Baseline(-2000, 1)


def test_a_person_may_lift_the_cap_with_a_reason_and_that_is_the_next_baseline() -> None:
    """§ 556 (3) sentence 3 BGB: unless the landlord isn't responsible for the delay."""
    lifted = cap(12_000, issued(1, 10_000), lifted_because="the authority's notice came late")
    assert (lifted.claimed_cents, lifted.waived_cents) == (12_000, 0)
    assert lifted.lifted_because == "the authority's notice came late"
    later = [issued(1, 10_000), issued(2, 12_000, LATE, planned_on=LATE, lifted=True)]
    assert find_baseline(later, PERIOD) == Baseline(12_000, 2)
    assert cap(13_000, *later).claimed_cents == 12_000


def test_a_lift_concerns_its_own_row_only() -> None:
    one, other = cap_balances({"WE1/T1": 5000, "WE2/T2": 5000}, [], PERIOD, LATE, {"WE2/T2": "reason"})
    assert (one.claimed_cents, other.claimed_cents) == (0, 5000)


def test_each_party_has_a_baseline_of_its_own() -> None:
    before = [issued(1, 1000, row="WE1/T1"), issued(1, 2000, LATE, row="WE2/T2")]
    one, other = cap_balances({"WE2/T2": 5000, "WE1/T1": 5000}, before, PERIOD, LATE, {})
    assert (one.row, one.claimed_cents, other.row, other.claimed_cents) == ("WE1/T1", 1000, "WE2/T2", 0)


def test_a_row_that_a_revision_drops_keeps_the_credit_that_it_got() -> None:
    capped = cap_balances({}, [issued(1, -3000)], PERIOD, LATE, {})
    assert capped == (CappedRow("WE1/T1", 0, Baseline(-3000, 1), -3000, 3000, None),)
    shares = charge(
        [Pool("residual/base", 100, "days", (PoolShare("WE2/T2", 1, Fraction(100), 100),))], capped
    )
    assert {share.row: share.charged_cents for share in shares} == {
        "WE1/T1": -3000,
        "WE2/T2": 100,
        CAP_ROW: 3000,
    }


def test_a_delivery_that_turns_out_late_raises_an_alarm_and_caps_the_next_revision() -> None:
    """§ 556 (3) sentence 3 BGB: receipt counts, not the day that was planned."""
    late = issued(1, 10_000, LATE)
    (review,) = review_late_deliveries(SEED, [late], PERIOD)
    assert review.kind is ReviewKind.LATE_DELIVERY
    assert "WE1/T1 on 2027-01-01, after 2026-12-31" in review.detail
    assert cap(10_000, late).claimed_cents == 0


def test_a_late_delivery_that_costs_nothing_raises_no_alarm() -> None:
    before = [issued(1, 10_000), issued(2, 9000, LATE), issued(3, 9000, LATE, planned_on=LATE)]
    credit = issued(1, -10_000, LATE, row="WE2/T2")
    unknown = issued(1, 10_000, None, row="WE3/T4")
    lifted = issued(1, 10_000, LATE, row="WE4/T5", planned_on=LATE, lifted=True)
    assert review_late_deliveries(SEED, [*before, credit, unknown, lifted], PERIOD) == ()


def test_what_is_waived_is_spread_over_the_pools_by_what_they_hold_of_the_row() -> None:
    def pool(name: str, cents: int) -> Pool:
        share = PoolShare("WE1/T1", 1, Fraction(cents), cents)
        return Pool(name, cents, "days", (share,))

    pools = [pool("residual/usage", 300), pool("residual/base", 100), pool("organic/base", 100)]
    waived = CappedRow("WE1/T1", 500, Baseline(399, 1), 399, 101, None)
    assert {(share.pool, share.row): share.charged_cents for share in charge(pools, [waived])} == {
        ("organic/base", "WE1/T1"): 80,
        ("organic/base", CAP_ROW): 20,
        ("residual/base", "WE1/T1"): 80,
        ("residual/base", CAP_ROW): 20,
        ("residual/usage", "WE1/T1"): 239,
        ("residual/usage", CAP_ROW): 61,
    }
    more = replace(waived, waived_cents=1000)
    assert sum(share.charged_cents for share in charge(pools, [more]) if share.row == "WE1/T1") == -500


@st.composite
def histories(draw: st.DrawFn, rows: list[str]) -> list[Issued]:
    days = st.sampled_from([None, date(2026, 5, 1), IN_TIME, LATE, date(2027, 6, 1)])
    return [
        issued(revision, draw(CENTS), draw(days), row=row, lifted=draw(st.booleans()))
        for row in rows
        for revision in range(1, draw(st.integers(0, 4)) + 1)
    ]


@given(allocation_inputs(), st.data())
def test_all_that_is_charged_is_the_total_in_each_pool_and_overall(
    inputs: AllocationInput, data: st.DataObject
) -> None:
    """§ 556 (3) BGB: what residents needn't pay the owner bears; allocated cents stay."""
    pools = pools_of(allocate(inputs))
    balances = {row.row: data.draw(CENTS) for row in inputs.rows if row.party != "owner"}
    history = data.draw(histories([*balances, "WE9/T9"]))
    lifts = {row: "reason" for row in balances if data.draw(st.booleans())}
    capped = cap_balances(balances, history, PERIOD, LATE, lifts)
    shares = charge(list(pools.values()), capped)
    for name, pool in pools.items():
        mine = [share for share in shares if share.pool == name]
        assert sum(share.charged_cents for share in mine) == pool.total_cents
        assert {share.row: share.allocated_cents for share in mine if share.allocated_cents} == {
            share.row: share.allocated_cents for share in pool.shares if share.allocated_cents
        }
    for row in capped:
        charged = sum(share.charged_cents for share in shares if share.row == row.row)
        allocated = sum(share.allocated_cents for share in shares if share.row == row.row)
        assert allocated - charged == row.waived_cents >= 0
        assert row.claimed_cents + row.waived_cents == row.balance_cents
        assert row.claimed_cents <= row.baseline.claimable_cents or row.lifted_because


@given(st.data())
def test_order_of_revisions_given_doesnt_matter_and_a_late_one_never_raises_what_can_be_claimed(
    data: st.DataObject,
) -> None:
    history = data.draw(histories(["WE1/T1"]))
    baseline = find_baseline(history, PERIOD)
    assert find_baseline(data.draw(st.permutations(history)), PERIOD) == baseline
    late = issued(9, data.draw(CENTS), LATE)
    assert find_baseline([*history, late], PERIOD).claimable_cents == min(
        baseline.claimable_cents, late.claimed_cents
    )
