"""Names, addresses and labels: looked up when something is printed, and kept out of everything that is hashed."""

from collections.abc import Mapping
from dataclasses import dataclass

from billing_aggregator.documents.content import Address


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
