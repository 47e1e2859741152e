"""What the parts of billing hand to each other: rows, usage, allocation. Plain frozen values, no I/O, no float.

    master data ──▶ RowBasis, Agreement ──┐
    ledger ──▶ PropertyUsage ─────────────┼──▶ engine ──▶ FractionResult ──▶ run, revision ──▶ statement
    substitutes for what is lost ─────────┘

Volume is whole millilitres, money whole cents, shares are `fractions.Fraction`. Days are local days of the property,
half open; instants are UTC. A row is (dwelling, party) with the id `dwelling/party`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction

UNATTRIBUTED_ROW = "unattributed/owner"
CAP_ROW = "cap/owner"
COMMON = "common"  # the fraction of costs that are first divided over the others


class BaseKey(StrEnum):
    """By what the base pool is divided."""

    AREA = "area"
    PERSONS = "persons"
    DWELLINGS = "dwellings"


@dataclass(frozen=True, slots=True)
class DayRange:
    """Local days from `first` up to, not including, `end`; `end` None: still going on."""

    first: date
    end: date | None

    def __contains__(self, day: date) -> bool:
        return self.first <= day and (self.end is None or day < self.end)

    def cut(self, other: "DayRange") -> "DayRange | None":
        """Return the days in both, None if there is none."""
        ends = [end for end in (self.end, other.end) if end is not None]
        both = DayRange(max(self.first, other.first), min(ends) if ends else None)
        return both if both.end is None or both.first < both.end else None

    @property
    def days(self) -> int:
        """How many days; ValueError while there is no end."""
        if self.end is None:
            raise ValueError(f"the days from {self.first} on have no end yet")
        return (self.end - self.first).days


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a property's cost is divided (§ 556a BGB). Shares are parts of each other: 30 and 70, 1 and 1."""

    base_share: int
    usage_share: int
    base_key: BaseKey
    minimum_ml_per_person_week: int
    minimum_fractions: frozenset[str]
    affected_area_percent: int
    vacancy_persons: int
    declared_at: datetime
    effective_from: date
    by_law: str


@dataclass(frozen=True, slots=True)
class RowBasis:
    """One row's base weights in a period: all stretches of this party in this dwelling, added up before rounding.

    `person_days`: residents only, for the minimum. `key_person_days`: for the key `persons`, a vacant day counted as
    max(1, vacancy_persons). `vacant_days`: days without a resident (the owner's); `vacant_area_dm2_days` of these.
    """

    row: str
    dwelling: str
    party: str
    days: int
    vacant_days: int
    area_dm2_days: int
    person_days: int
    key_person_days: int
    vacant_area_dm2_days: int = 0


@dataclass(frozen=True, slots=True)
class PourCount:
    """Billed pours of one row through one chamber. `degraded`: of these, billed at the smallest chamber's volume."""

    lock: str
    chamber: int
    pours: int
    volume_ml: int
    degraded: int = 0


@dataclass(frozen=True, slots=True)
class RowUsage:
    """What one row threw in one fraction: Σ chambers = Σ months = metered_ml. Months are `2025-03`, local."""

    row: str
    fraction: str
    metered_ml: int
    chambers: tuple[PourCount, ...]
    months: Mapping[str, int]


class ReviewKind(StrEnum):
    """Why a person must look at something before a run can be finalized."""

    CLOCK_NEAR_CHANGE = (
        "clock_near_change"  # within its uncertainty the pour may belong to another holder or period
    )
    CLOCK_NEVER_SET = "clock_never_set"
    UNKNOWN_CHAMBER = "unknown_chamber"
    VOLUME_DISAGREES = "volume_disagrees"
    UNVERIFIED = "unverified"  # the record's CRC-32 never held
    DISPUTED = "disputed"  # another record claims to be the same, or its MAC turned out to be wrong
    UNATTRIBUTED_SHARE = "unattributed_share"  # above 5 % of Σ billed
    VACANCY_SHARE = "vacancy_share"  # above 20 % of area × days
    NO_BASE_WEIGHT = "no_base_weight"  # Σ w_base = 0: area × days was taken
    BYPASS = "bypass"  # flap or door stood open
    FAULT = "fault"  # tamper, clock lost, memory corrupt
    REGISTER_UNEXPLAINED = "register_unexplained"
    LATE_DELIVERY = "late_delivery"


@dataclass(frozen=True, slots=True)
class Review:
    """Something that a person must decide. `review`: its id, the same in each run that meets it again.

    `choices`: what can be decided; `nominal`: the choice that counts until then. `pours` and `volume_ml` say what
    it is about; `detail` says it in English, without any transponder's number. `group`: an id that reviews of the
    same cause share; a decision about it counts for each of them that has none of its own.
    """

    review: str
    kind: ReviewKind
    detail: str
    nominal: str
    choices: tuple[str, ...]
    at: datetime | None = None
    lock: str | None = None
    chamber: int | None = None
    pours: int = 0
    volume_ml: int = 0
    group: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about a review (or a group of them), and why. The latest one counts."""

    review: str
    choice: str
    reason: str
    actor: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class LostVolume:
    """Pours that a register counted and nobody can be named for. `dwellings`: those with access to the lock then."""

    lock: str
    chamber: int
    fraction: str
    pours: int
    volume_ml: int
    first_day: date
    end_day: date
    dwellings: tuple[str, ...]
    cause: str


@dataclass(frozen=True, slots=True)
class RegisterRun:
    """Reconciliation of one unbroken run of one chamber's register within a period, mod 2^32.

    `lost`: pours that lie in records known to be lost; `buffered`: in records still on their way. `unexplained` =
    register_end - register_start - pours - lost - buffered (may be negative).
    """

    lock: str
    chamber: int
    epoch: int
    first_seq: int
    last_seq: int
    register_start: int
    register_end: int
    pours: int
    lost: int
    buffered: int
    unexplained: int


@dataclass(frozen=True, slots=True)
class MissingRecords:
    """Records first_seq..last_seq of a lock's epoch that aren't in the ledger: gone (`lost`) or still on their way."""

    lock: str
    epoch: int
    first_seq: int
    last_seq: int
    lost: bool
    reason: str


@dataclass(frozen=True, slots=True)
class OwnPour:
    """One billed pour of a row, for the statement's annex. `at`: local time of the property, with its offset.

    `clock`: the grade of its time (`ntp`, `rtc`, `derived`, `uncertain`, `lost`, `never_set`), `uncertainty_s` what
    that means in seconds. `jams`: when attempts before it jammed (never billed). `credential`: the
    pseudonym of the transponder; only its first digits are printed. `register`: the chamber's after this pour.
    """

    row: str
    at: datetime
    lock: str
    chamber: int
    fraction: str
    volume_ml: int
    clock: str
    uncertainty_s: int
    degraded: bool
    jams: tuple[datetime, ...]
    epoch: int
    seq: int
    credential: str = ""
    register: int | None = None


@dataclass(frozen=True, slots=True)
class PropertyUsage:
    """All that the ledger says of one property and period, resolved against one state of the master data.

    `unattributed`: ml by fraction of pours without a credential in force. `position`: the ledger's, up to which
    entries were looked at; `entries_hash`: SHA-256 (hex) over the identities and contents of the entries that count.
    `buffered_pours`: pours, or records at a journal's end, that are still on their way. `missing`: what the locks'
    journals lacked, as judged then; a replay is given the same (`read_usage(..., pinned=...)`).
    """

    rows: tuple[RowUsage, ...]
    unattributed: Mapping[str, int]
    lost: tuple[LostVolume, ...]
    registers: tuple[RegisterRun, ...]
    reviews: tuple[Review, ...]
    buffered_pours: int
    position: int
    entries_hash: str
    missing: tuple[MissingRecords, ...] = ()


@dataclass(frozen=True, slots=True)
class Substitute:
    """An estimate's part in what a row is billed. `method`: same_party, comparable_dwellings, average or area."""

    row: str
    fraction: str
    lock: str
    chamber: int
    estimate: Fraction
    volume_ml: int
    method: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PoolShare:
    """One row's part of a pool. `exact`: what it would be without cents."""

    row: str
    weight: int
    exact: Fraction
    allocated_cents: int


@dataclass(frozen=True, slots=True)
class Pool:
    """`name`: `<fraction>/base` or `<fraction>/usage`. `key`: what the weights are (`area_dm2_days`, `billed_ml` …).

    Σ allocated_cents = total_cents, always. `moved_by_rounding`: rows whose cents differ from the previous revision's
    though their exact share is the same (only where sticky rounding wasn't possible).
    """

    name: str
    total_cents: int
    key: str
    shares: tuple[PoolShare, ...]
    moved_by_rounding: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RowVolumes:
    """One row's millilitres in one fraction: billed = max(metered + substitutes, minimum)."""

    row: str
    metered_ml: int
    substitute_ml: int
    minimum_ml: int
    billed_ml: int


@dataclass(frozen=True, slots=True)
class FractionResult:
    """One fraction's division. `base_only_because`: why its usage pool went by the base key, None if it didn't."""

    fraction: str
    total_cents: int
    own_cents: int
    common_cents: int
    volumes: tuple[RowVolumes, ...]
    base: Pool
    usage: Pool
    base_only_because: str | None


@dataclass(frozen=True, slots=True)
class AllocationInput:
    """Everything that the engine needs, and nothing else: the same input always gives the same result.

    `costs`: apportionable cents by fraction, `common` among them. `metered`: ml by (row, fraction). `estimates`:
    for each lost volume the weights of the rows with access. `previous`: the pools of the revision before, by name.
    """

    seed: str
    agreement: Agreement
    rows: tuple[RowBasis, ...]
    costs: Mapping[str, int]
    metered: Mapping[tuple[str, str], int]
    unattributed: Mapping[str, int]
    substitutes: tuple[Substitute, ...] = ()
    previous: Mapping[str, Pool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Allocation:
    """The engine's result. `reviews`: what must be looked at before it can be final."""

    fractions: tuple[FractionResult, ...]
    substitutes: tuple[Substitute, ...]
    reviews: tuple[Review, ...]
