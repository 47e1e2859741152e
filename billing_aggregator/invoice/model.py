"""An invoice's values, and its sums by the rules of EN 16931. Frozen, no I/O, no float.

Money is whole cents, quantities are exact fractions, VAT rates whole hundredths of a percent (1900: 19 %). The
sums are computed, never typed in: BR-CO-10 (lines), BR-CO-14 and -17 (VAT), BR-CO-15 (total), BR-CO-16 (amount due).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from fractions import Fraction

from billing_aggregator.model import DayRange


class InvoiceKind(StrEnum):
    """BT-3, codes of UNTDID 1001.

    A reversal is a corrected invoice (384) with minus quantities, naming the one that it reverses (BG-3): business
    process P10 of EN 16931-1, "corrective invoicing (cancellation)". Not a credit note (381): that grants money back
    on an invoice that stands, and § 14 (2) UStG keeps its German name, Gutschrift, for self-billing.
    """

    INVOICE = "380"
    REVERSAL = "384"


class VatCategory(StrEnum):
    """BT-118 and BT-151, codes of UNTDID 5305."""

    STANDARD = "S"
    ZERO_RATED = "Z"
    EXEMPT = "E"
    REVERSE_CHARGE = "AE"


@dataclass(frozen=True, slots=True)
class Address:
    """`country`: ISO 3166-1, two letters."""

    street: str
    postcode: str
    city: str
    country: str = "DE"


@dataclass(frozen=True, slots=True)
class ElectronicAddress:
    """Where an invoice is sent to (BT-34, BT-49). `scheme`: code list EAS; EM is e-mail, 0204 a Leitweg-ID."""

    scheme: str
    value: str


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to ask (BT-41 to BT-43; XRechnung wants all three)."""

    name: str
    phone: str
    email: str


@dataclass(frozen=True, slots=True)
class BankAccount:
    """Where to pay to (BT-84 to BT-86)."""

    iban: str
    holder: str
    bic: str = ""


@dataclass(frozen=True, slots=True)
class Seller:
    """The operator. § 14 (4) UStG wants a VAT id or a tax number; `register`: as `HRB 12345, AG Musterstadt`."""

    name: str
    address: Address
    contact: Contact
    electronic: ElectronicAddress
    account: BankAccount
    vat_id: str = ""
    tax_number: str = ""
    register: str = ""


@dataclass(frozen=True, slots=True)
class Buyer:
    """The landlord. `reference`: BT-10, a Leitweg-ID, or whatever the buyer wants to find the invoice by."""

    name: str
    address: Address
    electronic: ElectronicAddress
    reference: str
    vat_id: str = ""
    order: str = ""
    contract: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """The property that the service is for: BT-18 its id, BG-13 and BG-15 its name and address."""

    property: str
    name: str
    address: Address


@dataclass(frozen=True, slots=True)
class Line:
    """One service. `unit`: UN/ECE Recommendation 20 (MON month, C62 piece). The price is never negative (BR-27).

    `fee`: the code of the fee that it comes from. `detail`: how the quantity was counted. `exemption`: why there is no
    VAT (BT-120), for the categories E and AE.
    """

    fee: str
    name: str
    detail: str
    quantity: Fraction
    unit: str
    price_cents: int
    category: VatCategory
    rate_bp: int
    exemption: str = ""

    @property
    def net_cents(self) -> int:
        """BT-131: quantity × price, to the cent, halves away from zero."""
        return round_half_up(self.quantity * self.price_cents)


@dataclass(frozen=True, slots=True)
class VatSum:
    """One line of the VAT breakdown (BG-23). `exemption`: why there is no VAT, empty for the categories S and Z."""

    category: VatCategory
    rate_bp: int
    basis_cents: int
    vat_cents: int
    exemption: str


@dataclass(frozen=True, slots=True)
class Totals:
    """BG-22: Σ lines (BT-106 = BT-109: there are no allowances), VAT (BT-110), gross (BT-112 = BT-115)."""

    net_cents: int
    vat_cents: int
    gross_cents: int


@dataclass(frozen=True, slots=True)
class Preceding:
    """The invoice that a reversal reverses (BG-3)."""

    number: str
    issued_on: date


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice. A draft has no `number`, `issued_on` and `due_on` yet.

    `days`: what it is for (BG-14), local days of the property, half open.
    """

    kind: InvoiceKind
    seller: Seller
    buyer: Buyer
    site: Site
    days: DayRange
    lines: tuple[Line, ...]
    payment_days: int
    language: str = "de"
    number: str = ""
    issued_on: date | None = None
    due_on: date | None = None
    reverses: Preceding | None = None

    @property
    def totals(self) -> Totals:
        net = sum(line.net_cents for line in self.lines)
        vat = sum(part.vat_cents for part in self.vat_sums)
        return Totals(net, vat, net + vat)

    @property
    def vat_sums(self) -> tuple[VatSum, ...]:
        """The VAT by category and rate: computed on the sum of the lines, rounded once for each (BR-CO-17)."""
        groups = sorted({(line.category, line.rate_bp) for line in self.lines})
        return tuple(self._sum_vat(category, rate_bp) for category, rate_bp in groups)

    def _sum_vat(self, category: VatCategory, rate_bp: int) -> VatSum:
        lines = [line for line in self.lines if (line.category, line.rate_bp) == (category, rate_bp)]
        basis = sum(line.net_cents for line in lines)
        vat = round_half_up(Fraction(basis * rate_bp, 10_000))
        return VatSum(
            category, rate_bp, basis, vat, "; ".join(sorted({line.exemption for line in lines} - {""}))
        )


def reverse_lines(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return the same lines with minus quantities: prices stay positive, as BR-27 wants."""
    return tuple(replace(line, quantity=-line.quantity) for line in lines)


def round_half_up(exact: Fraction) -> int:
    """Round to a whole number, halves away from zero: so a reversal mirrors its invoice to the cent."""
    whole = (2 * abs(exact.numerator) + exact.denominator) // (2 * exact.denominator)
    return whole if exact >= 0 else -whole
