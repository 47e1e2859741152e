"""Cents of a pool: largest remainder, sticky against the revision before: a correction moves only those concerned.

Rows whose exact share is that of the previous revision keep their cents. Each other row gets its floor; the remaining
cents go one each by descending remainder and tie to those of them with a share above zero. Where that can't work (the
remainder is negative, or more than one cent each) the pool is divided anew, and who moves by rounding alone is named.
Without a previous revision all rows count as changed, which is plain largest remainder.
"""

from collections.abc import Mapping
from fractions import Fraction

from billing_aggregator.engine.apportionment import TieKey, check_divisible, pick_largest, tie_key
from billing_aggregator.model import Pool, PoolShare

_NOTHING = Fraction(0)


def divide_pool(
    name: str, total_cents: int, key: str, weights: Mapping[str, int], seed: str, previous: Pool | None
) -> Pool:
    """Return the pool divided by `weights`, rows in their order. Σ allocated_cents = total_cents.

    `key` says what the weights are; `previous` is the same pool in the revision before. ValueError as `apportion`.
    """
    whole = check_divisible(total_cents, weights)
    exact = {
        row: Fraction(total_cents * weight, whole) if whole else _NOTHING for row, weight in weights.items()
    }
    remainders = {row: total_cents * weight % whole if whole else 0 for row, weight in weights.items()}
    before = {share.row: share for share in previous.shares} if previous is not None else {}
    same = {
        row: before[row].allocated_cents for row in exact if row in before and before[row].exact == exact[row]
    }
    tie = tie_key(seed, name)
    cents = _hand_out(total_cents, exact, remainders, same, tie)
    moved: tuple[str, ...] = ()
    if cents is None:
        cents = _hand_out(total_cents, exact, remainders, {}, tie)
        assert cents is not None  # floors leave from none to one cent for each row with a remainder
        moved = tuple(row for row, kept in same.items() if kept != cents[row])
    shares = tuple(PoolShare(row, weight, exact[row], cents[row]) for row, weight in weights.items())
    return Pool(name, total_cents, key, shares, moved)


def _hand_out(
    total_cents: int,
    exact: Mapping[str, Fraction],
    remainders: Mapping[str, int],
    kept: Mapping[str, int],
    tie: TieKey,
) -> dict[str, int] | None:
    """Return cents by row, those in `kept` unchanged; None if the rest can't take what remains."""
    cents = {
        row: kept[row] if row in kept else share.numerator // share.denominator
        for row, share in exact.items()
    }
    remaining = total_cents - sum(cents.values())
    eligible = [(remainders[row], row) for row, share in exact.items() if row not in kept and share]
    if not 0 <= remaining <= len(eligible):
        return None
    for row in pick_largest(eligible, remaining, tie):
        cents[row] += 1
    return cents
