"""Largest remainder: the documented ties, and agreement with a slow reference that was written another way."""

import hashlib
from collections.abc import Mapping
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_aggregator.engine.apportionment import apportion, by_name, tie_key
from billing_aggregator.engine.rounding import divide_pool

ROWS = st.sampled_from([f"WE{number}/T{number % 3}" for number in range(1, 13)])
WEIGHTS = st.dictionaries(ROWS, st.integers(0, 50) | st.integers(0, 10**9), min_size=1)
TOTALS = st.integers(0, 60) | st.integers(0, 10**8)
SEEDS = st.sampled_from(["A-2025", "A-2026", "", "ü|x"])


def divide_slowly(total: int, weights: Mapping[str, int], seed: str, pool: str) -> dict[str, int]:
    """Largest remainder as a contest: a row gets a unit more if fewer rows beat it than there are units left."""
    exact = {row: Fraction(total) * weight / sum(weights.values()) for row, weight in weights.items()}
    left = total - sum(share.__floor__() for share in exact.values())

    def rank(row: str) -> tuple[Fraction, int]:
        number = int.from_bytes(hashlib.sha256(f"{seed}|{pool}|{row}".encode()).digest())
        return exact[row] - exact[row].__floor__(), -number

    beaten_by = {row: sum(rank(other) > rank(row) for other in exact) for row in exact}
    return {row: share.__floor__() + (beaten_by[row] < left) for row, share in exact.items()}


def test_ties_follow_the_documented_order() -> None:
    rows = ["WE1/T1", "WE2/T2", "WE2/T3", "WE3/T4", "WE4/T5", "WE4/owner"]
    documented = ["WE2/T2", "WE1/T1", "WE4/owner", "WE2/T3", "WE3/T4", "WE4/T5"]
    assert sorted(rows, key=tie_key("A-2025", "residual/usage")) == documented
    for cents in range(len(rows) + 1):  # equal weights: the first ones in that order get a cent each
        parts = apportion(cents, dict.fromkeys(rows, 1), tie_key("A-2025", "residual/usage"))
        assert [row for row in documented if parts[row]] == documented[:cents]


def test_another_pool_settles_its_ties_in_another_order() -> None:
    rows = ["WE1/T1", "WE2/T2", "WE2/T3", "WE3/T4", "WE4/T5", "WE4/owner"]
    assert sorted(rows, key=tie_key("A-2025", "residual/base")) != sorted(
        rows, key=tie_key("A-2025", "residual/usage")
    )


@given(TOTALS, WEIGHTS, SEEDS)
def test_largest_remainder_agrees_with_a_slow_reference(
    total: int, weights: dict[str, int], seed: str
) -> None:
    if not any(weights.values()):
        weights = dict.fromkeys(weights, 1)
    parts = apportion(total, weights, tie_key(seed, "residual/usage"))
    assert parts == divide_slowly(total, weights, seed, "residual/usage")
    assert list(parts) == list(weights)


@given(TOTALS, WEIGHTS, SEEDS)
def test_a_pool_is_divided_by_the_same_rule_and_states_exact_shares(
    total: int, weights: dict[str, int], seed: str
) -> None:
    if not any(weights.values()):
        weights = dict.fromkeys(weights, 1)
    pool = divide_pool("residual/base", total, "area_dm2_days", weights, seed, None)
    assert {share.row: share.allocated_cents for share in pool.shares} == divide_slowly(
        total, weights, seed, "residual/base"
    )
    assert sum(share.exact for share in pool.shares) == total
    assert all(share.exact * sum(weights.values()) == total * share.weight for share in pool.shares)


@given(TOTALS, WEIGHTS, SEEDS, st.integers(1, 10**6))
def test_weights_in_another_unit_divide_alike(
    total: int, weights: dict[str, int], seed: str, factor: int
) -> None:
    if not any(weights.values()):
        weights = dict.fromkeys(weights, 1)
    scaled = {row: weight * factor for row, weight in weights.items()}
    key = tie_key(seed, "residual/base")
    assert apportion(total, weights, key) == apportion(total, scaled, key)


@given(TOTALS, WEIGHTS, st.permutations(["A-2025", "A-2026"]))
def test_another_seed_moves_ties_only(total: int, weights: dict[str, int], seeds: list[str]) -> None:
    if not any(weights.values()):
        weights = dict.fromkeys(weights, 1)
    one, other = (apportion(total, weights, tie_key(seed, "p")) for seed in seeds)
    whole = sum(weights.values())
    moved = [row for row in weights if one[row] != other[row]]
    assert all(abs(one[row] - other[row]) == 1 for row in moved)
    # All who move stand at one and the same remainder: the tie at the edge.
    assert len({total * weights[row] % whole for row in moved}) <= 1


def test_equal_remainders_of_names_go_by_name() -> None:
    assert apportion(1, {"paper": 1, "organic": 1}, by_name) == {"paper": 0, "organic": 1}


def test_nothing_is_divided_by_nothing() -> None:
    assert apportion(0, {"WE1/T1": 0}, by_name) == {"WE1/T1": 0}
    assert apportion(0, {}, by_name) == {}


@pytest.mark.parametrize(
    ("total", "weights"), [(-1, {"a": 1}), (1, {"a": -1, "b": 2}), (1, {"a": 0}), (1, {})]
)
def test_what_cant_be_divided_is_refused(total: int, weights: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="divided"):
        apportion(total, weights, by_name)
