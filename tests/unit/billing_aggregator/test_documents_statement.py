"""Statements: what must be on the page (design 4, § 556 (3) BGB), read back from the PDF."""

import hashlib
import io
import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from pypdf import PdfReader

from billing_aggregator.documents.blocks import Letter
from billing_aggregator.documents.building import Sources, build_statement, build_statements
from billing_aggregator.documents.content import (
    Cap,
    ChangeLine,
    Correction,
    StatementContent,
    StatementUnsound,
)
from billing_aggregator.documents.letter import word_statement
from billing_aggregator.documents.typesetting import Typeset, Typesetter
from billing_aggregator.engine.weights import row_bases
from billing_aggregator.model import Substitute
from billing_aggregator.runs.calculation import calculate
from billing_aggregator.runs.document import RevisionDocument
from tests.unit.billing_aggregator.run_inputs import IN_TIME, LATE, corrected_inputs, received, worked_inputs
from tests.unit.billing_aggregator.statement_contents import make_statement, with_names
from tests.unit.billing_aggregator.statement_sources import CREDENTIAL, pours_of, sources_of
from tests.unit.billing_aggregator.worked_case import METERED

_NARROW = str.maketrans(
    {"\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ", "\N{FIGURE SPACE}": " "}
)


@pytest.fixture(scope="module")
def typesetter() -> Typesetter:
    return Typesetter(Letter)


def typeset(content: StatementContent, typesetter: Typesetter) -> Typeset:
    return typesetter.typeset(word_statement(content))


def pages_of(pdf: bytes) -> list[str]:
    """Return each page's text, blanks and line ends made one blank."""
    reader = PdfReader(io.BytesIO(pdf))
    return [re.sub(r"\s+", " ", page.extract_text().translate(_NARROW)) for page in reader.pages]


def text_of(content: StatementContent, typesetter: Typesetter) -> str:
    return " ".join(pages_of(typeset(content, typesetter).pdf))


def statement_of(sources: Sources, row: str) -> StatementContent:
    return next(content for content in build_statements(sources) if content.tenancy.row == row)


def corrected(receipt_on: date) -> tuple[RevisionDocument, RevisionDocument]:
    """Return the worked case's first revision, received in time, and its correction."""
    first = calculate(worked_inputs())
    return first, calculate(corrected_inputs(first, receipt_on, received(first, IN_TIME)))


def test_statement_shows_total_costs_key_share_and_advances_paragraph_556_bgb(typesetter: Typesetter) -> None:
    """§ 556 (3), § 259 BGB: total costs, the key and its explanation, the party's share, the advances deducted."""
    text = text_of(statement_of(sources_of(), "WE1/T1"), typesetter)
    for wanted in (
        "Stadtreinigung R-17 Restmüll 1.000,01 €",
        "Umlagefähige Gesamtkosten (§ 2 Nr. 8 BetrKV) 1.000,01 €",
        "30 % Grundkosten und 70 % Verbrauchskosten",
        "Nach Wohnfläche und Nutzungstagen",
        "Für Sie: 62,40 m² × 365 Tage = 22.776,00.",
        "5 l × 730 Personentage ÷ 7 = 521,428 l",
        "Restmüll, Grundkosten 300,00 € 22.776,00 85.410,00 m² × Tage 80,0000 80,00 €",
        "Restmüll, Verbrauch 700,01 € 1.385 4.514,285 Liter 214,7657… 214,76 €",
        "Zahlungen: 1, zusammen 300,00 €",
        "Ihr Guthaben 5,24 €",
        "Einwendungen können Sie bis zum Ablauf des zwölften Monats nach Zugang mitteilen",
        "bei Zugang am 31.03.2026 bis zum 31.03.2027",
        "Sie können alle Belege einsehen",
        "Die Abrechnung muss Ihnen bis zum 31.12.2026 zugehen",
        "Erika Mustermann",
        "01.01.2025 bis 31.12.2025",
    ):
        assert wanted in text, wanted


def test_english_statement_shows_the_same_figures_as_people_write_them_there(typesetter: Typesetter) -> None:
    text = text_of(statement_of(sources_of(), "WE2/T3"), typesetter)
    for wanted in (
        "€1,000.01",
        "€41.44",
        "€94.59",
        "€136.03",
        "Balance due",
        "German law applies",
        "31 Dec 2026",
    ):
        assert wanted in text, wanted


def test_sums_shown_are_those_of_the_revision(typesetter: Typesetter) -> None:
    sources = sources_of()
    shares = {content.tenancy.row: content.share_cents for content in build_statements(sources)}
    assert shares == {
        "WE1/T1": 29476, "WE2/T2": 4355, "WE2/T3": 13603, "WE3/T4": 44389, "WE4/T5": 5066, "WE4/owner": 3112,
    }  # fmt: skip
    text = text_of(statement_of(sources, "WE3/T4"), typesetter)
    assert "Sie 2.240 96,54 € 347,35 € 443,89 €" in text
    assert "alle übrigen (5) 2.274,285 203,46 € 352,66 € 556,12 €" in text
    assert "Summe 4.514,285 300,00 € 700,01 € 1.000,01 €" in text


def test_minimum_is_said_where_it_applied(typesetter: Typesetter) -> None:
    """BGH VIII ZR 78/15: a minimum volume may be billed, so it must be seen that it was."""
    assert "Restmüll: Die Mindestmenge wurde angesetzt" in text_of(
        statement_of(sources_of(), "WE4/T5"), typesetter
    )
    assert "Die Mindestmenge kam nicht zur Anwendung" in text_of(
        statement_of(sources_of(), "WE1/T1"), typesetter
    )


def test_correction_says_what_changed_and_what_the_cap_leaves_paragraph_556_3_sentence_3(
    typesetter: Typesetter,
) -> None:
    first, second = corrected(LATE)
    moved = {**METERED, "WE2/T3": METERED["WE2/T3"] - 80_000, "WE3/T4": METERED["WE3/T4"] + 80_000}
    sources = sources_of(second, pours_of(moved), first)
    text = text_of(statement_of(sources, "WE3/T4"), typesetter)
    for wanted in (
        "Was sich gegenüber Fassung 1 ändert",
        "Restmüll, Verbrauch 347,35 € 359,75 € +12,40 €",
        "Nicht mehr forderbar 0,00 € −12,40 € −12,40 €",
        "Grund der Korrektur: lost transponder",
        "abzüglich nicht mehr forderbarer Betrag (§ 556 Abs. 3 Satz 3 BGB) −12,40 €",
        "Ihre Nachzahlung 443,89 €",
        "nicht mehr forderbar (Eigentümer) 0 0,00 € 0,00 € 12,40 € 12,40 €",
        "Die Abrechnungsfrist endete am 31.12.2026",
        "Diese Korrektur eröffnet die Frist für das neu, was sie ändert",
    ):
        assert wanted in text, wanted
    assert "Für Sie ändert sich kein Betrag" in text_of(statement_of(sources, "WE1/T1"), typesetter)


def test_substitute_is_named_with_method_and_sources(typesetter: Typesetter) -> None:
    content = make_statement()
    part = content.fractions[0]
    metered = part.volumes.metered_ml
    volumes = replace(part.volumes, substitute_ml=15_000, billed_ml=metered + 15_000)
    line = Substitute(
        "WE1/T1", "residual", "1f00a3", 2, part.base.exact, 15_000, "same_party", ("2024-01..2024-12",)
    )
    content = replace(content, fractions=(replace(part, volumes=volumes),), substitutes=(line,))
    text = text_of(content, typesetter)
    assert "Ersatzwert Restmüll, Schleuse 1f00a3 Kammer 2: 15 l. Verfahren: Ihr eigener Verbrauch" in text
    assert "2024-01..2024-12" in text


def test_chambers_show_registers_and_degraded_pours(typesetter: Typesetter) -> None:
    text = text_of(make_statement(), typesetter)
    assert "1f00a3 / 1 Restmüll 5 l 134 670 48.211 61.540 13.329" in text
    assert "kleinere Kammer außer Betrieb war und die größere öffnete: 2;" in text


def test_annex_lists_each_own_pour_with_local_time_and_offset_and_its_jam(typesetter: Typesetter) -> None:
    content = make_statement()
    pages = pages_of(typeset(content, typesetter).pdf)
    annex = " ".join(pages[2:])
    for pour in content.pours:
        offset = f"{pour.at:%z}"
        assert f"{pour.at:%d.%m.%Y %H:%M:%S} {offset[:3]}:{offset[3:]} ±2 s" in annex
    assert {f"{pour.at:%z}" for pour in content.pours} == {"+0100", "+0200"}
    assert annex.count("geklemmt, nicht berechnet") == sum(len(pour.jams) for pour in content.pours) > 0
    assert "März 2025 · Einwürfe: 14 · 100 l" in annex


def test_no_transponder_is_shown_in_full(typesetter: Typesetter) -> None:
    """GDPR: a transponder's number is personal data; the page has the first digits of its pseudonym only."""
    text = text_of(statement_of(sources_of(), "WE1/T1"), typesetter)
    assert CREDENTIAL[:6] in text
    assert CREDENTIAL[:8] not in text


def test_revision_is_named_by_the_hash_of_its_bytes(typesetter: Typesetter) -> None:
    sources = sources_of()
    assert sources.sha256 in text_of(statement_of(sources, "WE1/T1"), typesetter).replace(" ", "")


def test_provisional_statement_is_marked_on_each_page_and_sets_no_time_limit(typesetter: Typesetter) -> None:
    content = replace(make_statement(), provisional_as_of=date(2025, 9, 30))
    pages = pages_of(typeset(content, typesetter).pdf)
    assert all("VORLÄUFIG" in page for page in pages)
    assert "vorläufiger Stand zum 30.09.2025" in pages[0]
    assert not any("Einwendungen können" in page for page in pages)
    assert not any("VORLÄUFIG" in page for page in pages_of(typeset(make_statement(), typesetter).pdf))


def test_owner_is_told_of_no_rights_of_a_tenant(typesetter: Typesetter) -> None:
    text = text_of(statement_of(sources_of(), "WE4/owner"), typesetter)
    assert "Trägt der Eigentümer 31,12 €" in text
    assert "Einwendungen können" not in text


@pytest.mark.parametrize("language", ["de", "en"])
@pytest.mark.parametrize(("fractions", "costs"), [(1, 2), (2, 6), (4, 12)])
def test_letter_takes_two_pages_before_its_annex(
    language: str, fractions: int, costs: int, typesetter: Typesetter
) -> None:
    content = make_statement(fractions, costs, pours=157 * fractions, language=language)
    pages = pages_of(typeset(content, typesetter).pdf)
    begins = [index for index, page in enumerate(pages) if page.startswith(("Anhang:", "Annex:"))]
    assert begins == [2]
    assert len(pages) <= 2 + 2 * fractions


def test_names_print_as_they_are_and_are_never_markup(typesetter: Typesetter) -> None:
    name = 'O#panic("x") *b* _i_ $x^2$ ] [ \\ <a> @ref `c` {n} // "q" #sys.inputs'
    text = text_of(with_names(make_statement(), name), typesetter)
    assert text.count(re.sub(r"\s+", " ", name)) >= 8


def test_text_that_no_font_has_signs_for_is_printed_all_the_same(typesetter: Typesetter) -> None:
    done = typeset(with_names(make_statement(), "王小明"), typesetter)
    assert not done.archival
    assert typeset(make_statement(), typesetter).archival


def test_same_content_gives_the_same_bytes_in_any_typesetter(typesetter: Typesetter) -> None:
    content = make_statement()
    typeset(make_statement(fractions=2), typesetter)  # what was set before leaves no trace
    hashes = {
        hashlib.sha256(typeset(content, each).pdf).hexdigest()
        for each in (typesetter, typesetter, Typesetter(Letter))
    }
    assert len(hashes) == 1


def test_pdf_says_what_it_is_and_can_be_read_aloud(typesetter: Typesetter) -> None:
    reader = PdfReader(io.BytesIO(typeset(make_statement(language="en"), typesetter).pdf))
    assert reader.metadata is not None
    assert reader.metadata.title == "Statement of operating costs: waste disposal, A-2025, WE1/T1"
    root: Any = reader.trailer["/Root"]
    assert root["/Lang"] == "en"
    assert root["/MarkInfo"]["/Marked"]
    xmp = root["/Metadata"].get_data().decode()
    assert "<pdfaid:part>3</pdfaid:part>" in xmp
    assert "<pdfuaid:part>1</pdfuaid:part>" in xmp


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda content: replace(content, balance_cents=content.balance_cents + 1), "balance"),
        (lambda content: replace(content, pours=content.pours[1:]), "listed pours"),
        (lambda content: replace(content, chambers=content.chambers[1:]), "chambers' volumes"),
        (lambda content: replace(content, sums=content.sums[:1]), "make up the total"),
        (lambda content: replace(content, costs=content.costs[1:]), "make up the total"),
        (lambda content: replace(content, cap=Cap(0, 5)), "balance"),
    ],
)
def test_page_that_contradicts_itself_is_not_printed(change: object, complaint: str) -> None:
    assert callable(change)
    with pytest.raises(StatementUnsound, match=complaint):
        word_statement(change(make_statement()))


def test_change_of_advances_and_several_transponders_are_shown(typesetter: Typesetter) -> None:
    content = make_statement()
    pours = (replace(content.pours[0], credential="f" * 32), *content.pours[1:])
    changes = (ChangeLine("advances", 0, -30_000),)
    content = replace(
        content, revision=2, pours=pours, correction=Correction(1, "Zahlungen ergänzt", changes)
    )
    text = text_of(content, typesetter)
    assert "Vorauszahlungen 0,00 € −300,00 € −300,00 €" in text
    assert "Kurzzeichen Ihres Identchips: 8d7f3c, ffffff" in text


def test_row_without_any_pour_has_a_statement_too() -> None:
    sources = sources_of()
    basis = next(row for row in sources.document.basis if row.row == "WE4/T5")
    letter = word_statement(build_statement(sources, basis))
    assert len(letter.annex) == 1


def test_whoever_a_correction_drops_is_told_what_he_gets_back(typesetter: Typesetter) -> None:
    """He paid 60 € in advance for a dwelling that the correction says was never his."""
    first = calculate(worked_inputs())
    inputs = corrected_inputs(first)
    stretches = tuple(
        replace(each, party="owner", vacant=True, persons=0) if each.party == "T5" else each
        for each in inputs.master.stretches
    )
    basis = row_bases(stretches, inputs.master.agreement.vacancy_persons)
    second = calculate(replace(inputs, master=replace(inputs.master, stretches=stretches, basis=basis)))
    moved = {**METERED, "WE2/T3": METERED["WE2/T3"] - 80_000, "WE3/T4": METERED["WE3/T4"] + 80_000}
    content = statement_of(sources_of(second, pours_of(moved), first), "WE4/T5")
    text = text_of(content, typesetter)
    assert "Restmüll, Grundkosten 30,61 € 0,00 € −30,61 €" in text
    assert "Ihr Guthaben 60,00 €" in text
    assert "0 von 365 Tagen" in text
