"""What a run comes to: plain frozen values, and the canonical JSON bytes that are hashed and kept for ever.

    RevisionDocument ──encode──▶ bytes (keys sorted, no blanks, fractions "n/d", no float) ──sha256──▶ its name

Anybody can recompute a run from it with a program of their own: weights, volumes, totals, seed, exact shares are all
in it. Names and addresses are not: they are looked up when something is printed. `decode(encode(x)) == x`.
"""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any

import msgspec

from billing_aggregator.engine.cap import ChargedShare
from billing_aggregator.errors import BillingError
from billing_aggregator.model import (
    Agreement,
    DayRange,
    Decision,
    FractionResult,
    Pool,
    PropertyUsage,
    Review,
    RowBasis,
    Substitute,
)

FORMAT = 1


class DocumentUnreadable(BillingError):
    """These bytes aren't a revision document of this release: install the release that wrote them, or a later one."""


@dataclass(frozen=True, slots=True)
class Pins:
    """What the run was calculated from: the same pins give the same bytes.

    `known_at`: master data, decisions and receipts as they were known then. `ledger_position`: entries up to it.
    Hashes are SHA-256 in hexadecimal.
    """

    known_at: datetime
    masterdata_hash: str
    ledger_position: int
    entries_hash: str
    engine_version: str
    tzdata_version: str
    config_hash: str


@dataclass(frozen=True, slots=True)
class Cost:
    """One cost item of the period; `document` finds its paper, `document_sha256` proves that it is the same paper."""

    item: str
    fraction: str
    description: str
    gross_cents: int
    document: str
    document_sha256: str
    apportionable: bool


@dataclass(frozen=True, slots=True)
class Payment:
    """An advance that a row really paid for this period."""

    row: str
    payment: str
    paid_on: date
    amount_cents: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """When a party got a revision, entered by a person: `row` of revision `revision`, `delivered_on` a local day."""

    revision: int
    row: str
    delivered_on: date


@dataclass(frozen=True, slots=True)
class Cap:
    """§ 556 (3) sentence 3 BGB for one row that gets this revision after the 12 months.

    `balance_cents`: share less advances, before the cap. `baseline_cents`: the most that can still be claimed, set by
    the revision `baseline_revision` (None: no statement reached this party in time). claimed = min(balance, baseline)
    unless a person lifted the cap, and said why; waived = balance - claimed.
    """

    row: str
    balance_cents: int
    baseline_cents: int
    baseline_revision: int | None
    claimed_cents: int
    waived_cents: int
    lifted_because: str | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """One row's money: charged = base + usage + cap; balance = charged - advances (below zero: a credit).

    `cap_cents`: minus what the cap waives, or in the row `cap/owner` plus all that. Σ charged = total, always.
    """

    row: str
    base_cents: int
    usage_cents: int
    cap_cents: int
    charged_cents: int
    advances_cents: int
    balance_cents: int


@dataclass(frozen=True, slots=True)
class RevisionDocument:
    """One revision of one property and period, complete.

    `previous_sha256`: the revision before, that rounding and cap stand on. `receipt_on`: the planned local day on which
    the parties get it. `basis`: base weights by row. `charged`: by pool and row, beside what was allocated, what is
    charged. `balances`: money by row, `unattributed/owner` and `cap/owner` among them where they aren't zero.
    `reviews`: all, those of usage and engine; `decisions`: those that counted.
    """

    format: int
    property: str
    period: DayRange
    time_zone: str
    owner: str
    seed: str
    revision: int
    previous_sha256: str | None
    reason: str
    receipt_on: date
    pins: Pins
    agreement: Agreement
    costs: tuple[Cost, ...]
    total_cents: int
    basis: tuple[RowBasis, ...]
    usage: PropertyUsage
    substitutes: tuple[Substitute, ...]
    fractions: tuple[FractionResult, ...]
    payments: tuple[Payment, ...]
    caps: tuple[Cap, ...]
    charged: tuple[ChargedShare, ...]
    balances: tuple[Balance, ...]
    reviews: tuple[Review, ...]
    decisions: tuple[Decision, ...]
    receipts: tuple[Receipt, ...]


def open_reviews(document: RevisionDocument) -> tuple[Review, ...]:
    """Return the reviews that nobody has decided, neither by themselves nor with their group.

    What was decided counts only while it is still one of the choices.
    """
    choices = {decision.review: decision.choice for decision in document.decisions}
    return tuple(
        review
        for review in document.reviews
        if not {choices.get(name) for name in (review.review, review.group) if name} & set(review.choices)
    )


def pools_of(document: RevisionDocument) -> dict[str, Pool]:
    """Return all pools by name (`residual/base` …)."""
    return {pool.name: pool for part in document.fractions for pool in (part.base, part.usage)}


def balances_of(document: RevisionDocument) -> dict[str, Balance]:
    """Return each row's money by row."""
    return {balance.row: balance for balance in document.balances}


def encode(document: RevisionDocument) -> bytes:
    """Return the canonical bytes: the same document always gives the same ones."""
    return encode_values(document)


def decode(content: bytes) -> RevisionDocument:
    """Return the document that these bytes hold; DocumentUnreadable if they hold none."""
    try:
        return msgspec.json.decode(content, type=RevisionDocument, dec_hook=_decode_fraction)
    except msgspec.MsgspecError as error:
        raise DocumentUnreadable(f"this isn't a revision document of format {FORMAT}: {error}") from error


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal: by it a revision is named."""
    return hashlib.sha256(content).hexdigest()


def encode_values(values: object) -> bytes:
    """Return any of our plain values as canonical JSON (keys sorted, fractions "n/d")."""
    return msgspec.json.encode(values, order="sorted", enc_hook=_encode_fraction)


def _encode_fraction(value: Any) -> str:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    raise TypeError(f"{type(value).__name__} has no place in a document")


def _decode_fraction(kind: type, value: Any) -> Fraction:
    if kind is Fraction and isinstance(value, str):
        return Fraction(value)
    raise ValueError(f"expected {kind.__name__}")
