"""Shows what a revision changes: who moves by how much, and why. Pure.

Causes are read off the pools: another total is a cost, another own weight the row's own pours or days, the same weight
among others' changed ones is what others threw, and the same exact share with other cents is rounding alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from billing_aggregator.model import Pool, PoolShare
from billing_aggregator.runs.document import Balance, RevisionDocument, balances_of, encode, pools_of

_SHOWN = 20
_NOTHING = Balance("", 0, 0, 0, 0, 0, 0)


class Cause(StrEnum):
    """Why a row's money moved."""

    COST = "cost"  # the pool's total is another one
    OWN_VOLUME = "own_volume"  # its own billed volume changed
    OWN_DAYS = "own_days"  # its own area, persons or days changed
    OTHERS = "others"  # the same weight among other weights
    ROUNDING = "rounding"  # the same exact share: a cent by rounding alone
    ADVANCES = "advances"
    CAP = "cap"
    AGREEMENT = "agreement"  # the split or key is another one


@dataclass(frozen=True, slots=True)
class Move:
    """One row between two revisions. Cents of what is charged, and of the balance (advances deducted)."""

    row: str
    charged_before: int
    charged_after: int
    balance_before: int
    balance_after: int
    causes: tuple[Cause, ...]

    @property
    def moved(self) -> int:
        """By how many cents the balance moves; above zero: more to pay."""
        return self.balance_after - self.balance_before


def list_moves(before: RevisionDocument, after: RevisionDocument) -> tuple[Move, ...]:
    """Return each row whose money differs, with its causes; rows in the order of their ids."""
    old, new = balances_of(before), balances_of(after)
    moves = []
    for row in sorted({*old, *new}):
        was, now = old.get(row, _NOTHING), new.get(row, _NOTHING)
        causes = tuple(sorted(set(_causes(row, was, now, before, after))))
        if causes or was.balance_cents != now.balance_cents:
            moves.append(
                Move(row, was.charged_cents, now.charged_cents, was.balance_cents, now.balance_cents, causes)
            )
    return tuple(moves)


def describe_differences(before: RevisionDocument, after: RevisionDocument) -> list[str]:
    """Return where two documents differ, `path: this -> that`, the first 20 places."""
    found = list(_differ("", msgspec.json.decode(encode(before)), msgspec.json.decode(encode(after))))
    more = [f"and {len(found) - _SHOWN} more places"] if len(found) > _SHOWN else []
    return [*found[:_SHOWN], *more]


def _causes(
    row: str, was: Balance, now: Balance, before: RevisionDocument, after: RevisionDocument
) -> Iterator[Cause]:
    old, new = pools_of(before), pools_of(after)
    split_differs = _split(before) != _split(after)
    for name in sorted({*old, *new}):
        cause = _cause(row, old.get(name), new.get(name))
        if cause is not None:
            yield Cause.AGREEMENT if split_differs and cause is not Cause.ROUNDING else cause
    if was.advances_cents != now.advances_cents:
        yield Cause.ADVANCES
    if was.cap_cents != now.cap_cents:
        yield Cause.CAP


def _split(document: RevisionDocument) -> tuple[Any, ...]:
    agreement = document.agreement
    return agreement.base_share, agreement.usage_share, agreement.base_key


def _cause(row: str, old: Pool | None, new: Pool | None) -> Cause | None:
    """Return why a row's cents of one pool differ, None if they are the same."""
    was, now = _share(row, old), _share(row, new)
    if (was.allocated_cents if was else 0) == (now.allocated_cents if now else 0):
        return None
    if was is not None and now is not None and was.exact == now.exact:
        return Cause.ROUNDING
    if was is not None and now is not None and was.weight == now.weight:
        same_total = old is not None and new is not None and old.total_cents == new.total_cents
        return Cause.OTHERS if same_total else Cause.COST
    name = (new or old or Pool("", 0, "", ())).name
    return Cause.OWN_VOLUME if name.endswith("/usage") else Cause.OWN_DAYS


def _share(row: str, pool: Pool | None) -> PoolShare | None:
    return next((share for share in pool.shares if share.row == row), None) if pool else None


def _differ(path: str, this: Any, that: Any) -> Iterator[str]:
    if isinstance(this, Mapping) and isinstance(that, Mapping):
        for key in sorted({*this, *that}):
            yield from _differ(f"{path}.{key}".lstrip("."), this.get(key), that.get(key))
    elif isinstance(this, list) and isinstance(that, list) and len(this) == len(that):
        for number, (left, right) in enumerate(zip(this, that, strict=True)):
            yield from _differ(f"{path}[{number}]", left, right)
    elif isinstance(this, list) and isinstance(that, list):
        yield f"{path}: {len(this)} -> {len(that)} entries"
    elif this != that:
        yield f"{path}: {this} -> {that}"
