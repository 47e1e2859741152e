"""LR, largest remainder: divides whole units by weights so that the parts sum to the total, always.

    part = floor(total × weight / Σ weights); one unit more each, by descending remainder, until none is left.

Ties are settled by the ascending hexadecimal SHA-256 of UTF-8 `<seed>|<pool>|<row id>`: nobody can choose a name that
wins everywhere, and everybody can check who won. Remainders are compared as integers over the one denominator.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping

TieKey = Callable[[str], str]


def tie_key(seed: str, pool: str) -> TieKey:
    """Return the order of rows with equal remainders. `pool`: `residual/usage`, `residual/lost/1f00a3/2` …"""

    def key(row: str) -> str:
        return hashlib.sha256(f"{seed}|{pool}|{row}".encode()).hexdigest()

    return key


def by_name(name: str) -> str:
    """Order ties by the names themselves."""
    return name


def apportion(total: int, weights: Mapping[str, int], tie: TieKey) -> dict[str, int]:
    """Return each row's whole part of `total`, in the order of `weights`; the parts sum to it.

    ValueError if something is negative, or if there is something to divide and all weights are zero.
    """
    whole = check_divisible(total, weights)
    if whole == 0:
        return dict.fromkeys(weights, 0)
    parts, remainders = {}, []
    for row, weight in weights.items():
        parts[row], remainder = divmod(total * weight, whole)
        remainders.append((remainder, row))
    for row in pick_largest(remainders, total - sum(parts.values()), tie):
        parts[row] += 1
    return parts


def check_divisible(total: int, weights: Mapping[str, int]) -> int:
    """Return Σ weights; ValueError if `total` can't be divided by them."""
    negative = [row for row, weight in weights.items() if weight < 0]
    if total < 0 or negative:
        raise ValueError(f"only amounts and weights from zero up can be divided: total {total}, {negative}")
    whole = sum(weights.values())
    if total and not whole:
        raise ValueError(f"{total} can't be divided: all weights are zero")
    return whole


def pick_largest(remainders: Iterable[tuple[int, str]], count: int, tie: TieKey) -> list[str]:
    """Return the `count` rows with the largest remainders, ties settled by `tie`."""
    ordered = sorted(remainders, reverse=True)
    if not 0 < count < len(ordered):
        return [row for _, row in ordered[:count]]
    # Only who stands equal at the very edge needs a hash.
    edge = ordered[count - 1][0]
    above = [row for remainder, row in ordered if remainder > edge]
    equal = sorted((row for remainder, row in ordered if remainder == edge), key=tie)
    return above + equal[: count - len(above)]
