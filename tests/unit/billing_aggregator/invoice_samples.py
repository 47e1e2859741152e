"""Invoices for tests: one that is in order, and hypothesis strategies for many."""

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

from hypothesis import strategies as st

from billing_aggregator.invoice.model import (
    Address,
    BankAccount,
    Buyer,
    Contact,
    ElectronicAddress,
    Invoice,
    InvoiceKind,
    Line,
    Preceding,
    Seller,
    Site,
    VatCategory,
    reverse_lines,
)
from billing_aggregator.model import DayRange

SELLER = Seller(
    name="Müllschleusen Betrieb GmbH",
    address=Address("Hafenstraße 12", "20457", "Hamburg"),
    contact=Contact("Ines Petersen", "+49 40 123456", "rechnung@betrieb.example"),
    electronic=ElectronicAddress("EM", "rechnung@betrieb.example"),
    account=BankAccount("DE02120300000000202051", "Müllschleusen Betrieb GmbH", "BYLADEM1001"),
    vat_id="DE136695976",
    register="HRB 12345, AG Hamburg",
)
BUYER = Buyer(
    name="Wohnbau Elbe eG",
    address=Address("Am Markt 3", "21073", "Hamburg"),
    electronic=ElectronicAddress("0204", "991-03730-19"),
    reference="991-03730-19",
    vat_id="DE136695976",
    order="B-77",
    contract="V-2026-4",
)
SITE = Site("elbhof", "Elbhof 1–7", Address("Elbhof 1", "21073", "Hamburg"))
YEAR_2025 = DayRange(date(2025, 1, 1), date(2026, 1, 1))
LINES = (
    Line("service", "Service", "3 Schleusen", Fraction(36), "MON", 1490, VatCategory.STANDARD, 1900),
    Line("rent", "Gerätemiete", "3 Schleusen", Fraction(36), "MON", 2450, VatCategory.STANDARD, 1900),
    Line("billing", "Abrechnung", "", Fraction(1), "C62", 15_800, VatCategory.STANDARD, 700),
)
DRAFT = Invoice(InvoiceKind.INVOICE, SELLER, BUYER, SITE, YEAR_2025, LINES, payment_days=30)


def number_invoice(
    draft: Invoice, number: str = "R-2026-0001", issued_on: date = date(2026, 11, 3)
) -> Invoice:
    """Return a draft with what issuing gives it."""
    due_on = issued_on + timedelta(days=draft.payment_days)
    return replace(draft, number=number, issued_on=issued_on, due_on=due_on)


def reverse_invoice(invoice: Invoice) -> Invoice:
    """Return the reversal of an invoice with a number, itself with the next number."""
    assert invoice.issued_on is not None
    preceding = Preceding(invoice.number, invoice.issued_on)
    lines = reverse_lines(invoice.lines)
    return replace(invoice, kind=InvoiceKind.REVERSAL, number="R-2026-0002", lines=lines, reverses=preceding)


ISSUED = number_invoice(DRAFT)
REVERSAL = reverse_invoice(ISSUED)

# Letters, digits and marks that German names and addresses have; XML's own signs are among them, to be escaped.
_TEXT = st.text(st.sampled_from("abcxyzÄÖÜßéA Z019-.,/()&<>'\"€–"), min_size=1, max_size=40).filter(str.strip)
_RATES = st.sampled_from(
    [
        (VatCategory.STANDARD, 1900),
        (VatCategory.STANDARD, 700),
        (VatCategory.ZERO_RATED, 0),
        (VatCategory.EXEMPT, 0),
        (VatCategory.REVERSE_CHARGE, 0),
    ]
)


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """One line of any category, quantity with up to 4 decimals, amounts from a cent to millions."""
    category, rate_bp = draw(_RATES)
    untaxed = category in (VatCategory.EXEMPT, VatCategory.REVERSE_CHARGE)
    return Line(
        fee=draw(st.from_regex(r"[a-z][a-z0-9._-]{0,10}", fullmatch=True)),
        name=draw(_TEXT),
        detail=draw(st.one_of(st.just(""), _TEXT)),
        quantity=Fraction(draw(st.integers(1, 10_000_000)), 10_000),
        unit=draw(st.sampled_from(["MON", "C62"])),
        price_cents=draw(st.integers(0, 1_000_000)),
        category=category,
        rate_bp=rate_bp,
        exemption=draw(_TEXT) if untaxed else "",
    )


@st.composite
def issued_invoices(draw: st.DrawFn) -> Invoice:
    """An invoice with its number, in order by itself: any lines, names, days, with and without what may be missing."""
    first = draw(st.dates(date(2020, 1, 1), date(2030, 12, 31)))
    draft = replace(
        DRAFT,
        buyer=replace(BUYER, name=draw(_TEXT), order=draw(st.sampled_from(["", "B-77"])), contract=""),
        seller=replace(SELLER, name=draw(_TEXT), register=draw(st.sampled_from(["", "HRB 1"]))),
        days=DayRange(first, first + timedelta(days=draw(st.integers(1, 366)))),
        lines=tuple(draw(st.lists(lines(), min_size=1, max_size=8))),
        payment_days=draw(st.integers(0, 90)),
        language=draw(st.sampled_from(["de", "en"])),
    )
    return number_invoice(draft, issued_on=draw(st.dates(date(2026, 1, 1), date(2030, 12, 31))))
