"""What a statement holds, as exact values: everything that the page shows, nothing that it doesn't (design 4, "What a
statement shows"; § 556 (3), § 259 BGB: total costs, key and its explanation, the party's share, the advances deducted).

Names are looked up when a document is printed; nothing here is hashed. Volume in ml, money in cents, days are local
days of the property, instants UTC. `verify` refuses what doesn't add up: such a page must never be printed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from billing_aggregator.errors import BillingError
from billing_aggregator.model import Agreement, DayRange, OwnPour, RowVolumes, Substitute

LANGUAGES = ("de", "en")


class StatementUnsound(BillingError):
    """The figures of a statement don't add up: nothing was printed. The run must be calculated again."""


@dataclass(frozen=True, slots=True)
class Address:
    """Who writes or is written to. Printed only, never part of anything hashed."""

    name: str
    street: str
    postcode: str
    city: str


@dataclass(frozen=True, slots=True)
class CostLine:
    """One cost item of the property and period; `document`: the number that finds its paper (Belegeinsicht)."""

    description: str
    document: str
    fraction: str
    gross_cents: int
    apportionable: bool


@dataclass(frozen=True, slots=True)
class PoolLine:
    """The party's part of one pool: own_weight / all_weights × total_cents = exact, rounded to `cents`.

    `key` says what is weighed, as in `model.Pool`: `area_dm2_days`, `key_person_days`, `days` or `billed_ml`.
    """

    total_cents: int
    key: str
    own_weight: int
    all_weights: int
    exact: Fraction
    cents: int


@dataclass(frozen=True, slots=True)
class FractionPart:
    """One fraction: its cost, the party's millilitres in it and the party's part of both pools.

    `common_cents`: what of the costs common to all fractions fell to this one. `base_only_because`: why its usage
    pool went by the base key, None if it didn't.
    """

    fraction: str
    own_cents: int
    common_cents: int
    total_cents: int
    volumes: RowVolumes
    base: PoolLine
    usage: PoolLine
    base_only_because: str | None = None


@dataclass(frozen=True, slots=True)
class RegisterSpan:
    """An unbroken run of a chamber's register within the period, and how many pours it saw, whoever's."""

    start: int
    end: int
    lost: int = 0
    unexplained: int = 0

    @property
    def cycles(self) -> int:
        """Cycles between the readings; the register counts mod 2^32."""
        return (self.end - self.start) % 2**32


@dataclass(frozen=True, slots=True)
class ChamberLine:
    """One chamber: the party's pours through it and its register. `degraded`: of these pours, billed at the smallest
    chamber's volume because the larger one had opened instead."""

    lock: str
    chamber: int
    fraction: str
    chamber_ml: int
    pours: int
    degraded: int
    volume_ml: int
    registers: tuple[RegisterSpan, ...]


@dataclass(frozen=True, slots=True)
class SumLine:
    """A line of the proof that all shares make up the total: `who` is own, others, unattributed or capped."""

    who: str
    rows: int
    billed_ml: int
    base_cents: int
    usage_cents: int
    cap_cents: int

    @property
    def charged_cents(self) -> int:
        """What is charged in the end: allocated, and what the cap moved to or from this line."""
        return self.base_cents + self.usage_cents + self.cap_cents


@dataclass(frozen=True, slots=True)
class MonthVolumes:
    """One local month (`2025-03`): the party's ml, the house's average per dwelling, the party's a year before."""

    month: str
    own_ml: int
    average_ml: int
    previous_ml: int | None


@dataclass(frozen=True, slots=True)
class Chart:
    """Monthly consumption in one fraction."""

    fraction: str
    months: tuple[MonthVolumes, ...]


@dataclass(frozen=True, slots=True)
class AdvanceLine:
    """A payment in advance that was really made for this period."""

    paid_on: date
    amount_cents: int


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """What a revision changed for this party: `what` is `<fraction>/base`, `<fraction>/usage`, `advances` or `cap`."""

    what: str
    before_cents: int
    after_cents: int


@dataclass(frozen=True, slots=True)
class Correction:
    """Against which revision this one stands, why it was made, and what moved for this party (maybe nothing)."""

    previous: int
    reason: str
    changes: tuple[ChangeLine, ...]


@dataclass(frozen=True, slots=True)
class Cap:
    """§ 556 (3) sentence 3 BGB: what of the balance can no longer be claimed, and what set that bound.

    `baseline_cents`: the balance that reached the party in time, 0 without one. `lifted_because`: a person's reason
    for claiming it nevertheless.
    """

    baseline_cents: int
    waived_cents: int
    lifted_because: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What pins this statement: anybody who has the same inputs gets the same revision, byte for byte."""

    revision_sha256: str
    entries_sha256: str
    masterdata_sha256: str
    position: int
    engine: str


@dataclass(frozen=True, slots=True)
class Span:
    """So many days with this area and so many persons: what base weights are made of."""

    days: int
    area_dm2: int
    persons: int


@dataclass(frozen=True, slots=True)
class Tenancy:
    """Whose statement it is: the row (dwelling, party), its days in the period and what its weights are made of.

    `spans`: empty where that isn't known, then the weight is shown without its arithmetic.
    """

    dwelling: str
    dwelling_label: str
    party: str
    days: int
    person_days: int
    is_vacancy: bool
    spans: tuple[Span, ...] = ()

    @property
    def row(self) -> str:
        return f"{self.dwelling}/{self.party}"


@dataclass(frozen=True, slots=True)
class House:
    """The property and period of a statement. `place`: its address in one line."""

    property: str
    name: str
    place: str
    time_zone: str
    period: DayRange


@dataclass(frozen=True, slots=True)
class Deadlines:
    """`claim_until`: last day on which a claim can still reach the party in time; `objections_until`: last day for
    objections if the statement arrives on the planned `received_on`, None where that isn't known."""

    claim_until: date
    received_on: date | None
    objections_until: date | None


@dataclass(frozen=True, slots=True)
class StatementContent:
    """One party's statement. `balance_cents`: above zero still to pay, below zero a credit, after the cap.

    `provisional_as_of`: the last day looked at, None for a statement that is meant to be final.
    """

    language: str
    dated: date
    revision: int
    provisional_as_of: date | None
    sender: Address
    addressee: Address
    house: House
    tenancy: Tenancy
    agreement: Agreement
    costs: tuple[CostLine, ...]
    fractions: tuple[FractionPart, ...]
    advances: tuple[AdvanceLine, ...]
    balance_cents: int
    sums: tuple[SumLine, ...]
    chambers: tuple[ChamberLine, ...]
    substitutes: tuple[Substitute, ...]
    charts: tuple[Chart, ...]
    pours: tuple[OwnPour, ...]
    deadlines: Deadlines
    evidence: Evidence
    correction: Correction | None = None
    cap: Cap | None = None

    @property
    def apportionable_cents(self) -> int:
        return sum(line.gross_cents for line in self.costs if line.apportionable)

    @property
    def share_cents(self) -> int:
        """The party's allocated share, before cap and advances."""
        return sum(part.base.cents + part.usage.cents for part in self.fractions)

    @property
    def advances_cents(self) -> int:
        return sum(line.amount_cents for line in self.advances)

    @property
    def waived_cents(self) -> int:
        return self.cap.waived_cents if self.cap else 0


def verify(content: StatementContent) -> None:
    """Raise StatementUnsound, naming each sum that doesn't hold, if the page contradicts itself."""
    wrong = [message for message, holds in _sums(content) if not holds]
    if wrong:
        raise StatementUnsound(f"statement {content.tenancy.row}: {'; '.join(wrong)}")


def _sums(content: StatementContent) -> Iterator[tuple[str, bool]]:
    total = content.apportionable_cents
    parts = content.fractions
    yield "the fractions' costs don't make up the total", sum(part.total_cents for part in parts) == total
    yield (
        "what is charged doesn't make up the total",
        sum(line.charged_cents for line in content.sums) == total,
    )
    own = [line for line in content.sums if line.who == "own"]
    yield "there must be one line of the party's own", len(own) == 1
    yield (
        "the party's share differs from its line in the proof",
        sum(line.base_cents + line.usage_cents for line in own) == content.share_cents,
    )
    yield (
        "the balance isn't share minus cap minus advances",
        content.balance_cents == content.share_cents - content.waived_cents - content.advances_cents,
    )
    for part in parts:
        yield from _sums_of(part, content)


def _sums_of(part: FractionPart, content: StatementContent) -> Iterator[tuple[str, bool]]:
    name, volumes = part.fraction, part.volumes
    yield (
        f"{name}: own and common costs aren't its total",
        part.own_cents + part.common_cents == part.total_cents,
    )
    yield (
        f"{name}: the pools aren't its total",
        part.base.total_cents + part.usage.total_cents == part.total_cents,
    )
    billed = max(volumes.metered_ml + volumes.substitute_ml, volumes.minimum_ml)
    yield f"{name}: billed isn't max(metered + substitutes, minimum)", volumes.billed_ml == billed
    chambers = sum(line.volume_ml for line in content.chambers if line.fraction == name)
    yield f"{name}: the chambers' volumes aren't the metered volume", chambers == volumes.metered_ml
    pours = sum(pour.volume_ml for pour in content.pours if pour.fraction == name)
    yield f"{name}: the listed pours aren't the metered volume", pours == volumes.metered_ml
    substitutes = sum(line.volume_ml for line in content.substitutes if line.fraction == name)
    yield f"{name}: the listed substitutes aren't their sum", substitutes == volumes.substitute_ml
    for pool in (part.base, part.usage):
        yield (
            f"{name}: a share differs from its exact value by a cent or more",
            abs(pool.exact - pool.cents) < 2,
        )
