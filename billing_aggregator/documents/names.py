"""Names, addresses and labels: looked up when something is printed, and kept out of everything that is hashed."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from billing_aggregator.documents.content import LANGUAGES, Address
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.model import DayRange


@dataclass(frozen=True, slots=True)
class Person:
    """A party as one writes to it; `language`: de or en."""

    address: Address
    language: str


@dataclass(frozen=True, slots=True)
class NameBook:
    """What a revision document leaves out on purpose. `landlord` is a party id.

    `chamber_ml`: volume by (lock, chamber, fraction); `access`: the dwellings that may use a lock, by lock, empty where
    the master data don't say.
    """

    property_name: str
    place: str
    landlord: str
    people: Mapping[str, Person]
    dwellings: Mapping[str, str]
    chamber_ml: Mapping[tuple[str, int, str], int]
    access: Mapping[str, frozenset[str]]

    def person(self, party: str) -> Person:
        """Return the party's name and address; one who has none in the master data is written to by its id."""
        unknown = Person(Address(party, "", "", ""), "de")
        return self.people.get(party, unknown)

    def may_use(self, lock: str, dwelling: str) -> bool:
        """True if the dwelling may use this lock, or if the master data limit nobody."""
        return not self.access or dwelling in self.access.get(lock, frozenset())


def read_names(snapshot: Snapshot, period: DayRange) -> NameBook:
    """Return the names of a property as the master data have them, its chambers and their access in a period."""
    property_ = snapshot.property
    access: defaultdict[str, set[str]] = defaultdict(set)
    for fact in snapshot.lock_access:
        if fact.days.cut(period):
            access[fact.lock].add(fact.dwelling)
    return NameBook(
        property_name=property_.name,
        place=f"{property_.street}, {property_.postcode} {property_.city}",
        landlord=snapshot.owner,
        people={
            party.party: Person(
                Address(party.name, party.street, party.postcode, party.city),
                party.language if party.language in LANGUAGES else LANGUAGES[0],
            )
            for party in snapshot.parties
        },
        dwellings={dwelling.dwelling: dwelling.label for dwelling in snapshot.dwellings},
        chamber_ml={(fact.lock, fact.chamber, fact.fraction): fact.volume_ml for fact in snapshot.chambers},
        access={lock: frozenset(dwellings) for lock, dwellings in access.items()},
    )
