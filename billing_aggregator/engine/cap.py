"""§ 556 (3) sentence 3 BGB: what can still be claimed of a resident after the 12 months. What counts is the result,
advances included (BGH VIII ZR 190/06).

    claimed = min(balance now, baseline)        waived = balance now - claimed  ─▶ row `cap/owner`

The baseline is the balance of the last revision that reached this resident in time, by a person's entry; without one 0.
A late revision that lowered it lowers the baseline; one for which a person lifted the cap is the next baseline.
Allocated cents stay; Σ charged = Σ allocated, in each pool.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from billing_aggregator.engine.apportionment import apportion, by_name
from billing_aggregator.engine.deadlines import claim_until, is_in_time
from billing_aggregator.model import CAP_ROW, DayRange, Pool, Review, ReviewKind

ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, slots=True)
class Issued:
    """What an earlier revision that was sent out came to for one row, and when it got there.

    `claimed_cents`: its balance after its own cap. `planned_on`: the day of receipt that it was finalized with;
    `received_on`: a person's entry, None while there is none. `lifted`: a person had lifted its cap for this row.
    """

    revision: int
    row: str
    claimed_cents: int
    planned_on: date
    received_on: date | None
    lifted: bool = False


@dataclass(frozen=True, slots=True)
class Baseline:
    """The most that can still be claimed of a row, and the revision that set it (None: nothing came in time, so 0)."""

    claimable_cents: int
    revision: int | None


@dataclass(frozen=True, slots=True)
class CappedRow:
    """One resident's row in a revision that comes too late. Cents; `balance_cents`: share less advances, uncapped."""

    row: str
    balance_cents: int
    baseline: Baseline
    claimed_cents: int
    waived_cents: int
    lifted_because: str | None


@dataclass(frozen=True, slots=True)
class ChargedShare:
    """What a row is charged of a pool beside what was allocated to it; `cap/owner` is charged what others aren't."""

    pool: str
    row: str
    allocated_cents: int
    charged_cents: int


def find_baseline(issued: Sequence[Issued], period: DayRange) -> Baseline:
    """Return what the earlier revisions leave claimable of one row.

    `issued`: all of this one row, in any order. One whose receipt isn't known never raises the baseline: the landlord
    would have to prove it. It lowers it nevertheless: what he wrote himself binds him.
    """
    baseline = Baseline(0, None)
    for each in sorted(issued, key=lambda one: one.revision):
        counts = each.lifted or is_in_time(each.received_on, period)
        if counts or each.claimed_cents < baseline.claimable_cents:
            baseline = Baseline(each.claimed_cents, each.revision)
    return baseline


def cap_balances(
    balances: Mapping[str, int],
    issued: Iterable[Issued],
    period: DayRange,
    receipt_on: date,
    lifts: Mapping[str, str],
) -> tuple[CappedRow, ...]:
    """Return each resident's row as the cap leaves it, in the order of row ids; nothing if `receipt_on` is in time.

    `balances`: uncapped, of residents only (nobody claims of himself: no rows of the owner); `issued`: earlier
    revisions, of residents only. A row that is in them alone has a balance of 0 now: a credit that it got stays.
    `lifts`: a person's reason, by row.
    """
    if is_in_time(receipt_on, period):
        return ()
    earlier: dict[str, list[Issued]] = {row: [] for row in balances}
    for each in issued:
        earlier.setdefault(each.row, []).append(each)
    return tuple(
        _cap(row, balances.get(row, 0), find_baseline(earlier[row], period), lifts.get(row))
        for row in sorted(earlier)
    )


def charge(pools: Collection[Pool], capped: Iterable[CappedRow]) -> tuple[ChargedShare, ...]:
    """Return what each row is charged of each pool, ordered by pool and row; Σ charged of a pool is its total.

    What is waived of a row is divided over the pools by largest remainder: weights are the row's cents in them, ties go
    by the pools' names; a row without any cents gets it divided evenly. It may thus be charged less than nothing.
    """
    named = {pool.name: pool for pool in sorted(pools, key=lambda pool: pool.name)}
    allocated = {
        name: {share.row: share.allocated_cents for share in pool.shares} for name, pool in named.items()
    }
    waived: dict[str, dict[str, int]] = {name: {} for name in named}
    for cap in sorted(capped, key=lambda cap: cap.row):
        weights = {name: rows.get(cap.row, 0) for name, rows in allocated.items()}
        if not any(weights.values()):
            weights = dict.fromkeys(weights, 1)
        if cap.waived_cents and weights:
            for name, cents in apportion(cap.waived_cents, weights, by_name).items():
                waived[name][cap.row] = cents
    return tuple(share for name in named for share in _charged(name, allocated[name], waived[name]))


def review_late_deliveries(seed: str, issued: Iterable[Issued], period: DayRange) -> tuple[Review, ...]:
    """Return an alarm for each revision that was planned in time, came late, and could claim more if it hadn't.

    Its claim is capped by that entry of receipt: the next revision shows it.
    """
    by_row: dict[str, list[Issued]] = {}
    for each in sorted(issued, key=lambda one: (one.row, one.revision)):
        by_row.setdefault(each.row, []).append(each)
    return tuple(
        _late(seed, each, find_baseline(row[:number], period), period)
        for row in by_row.values()
        for number, each in enumerate(row)
        if _came_too_late(each, find_baseline(row[:number], period), period)
    )


def _cap(row: str, balance_cents: int, baseline: Baseline, lifted_because: str | None) -> CappedRow:
    lifted = lifted_because is not None
    claimed_cents = balance_cents if lifted else min(balance_cents, baseline.claimable_cents)
    return CappedRow(
        row, balance_cents, baseline, claimed_cents, balance_cents - claimed_cents, lifted_because
    )


def _charged(pool: str, allocated: Mapping[str, int], waived: Mapping[str, int]) -> list[ChargedShare]:
    shares = [
        ChargedShare(pool, row, allocated.get(row, 0), allocated.get(row, 0) - waived.get(row, 0))
        for row in sorted({*allocated, *waived})
    ]
    borne_cents = sum(waived.values())
    return [*shares, ChargedShare(pool, CAP_ROW, 0, borne_cents)] if borne_cents else shares


def _came_too_late(each: Issued, before: Baseline, period: DayRange) -> bool:
    late = each.received_on is not None and not is_in_time(each.received_on, period)
    return late and is_in_time(each.planned_on, period) and each.claimed_cents > before.claimable_cents


def _late(seed: str, each: Issued, before: Baseline, period: DayRange) -> Review:
    return Review(
        review=f"{ReviewKind.LATE_DELIVERY}:{seed}:{each.revision}:{each.row}:{each.received_on}",
        kind=ReviewKind.LATE_DELIVERY,
        detail=(
            f"revision {each.revision} reached {each.row} on {each.received_on}, after {claim_until(period)}: of the "
            f"{each.claimed_cents} cents it claimed at most {before.claimable_cents} remain (§ 556 (3) BGB)"
        ),
        nominal=ACKNOWLEDGED,
        choices=(ACKNOWLEDGED,),
    )
