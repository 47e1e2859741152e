"""What is written to disk: statements in any number of processes, the overview, CSV and JSON of everything."""

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from pypdf import PdfReader

from billing_aggregator.documents.building import build_statements
from billing_aggregator.documents.content import StatementContent, StatementUnsound
from billing_aggregator.documents.exporting import export_revision
from billing_aggregator.documents.overview import word_overview
from billing_aggregator.documents.writing import statement_name, write_overview, write_statements
from billing_aggregator.model import Decision, RegisterRun, Review, ReviewKind
from billing_aggregator.runs.document import decode, open_reviews
from tests.unit.billing_aggregator.statement_contents import make_statement
from tests.unit.billing_aggregator.statement_sources import CREDENTIAL, NAMES, pours_of, sources_of


def read_table(directory: Path, name: str) -> list[dict[str, str]]:
    with (directory / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def text_of(path: Path) -> str:
    reader = PdfReader(path)
    text = " ".join(page.extract_text() for page in reader.pages).replace("\N{NO-BREAK SPACE}", " ")
    return re.sub(r"\s+", " ", text)


def test_each_party_gets_a_file_of_its_own(tmp_path: Path) -> None:
    done: list[int] = []
    written = write_statements(build_statements(sources_of()), tmp_path, done.append)
    assert [each.row for each in written] == [
        "WE1/T1", "WE2/T2", "WE2/T3", "WE3/T4", "WE4/T5", "WE4/owner",
    ]  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(each.path.name for each in written)
    assert written[0].path.name == "statement-WE1-T1-r1.pdf"
    assert sum(done) == 6


def test_several_processes_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    contents = list(build_statements(sources_of()))
    one = write_statements(contents, tmp_path / "one")
    two = write_statements(contents, tmp_path / "two", processes=2)
    assert [each.row for each in one] == [each.row for each in two]
    for mine, other in zip(one, two, strict=True):
        assert mine.path.read_bytes() == other.path.read_bytes()


def test_contents_are_taken_one_at_a_time_not_all_at_once(tmp_path: Path) -> None:
    """Bounded memory: no statement is built before those ahead of it are on disk."""
    there: list[int] = []

    def contents() -> Iterator[StatementContent]:
        for number in range(4):
            there.append(len(list(tmp_path.glob("*.pdf"))))
            yield make_statement(party=f"T{number}", pours=3)

    write_statements(contents(), tmp_path)
    assert there == [0, 1, 2, 3]


def test_unsound_statement_stops_the_writing_and_leaves_no_file_of_its_own(tmp_path: Path) -> None:
    good, bad = make_statement(pours=3), replace(make_statement(party="T2", pours=3), balance_cents=1)
    with pytest.raises(StatementUnsound, match="WE1/T2"):
        write_statements([good, bad], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [statement_name(good)]


def test_file_names_hold_nothing_that_leads_out_of_the_directory() -> None:
    content = make_statement(pours=1)
    tricky = replace(content, tenancy=replace(content.tenancy, dwelling="../../etc", party="a/b c"))
    assert statement_name(tricky) == "statement-.._.._etc-a_b_c-r1.pdf"


def test_overview_shows_all_rows_costs_registers_reviews_and_decisions(tmp_path: Path) -> None:
    document = sources_of().document
    register = RegisterRun("1f00a3", 1, 7, 100, 976, 4000, 4877, 877, 0, 0, 0)
    open_one = Review("r1", ReviewKind.BYPASS, "flap open for 9 min", "none", ("none", "lost"))
    decided = Review(
        "r2", ReviewKind.CLOCK_NEAR_CHANGE, "near 1 May", "WE2/T2", ("WE2/T2", "WE2/T3"), volume_ml=5000
    )
    decision = Decision("r2", "WE2/T3", "caretaker saw it", "m.muster", document.pins.known_at)
    document = replace(
        document,
        usage=replace(document.usage, registers=(register,)),
        reviews=(open_one, decided),
        decisions=(decision,),
    )
    assert open_reviews(document) == (open_one,)
    report = word_overview(document, "ab" * 32, NAMES, sources_of().dated, "de", provisional=False)
    path = tmp_path / "overview.pdf"
    assert write_overview(report, path).archival
    text = text_of(path)
    for wanted in (
        "WE1/T1 Erika Mustermann 365 1.385 80,00 € 214,76 € 0,00 € 294,76 € 300,00 € −5,24 €",
        "Summe 4.514,285 300,00 € 700,01 € 0,00 € 1.000,01 € 360,00 € 640,01 €",
        "WE4/T5 8.715,15 30,61 € 0 0 129,285 129,285 20,05 €",
        "Stadtreinigung R-17",
        "1f00a3 / 1 7, 100–976 4.000 4.877 877 877 0 0 0",
        "Klappe oder Tür stand offen flap open for 9 min offen (gilt: none)",
        "WE2/T3 caretaker saw it m.muster, 01.03.2026",
        "ab" * 32,
    ):
        assert wanted in text, wanted


def test_overview_is_landscape_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    sources = sources_of()
    report = word_overview(sources.document, sources.sha256, NAMES, sources.dated, "en", provisional=True)
    first, second = (write_overview(report, tmp_path / name).pdf for name in ("a.pdf", "b.pdf"))
    assert first == second
    page = PdfReader(io.BytesIO(first)).pages[0]
    assert page.mediabox.width > page.mediabox.height
    assert "PROVISIONAL" in page.extract_text()


def test_exported_json_is_the_revision_whose_hash_is_printed(tmp_path: Path) -> None:
    sources = sources_of()
    export_revision(sources.document, sources.pours, tmp_path)
    content = (tmp_path / "revision.json").read_bytes()
    assert hashlib.sha256(content).hexdigest() == sources.sha256
    assert decode(content) == sources.document


def test_exported_tables_are_enough_to_recompute_every_share(tmp_path: Path) -> None:
    """Anybody can check the bill with a program of his own: weight / Σ weights × total = exact, rounded by < 1 cent."""
    sources = sources_of()
    export_revision(sources.document, sources.pours, tmp_path)
    pools = read_table(tmp_path, "pools")
    totals: dict[str, int] = {}
    for line in pools:
        exact = Fraction(int(line["total_cents"]) * int(line["weight"]), int(line["all_weights"]))
        assert Fraction(line["exact_cents"]) == exact
        assert abs(int(line["cents"]) - exact) < 1
        totals[line["pool"]] = totals.get(line["pool"], 0) + int(line["cents"])
    assert totals == {"residual/base": 30_000, "residual/usage": 70_001}
    rows = read_table(tmp_path, "rows")
    assert sum(int(row["base_cents"]) + int(row["usage_cents"]) for row in rows) == 100_001
    balances = read_table(tmp_path, "balances")
    assert sum(int(line["charged_cents"]) for line in balances) == 100_001
    for line in balances:
        assert int(line["balance_cents"]) == int(line["charged_cents"]) - int(line["advances_cents"])


def test_exported_pours_make_up_the_metered_volume_and_hold_no_transponder(tmp_path: Path) -> None:
    sources = sources_of()
    paths = export_revision(sources.document, sources.pours, tmp_path)
    metered: dict[str, int] = {}
    for line in read_table(tmp_path, "pours"):
        metered[line["row"]] = metered.get(line["row"], 0) + int(line["volume_ml"])
        assert re.fullmatch(r"2025-03-\d\dT\d\d:\d\d:\d\d\+01:00", line["at"]) or "+02:00" in line["at"]
    assert metered == {row: sum(pour.volume_ml for pour in pours) for row, pours in pours_of().items()}
    assert not any(CREDENTIAL[:7] in path.read_text() for path in paths)
    assert not any("Mustermann" in path.read_text() for path in paths)
