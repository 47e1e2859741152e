"""What holds of each allocation, whatever is thrown at it."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from billing_aggregator.engine.allocation import allocate
from billing_aggregator.model import UNATTRIBUTED_ROW, AllocationInput, Pool
from tests.unit.billing_aggregator.engine_inputs import (
    VOLUMES_ML,
    allocation_inputs,
    cents_of,
    exact_of,
    pools_of,
    shuffle,
)


@given(allocation_inputs())
def test_shares_sum_to_the_total_in_each_pool_each_fraction_and_overall(inputs: AllocationInput) -> None:
    """§ 556a (1) BGB, § 259 BGB: what is divided is the cost, nothing is made and nothing vanishes."""
    allocation = allocate(inputs)
    pools = pools_of(allocation)
    for pool in pools.values():
        assert sum(cents_of(pool).values()) == sum(exact_of(pool).values()) == pool.total_cents
    for part in allocation.fractions:
        assert part.base.total_cents + part.usage.total_cents == part.total_cents
        assert part.own_cents + part.common_cents == part.total_cents
        assert part.own_cents == inputs.costs[part.fraction]
    assert sum(pool.total_cents for pool in pools.values()) == sum(inputs.costs.values())


@given(allocation_inputs())
def test_no_allocated_share_is_negative_or_a_cent_away_from_its_exact_one(inputs: AllocationInput) -> None:
    for pool in pools_of(allocate(inputs)).values():
        for share in pool.shares:
            assert share.allocated_cents >= 0
            assert abs(share.allocated_cents - share.exact) < 1


@given(allocation_inputs(), st.integers(0, 2**32))
def test_order_of_inputs_doesnt_matter(inputs: AllocationInput, seed: int) -> None:
    first = allocate(inputs)
    assert allocate(shuffle(inputs, Random(seed))) == first
    revised = replace(inputs, previous=pools_of(first))
    assert allocate(shuffle(revised, Random(seed))) == allocate(revised)


@given(allocation_inputs())
def test_a_replay_gives_the_same_result_and_a_revision_without_a_change_moves_nobody(
    inputs: AllocationInput,
) -> None:
    first = allocate(inputs)
    assert allocate(inputs) == first
    assert allocate(replace(inputs, previous=pools_of(first))) == first


@given(allocation_inputs())
def test_another_seed_moves_ties_only(inputs: AllocationInput) -> None:
    one, other = (pools_of(allocate(replace(inputs, seed=seed))) for seed in ("A-2025", "C-2031"))
    for name, pool in one.items():
        assert exact_of(pool) == exact_of(other[name])
        # Each remainder gets as many cents under either seed; only who of those that are equal differs.
        assert gained_by_remainder(exact_of(pool), cents_of(pool)) == gained_by_remainder(
            exact_of(pool), cents_of(other[name])
        )


def gained_by_remainder(exact: dict[str, Fraction], cents: dict[str, int]) -> Counter[Fraction]:
    """Return how many cents were added to floors, by remainder."""
    gained: Counter[Fraction] = Counter()
    for row, share in exact.items():
        gained[share % 1] += cents[row] - share.__floor__()
    return gained


@given(allocation_inputs(), st.data())
def test_a_pour_more_never_lowers_its_partys_own_usage_share(
    inputs: AllocationInput, data: st.DataObject
) -> None:
    """Neither the exact share nor the cents, as long as usage goes by volume before and after.

    Where it went by the base key, a pour more can be what lets volumes count: that may lower anybody's share.
    """
    row = data.draw(st.sampled_from([row.row for row in inputs.rows]))
    fraction = data.draw(st.sampled_from(sorted(set(inputs.costs) - {"common"})))
    before = inputs.metered.get((row, fraction), 0)
    more = {**inputs.metered, (row, fraction): before + data.draw(st.sampled_from([5000, 20_000]))}
    name = f"{fraction}/usage"
    one, other = pools_of(allocate(inputs))[name], pools_of(allocate(replace(inputs, metered=more)))[name]
    assume(one.key == other.key == "billed_ml")
    assert exact_of(other)[row] >= exact_of(one)[row]
    assert cents_of(other)[row] >= cents_of(one)[row]
    sticky = pools_of(allocate(replace(inputs, metered=more, previous={name: one})))[name]
    assert cents_of(sticky)[row] >= cents_of(one)[row]


@given(allocation_inputs(), st.data())
def test_a_correction_of_volumes_in_one_fraction_leaves_all_other_pools_as_they_were(
    inputs: AllocationInput, data: st.DataObject
) -> None:
    fraction = data.draw(st.sampled_from(sorted(set(inputs.costs) - {"common"})))
    row = data.draw(st.sampled_from([row.row for row in inputs.rows]))
    first = pools_of(allocate(inputs))
    corrected = {**inputs.metered, (row, fraction): data.draw(VOLUMES_ML)}
    # Rounded against an earlier correction, so that "as they were" isn't what plain rounding would give anyhow.
    nudged = {name: nudge(pool) for name, pool in first.items()}
    second = pools_of(allocate(replace(inputs, metered=corrected, previous=nudged)))
    for name in set(first) - {f"{fraction}/usage"}:
        assert cents_of(second[name]) == cents_of(nudged[name])
        assert second[name].moved_by_rounding == ()


def nudge(pool: Pool) -> Pool:
    """Return the pool with a cent moved from a row that was rounded up to one that wasn't: so corrections leave it."""
    up = [share for share in pool.shares if share.allocated_cents > share.exact]
    down = [share for share in pool.shares if share.allocated_cents < share.exact]
    moved = {share.row: share.allocated_cents for share in pool.shares}
    if up and down:
        moved[up[0].row] -= 1
        moved[down[0].row] += 1
    return replace(
        pool, shares=tuple(replace(share, allocated_cents=moved[share.row]) for share in pool.shares)
    )


@given(allocation_inputs(with_substitutes=False), VOLUMES_ML)
def test_unattributed_volume_never_costs_a_resident_anything(inputs: AllocationInput, volume_ml: int) -> None:
    """§ 556 (1) BGB: residents bear what they agreed to, not what nobody can be named for."""
    without = pools_of(allocate(replace(inputs, unattributed={})))
    with_it = pools_of(allocate(replace(inputs, unattributed={"residual": volume_ml})))
    for name, pool in with_it.items():
        for row, share in exact_of(pool).items():
            assert row == UNATTRIBUTED_ROW or share <= exact_of(without[name])[row]


@given(allocation_inputs())
def test_billed_volume_is_metered_and_substitutes_or_the_minimum_and_is_what_is_weighed(
    inputs: AllocationInput,
) -> None:
    for part in allocate(inputs).fractions:
        for volume in part.volumes:
            assert volume.billed_ml == max(volume.metered_ml + volume.substitute_ml, volume.minimum_ml)
        if part.base_only_because is None:
            assert [share.weight for share in part.usage.shares] == [v.billed_ml for v in part.volumes]
        else:
            assert [share.weight for share in part.usage.shares] == [
                share.weight for share in part.base.shares
            ]


@given(allocation_inputs(), st.integers(2, 1000))
def test_areas_in_another_unit_change_no_share(inputs: AllocationInput, factor: int) -> None:
    scaled = tuple(
        replace(
            row,
            area_dm2_days=row.area_dm2_days * factor,
            vacant_area_dm2_days=row.vacant_area_dm2_days * factor,
        )
        for row in inputs.rows
    )
    one, other = pools_of(allocate(inputs)), pools_of(allocate(replace(inputs, rows=scaled)))
    for name, pool in one.items():
        assert (exact_of(other[name]), cents_of(other[name])) == (exact_of(pool), cents_of(pool))
