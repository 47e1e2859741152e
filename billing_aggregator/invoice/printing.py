"""Prints an issued invoice as ZUGFeRD: a PDF/A-3a (and PDF/UA-1) for people that holds the XML for machines.

typst sets the page and attaches the XML; what ZUGFeRD wants besides is four properties in the PDF's metadata (XMP),
and the description of their schema, without which it would be no PDF/A. Same invoice, same bytes.
"""

import io
import json
from pathlib import Path
from typing import Any

import typst
from facturx.facturx import generate_xmp_object  # type: ignore[import-untyped]
from lxml import etree  # type: ignore[import-untyped]
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject

from billing_aggregator.errors import InputRejected, Problem
from billing_aggregator.invoice.model import Invoice, InvoiceKind
from billing_aggregator.invoice.wording import Wording, wording_of

_TEMPLATE = Path(__file__).parent / "invoice.typ"
_FONTS = Path(__file__).parents[1] / "documents" / "fonts"
_FX = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_SCHEMAS = ".//{http://www.aiim.org/pdfa/ns/extension/}schemas/" + _RDF + "Bag"
_PROPERTIES = {
    "documenttype": "INVOICE",
    "xml_filename": "factur-x.xml",
    "version": "1.0",
    "xmp_level": "EN 16931",
    "urn": _FX,
}
# What factur-x would write, too, and typst has written already.
_UNUSED = dict.fromkeys(
    ("pdfa3_flavor", "title", "author", "subject", "producer", "creator_tool", "timestamp"), ""
)


def print_zugferd(invoice: Invoice, xml: bytes) -> bytes:
    """Return the PDF with this XML (of the specification EN 16931) in it.

    InputRejected if a name has a sign that the font hasn't: such a page would be no PDF/A, and no ZUGFeRD.
    """
    try:
        page = typst.compile(
            _TEMPLATE,
            format="pdf",
            font_paths=[_FONTS],
            ignore_system_fonts=True,
            pdf_standards=["a-3a", "ua-1"],
            sys_inputs={"content": json.dumps(_content(invoice)), "xml": xml.decode("utf-8")},
        )
    except typst.TypstError as error:
        if "could not be displayed" not in str(error):
            raise
        said = f"{error}: write names and texts in Latin, Greek or Cyrillic letters"
        raise InputRejected([Problem("", None, None, said)]) from error
    if not isinstance(page, bytes):
        raise TypeError("typst gave more than one PDF")
    return _declare_zugferd(page)


def _declare_zugferd(page: bytes) -> bytes:
    """Add ZUGFeRD's properties to the metadata, and write the file anew.

    Not appended: pypdf's increments don't keep the line ends that PDF/A wants around objects (ISO 19005-3, 6.1.9).
    """
    writer = PdfWriter(clone_from=io.BytesIO(page))
    writer.pdf_header = "%PDF-1.7"
    metadata = writer.root_object["/Metadata"].get_object()
    if not isinstance(metadata, DecodedStreamObject):
        raise TypeError("the PDF's metadata aren't a plain stream")
    packet = etree.fromstring(metadata.get_data())
    properties, schema = _zugferd_properties()
    packet.find(f"{_RDF}RDF").append(properties)
    packet.find(_SCHEMAS).append(schema)
    head, tail = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>', '<?xpacket end="r"?>'
    metadata.set_data(f"{head}{etree.tostring(packet, encoding='unicode')}{tail}".encode())
    changed = io.BytesIO()
    writer.write(changed)
    return changed.getvalue()


def _zugferd_properties() -> tuple[Any, Any]:
    """Return factur-x's own description of its properties, and of their schema."""
    made = generate_xmp_object({**_UNUSED, **_PROPERTIES})
    properties = made.find(f".//{{{_FX}}}DocumentType").getparent()
    schema = made.find(f"{_SCHEMAS}/{_RDF}li")
    for element in (properties, schema):
        etree.cleanup_namespaces(element)
    properties.set(f"{_RDF}about", "")
    return properties, schema


def _content(invoice: Invoice) -> dict[str, Any]:
    """Return every text on the page."""
    if invoice.issued_on is None:
        raise ValueError("only an invoice with number and dates is printed")
    words = wording_of(invoice.language)
    issued, seller, buyer = invoice.issued_on, invoice.seller, invoice.buyer
    town = f"{seller.address.postcode} {seller.address.city}"
    return {
        "language": words.language,
        "labels": words.labels,
        "title": words.title(invoice),
        "document_title": f"{words.title(invoice)} {invoice.number}",
        "issued": {"year": issued.year, "month": issued.month, "day": issued.day},
        "seller": {"name": seller.name, "one_line": f"{seller.name} · {seller.address.street} · {town}"},
        "buyer": [buyer.name, buyer.address.street, f"{buyer.address.postcode} {buyer.address.city}"],
        "references": _references(invoice, words),
        "notes": list(words.notes(invoice)),
        "columns": [words.labels[name] for name in ("service", "quantity", "price", "rate", "net")],
        "lines": _lines(invoice, words),
        "sums": _sums(invoice, words),
        "gross": words.money(invoice.totals.gross_cents),
        "exemptions": [part.exemption for part in invoice.vat_sums if part.exemption],
        "payment": words.payment_terms(invoice),
        "footer": _footer(invoice, words, town),
    }


def _references(invoice: Invoice, words: Wording) -> list[tuple[str, str]]:
    found = [
        ("number", invoice.number),
        ("issued", words.day(invoice.issued_on) if invoice.issued_on else ""),
        ("days", words.days(invoice)),
        ("due", words.day(invoice.due_on) if invoice.due_on and invoice.kind is InvoiceKind.INVOICE else ""),
        ("reference", invoice.buyer.reference),
        ("order", invoice.buyer.order),
        ("contract", invoice.buyer.contract),
        ("buyer_vat_id", invoice.buyer.vat_id),
    ]
    return [(words.labels[name], value) for name, value in found if value]


def _lines(invoice: Invoice, words: Wording) -> list[dict[str, str]]:
    return [
        {
            "name": line.name,
            "detail": line.detail,
            "quantity": f"{words.number(line.quantity, 10_000)} {words.units[line.unit]}",
            "price": words.money(line.price_cents),
            "rate": words.rate(line.rate_bp),
            "net": words.money(line.net_cents),
        }
        for line in invoice.lines
    ]


def _sums(invoice: Invoice, words: Wording) -> list[tuple[str, str]]:
    net = (words.labels["net_sum"], words.money(invoice.totals.net_cents))
    return [net, *((words.vat(part), words.money(part.vat_cents)) for part in invoice.vat_sums)]


def _footer(invoice: Invoice, words: Wording, town: str) -> list[list[str]]:
    seller, labels = invoice.seller, words.labels
    tax = [(labels["vat_id"], seller.vat_id), (labels["tax_number"], seller.tax_number)]
    bank = [(labels["holder"], seller.account.holder), (labels["iban"], _in_fours(seller.account.iban)),
            (labels["bic"], seller.account.bic)]  # fmt: skip
    contact = [(labels["phone"], seller.contact.phone), (labels["email"], seller.contact.email)]
    return [
        [seller.name, seller.address.street, town, *([seller.register] if seller.register else [])],
        [f"{labels['contact']}: {seller.contact.name}", *_name(contact), *_name(tax)],
        _name(bank),
    ]


def _name(pairs: list[tuple[str, str]]) -> list[str]:
    return [f"{label}: {value}" for label, value in pairs if value]


def _in_fours(iban: str) -> str:
    plain = iban.replace(" ", "")
    return " ".join(plain[start : start + 4] for start in range(0, len(plain), 4))
