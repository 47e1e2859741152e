"""Makes the draft of an invoice: the operator's fees, counted by what the master data say of a property."""

from collections.abc import Collection, Iterator
from fractions import Fraction

from billing_aggregator.days import add_months, begin_of_day
from billing_aggregator.errors import ConfigError, NotFound
from billing_aggregator.invoice.model import (
    Address,
    BankAccount,
    Buyer,
    Contact,
    ElectronicAddress,
    Invoice,
    InvoiceKind,
    Line,
    Seller,
    Site,
    VatCategory,
)
from billing_aggregator.invoice.settings import (
    CustomerSection,
    FeeBasis,
    FeeSection,
    InvoiceSettings,
    OperatorSection,
)
from billing_aggregator.invoice.wording import Wording, wording_of
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.model import DayRange

_UNIT_MONTH, _UNIT_PIECE = "MON", "C62"


def draft_invoice(
    snapshot: Snapshot, days: DayRange, settings: InvoiceSettings, only: Collection[str] = ()
) -> Invoice:
    """Return the draft for these local days of a property: every fee that applies to it and counts above zero.

    `only`: codes of the fees to invoice, empty for all. What is missing for sending it isn't asked here (`checking`).
    """
    customer = _find_customer(settings, snapshot.property.property)
    words = wording_of(customer.language)
    fees = _choose_fees(settings, snapshot.property.property, only)
    lines = [_count(fee, snapshot, days, words) for fee in fees]
    return Invoice(
        kind=InvoiceKind.INVOICE,
        seller=_make_seller(settings.operator),
        buyer=_make_buyer(snapshot, customer),
        site=_make_site(snapshot, settings.operator),
        days=days,
        lines=tuple(line for line in lines if line.quantity > 0),
        payment_days=settings.operator.payment_days,
        language=customer.language,
    )


def _find_customer(settings: InvoiceSettings, name: str) -> CustomerSection:
    for customer in settings.customers:
        if customer.property == name:
            return customer
    raise ConfigError(
        [f"[[customers]] has none for property {name}: add one with reference and electronic_address"]
    )


def _choose_fees(settings: InvoiceSettings, name: str, only: Collection[str]) -> list[FeeSection]:
    known = {fee.code for fee in settings.fees}
    if unknown := sorted(set(only) - known):
        raise NotFound(f"no fee {', '.join(unknown)}: [[fees]] has {', '.join(sorted(known)) or 'none'}")
    applying = [fee for fee in settings.fees if not fee.properties or name in fee.properties]
    return [fee for fee in applying if not only or fee.code in only]


def _count(fee: FeeSection, snapshot: Snapshot, days: DayRange, words: Wording) -> Line:
    quantity, detail = _measure(fee.basis, snapshot, days, words)
    untaxed = fee.category in (VatCategory.EXEMPT, VatCategory.REVERSE_CHARGE)
    default = words.reverse_charge if fee.category is VatCategory.REVERSE_CHARGE else ""
    return Line(
        fee=fee.code,
        name=fee.text_en if words.language == "en" else fee.text_de,
        detail=detail,
        quantity=Fraction(quantity),
        unit=_UNIT_PIECE if fee.basis is FeeBasis.ONCE else _UNIT_MONTH,
        price_cents=fee.price_cents,
        category=fee.category,
        rate_bp=fee.vat_bp,
        exemption=(fee.exemption or default) if untaxed else "",
    )


def _measure(basis: FeeBasis, snapshot: Snapshot, days: DayRange, words: Wording) -> tuple[int, str]:
    months = list(_cut_months(days))
    match basis:
        case FeeBasis.LOCK_MONTH:
            served = [_locks_in_service(snapshot, month) for month in months]
            locks = len(set().union(*served))
            return sum(map(len, served)), words.counted_locks(locks, len(months))
        case FeeBasis.DWELLING_MONTH:
            dwellings = len(snapshot.dwellings)
            return dwellings * len(months), words.counted_dwellings(dwellings, len(months))
        case FeeBasis.PROPERTY_MONTH:
            return len(months), ""
        case FeeBasis.ONCE:
            return 1, ""


def _locks_in_service(snapshot: Snapshot, days: DayRange) -> set[str]:
    """Return the locks that have a chamber in service at some instant of these days."""
    zone = snapshot.property.time_zone
    begin, end = begin_of_day(days.first, zone), begin_of_day(days.end or days.first, zone)
    return {
        chamber.lock
        for chamber in snapshot.chambers
        if chamber.begins_at < end and (chamber.ends_at is None or begin < chamber.ends_at)
    }


def _cut_months(days: DayRange) -> Iterator[DayRange]:
    """Cut days into calendar months; the first and the last may be parts of one."""
    if days.end is None:
        raise ValueError("only days with an end are invoiced")
    first = days.first
    while first < days.end:
        following = add_months(first.replace(day=1), 1)
        yield DayRange(first, min(following, days.end))
        first = following


def _make_seller(operator: OperatorSection) -> Seller:
    return Seller(
        name=operator.name,
        address=Address(operator.street, operator.postcode, operator.city, operator.country),
        contact=Contact(operator.contact_name, operator.contact_phone, operator.contact_email),
        electronic=ElectronicAddress(operator.electronic_scheme, operator.electronic_address),
        account=BankAccount(_pack(operator.iban), operator.account_holder or operator.name, operator.bic),
        vat_id=_pack(operator.vat_id),
        tax_number=operator.tax_number,
        register=operator.register_entry,
    )


def _make_buyer(snapshot: Snapshot, customer: CustomerSection) -> Buyer:
    landlord = snapshot.party(snapshot.owner)
    return Buyer(
        name=landlord.name,
        address=Address(landlord.street, landlord.postcode, landlord.city, customer.country),
        electronic=ElectronicAddress(customer.electronic_scheme, customer.electronic_address),
        reference=customer.reference,
        vat_id=_pack(customer.vat_id),
        order=customer.order,
        contract=customer.contract,
    )


def _make_site(snapshot: Snapshot, operator: OperatorSection) -> Site:
    place = snapshot.property
    # The master data name no country: the operator serves locks in its own.
    return Site(
        place.property, place.name, Address(place.street, place.postcode, place.city, operator.country)
    )


def _pack(number: str) -> str:
    """Return an IBAN or a VAT id as machines want it; people write them in groups."""
    return number.replace(" ", "").upper()
