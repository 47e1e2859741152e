"""Substitutes for pours that a register counted and no record names: estimates are the weights, LR gives millilitres.

Each resident who had access to the lock then gets an estimate of what he threw in on those days, by the first of:

    same_party             own ml per day, in other periods and in this one's months without a loss (28 days at least)
    comparable_dwellings   ml per day of households of the same size, in this period (3 dwellings at least)
    average                ml per person and day of all households, in this period, × persons × days
    area                   dm2 × days, for all of them alike, where nothing was metered that could be compared

Only residents take part: an empty dwelling throws nothing. Where no resident had access, the
pours are nobody's: the owner's.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from math import lcm

from billing_aggregator.engine.apportionment import apportion, tie_key
from billing_aggregator.engine.weights import Stretch
from billing_aggregator.model import UNATTRIBUTED_ROW, DayRange, LostVolume, RowUsage, Substitute

SAME_PARTY = "same_party"
COMPARABLE_DWELLINGS = "comparable_dwellings"
AVERAGE = "average"
AREA = "area"
NO_RESIDENT = "no_resident"
LEAST_DAYS = 28
LEAST_COMPARABLE = 3


@dataclass(frozen=True, slots=True)
class Reference:
    """What a row threw in one fraction on days of which nothing is missing: a source for estimates.

    `days` (one at least), `person_days`: of its residents. `this_period`: metered in the period that is billed.
    `source` says where the figure is from, in a few signs that need no translation (`2024-01-01..2024-12-31`).
    """

    row: str
    fraction: str
    volume_ml: int
    days: int
    person_days: int
    this_period: bool
    source: str


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A resident's days with access to a lock while it lost pours."""

    row: str
    days: int
    person_days: int
    area_dm2_days: int


@dataclass(frozen=True, slots=True)
class _Estimate:
    volume_ml: Fraction
    method: str
    sources: tuple[str, ...]


def substitute_lost(
    lost: Iterable[LostVolume], stretches: Sequence[Stretch], references: Sequence[Reference], seed: str
) -> tuple[Substitute, ...]:
    """Return what each loss adds to whom: Σ volume_ml of a loss = its volume_ml, in whatever order all comes.

    `stretches`: all of the period. `references`: see `references_in`, and those of other periods.
    """
    ordered = sorted(
        lost, key=lambda loss: (loss.fraction, loss.lock, loss.chamber, loss.first_day, loss.end_day)
    )
    by_fraction: defaultdict[str, list[Reference]] = defaultdict(list)
    for reference in sorted(references, key=lambda each: (each.row, each.source)):
        by_fraction[reference.fraction].append(reference)
    return tuple(
        substitute
        for loss in ordered
        for substitute in _substitute(loss, _candidates(loss, stretches), by_fraction[loss.fraction], seed)
    )


def references_in(
    usage: Iterable[RowUsage], lost: Sequence[LostVolume], stretches: Iterable[Stretch]
) -> tuple[Reference, ...]:
    """Return what this period offers: each resident's months in which his dwelling's locks lost nothing.

    A row that threw nothing counts, too: nothing is a figure.
    """
    months_by_row = {(row.row, row.fraction): row.months for row in usage}
    lived_in: defaultdict[str, list[Stretch]] = defaultdict(list)
    for stretch in stretches:
        if not stretch.vacant:
            lived_in[stretch.row].append(stretch)
    found = []
    for fraction in sorted({loss.fraction for loss in lost}):
        for row, parts in sorted(lived_in.items()):
            metered = months_by_row.get((row, fraction), {})
            losses = [
                loss for loss in lost if loss.fraction == fraction and parts[0].dwelling in loss.dwellings
            ]
            reference = _whole_months(row, fraction, metered, parts, [_days_of(loss) for loss in losses])
            if reference is not None:
                found.append(reference)
    return tuple(found)


def _whole_months(
    row: str, fraction: str, metered: Mapping[str, int], parts: Sequence[Stretch], lost: Sequence[DayRange]
) -> Reference | None:
    """Return the row's figures of the months that no loss touches, None if there is none."""
    volume_ml = days = person_days = 0
    taken: list[DayRange] = []
    for month in _months(parts):
        inside = [(part, both) for part in parts if (both := part.days.cut(month)) is not None]
        if not inside or any(month.cut(loss) is not None for loss in lost):
            continue
        taken.append(month)
        volume_ml += metered.get(f"{month.first:%Y-%m}", 0)
        days += sum(both.days for _, both in inside)
        person_days += sum(both.days * part.persons for part, both in inside)
    if not taken:
        return None
    return Reference(row, fraction, volume_ml, days, person_days, True, _name_months(taken))


def _name_months(months: Sequence[DayRange]) -> str:
    """Return runs of months: `2025-01..2025-02, 2025-04..2025-12`."""
    runs: list[list[DayRange]] = []
    for month in months:
        if runs and runs[-1][-1].end == month.first:
            runs[-1].append(month)
        else:
            runs.append([month])
    return ", ".join(f"{run[0].first:%Y-%m}..{run[-1].first:%Y-%m}" for run in runs)


def _months(parts: Sequence[Stretch]) -> list[DayRange]:
    """Return the calendar months from the first day of these stretches to their last."""
    last = max(part.days.first + timedelta(days=part.days.days - 1) for part in parts)
    first = min(part.days.first for part in parts).replace(day=1)
    months = []
    while first <= last:
        following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        months.append(DayRange(first, following))
        first = following
    return months


def _days_of(loss: LostVolume) -> DayRange:
    """Return the loss's days: one at least, even if it began and ended on the same."""
    return DayRange(loss.first_day, max(loss.end_day, loss.first_day + timedelta(days=1)))


def _candidates(loss: LostVolume, stretches: Iterable[Stretch]) -> list[_Candidate]:
    """Return the residents with access to the lock then, in the order of row ids."""
    days_by_row: defaultdict[str, list[tuple[Stretch, int]]] = defaultdict(list)
    for stretch in stretches:
        both = stretch.days.cut(_days_of(loss))
        if both is not None and not stretch.vacant and stretch.dwelling in loss.dwellings:
            days_by_row[stretch.row].append((stretch, both.days))
    return [
        _Candidate(
            row,
            sum(days for _, days in parts),
            sum(stretch.persons * days for stretch, days in parts),
            sum(stretch.area_dm2 * days for stretch, days in parts),
        )
        for row, parts in sorted(days_by_row.items())
    ]


def _substitute(
    loss: LostVolume, candidates: Sequence[_Candidate], references: Sequence[Reference], seed: str
) -> list[Substitute]:
    estimates = _estimate_all(candidates, references)
    if not estimates:
        estimates = {UNATTRIBUTED_ROW: _Estimate(Fraction(loss.volume_ml), NO_RESIDENT, ())}
    scale = lcm(*(estimate.volume_ml.denominator for estimate in estimates.values()))
    weights = {row: int(estimate.volume_ml * scale) for row, estimate in estimates.items()}
    tie = tie_key(seed, f"{loss.fraction}/lost/{loss.lock}/{loss.chamber}")
    parts = apportion(loss.volume_ml, weights, tie)
    return [
        Substitute(
            row, loss.fraction, loss.lock, loss.chamber, each.volume_ml, parts[row], each.method, each.sources
        )
        for row, each in estimates.items()
    ]


def _estimate_all(candidates: Sequence[_Candidate], references: Sequence[Reference]) -> dict[str, _Estimate]:
    """Return an estimate for each candidate: all in ml or all by area, since weights of two kinds don't compare."""
    estimates = {candidate.row: _estimate(candidate, references) for candidate in candidates}
    known = {row: estimate for row, estimate in estimates.items() if estimate is not None}
    if len(known) == len(estimates) and any(estimate.volume_ml for estimate in known.values()):
        return known
    return {each.row: _Estimate(Fraction(each.area_dm2_days), AREA, ()) for each in candidates}


def _estimate(candidate: _Candidate, references: Sequence[Reference]) -> _Estimate | None:
    """Return what a candidate threw in by the first method that has sources enough, None if none has."""
    own = [each for each in references if each.row == candidate.row]
    if sum(each.days for each in own) >= LEAST_DAYS:
        return _Estimate(candidate.days * _per_day(own), SAME_PARTY, _sources(own))
    others = [each for each in references if each.this_period and each.row != candidate.row]
    alike = [
        each for each in others if each.person_days * candidate.days == candidate.person_days * each.days
    ]
    if len({each.row for each in alike}) >= LEAST_COMPARABLE:
        rows = tuple(sorted({each.row for each in alike}))
        return _Estimate(candidate.days * _per_day(alike), COMPARABLE_DWELLINGS, rows)
    everybody = [each for each in references if each.this_period]
    person_days = sum(each.person_days for each in everybody)
    if not person_days:
        return None
    per_person_day = Fraction(sum(each.volume_ml for each in everybody), person_days)
    return _Estimate(candidate.person_days * per_person_day, AVERAGE, _sources(everybody))


def _per_day(references: Sequence[Reference]) -> Fraction:
    return Fraction(sum(each.volume_ml for each in references), sum(each.days for each in references))


def _sources(references: Iterable[Reference]) -> tuple[str, ...]:
    return tuple(sorted({each.source for each in references}))
