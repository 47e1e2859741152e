"""The invoice on paper: ZUGFeRD, that is a PDF/A-3 with the XML in it. What is looked for stands in ISO 19005-3."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import facturx  # type: ignore[import-untyped]
import pypdfium2  # type: ignore[import-untyped]
import pytest
from lxml import etree  # type: ignore[import-untyped]
from pypdf import PdfReader

from billing_aggregator.errors import InputRejected
from billing_aggregator.invoice.cii import Specification, write_cii
from billing_aggregator.invoice.model import Invoice
from billing_aggregator.invoice.printing import print_zugferd
from tests.unit.billing_aggregator.invoice_samples import BUYER, ISSUED, LINES, REVERSAL

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
FX = "{urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#}"
SCHEMA = "{http://www.aiim.org/pdfa/ns/schema#}"
PROPERTY = "{http://www.aiim.org/pdfa/ns/property#}"
PDF_A, PDF_UA = "{http://www.aiim.org/pdfa/ns/id/}", "{http://www.aiim.org/pdfua/ns/id/}"


def print_invoice(invoice: Invoice) -> bytes:
    return print_zugferd(invoice, write_cii(invoice, Specification.EN_16931))


def read_text(pdf: bytes) -> str:
    """Return what a person reads, all pages."""
    document = pypdfium2.PdfDocument(pdf)
    text: str = "\n".join(page.get_textpage().get_text_range() for page in document)
    document.close()
    return text.replace("\u00a0", " ")


def read_root(pdf: bytes) -> Any:
    """Return the document's catalog."""
    return PdfReader(io.BytesIO(pdf)).root_object


def read_metadata(pdf: bytes) -> Any:
    """Return the metadata's XMP packet."""
    return etree.fromstring(read_root(pdf)["/Metadata"].get_object().get_data())


def find_fonts(pdf: bytes) -> Iterator[Any]:
    """Yield each font's descriptor."""
    for page in read_root(pdf)["/Pages"]["/Kids"]:
        for font in page.get_object()["/Resources"]["/Font"].values():
            yield font["/DescendantFonts"][0].get_object()["/FontDescriptor"]


@pytest.mark.parametrize("invoice", [ISSUED, REVERSAL, replace(ISSUED, language="en")])
def test_the_xml_comes_out_of_the_pdf_as_it_went_in(invoice: Invoice) -> None:
    xml = write_cii(invoice, Specification.EN_16931)
    assert facturx.get_xml_from_pdf(print_zugferd(invoice, xml)) == ("factur-x.xml", xml)


def test_the_xml_is_an_alternative_of_the_whole_document() -> None:
    """ISO 19005-3, 6.8; ZUGFeRD wants the relation Alternative and the type text/xml."""
    root = read_root(print_invoice(ISSUED))
    (attached,) = [it.get_object() for it in root["/AF"]]
    assert attached["/AFRelationship"] == "/Alternative"
    assert (attached["/F"], attached["/UF"]) == ("factur-x.xml", "factur-x.xml")
    assert attached["/EF"]["/F"]["/Subtype"] == "/text/xml"
    assert attached["/EF"]["/F"]["/Params"]["/ModDate"].startswith("D:2026")
    names = root["/Names"]["/EmbeddedFiles"]["/Names"]
    assert [names[0], names[1].get_object()] == ["factur-x.xml", attached]


def test_the_metadata_say_zugferd_and_describe_each_property_that_they_use() -> None:
    """ISO 19005-3, 6.6.2.3: a property of a schema of one's own is no PDF/A without its description."""
    packet = read_metadata(print_invoice(ISSUED))
    said = {it.tag.removeprefix(FX): it.text for it in packet.iter() if str(it.tag).startswith(FX)}
    assert said == {
        "DocumentType": "INVOICE",
        "DocumentFileName": "factur-x.xml",
        "Version": "1.0",
        "ConformanceLevel": "EN 16931",
    }
    described = [it for it in packet.iter(SCHEMA + "namespaceURI") if it.text == FX.strip("{}")]
    assert len(described) == 1
    schema = described[0].getparent()
    assert schema.findtext(SCHEMA + "prefix") == "fx"
    assert {it.text for it in schema.iter(PROPERTY + "name")} == set(said)
    assert len(packet.findall(f".//{RDF}RDF")) == 1


def test_the_pdf_calls_itself_pdf_a_3_and_accessible_and_has_what_that_takes() -> None:
    pdf = print_invoice(ISSUED)
    packet, root, reader = read_metadata(pdf), read_root(pdf), PdfReader(io.BytesIO(pdf))
    assert (packet.findtext(f".//{PDF_A}part"), packet.findtext(f".//{PDF_A}conformance")) == ("3", "A")
    assert packet.findtext(f".//{PDF_UA}part") == "1"
    assert not reader.is_encrypted and "/ID" in reader.trailer
    (intent,) = [it.get_object() for it in root["/OutputIntents"]]
    assert intent["/S"] == "/GTS_PDFA1" and len(intent["/DestOutputProfile"].get_data()) > 100
    assert root["/MarkInfo"]["/Marked"] and root["/Lang"] == "de"
    assert "/Filter" not in root["/Metadata"].get_object()
    assert reader.metadata is not None and reader.metadata.title == "Rechnung R-2026-0001"
    fonts = list(find_fonts(pdf))
    assert fonts and all({"/FontFile", "/FontFile2", "/FontFile3"} & set(font) for font in fonts)
    assert {"/JavaScript", "/OpenAction", "/AA"}.isdisjoint({*root, *root["/Names"]})


def test_the_file_keeps_the_line_ends_that_pdf_a_wants_around_objects() -> None:
    """ISO 19005-3, 6.1.2 (header), 6.1.4 (cross references), 6.1.9 (`obj` and `endobj` on lines of their own)."""
    pdf = print_invoice(ISSUED)
    assert re.match(rb"%PDF-1\.7\n%[\x80-\xff]{4}\n", pdf)
    table = int(re.fullmatch(rb".*startxref\n(\d+)\n%%EOF\n?", pdf, re.DOTALL)[1])  # type: ignore[index]
    entries = re.findall(rb"(\d{10}) 00000 n[ \r][\r\n]", pdf[table:])
    assert len(entries) == len(PdfReader(io.BytesIO(pdf)).xref[0]) > 50
    for offset in map(int, entries):
        assert re.compile(rb"\n\d+ 0 obj\n").match(pdf, offset - 1), pdf[offset - 10 : offset + 20]
    assert pdf.count(b"\nendobj\n") >= len(entries) and pdf.count(b"%%EOF") == 1


def test_a_german_invoice_shows_all_that_the_law_wants() -> None:
    """§ 14 (4) UStG: both names and addresses, VAT id, date, number, what for and when, net by rate, VAT, total."""
    text = read_text(print_invoice(ISSUED))
    for shown in (
        "Müllschleusen Betrieb GmbH", "Hafenstraße 12", "20457 Hamburg", "Wohnbau Elbe eG", "Am Markt 3",
        "21073 Hamburg", "DE136695976", "03.11.2026", "R-2026-0001", "Gerätemiete", "36 Monate", "24,50 €",
        "01.01.2025 – 31.12.2025",
        "Umsatzsteuer 19 % auf 1.418,40 €", "269,50 €", "Umsatzsteuer 7 % auf 158,00 €", "11,06 €", "1.856,96 €",
        "Zahlbar ohne Abzug bis 03.12.2026", "DE02 1203 0000 0000 2020 51", "991-03730-19", "Elbhof 1–7",
    ):  # fmt: skip
        assert shown in text, shown


def test_an_english_invoice_is_english() -> None:
    text = read_text(print_invoice(replace(ISSUED, language="en")))
    for shown in (
        "Invoice number",
        "€1,856.96",
        "VAT 19% on €1,418.40",
        "Payable in full by 3 December 2026",
    ):
        assert shown in text, shown
    assert "Rechnung" not in text


def test_a_reversal_says_what_it_reverses_and_asks_for_nothing() -> None:
    text = read_text(print_invoice(REVERSAL))
    assert "Stornorechnung" in text and "Storno der Rechnung R-2026-0001 vom 03.11.2026" in text
    assert "\u22121.856,96 €" in text and "es ist nichts zu zahlen" in text
    assert "Fällig" not in text and "Zahlbar" not in text


def test_many_lines_go_on_over_pages_that_are_numbered() -> None:
    text = read_text(print_invoice(replace(ISSUED, lines=LINES * 20)))
    assert "Seite 1 von 4" in text and "Seite 4 von 4" in text
    assert text.count("Einzelpreis") == 3  # the table's head comes again on each page that it reaches


def test_the_same_invoice_gives_the_same_bytes() -> None:
    assert print_invoice(ISSUED) == print_invoice(ISSUED)


def test_a_name_that_cannot_be_archived_is_refused() -> None:
    with pytest.raises(InputRejected, match=r"山.*Latin"):
        print_invoice(replace(ISSUED, buyer=replace(BUYER, name="山田")))
