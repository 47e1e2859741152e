"""One property's master data as they were known at an instant: frozen, with the questions that billing asks of them."""

import builtins
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise

from billing_aggregator.engine.weights import Stretch, row_bases
from billing_aggregator.errors import NotFound
from billing_aggregator.masterdata.facts import (
    Advance,
    AgreementFact,
    Area,
    Chamber,
    CostItem,
    Credential,
    Dwelling,
    LockAccess,
    Occupancy,
    OldReading,
    OpeningRegister,
    Party,
    Period,
    Persons,
    Property,
)
from billing_aggregator.model import Agreement, DayRange, RowBasis


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`hash`: SHA-256 (hex) over everything but the parties. Each tuple is in the order of its keys."""

    property: Property
    periods: tuple[Period, ...]
    dwellings: tuple[Dwelling, ...]
    areas: tuple[Area, ...]
    parties: tuple[Party, ...]
    occupancies: tuple[Occupancy, ...]
    persons: tuple[Persons, ...]
    credentials: tuple[Credential, ...]
    chambers: tuple[Chamber, ...]
    lock_access: tuple[LockAccess, ...]
    costs: tuple[CostItem, ...]
    advances: tuple[Advance, ...]
    agreements: tuple[AgreementFact, ...]
    opening_registers: tuple[OpeningRegister, ...]
    old_readings: tuple[OldReading, ...]
    known_at: datetime
    hash: str

    @builtins.property
    def owner(self) -> str:
        """The landlord's party id: who pays where nobody lives."""
        return self.property.landlord

    def period(self, first: date) -> Period:
        """Return the period that begins on this local day; NotFound, saying which there are."""
        for period in self.periods:
            if period.days.first == first:
                return period
        there = ", ".join(str(period.days.first) for period in self.periods) or "none"
        raise NotFound(f"{self.property.property} has no period that begins on {first}; there is: {there}")

    def party(self, party: str) -> Party:
        """Return who this id is; NotFound where nobody is called so."""
        for each in self.parties:
            if each.party == party:
                return each
        raise NotFound(f"{self.property.property} has no party {party}: import it with the table party")

    def agreement_for(self, period: Period) -> Agreement:
        """Return the one agreement of a period: the latest effective_from, of equal ones the last declared."""
        in_force = [
            fact.agreement for fact in self.agreements if fact.agreement.effective_from <= period.days.first
        ]
        if not in_force:
            raise NotFound(
                f"{self.property.property} has no agreement for the period from {period.days.first}: import one "
                "with the table allocation_agreement"
            )
        return max(in_force, key=lambda agreement: (agreement.effective_from, agreement.declared_at))

    def rows(self, period: Period, vacancy_persons: int) -> tuple[RowBasis, ...]:
        """Return the base weights of each row (dwelling, party) of a period."""
        return row_bases(self.stretches(period.days), vacancy_persons)

    def stretches(self, period: DayRange) -> Iterator[Stretch]:
        """Yield the days of each party in each dwelling, cut where area or persons change."""
        areas: dict[str, list[Area]] = defaultdict(list)
        for area in self.areas:
            areas[area.dwelling].append(area)
        counts: dict[str, list[Persons]] = defaultdict(list)
        for count in self.persons:
            counts[count.occupancy].append(count)
        for occupancy in self.occupancies:
            days = occupancy.days.cut(period)
            if days is None or days.end is None:
                continue
            mine, people = areas[occupancy.dwelling], counts[occupancy.occupancy]
            edges = _edges(days, [*(area.days for area in mine), *(count.days for count in people)])
            for first, end in pairwise(edges):
                persons = next((count.count for count in people if first in count.days), 0)
                yield Stretch(
                    dwelling=occupancy.dwelling,
                    party=occupancy.party,
                    vacant=occupancy.party == self.owner and persons == 0,
                    days=DayRange(first, end),
                    area_dm2=next((area.dm2 for area in mine if first in area.days), 0),
                    persons=persons,
                )


def _edges(days: DayRange, others: Iterable[DayRange]) -> list[date]:
    """Return the days at which anything changes within `days` (which have an end), both ends of it included."""
    edges = {days.first, *([days.end] if days.end is not None else [])}
    for other in others:
        edges.update(day for day in (other.first, other.end) if day is not None and day in days)
    return sorted(edges)
