"""Writes an issued invoice as UN/CEFACT Cross Industry Invoice (CII), the XML of XRechnung and of ZUGFeRD.

Both specifications get the same content, term by term; they differ only in what they call themselves (BT-24).
factur-x puts the terms in the schema's order. It wants amounts as text, which is exact.
"""

from datetime import timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Any

from facturx.generate_xml import generate_cii_xml  # type: ignore[import-untyped]
from lxml import etree  # type: ignore[import-untyped]

from billing_aggregator.invoice.model import Address, Buyer, Invoice, InvoiceKind, Line, Seller, VatSum
from billing_aggregator.invoice.wording import Wording, wording_of

_RAM = "{urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100}"
_GUIDELINE = f".//{_RAM}GuidelineSpecifiedDocumentContextParameter/{_RAM}ID"
_BUSINESS_PROCESS = (
    "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"  # BT-23, wanted by XRechnung 3 (PEPPOL-EN16931-R001)
)
_SEPA_TRANSFER, _CLEARING = "58", "97"  # BT-81, codes of UNTDID 4461
_SCALE = 10_000


class Specification(StrEnum):
    """BT-24: by which rules a document may be judged."""

    EN_16931 = "urn:cen.eu:en16931:2017"
    XRECHNUNG = "urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0"


def write_cii(invoice: Invoice, specification: Specification) -> bytes:
    """Return the XML, UTF-8. The invoice must have its number and dates; nothing is validated here (see `rules`)."""
    plain: bytes = generate_cii_xml(_terms(invoice), level="en16931", check_xsd=False, check_schematron=None)
    root = etree.fromstring(plain)
    guideline = root.find(_GUIDELINE)
    if guideline is None:
        raise ValueError("the XML has no specification identifier (BT-24)")
    guideline.text = specification
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))


def _terms(invoice: Invoice) -> dict[str, Any]:
    """Return the invoice by EN 16931's terms, those without a value left out (BR-CII: no empty elements)."""
    if invoice.issued_on is None or invoice.due_on is None or invoice.days.end is None:
        raise ValueError("only an invoice with number and dates is written as XML")
    words = wording_of(invoice.language)
    totals = invoice.totals
    return _without_empty({
        "BT-1": invoice.number,
        "BT-2": invoice.issued_on,
        "BT-3": invoice.kind.value,
        "BT-5": "EUR",
        "BT-9": invoice.due_on,
        "BT-10": invoice.buyer.reference,
        "BT-12": invoice.buyer.contract,
        "BT-13": invoice.buyer.order,
        "BT-18": {None: invoice.site.property},
        "BT-20": words.payment_terms(invoice),
        "BT-23": _BUSINESS_PROCESS,
        "BT-73": invoice.days.first,
        "BT-74": invoice.days.end - timedelta(days=1),
        **_payment(invoice, words),
        "BG-1": [{"BT-22": note} for note in words.notes(invoice)],
        "BG-3": [{"BT-25": it.number, "BT-26": it.issued_on} for it in [invoice.reverses] if it],
        "BG-4": _seller(invoice.seller),
        "BG-7": _buyer(invoice.buyer),
        "BG-13": {"name": invoice.site.name, **_address(invoice.site.address)},
        "BG-23": [_vat(part) for part in invoice.vat_sums],
        "BG-25": [_line(number, line) for number, line in enumerate(invoice.lines, 1)],
        "BT-106": format_cents(totals.net_cents),
        "BT-109": format_cents(totals.net_cents),
        "BT-110": format_cents(totals.vat_cents),
        "BT-112": format_cents(totals.gross_cents),
        "BT-115": format_cents(totals.gross_cents),
    })  # fmt: skip


def _payment(invoice: Invoice, words: Wording) -> dict[str, Any]:
    """BG-16. Nobody transfers money for a reversal: it is cleared against its invoice."""
    if invoice.kind is InvoiceKind.REVERSAL:
        return {"BT-81": _CLEARING, "BT-82": words.clearing(invoice)}
    account = invoice.seller.account
    return {"BT-81": _SEPA_TRANSFER, "BT-82": words.transfer, "BT-83": invoice.number, "BT-84": account.iban,
            "BT-85": account.holder, "BT-86": account.bic}  # fmt: skip


def _seller(seller: Seller) -> dict[str, Any]:
    contact = {"name": seller.contact.name, "phone": seller.contact.phone, "email": seller.contact.email}
    return _without_empty({
        "name": seller.name,
        "vat_identifier": seller.vat_id,
        "tax_identifier": seller.tax_number,
        "legal_info": seller.register,
        "contacts": [contact],
        **_address(seller.address),
        "einvoicing_addr": seller.electronic.value,
        "einvoicing_addr_schemeid": seller.electronic.scheme,
    })  # fmt: skip


def _buyer(buyer: Buyer) -> dict[str, Any]:
    return _without_empty({
        "name": buyer.name,
        "vat_identifier": buyer.vat_id,
        **_address(buyer.address),
        "einvoicing_addr": buyer.electronic.value,
        "einvoicing_addr_schemeid": buyer.electronic.scheme,
    })  # fmt: skip


def _address(address: Address) -> dict[str, Any]:
    return _without_empty({
        "addr_l1": address.street, "postcode": address.postcode, "city": address.city, "country_code": address.country
    })  # fmt: skip


def _vat(part: VatSum) -> dict[str, Any]:
    return _without_empty({
        "BT-116": format_cents(part.basis_cents),
        "BT-117": format_cents(part.vat_cents),
        "BT-118": part.category.value,
        "BT-119": format_cents(part.rate_bp),
        "BT-120": part.exemption,
    })  # fmt: skip


def _line(number: int, line: Line) -> dict[str, Any]:
    return _without_empty({
        "BT-126": str(number),
        "BT-129": format_quantity(line.quantity),
        "BT-130": line.unit,
        "BT-131": format_cents(line.net_cents),
        "BT-146": format_cents(line.price_cents),
        "BT-151": line.category.value,
        "BT-152": format_cents(line.rate_bp),
        "BT-153": line.name,
        "BT-154": line.detail,
        "BT-155": line.fee,
    })  # fmt: skip


def format_cents(hundredths: int) -> str:
    """Return a whole number of hundredths as a decimal: -5 → `-0.05`. Cents, or hundredths of a percent."""
    whole, rest = divmod(abs(hundredths), 100)
    return f"{'-' if hundredths < 0 else ''}{whole}.{rest:02}"


def format_quantity(quantity: Fraction) -> str:
    """Return a quantity of at most 4 decimals exactly, as short as it gets: 3, -1.5, 0.0625."""
    scaled = quantity * _SCALE
    if scaled.denominator != 1:
        raise ValueError(f"the quantity {quantity} has more than 4 decimals")
    whole, rest = divmod(abs(scaled.numerator), _SCALE)
    decimals = f".{rest:04}".rstrip("0").rstrip(".")
    return f"{'-' if scaled < 0 else ''}{whole}{decimals}"


def _without_empty(terms: dict[str, Any]) -> dict[str, Any]:
    return {term: value for term, value in terms.items() if value not in ("", [], {})}
