"""How a property's current period stands today, and what of it one household may see: its own, and the others only as
an average.

The others' average is over at least `FEWEST_OTHERS` households, per day that they lived there, and scaled to the
household's own days: who moved in on the 20th isn't compared with those who were there all month. Where there are
fewer, there is no figure: it would be somebody's.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from billing_aggregator.days import add_months, day_of, month_key
from billing_aggregator.errors import IllegalStep
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.model import Agreement, DayRange
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.document import balances_of
from billing_aggregator.runs.estate import ChamberMetering, list_metering
from billing_aggregator.runs.gathering import gather_until
from billing_aggregator.runs.provisional import Band, Provisional, estimate

FEWEST_OTHERS = 5
_YEAR = 12

Volumes = Mapping[tuple[str, str], Mapping[str, int]]
"""By (row, fraction): ml by month."""
Days = Mapping[str, Mapping[str, int]]
"""By row: days by month."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A property's current period up to the end of `as_of`. `stays`: residents' days by row, the year before included;
    `days`: how many of them lie in each month.

    `before`: what the period before came to, empty if none is final. `ahead`: None while no costs are known.
    """

    property: str
    as_of: date
    period: DayRange
    agreement: Agreement
    volumes: Volumes
    before: Volumes
    stays: Mapping[str, tuple[DayRange, ...]]
    days: Days
    ahead: Provisional | None
    metering: tuple[ChamberMetering, ...]


@dataclass(frozen=True, slots=True)
class MonthStanding:
    """A household's month in one fraction. `others_ml`: what the others threw on average in as many days, None if
    they are too few; `before_ml`: its own a year before, None if it wasn't there, or that isn't known."""

    month: str
    fraction: str
    days: int
    own_ml: int
    others_ml: int | None
    before_ml: int | None


@dataclass(frozen=True, slots=True)
class HouseholdStanding:
    """What one household may see. `months`: in order, by fraction. `band`: its share of the period so far, in cents;
    `base_cents` and `usage_cents` are the two parts of what is likely. `advances_cents`: paid for this period."""

    row: str
    as_of: date
    period: DayRange
    agreement: Agreement
    months: tuple[MonthStanding, ...]
    band: Band | None
    base_cents: int
    usage_cents: int
    advances_cents: int


def stand_today(books: Books, property_id: str) -> Standing:
    """Return how the period that today lies in stands; NotFound if there is none."""
    with books.one_moment():
        snapshot = books.snapshot(property_id)
        today = day_of(books.now(), snapshot.property.time_zone)
        inputs, whole = gather_until(books, property_id, today)
        first = inputs.master.period.first
        history = inputs.history
        stays = _stays(snapshot, DayRange(add_months(first, -_YEAR), today + timedelta(days=1)))
        return Standing(
            property=property_id,
            as_of=today,
            period=DayRange(first, first + timedelta(days=whole)),
            agreement=inputs.master.agreement,
            volumes={(usage.row, usage.fraction): usage.months for usage in inputs.usage.rows},
            before={}
            if history is None
            else {(usage.row, usage.fraction): usage.months for usage in history.usage.rows},
            stays=stays,
            days={row: _count(days) for row, days in stays.items()},
            metering=list_metering(inputs.usage, snapshot),
            ahead=_look(lambda: estimate(inputs, whole, today)),
        )


def cut_household(standing: Standing, row: str, within: DayRange) -> HouseholdStanding:
    """Return what a row may see of a property's standing: months of which all its own days lie `within`."""
    ahead = standing.ahead
    balance = None if ahead is None else balances_of(ahead.document).get(row)
    bands = () if ahead is None else ahead.bands
    return HouseholdStanding(
        row=row,
        as_of=standing.as_of,
        period=standing.period,
        agreement=standing.agreement,
        months=tuple(_months(standing, row, within)),
        band=next((band for band in bands if band.row == row), None),
        base_cents=0 if balance is None else balance.base_cents,
        usage_cents=0 if balance is None else balance.usage_cents,
        advances_cents=0 if balance is None else balance.advances_cents,
    )


def _look(look: Callable[[], Provisional]) -> Provisional | None:
    try:
        return look()
    except IllegalStep:
        return None  # no costs are known yet: volumes are shown all the same


def _months(standing: Standing, row: str, within: DayRange) -> Iterator[MonthStanding]:
    shown = _count(cut for stay in standing.stays.get(row, ()) if (cut := stay.cut(within)) is not None)
    own = {month: days for month, days in standing.days.get(row, {}).items() if shown.get(month) == days}
    counted = {month for volumes in standing.before.values() for month in volumes}
    fractions = sorted({fraction for _, fraction in (*standing.volumes, *standing.before)})
    for month in _months_of(standing.period.first, standing.as_of):
        days = own.get(month, 0)
        if not days:
            continue
        year_before = f"{int(month[:4]) - 1}{month[4:]}"
        for fraction in fractions:
            known = (
                own.get(year_before) and year_before in counted
            )  # the period before may have been a shorter one
            yield MonthStanding(
                month=month,
                fraction=fraction,
                days=days,
                own_ml=standing.volumes.get((row, fraction), {}).get(month, 0),
                others_ml=_average(standing, row, fraction, month, days),
                before_ml=standing.before.get((row, fraction), {}).get(year_before, 0) if known else None,
            )


def _average(standing: Standing, row: str, fraction: str, month: str, days: int) -> int | None:
    """Return what the others threw per day, times `days`, in whole litres; None where they are too few to tell."""
    others = [
        (other, lived[month]) for other, lived in standing.days.items() if other != row and month in lived
    ]
    if len({other.partition("/")[0] for other, _ in others}) < FEWEST_OTHERS:
        return None
    volume_ml = sum(standing.volumes.get((other, fraction), {}).get(month, 0) for other, _ in others)
    all_days = sum(lived for _, lived in others)
    return (volume_ml * days // all_days + 500) // 1000 * 1000


def _stays(snapshot: Snapshot, within: DayRange) -> Mapping[str, tuple[DayRange, ...]]:
    """Return when residents lived where, by row; the owner's vacant days aren't among them."""
    found: defaultdict[str, list[DayRange]] = defaultdict(list)
    for stay in snapshot.occupancies:
        days = stay.days.cut(within)
        if days is not None and stay.party != snapshot.owner:
            found[f"{stay.dwelling}/{stay.party}"].append(days)
    return {row: tuple(days) for row, days in found.items()}


def _count(stays: Iterable[DayRange]) -> dict[str, int]:
    """Return how many of these days lie in each month."""
    months: dict[str, int] = {}
    for days in stays:
        for month, count in _split(days):
            months[month] = months.get(month, 0) + count
    return months


def _split(days: DayRange) -> Iterator[tuple[str, int]]:
    """Yield the months that these days (which have an end) touch, with how many of them lie in each."""
    first, end = days.first, days.end
    assert end is not None
    while first < end:
        following = min(end, add_months(first.replace(day=1), 1))
        yield month_key(first), (following - first).days
        first = following


def _months_of(first: date, last: date) -> Iterable[str]:
    return (month for month, _ in _split(DayRange(first, last + timedelta(days=1))))
