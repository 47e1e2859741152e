"""What is one household's: its days, its transponders on these days, its pours. Nothing of anybody else's comes out.

A pour is its own if its transponder was in force for the household at that instant, within the days of its occupancy
and those that are asked for: who has moved out sees nothing of what came after, nor of who lived there before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from billing_aggregator.days import day_of, zone_of
from billing_aggregator.errors import NotFound
from billing_aggregator.model import DayRange, OwnPour
from billing_aggregator.pours.annex import read_own_pours
from billing_aggregator.pours.holders import Holders, second_of
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.gathering import find_decisions

_LAST_DAY = date(9999, 1, 1)


@dataclass(frozen=True)
class Household:
    """One row of a property as it is known now. `days`: of its occupancy within those asked for, in order; the last may
    have no end. `locks`: the property's. Names are for its own page."""

    row: str
    property_name: str
    place: str
    dwelling_label: str
    party_name: str
    language: str
    time_zone: str
    days: tuple[DayRange, ...]
    locks: frozenset[str]
    _holders: Holders

    @property
    def zone(self) -> ZoneInfo:
        """The property's time zone, by the pinned rules."""
        return zone_of(self.time_zone)

    def owns(self, credential: str, at: datetime) -> bool:
        """True if a pour with this transponder (its pseudonym) at this instant is the household's."""
        held = self._holders.holder_at(bytes.fromhex(credential), second_of(at)) == self.row
        return held and self.lives_on(day_of(at, self.time_zone))

    def lives_on(self, day: date) -> bool:
        """True on the days that are the household's."""
        return any(day in days for days in self.days)

    def chamber_at(self, lock: str, chamber: int, at: datetime) -> tuple[str, int] | None:
        """Return fraction and volume (ml) of a chamber then, None where the master data know none."""
        found = self._holders.chamber_at(lock, chamber, second_of(at))
        return None if found is None else (found.fraction, found.volume_ml)


def find_household(books: Books, property_id: str, row: str, within: DayRange) -> Household:
    """Return a row of a property; NotFound if nobody by that name ever lived there."""
    snapshot = books.snapshot(property_id)
    dwelling, _, party = row.partition("/")
    stays = [each for each in snapshot.occupancies if (each.dwelling, each.party) == (dwelling, party)]
    if not stays or party == snapshot.owner:
        raise NotFound(f"{property_id} has no household {row}: the table occupancy names all")
    cut = [stay.days.cut(within) for stay in stays]
    known = next((each for each in snapshot.parties if each.party == party), None)
    labels = {each.dwelling: each.label for each in snapshot.dwellings}
    first = min(stay.days.first for stay in stays)
    holders = Holders(snapshot, DayRange(first, _LAST_DAY))
    return Household(
        row=row,
        property_name=snapshot.property.name,
        place=f"{snapshot.property.street}, {snapshot.property.postcode} {snapshot.property.city}",
        dwelling_label=labels.get(dwelling, ""),
        party_name=party if known is None else known.name,
        language="" if known is None else known.language,
        time_zone=snapshot.property.time_zone,
        days=tuple(sorted((days for days in cut if days is not None), key=lambda days: days.first)),
        locks=frozenset(holders.locks),
        _holders=holders,
    )


def read_household_pours(
    books: Books, property_id: str, household: Household, days: DayRange
) -> tuple[OwnPour, ...]:
    """Return the household's billed pours on these local days (which have an end), the latest first."""
    return tuple(sorted(_own(books, property_id, household, days), key=lambda pour: pour.at, reverse=True))


def _own(books: Books, property_id: str, household: Household, days: DayRange) -> Iterator[OwnPour]:
    with books.one_moment():
        decisions = find_decisions(books, property_id, books.now())
        snapshot = books.snapshot(property_id)
        pours = read_own_pours(books.door, snapshot, days, decisions, row=household.row)
    for pour in pours.get(household.row, ()):
        if household.lives_on(pour.at.date()):
            yield pour
