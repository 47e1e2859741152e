"""What an invoice lacks before anybody sends it, each with its remedy.

The official rules (`rules.py`) have the last word on the XML. These checks come first, because they can say which
setting is missing, and see what the official ones don't: check digits, and that something is owed at all.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import stdnum.de.leitweg
import stdnum.eu.vat
import stdnum.iban

from billing_aggregator.errors import InputRejected, Problem
from billing_aggregator.invoice.model import ElectronicAddress, Invoice, InvoiceKind, Line, VatCategory

LEITWEG_SCHEME = "0204"  # in the code list EAS
_PHONE_DIGITS = 3  # BR-DE-27
_EMAIL = re.compile(r"[^@\s.][^@\s]*@[^@\s]+[^@\s.]")  # BR-DE-28
_QUANTITY_SCALE = 10_000


def refuse_faulty(invoice: Invoice) -> None:
    """Raise InputRejected with everything that is missing or wrong; the problem's column names the term (BT-n)."""
    problems = [Problem("", None, term, message) for term, message in _find_faults(invoice)]
    if problems:
        raise InputRejected(problems)


def _find_faults(invoice: Invoice) -> Iterator[tuple[str, str]]:
    yield from _find_missing(invoice)
    yield from _find_unprintable(asdict(invoice))
    yield from _find_wrong_numbers(invoice)
    yield from _find_tax_faults(invoice)
    if not invoice.lines:
        yield "BG-25", "there is nothing to invoice: add [[fees]] that apply to this property and period"
    for line in invoice.lines:
        yield from _find_line_faults(line, invoice.kind)
    if invoice.days.end is None:
        yield "BT-74", "the period has no end: name the last day"
    if (invoice.kind is InvoiceKind.REVERSAL) != (invoice.reverses is not None):
        yield (
            "BG-3",
            "a reversal, and only that, names the invoice that it reverses: cancel by `invoice cancel`",
        )


def _find_missing(invoice: Invoice) -> Iterator[tuple[str, str]]:
    seller, buyer = invoice.seller, invoice.buyer
    in_operator, in_customers = "add it to [operator]", "add it to this property's [[customers]]"
    in_master_data = "add it to the landlord's party in the master data"
    in_property = "add it to the property in the master data"
    wanted = [
        ("BT-27", seller.name, "the operator's name", in_operator),
        ("BT-35", seller.address.street, "the operator's street", in_operator),
        ("BT-38", seller.address.postcode, "the operator's postcode", in_operator),
        ("BT-37", seller.address.city, "the operator's city", in_operator),
        ("BT-41", seller.contact.name, "the contact's name", in_operator),
        ("BT-42", seller.contact.phone, "the contact's phone", in_operator),
        ("BT-43", seller.contact.email, "the contact's e-mail", in_operator),
        ("BT-34", seller.electronic.value, "the operator's electronic address", in_operator),
        ("BT-84", seller.account.iban, "the operator's IBAN", in_operator),
        ("BT-44", buyer.name, "the landlord's name", in_master_data),
        ("BT-50", buyer.address.street, "the landlord's street", in_master_data),
        ("BT-53", buyer.address.postcode, "the landlord's postcode", in_master_data),
        ("BT-52", buyer.address.city, "the landlord's city", in_master_data),
        ("BT-70", invoice.site.name, "the property's name", in_property),
        ("BT-78", invoice.site.address.postcode, "the property's postcode", in_property),
        ("BT-77", invoice.site.address.city, "the property's city", in_property),
        ("BT-10", buyer.reference, "the buyer reference (as a Leitweg-ID)", in_customers),
        ("BT-49", buyer.electronic.value, "the landlord's electronic address", in_customers),
    ]
    for term, value, what, remedy in wanted:
        if not value.strip():
            yield term, f"{what} is missing: {remedy}"


def _find_unprintable(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        for part in value if isinstance(value, tuple) else [value]:
            if isinstance(part, Mapping):
                yield from _find_unprintable(part)
        if isinstance(value, str) and not value.isprintable():
            yield name, f"{value!r} has a sign that neither XML nor paper can show: take it out"


def _find_wrong_numbers(invoice: Invoice) -> Iterator[tuple[str, str]]:
    seller, buyer = invoice.seller, invoice.buyer
    if seller.account.iban and not stdnum.iban.is_valid(seller.account.iban):
        yield (
            "BT-84",
            f"{seller.account.iban} isn't an IBAN, its check digits are wrong: correct it in [operator]",
        )
    for term, vat_id, where in (
        ("BT-31", seller.vat_id, "[operator]"),
        ("BT-48", buyer.vat_id, "[[customers]]"),
    ):
        if vat_id and not stdnum.eu.vat.is_valid(vat_id):
            yield term, f"{vat_id} isn't a VAT id, its form or check digit is wrong: correct it in {where}"
    for term, address, where in (
        ("BT-34", seller.electronic, "[operator]"), ("BT-49", buyer.electronic, "[[customers]]")
    ):  # fmt: skip
        yield from _find_address_faults(term, address, where)
    if sum(character.isdigit() for character in seller.contact.phone) < _PHONE_DIGITS:
        yield "BT-42", f"{seller.contact.phone!r} isn't a phone number: correct it in [operator]"
    if seller.contact.email and not _EMAIL.fullmatch(seller.contact.email):
        yield "BT-43", f"{seller.contact.email!r} isn't an e-mail address: correct it in [operator]"


def _find_address_faults(term: str, address: ElectronicAddress, where: str) -> Iterator[tuple[str, str]]:
    if address.scheme == "EM" and address.value and not _EMAIL.fullmatch(address.value):
        yield term, f"{address.value!r} isn't an e-mail address: correct it in {where}"
    if address.scheme == LEITWEG_SCHEME and not stdnum.de.leitweg.is_valid(address.value):
        yield term, f"{address.value!r} isn't a Leitweg-ID, its check digits are wrong: correct it in {where}"


def _find_tax_faults(invoice: Invoice) -> Iterator[tuple[str, str]]:
    if not invoice.seller.vat_id and not invoice.seller.tax_number:
        yield (
            "BT-31",
            "neither VAT id nor tax number (§ 14 (4) UStG wants one): add vat_id or tax_number to [operator]",
        )
    if any(line.category is VatCategory.REVERSE_CHARGE for line in invoice.lines):
        if not invoice.seller.vat_id:
            yield "BT-31", "reverse charge needs the operator's VAT id: add vat_id to [operator]"
        if not invoice.buyer.vat_id:
            yield (
                "BT-48",
                "reverse charge needs the landlord's VAT id: add vat_id to this property's [[customers]]",
            )


def _find_line_faults(line: Line, kind: InvoiceKind) -> Iterator[tuple[str, str]]:
    sign = -1 if kind is InvoiceKind.REVERSAL else 1
    if not line.name.strip():
        yield "BT-153", f"fee {line.fee} has no text in this language: add it to [[fees]]"
    if line.price_cents < 0:
        yield "BT-146", f"fee {line.fee}: a price is never negative (BR-27): correct price_cents"
    if line.quantity * sign <= 0 or (line.quantity * _QUANTITY_SCALE).denominator != 1:
        yield (
            "BT-129",
            f"fee {line.fee}: the quantity {line.quantity} must be above zero with at most 4 decimals",
        )
    taxed = line.category is VatCategory.STANDARD
    if taxed != (line.rate_bp > 0):
        yield (
            "BT-152",
            f"fee {line.fee}: VAT above zero belongs to category S, and only there: correct [[fees]]",
        )
    if line.category is VatCategory.EXEMPT and not line.exemption.strip():
        yield (
            "BT-120",
            f"fee {line.fee}: category E needs a reason (as: § 19 UStG): add exemption to [[fees]]",
        )
