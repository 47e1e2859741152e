"""Each day of each period: every dwelling has exactly one area and one party, every resident a number of persons. Pure.

That no day has two is looked after by the rule against overlaps; here it is days without any. A dwelling all of whose
areas and occupancies lie outside of a period isn't there in it: it was built later, or is gone.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date

from billing_aggregator.masterdata.facts import Occupancy, Period, Persons
from billing_aggregator.masterdata.findings import Finding, subject_of
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.model import DayRange


def find_uncovered(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield what is missing on days of the periods."""
    areas: dict[str, list[DayRange]] = defaultdict(list)
    for area in snapshot.areas:
        areas[area.dwelling].append(area.days)
    stays: dict[str, list[Occupancy]] = defaultdict(list)
    for occupancy in snapshot.occupancies:
        stays[occupancy.dwelling].append(occupancy)
    for dwelling in snapshot.dwellings:
        subject = subject_of(dwelling)
        mine, held = areas[dwelling.dwelling], stays[dwelling.dwelling]
        for period in snapshot.periods:
            if mine and not any(days.cut(period.days) for days in (*mine, *(stay.days for stay in held))):
                continue
            for gap in _gaps(period.days, mine):
                yield Finding(
                    (subject, subject_of(period)),
                    "dwelling",
                    f"{dwelling.dwelling} has no area {_on(gap)}: add it to the table area",
                )
            for gap in _gaps(period.days, [stay.days for stay in held]):
                yield _vacancy(snapshot, period, dwelling.dwelling, gap, held)
    yield from _without_persons(snapshot)


def _vacancy(
    snapshot: Snapshot, period: Period, dwelling: str, gap: DayRange, held: Iterable[Occupancy]
) -> Finding:
    """Return the finding with the owner's row that would close the gap, ready to paste."""
    name = f"{dwelling}-{snapshot.owner}-{gap.first}"
    known = {occupancy.occupancy for occupancy in snapshot.occupancies}
    while name in known:
        name += "-2"
    row = f"{snapshot.property.property},{name},{dwelling},{snapshot.owner},{gap.first},{gap.end}"
    before = [stay for stay in held if stay.days.end == gap.first]
    return Finding(
        (
            *(subject_of(stay) for stay in before),
            ("dwelling", dwelling),
            subject_of(period),
        ),
        "to_exclusive" if before else "dwelling",
        f"{dwelling} is nobody's {_on(gap)}: correct the rows around it, or, if it was vacant, add what is below "
        "to the table occupancy",
        paste=("property,occupancy,dwelling,party,from,to_exclusive", row),
    )


def _without_persons(snapshot: Snapshot) -> Iterator[Finding]:
    counts: dict[str, list[Persons]] = defaultdict(list)
    for persons in snapshot.persons:
        counts[persons.occupancy].append(persons)
    for occupancy in snapshot.occupancies:
        if occupancy.party == snapshot.owner:
            continue
        mine = counts[occupancy.occupancy]
        for persons in mine:
            if persons.count == 0:
                yield Finding(
                    (subject_of(persons), subject_of(occupancy)),
                    "count",
                    f"{occupancy.party} is a resident: at least 1 person is expected; a vacant dwelling is the owner's",
                )
        for period in snapshot.periods:
            within = occupancy.days.cut(period.days)
            for gap in [] if within is None else _gaps(within, [persons.days for persons in mine]):
                yield Finding(
                    (subject_of(occupancy), *(subject_of(persons) for persons in mine[-1:])),
                    "occupancy",
                    f"{occupancy.occupancy} has no number of persons {_on(gap)}: add how many to the table persons",
                    paste=(
                        "property,occupancy,count,from,to_exclusive",
                        f"{occupancy.property},{occupancy.occupancy},1,{gap.first},{gap.end}",
                    ),
                )


def _gaps(days: DayRange, covered: Iterable[DayRange]) -> list[DayRange]:
    """Return the days (which have an end) that none of the others covers."""
    if days.end is None:
        return []
    gaps = []
    free: date = days.first
    for other in sorted(covered, key=lambda other: other.first):
        if other.first >= days.end:
            break
        if other.first > free:
            gaps.append(DayRange(free, other.first))
        if other.end is None:
            return gaps
        free = max(free, other.end)
    if free < days.end:
        gaps.append(DayRange(free, days.end))
    return gaps


def _on(gap: DayRange) -> str:
    return f"from {gap.first} up to, not including, {gap.end} ({gap.days} day{'s' if gap.days > 1 else ''})"
