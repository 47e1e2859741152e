"""A property as a clerk looks at it: what holds in one of its periods, who lives where, how well it was metered.

What is metered comes from the period's last calculation; while there is none, nothing is said of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from billing_aggregator.days import day_of
from billing_aggregator.errors import NotFound
from billing_aggregator.masterdata.facts import CostItem, Period, Property
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.model import Agreement, DayRange, PropertyUsage
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.deadlines import Deadlines, deadlines_of
from billing_aggregator.runs.document import decode, open_reviews
from billing_aggregator.runs.records import RunRecord


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run in a list. `open_reviews`: of a draft, how many wait; 0 for any other."""

    run: RunRecord
    deadlines: Deadlines
    open_reviews: int


@dataclass(frozen=True, slots=True)
class PropertyLine:
    """A property in a list, with the latest run of its latest billed period, None before the first."""

    property: Property
    latest: RunLine | None
    runs: int


@dataclass(frozen=True, slots=True)
class Stay:
    """Somebody's days in a dwelling within a period. `transponders`: how many of his are in force on any of them."""

    row: str
    party: str
    name: str
    days: DayRange
    persons: int
    transponders: int
    vacant: bool


@dataclass(frozen=True, slots=True)
class DwellingLine:
    """A dwelling in a period and whose it is. `area_dm2`: on the first day that has one."""

    dwelling: str
    label: str
    area_dm2: int
    stays: tuple[Stay, ...]


@dataclass(frozen=True, slots=True)
class ChamberMetering:
    """One chamber's registers in a period, all unbroken runs together. `present`: pours that are in the ledger."""

    lock: str
    chamber: int
    fraction: str
    present: int
    lost: int
    buffered: int
    unexplained: int

    @property
    def completeness_permille(self) -> int:
        """Pours in the ledger of those that the register counted, in thousandths, rounded down."""
        counted = self.present + self.lost + self.buffered + max(self.unexplained, 0)
        return 1000 if counted == 0 else self.present * 1000 // counted


@dataclass(frozen=True, slots=True)
class PropertyView:
    """A property in one of its periods. `period` None: the master data have none yet. `runs`: the period's revisions.

    `metering` is None while nothing was calculated.
    """

    property: Property
    periods: tuple[DayRange, ...]
    period: DayRange | None
    agreement: Agreement | None
    costs: tuple[CostItem, ...]
    dwellings: tuple[DwellingLine, ...]
    runs: tuple[RunLine, ...]
    metering: tuple[ChamberMetering, ...] | None


def find_properties(books: Books, text: str = "") -> tuple[Property, ...]:
    """Return the properties whose id, name, street or town contains all words of a text (none: all), by id."""
    words = text.casefold().split()
    return tuple(
        each
        for each in books.masterdata.property_facts()
        if all(
            word in f"{each.property} {each.name} {each.street} {each.postcode} {each.city}".casefold()
            for word in words
        )
    )


def list_properties(books: Books, properties: Iterable[Property]) -> tuple[PropertyLine, ...]:
    """Return these properties with where their latest run stands."""
    lines = []
    for each in properties:
        runs = books.store.list(each.property)
        lines.append(PropertyLine(each, run_line(books, runs[-1]) if runs else None, len(runs)))
    return tuple(lines)


def run_line(books: Books, run: RunRecord) -> RunLine:
    """Return a run's line: its document is read only while it is a draft, since only then reviews are open."""
    waiting = 0
    if run.state in ("collecting", "draft"):
        content = books.store.content(run.run_no)
        waiting = 0 if content is None else len(open_reviews(decode(content)))
    return RunLine(run, deadlines_of(books, run), waiting)


def look_at_property(books: Books, property_id: str, first: date | None = None) -> PropertyView:
    """Return a property in the period that begins on `first`, by default the last that has a run, or has begun."""
    snapshot = books.snapshot(property_id)
    billed = books.store.list(property_id)
    if first is None and billed:
        first = billed[-1].period.first
    period = _period(snapshot, first, day_of(books.now(), snapshot.property.time_zone))
    if period is None:
        return PropertyView(snapshot.property, (), None, None, (), (), (), None)
    runs = books.store.revisions(property_id, period.days.first)
    content = books.store.content(runs[-1].run_no) if runs else None
    document = None if content is None else decode(content)
    return PropertyView(
        property=snapshot.property,
        periods=tuple(each.days for each in snapshot.periods),
        period=period.days,
        agreement=_agreement(snapshot, period),
        costs=tuple(cost for cost in snapshot.costs if cost.period_first == period.days.first),
        dwellings=tuple(list_dwellings(snapshot, period.days)),
        runs=tuple(run_line(books, run) for run in runs),
        metering=None if document is None else list_metering(document.usage, snapshot),
    )


def list_dwellings(snapshot: Snapshot, period: DayRange) -> Iterator[DwellingLine]:
    """Yield each dwelling that is anybody's in a period."""
    names = {party.party: party.name for party in snapshot.parties}
    persons: dict[str, int] = {}
    for count in snapshot.persons:
        if count.days.cut(period):
            persons[count.occupancy] = count.count
    transponders: dict[str, int] = defaultdict(int)
    for credential in snapshot.credentials:
        transponders[credential.occupancy or ""] += 1
    stays: dict[str, list[Stay]] = defaultdict(list)
    for each in snapshot.occupancies:
        days = each.days.cut(period)
        if days is not None:
            count_ = persons.get(each.occupancy, 0)
            stays[each.dwelling].append(
                Stay(
                    row=f"{each.dwelling}/{each.party}",
                    party=each.party,
                    name=names.get(each.party, each.party),
                    days=days,
                    persons=count_,
                    transponders=transponders[each.occupancy],
                    vacant=each.party == snapshot.owner and count_ == 0,
                )
            )
    areas: dict[str, int] = {}
    for area in snapshot.areas:
        if area.days.cut(period):
            areas.setdefault(area.dwelling, area.dm2)
    for dwelling in snapshot.dwellings:
        mine = sorted(stays[dwelling.dwelling], key=lambda stay: stay.days.first)
        if mine:
            yield DwellingLine(
                dwelling.dwelling, dwelling.label, areas.get(dwelling.dwelling, 0), tuple(mine)
            )


def list_metering(usage: PropertyUsage, snapshot: Snapshot) -> tuple[ChamberMetering, ...]:
    """Return each chamber's registers against its pours, as a calculation found them."""
    fractions = {(each.lock, each.chamber): each.fraction for each in snapshot.chambers}
    sums: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for run in usage.registers:
        found = sums[run.lock, run.chamber]
        for place, figure in enumerate((run.pours, run.lost, run.buffered, run.unexplained)):
            found[place] += figure
    return tuple(
        ChamberMetering(lock, chamber, fractions.get((lock, chamber), ""), *sums[lock, chamber])
        for lock, chamber in sorted({*sums, *fractions})
    )


def _period(snapshot: Snapshot, first: date | None, today: date) -> Period | None:
    if first is not None:
        return snapshot.period(first)
    periods = sorted(snapshot.periods, key=lambda each: each.days.first)
    begun = [each for each in periods if each.days.first <= today]
    return (begun or periods)[-1 if begun else 0] if periods else None


def _agreement(snapshot: Snapshot, period: Period) -> Agreement | None:
    try:
        return snapshot.agreement_for(period)
    except NotFound:
        return None
