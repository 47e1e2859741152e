"""Sticky rounding: a correction moves only those concerned, wherever cents allow it."""

from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from billing_aggregator.engine.rounding import divide_pool
from billing_aggregator.model import Pool, PoolShare
from tests.unit.billing_aggregator.engine_inputs import cents_of

SEED = "A-2025"
NAME = "residual/usage"


def divide(total_cents: int, weights: dict[str, int], previous: Pool | None = None) -> Pool:
    return divide_pool(NAME, total_cents, "billed_ml", weights, SEED, previous)


def pool_of(total_cents: int, shares: dict[str, tuple[Fraction, int]]) -> Pool:
    """A previous pool, as it might have come of an earlier correction."""
    return Pool(
        NAME, total_cents, "billed_ml", tuple(PoolShare(row, 1, exact, cents) for row, (exact, cents) in shares.items())
    )  # fmt: skip


WEIGHTS = st.dictionaries(
    st.sampled_from([f"WE{number}/T" for number in range(1, 9)]),
    st.integers(0, 12) | st.integers(0, 10**6),
    min_size=3,
).filter(lambda weights: any(weights.values()))
TOTALS = st.integers(0, 40) | st.integers(0, 10**6)


def test_rows_with_the_same_exact_share_keep_their_cents_though_plain_rounding_would_move_them() -> None:
    half = Fraction(1, 2)
    before = pool_of(2, {"a": (half, 0), "b": (half, 0), "c": (half, 1), "d": (half, 1)})
    after = divide(2, {"a": 1, "b": 1, "c": 1, "d": 1}, before)
    assert cents_of(after) == {"a": 0, "b": 0, "c": 1, "d": 1}
    assert after.moved_by_rounding == ()


def test_the_remaining_cents_go_by_remainder_only_to_changed_rows_with_a_share() -> None:
    """Of 10 cents the unchanged row keeps 2; the others' floors are 4 + 3 + 0, and one cent is left for 4.6 or 3.4."""
    before = pool_of(10, {"kept": (Fraction(2), 2), "a": (Fraction(8), 8)})
    after = divide(10, {"kept": 10, "a": 23, "b": 17, "none": 0}, before)
    assert cents_of(after) == {"kept": 2, "a": 5, "b": 3, "none": 0}


def test_a_share_without_a_remainder_may_take_the_cent_that_nobody_else_can() -> None:
    before = pool_of(3, {"kept": (Fraction(3, 2), 1), "a": (Fraction(3, 2), 2)})
    after = divide(4, {"kept": 3, "a": 5}, before)  # exact 1.5 and 2.5
    assert cents_of(after) == {"kept": 1, "a": 3}
    whole = divide(6, {"kept": 2, "a": 4}, pool_of(6, {"kept": (Fraction(2), 1), "a": (Fraction(4, 3), 5)}))
    assert cents_of(whole) == {"kept": 1, "a": 5}
    assert whole.moved_by_rounding == ()


def test_a_negative_remainder_divides_the_pool_anew_and_names_who_moves_by_rounding_alone() -> None:
    before = pool_of(3, {"a": (Fraction(3, 4), 1), "b": (Fraction(3, 4), 1), "c": (Fraction(3, 2), 1)})
    after = divide(3, {"a": 3, "b": 3, "c": 4, "d": 2}, before)  # c 1.0, d 0.5; kept 2 + floors 1 + 0: fits
    assert after.moved_by_rounding == ()
    tight = pool_of(2, {"a": (Fraction(1, 2), 1), "b": (Fraction(1, 2), 1), "c": (Fraction(1), 0)})
    after = divide(2, {"a": 1, "b": 1, "c": 2}, tight)  # nothing changed: all is kept
    assert cents_of(after) == {"a": 1, "b": 1, "c": 0}
    tight = pool_of(2, {"a": (Fraction(1, 2), 1), "b": (Fraction(1, 2), 1), "c": (Fraction(9, 10), 0)})
    after = divide(2, {"a": 1, "b": 1, "c": 2}, tight)  # c's floor is 1 now, and 1 + 1 + 1 is more than 2
    plain = divide(2, {"a": 1, "b": 1, "c": 2})
    assert cents_of(after) == cents_of(plain)
    assert after.moved_by_rounding == tuple(row for row in "ab" if cents_of(plain)[row] == 0)
    assert len(after.moved_by_rounding) == 1


def test_more_than_one_cent_each_divides_the_pool_anew() -> None:
    before = pool_of(
        4,
        {
            "a": (Fraction(3, 4), 0),
            "b": (Fraction(3, 4), 0),
            "c": (Fraction(3, 4), 0),
            "d": (Fraction(7, 4), 4),
        },
    )
    after = divide(
        4, {"a": 3, "b": 3, "c": 3, "d": 6, "e": 1}, before
    )  # 4 left for d 1.5 and e 0.25: three each
    assert cents_of(after) == cents_of(divide(4, {"a": 3, "b": 3, "c": 3, "d": 6, "e": 1}))
    assert after.moved_by_rounding == ("a", "b", "c")


def test_a_row_without_a_share_never_takes_a_cent_that_is_left() -> None:
    """Two cents are left, and but one row with a share to take one: the pool is divided anew."""
    before = pool_of(3, {row: (Fraction(1, 2), 0) for row in "abcd"} | {"e": (Fraction(1), 3)})
    weights = {**dict.fromkeys("abcd", 1), "e": 4, "none": 0}
    after = divide(4, weights, before)
    assert cents_of(after) == cents_of(divide(4, weights))
    assert len(after.moved_by_rounding) == 2
    assert cents_of(after)["none"] == 0


def test_a_pool_that_is_new_and_rows_that_are_new_count_as_changed() -> None:
    assert divide(10, {"a": 1, "b": 2}, None) == divide(10, {"a": 1, "b": 2}, pool_of(0, {}))
    before = divide(9, {"a": 1, "b": 2})
    after = divide(12, {"a": 1, "b": 2, "new": 1}, before)
    assert cents_of(after) == {"a": 3, "b": 6, "new": 3}


@given(TOTALS, WEIGHTS, st.lists(st.tuples(TOTALS, WEIGHTS), max_size=4))
def test_a_chain_of_revisions_always_sums_up_and_stays_within_a_cent(
    total: int, weights: dict[str, int], revisions: list[tuple[int, dict[str, int]]]
) -> None:
    pool = divide(total, weights)
    for next_total, next_weights in revisions:
        pool = divide(next_total, next_weights, pool)
        assert sum(cents_of(pool).values()) == next_total
        for share in pool.shares:
            floor = share.exact.__floor__()
            assert floor <= share.allocated_cents <= floor + 1
            assert share.exact or not share.allocated_cents


@given(TOTALS, WEIGHTS, st.data())
def test_a_corrected_pour_moves_only_those_concerned_wherever_that_is_possible(
    total: int, weights: dict[str, int], data: st.DataObject
) -> None:
    giver = data.draw(st.sampled_from(sorted(row for row, weight in weights.items() if weight)))
    taker = data.draw(st.sampled_from(sorted(set(weights) - {giver})))
    moved = data.draw(st.integers(1, weights[giver]))
    corrected = {**weights, giver: weights[giver] - moved, taker: weights[taker] + moved}
    before = divide(total, weights)
    after = divide(total, corrected, before)
    others = set(weights) - {giver, taker} if total else set(weights)
    kept = sum(cents_of(before)[row] for row in others)
    exact = {share.row: share.exact for share in after.shares}
    left = total - kept - sum(exact[row].__floor__() for row in set(weights) - others)
    possible = 0 <= left <= sum(1 for row in set(weights) - others if exact[row])
    if possible:
        assert all(cents_of(after)[row] == cents_of(before)[row] for row in others)
        assert after.moved_by_rounding == ()
    else:
        assert cents_of(after) == cents_of(divide(total, corrected))
        assert set(after.moved_by_rounding) == {
            row for row in others if cents_of(after)[row] != cents_of(before)[row]
        }


@given(TOTALS, WEIGHTS, WEIGHTS, st.data())
def test_after_an_earlier_correction_a_pour_more_costs_its_party_a_rounded_cent_at_most(
    total: int, weights: dict[str, int], others: dict[str, int], data: st.DataObject
) -> None:
    """The exact share never falls; the cents can, by one, if an earlier revision had left them rounded up."""
    row = data.draw(st.sampled_from(sorted(others)))
    assume(any(others.values()))
    before = divide(total, others, divide(total, weights))
    after = divide(total, {**others, row: others[row] + 5000}, before)
    assert next(s.exact for s in after.shares if s.row == row) >= next(
        s.exact for s in before.shares if s.row == row
    )
    assert cents_of(after)[row] >= cents_of(before)[row] - 1
