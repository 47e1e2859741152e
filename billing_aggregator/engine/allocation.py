"""The whole allocation of a property's cost: each fraction with costs is a pair of pools, base and usage.

    costs by fraction ── common ones over the others ──▶ T ──▶ B by the base key
                                                           └─▶ U by max(metered + substitutes, minimum)

The usage pool goes by the base key where nobody's volume is known, or too much of it is estimated.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import astuple, dataclass

from billing_aggregator.engine.apportionment import apportion, by_name
from billing_aggregator.engine.rounding import divide_pool
from billing_aggregator.engine.weights import KEY_NAMES, base_weights, minimum_ml
from billing_aggregator.errors import InputRejected, Problem
from billing_aggregator.model import (
    COMMON,
    UNATTRIBUTED_ROW,
    Allocation,
    AllocationInput,
    BaseKey,
    FractionResult,
    Review,
    ReviewKind,
    RowVolumes,
)

NOTHING_BILLED = "nothing_billed"
AFFECTED_AREA = "affected_area"
ACKNOWLEDGED = "acknowledged"
BILLED_KEY = "billed_ml"
_UNATTRIBUTED_PERCENT = 5
_VACANCY_PERCENT = 20
_AFFECTED_PERCENT = 10


@dataclass(frozen=True, slots=True)
class _Base:
    """The base key's weights of all rows, and what they are."""

    key: str
    weights: Mapping[str, int]


def allocate(inputs: AllocationInput) -> Allocation:
    """Divide all costs; fractions and rows come in the order of their names, whatever order they were given in.

    InputRejected if the master data leave nothing to divide by; ValueError if the input contradicts itself.
    """
    _check(inputs)
    base, reviews = _base(inputs)
    reviews += _review_vacancy(inputs)
    own = {fraction: cents for fraction, cents in inputs.costs.items() if fraction != COMMON}
    common = _divide_common(inputs.costs.get(COMMON, 0), own)
    results = []
    for fraction in sorted(own):
        volumes = _volumes(inputs, fraction)
        results.append(_divide(inputs, fraction, own[fraction], common[fraction], volumes, base))
        reviews += _review_unattributed(inputs.seed, fraction, volumes)
    substitutes = sorted(
        inputs.substitutes, key=lambda each: (each.fraction, each.lock, each.chamber, astuple(each))
    )
    return Allocation(tuple(results), tuple(substitutes), tuple(reviews))


def _check(inputs: AllocationInput) -> None:
    """Refuse what contradicts itself: volume that no row could be billed for must not vanish."""
    rows = {row.row for row in inputs.rows}
    if len(rows) != len(inputs.rows):
        raise ValueError("a row is given twice")
    unknown = {row for row, _ in inputs.metered} - rows
    unknown |= {substitute.row for substitute in inputs.substitutes} - rows - {UNATTRIBUTED_ROW}
    if unknown:
        raise ValueError(f"volume is given for rows that there are none of: {sorted(unknown)}")
    amounts = [*inputs.metered.values(), *inputs.unattributed.values()]
    amounts += [substitute.volume_ml for substitute in inputs.substitutes]
    if any(volume_ml < 0 for volume_ml in amounts):
        raise ValueError("a volume is negative")
    negative = [
        Problem(
            "", None, None, f"the costs of {fraction} sum to {cents} cents: nothing below zero can be divided"
        )
        for fraction, cents in sorted(inputs.costs.items())
        if cents < 0
    ]
    if negative:
        raise InputRejected(negative)


def _base(inputs: AllocationInput) -> tuple[_Base, list[Review]]:
    """Return the base key's weights; area × days and a review where they sum to zero."""
    rows = sorted(inputs.rows, key=lambda row: row.row)
    base = _Base(KEY_NAMES[inputs.agreement.base_key], base_weights(rows, inputs.agreement.base_key))
    if any(base.weights.values()):
        return base, []
    by_area = _Base(KEY_NAMES[BaseKey.AREA], base_weights(rows, BaseKey.AREA))
    if any(inputs.costs.values()) and not any(by_area.weights.values()):
        message = (
            "no dwelling has an area in this period, so nothing can be divided: import areas and occupancies"
        )
        raise InputRejected([Problem("", None, None, message)])
    detail = f"nobody has a weight by {base.key}: area and days were taken"
    return by_area, [_review(ReviewKind.NO_BASE_WEIGHT, f"{inputs.seed}:{base.key}", detail)]


def _divide_common(common_cents: int, own: Mapping[str, int]) -> dict[str, int]:
    """Divide the costs common to all fractions over the fractions' own totals, ties by name."""
    if common_cents and not any(own.values()):
        message = (
            f"{common_cents} cents are common to all fractions, but no fraction has costs to divide them by: "
            "import its cost items, or give the common ones the name of a fraction"
        )
        raise InputRejected([Problem("", None, None, message)])
    return apportion(common_cents, own, by_name)


def _volumes(inputs: AllocationInput, fraction: str) -> tuple[RowVolumes, ...]:
    """Return what each row is billed, in the order of row ids; the unattributed row among them if there is any."""
    substituted: defaultdict[str, int] = defaultdict(int)
    for substitute in inputs.substitutes:
        if substitute.fraction == fraction:
            substituted[substitute.row] += substitute.volume_ml
    volumes = []
    for row in inputs.rows:
        metered_ml = inputs.metered.get((row.row, fraction), 0)
        substitute_ml = substituted.get(row.row, 0)
        least_ml = minimum_ml(row, inputs.agreement, fraction)
        billed_ml = max(metered_ml + substitute_ml, least_ml)
        volumes.append(RowVolumes(row.row, metered_ml, substitute_ml, least_ml, billed_ml))
    nobodys_ml, substitute_ml = inputs.unattributed.get(fraction, 0), substituted.get(UNATTRIBUTED_ROW, 0)
    if nobodys_ml + substitute_ml:
        billed_ml = nobodys_ml + substitute_ml
        volumes.append(RowVolumes(UNATTRIBUTED_ROW, nobodys_ml, substitute_ml, 0, billed_ml))
    return tuple(sorted(volumes, key=lambda volume: volume.row))


def _divide(
    inputs: AllocationInput,
    fraction: str,
    own_cents: int,
    common_cents: int,
    volumes: tuple[RowVolumes, ...],
    base: _Base,
) -> FractionResult:
    """Divide one fraction's total into its two pools, and each of them by rows."""
    total_cents = own_cents + common_cents
    base_cents, usage_cents = _split(inputs, total_cents)
    by_base = {volume.row: base.weights.get(volume.row, 0) for volume in volumes}
    because = _base_only_because(inputs, volumes)
    by_usage = by_base if because else {volume.row: volume.billed_ml for volume in volumes}
    usage_key = base.key if because else BILLED_KEY
    base_name, usage_name = f"{fraction}/base", f"{fraction}/usage"
    previous = inputs.previous
    return FractionResult(
        fraction=fraction,
        total_cents=total_cents,
        own_cents=own_cents,
        common_cents=common_cents,
        volumes=volumes,
        base=divide_pool(base_name, base_cents, base.key, by_base, inputs.seed, previous.get(base_name)),
        usage=divide_pool(
            usage_name, usage_cents, usage_key, by_usage, inputs.seed, previous.get(usage_name)
        ),
        base_only_because=because,
    )


def _split(inputs: AllocationInput, total_cents: int) -> tuple[int, int]:
    """Return the base and the usage pool's cents; if they tie for the odd cent, base gets it (b before u)."""
    shares = {"base": inputs.agreement.base_share, "usage": inputs.agreement.usage_share}
    parts = apportion(total_cents, shares, by_name)
    return parts["base"], parts["usage"]


def _base_only_because(inputs: AllocationInput, volumes: tuple[RowVolumes, ...]) -> str | None:
    """Return why the usage pool goes by the base key, None if it goes by volume."""
    if not any(volume.billed_ml for volume in volumes if volume.row != UNATTRIBUTED_ROW):
        return NOTHING_BILLED
    return AFFECTED_AREA if _too_much_is_estimated(inputs, volumes) else None


def _too_much_is_estimated(inputs: AllocationInput, volumes: tuple[RowVolumes, ...]) -> bool:
    """True if the dwellings whose substitutes exceed 10 % of their billed volume exceed the agreement's area share."""
    substitutes: defaultdict[str, int] = defaultdict(int)
    billed: defaultdict[str, int] = defaultdict(int)
    area: defaultdict[str, int] = defaultdict(int)
    by_row = {volume.row: volume for volume in volumes}
    for row in inputs.rows:
        substitutes[row.dwelling] += by_row[row.row].substitute_ml
        billed[row.dwelling] += by_row[row.row].billed_ml
        area[row.dwelling] += row.area_dm2_days
    affected = sum(
        area[dwelling]
        for dwelling, substitute_ml in substitutes.items()
        if _exceeds(substitute_ml, _AFFECTED_PERCENT, billed[dwelling])
    )
    return _exceeds(affected, inputs.agreement.affected_area_percent, sum(area.values()))


def _review_unattributed(seed: str, fraction: str, volumes: tuple[RowVolumes, ...]) -> list[Review]:
    nobodys_ml = sum(volume.billed_ml for volume in volumes if volume.row == UNATTRIBUTED_ROW)
    billed_ml = sum(volume.billed_ml for volume in volumes)
    if not _exceeds(nobodys_ml, _UNATTRIBUTED_PERCENT, billed_ml):
        return []
    detail = (
        f"{nobodys_ml} ml of the {billed_ml} ml billed in {fraction} belong to nobody (above "
        f"{_UNATTRIBUTED_PERCENT} %): the owner pays them unless credentials are assigned"
    )
    # The figure is part of the id: who accepted 6 % hasn't accepted 40 %.
    return [_review(ReviewKind.UNATTRIBUTED_SHARE, f"{seed}:{fraction}:{nobodys_ml}", detail, nobodys_ml)]


def _review_vacancy(inputs: AllocationInput) -> list[Review]:
    vacant = sum(row.vacant_area_dm2_days for row in inputs.rows)
    area = sum(row.area_dm2_days for row in inputs.rows)
    if not _exceeds(vacant, _VACANCY_PERCENT, area):
        return []
    detail = f"{vacant} of {area} dm2 × days were vacant (above {_VACANCY_PERCENT} %): is this the right key?"
    return [_review(ReviewKind.VACANCY_SHARE, f"{inputs.seed}:{vacant}", detail)]


def _exceeds(part: int, percent: int, whole: int) -> bool:
    return part * 100 > percent * whole


def _review(kind: ReviewKind, about: str, detail: str, volume_ml: int = 0) -> Review:
    return Review(f"{kind}:{about}", kind, detail, ACKNOWLEDGED, (ACKNOWLEDGED,), volume_ml=volume_ml)
