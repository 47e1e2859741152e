"""The rows of the master data as typed, frozen values. `schema.py` says what each column means.

Days are local days of the property, half open; instants are UTC; volume is millilitres, money cents, area dm2.
"""

from dataclasses import dataclass
from datetime import date, datetime

from billing_aggregator.model import Agreement, DayRange


@dataclass(frozen=True, slots=True)
class Property:
    """A housing estate that is billed as one. `landlord`: the party that pays where nobody lives."""

    property: str
    name: str
    street: str
    postcode: str
    city: str
    time_zone: str
    landlord: str


@dataclass(frozen=True, slots=True)
class Period:
    """What is billed at once, at most 12 months. `seed`: breaks ties of rounding, in all revisions alike."""

    property: str
    days: DayRange
    seed: str


@dataclass(frozen=True, slots=True)
class Dwelling:
    """A flat. `label`: what it is called on paper."""

    property: str
    dwelling: str
    label: str


@dataclass(frozen=True, slots=True)
class Area:
    """A dwelling's floor area on these days."""

    property: str
    dwelling: str
    dm2: int
    days: DayRange


@dataclass(frozen=True, slots=True)
class Party:
    """Who gets a statement. Printed only, in no hash."""

    property: str
    party: str
    name: str
    street: str
    postcode: str
    city: str
    language: str


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Whose a dwelling is on these days; the owner's where it is vacant."""

    property: str
    occupancy: str
    dwelling: str
    party: str
    days: DayRange


@dataclass(frozen=True, slots=True)
class Persons:
    """How many live there on these days."""

    property: str
    occupancy: str
    count: int
    days: DayRange


@dataclass(frozen=True, slots=True)
class Credential:
    """Who holds a transponder (its pseudonym) from when to when: an occupancy, or the service."""

    property: str
    credential: str
    occupancy: str | None
    service: bool
    begins_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Chamber:
    """A chamber's volume and kind of waste from when to when."""

    property: str
    lock: str
    chamber: int
    volume_ml: int
    fraction: str
    begins_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class LockAccess:
    """A dwelling that may use a lock on these days. It changes no bill: only who opens it, and may have lost a pour."""

    property: str
    lock: str
    dwelling: str
    days: DayRange


@dataclass(frozen=True, slots=True)
class CostItem:
    """A cost of a period and the document that proves it."""

    property: str
    period_first: date
    item: str
    fraction: str
    description: str
    gross_cents: int
    document: str
    document_sha256: str
    apportionable: bool


@dataclass(frozen=True, slots=True)
class Advance:
    """What a party has really paid in advance for a period."""

    property: str
    payment: str
    dwelling: str
    party: str
    period_first: date
    paid_on: date
    amount_cents: int


@dataclass(frozen=True, slots=True)
class AgreementFact:
    """How a property's cost is divided, from a period's first day on."""

    property: str
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class OpeningRegister:
    """A chamber's register when this system took over: nothing before it is billed here."""

    property: str
    lock: str
    chamber: int
    register: int
    read_at: datetime


@dataclass(frozen=True, slots=True)
class OldReading:
    """What a party threw according to the system before this one: a source of estimates and of comparisons."""

    property: str
    dwelling: str
    party: str
    fraction: str
    days: DayRange
    volume_ml: int


Fact = (
    Property
    | Period
    | Dwelling
    | Area
    | Party
    | Occupancy
    | Persons
    | Credential
    | Chamber
    | LockAccess
    | CostItem
    | Advance
    | AgreementFact
    | OpeningRegister
    | OldReading
)
