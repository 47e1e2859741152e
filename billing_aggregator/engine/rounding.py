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


def divide_pool(
    name: str, total_cents: int, key: str, weights: Mapping[str, int], seed: str, previous: Pool | None
) -> Pool:
    """Return the pool divided by `weights`, rows in their order. Σ allocated_cents = total_cents.

    `key` says what the weights are; `previous` is the same pool in the revision before. ValueError as `apportion`.
    """
    # All weights may be zero where there is nothing to divide: 0/1 each.
    whole = check_divisible(total_cents, weights) or 1
    parts = {row: divmod(total_cents * weight, whole) for row, weight in weights.items()}
    exact = {row: Fraction(total_cents * weight, whole) for row, weight in weights.items()}
    before = {share.row: share for share in previous.shares} if previous is not None else {}
    same = {
        row: before[row].allocated_cents for row in exact if row in before and before[row].exact == exact[row]
    }
    tie = tie_key(seed, name)
    cents = _hand_out(total_cents, parts, same, tie)
    moved: tuple[str, ...] = ()
    if cents is None:
        cents = _hand_out(total_cents, parts, {}, tie)
        assert cents is not None  # floors leave less than one cent for each row with a remainder
        moved = tuple(row for row, kept in same.items() if kept != cents[row])
    shares = tuple(PoolShare(row, weight, exact[row], cents[row]) for row, weight in weights.items())
    return Pool(name, total_cents, key, shares, moved)


def _hand_out(
    total_cents: int, parts: Mapping[str, tuple[int, int]], kept: Mapping[str, int], tie: TieKey
) -> dict[str, int] | None:
    """Return cents by row, those in `kept` unchanged; None if the rest can't take what remains.

    `parts`: each row's floor and remainder.
    """
    cents = {row: kept.get(row, floor) for row, (floor, _) in parts.items()}
    remaining = total_cents - sum(cents.values())
    eligible = [(rest, row) for row, (floor, rest) in parts.items() if row not in kept and (floor or rest)]
    if not 0 <= remaining <= len(eligible):
        return None
    for row in pick_largest(eligible, remaining, tie):
        cents[row] += 1
    return cents
