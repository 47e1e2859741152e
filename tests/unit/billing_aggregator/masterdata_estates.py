"""Made-up estates for property tests: any number of dwellings, moves, vacancies, areas and transponders, all valid."""

from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from itertools import pairwise

from hypothesis import strategies as st

from billing_aggregator.days import add_months, begin_of_day
from billing_aggregator.masterdata.facts import (
    Advance,
    AgreementFact,
    Area,
    Chamber,
    CostItem,
    Credential,
    Dwelling,
    Fact,
    LockAccess,
    Occupancy,
    OldReading,
    OpeningRegister,
    Party,
    Period,
    Persons,
    Property,
)
from billing_aggregator.model import Agreement, BaseKey, DayRange

_FIRST = date(2025, 1, 1)
_ZONES = ("Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "UTC")
_NAMES = st.text(
    st.characters(categories=("L", "N", "P", "S"), exclude_characters="\0"), min_size=1, max_size=12
)


@st.composite
def estates(draw: st.DrawFn, name: str = "estate") -> list[Fact]:
    """Return all facts of one property with one or two periods."""
    zone = draw(st.sampled_from(_ZONES))
    months = draw(st.lists(st.integers(1, 12), min_size=1, max_size=2))
    edges = [_FIRST]
    for count in months:
        edges.append(add_months(edges[-1], count))
    made: list[Fact] = [
        Property(name, draw(_NAMES), "", "01067", draw(_NAMES), zone, "owner"),
        Party(name, "owner", draw(_NAMES), "", "", "", "en"),
    ]
    for number, (first, end) in enumerate(pairwise(edges), 1):
        made.append(Period(name, DayRange(first, end), f"seed {number}"))
        made += _money(draw, name, first)
    made += _chambers(name, zone, draw(st.integers(1, 4)))
    for number in range(draw(st.integers(1, 4))):
        made += _dwelling(draw, name, f"WE{number}", zone, edges)
    return made


def _money(draw: st.DrawFn, name: str, first: date) -> list[Fact]:
    cents = draw(st.lists(st.integers(0, 10**9), max_size=3, unique=True))
    made: list[Fact] = []
    for place, amount in enumerate(cents):
        bill = sha256(f"{first} {place}".encode()).hexdigest()
        made.append(
            CostItem(name, first, f"item{place}", "residual", draw(_NAMES), amount, "bill", bill, True)
        )
    declared_at = datetime(2024, 10, 1, tzinfo=UTC) + timedelta(seconds=draw(st.integers(0, 10**6)))
    shares = draw(st.tuples(st.integers(0, 100), st.integers(1, 100)))
    fractions = draw(st.frozensets(st.sampled_from(["residual", "organic", "paper"]), min_size=1))
    key = draw(st.sampled_from(BaseKey))
    return [
        *made,
        AgreementFact(name, Agreement(*shares, key, 5000, fractions, 25, 1, declared_at, first, "")),
    ]


def _chambers(name: str, zone: str, count: int) -> list[Fact]:
    since = begin_of_day(date(2024, 3, 31), zone)
    made: list[Fact] = []
    for number in range(1, count + 1):
        made.append(Chamber(name, "1f00b1", number, 5000 * number, "residual", since, None))
        made.append(OpeningRegister(name, "1f00b1", number, 2**32 - number, since))
    return made


def _dwelling(draw: st.DrawFn, name: str, dwelling: str, zone: str, edges: list[date]) -> list[Fact]:
    first, last = edges[0], edges[-1]
    cuts = draw(st.lists(st.dates(first + timedelta(days=1), last), max_size=3, unique=True))
    days = [
        DayRange(begin, end) for begin, end in pairwise([first, *sorted(cuts), None]) if begin is not None
    ]
    since = DayRange(first, None)
    made: list[Fact] = [
        Dwelling(name, dwelling, ""),
        Area(name, dwelling, draw(st.integers(1, 10**6)), since),
        LockAccess(name, "1f00b1", dwelling, since),
    ]
    for number, stay in enumerate(days):
        made += _stay(
            draw, Occupancy(name, f"{dwelling}-{number}", dwelling, f"{dwelling}T{number}", stay), zone
        )
    return made


def _stay(draw: st.DrawFn, stay: Occupancy, zone: str) -> list[Fact]:
    name = stay.property
    if draw(st.booleans()):
        return [Occupancy(name, stay.occupancy, stay.dwelling, "owner", stay.days)]
    end = None if stay.days.end is None else begin_of_day(stay.days.end, zone)
    pseudonym = sha256(stay.occupancy.encode()).hexdigest()[:32]
    return [
        stay,
        Party(name, stay.party, draw(_NAMES), draw(st.sampled_from(["", "=1+1", "12"])), "", "", "de"),
        Persons(name, stay.occupancy, draw(st.integers(1, 9)), stay.days),
        Credential(name, pseudonym, stay.occupancy, False, begin_of_day(stay.days.first, zone), end),
        Advance(name, f"{stay.occupancy}-a", stay.dwelling, stay.party, _FIRST, stay.days.first, -1234)
        if stay.days.first < add_months(_FIRST, 1)
        else OldReading(name, stay.dwelling, stay.party, "residual", stay.days, 10**12),
    ]
