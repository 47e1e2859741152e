"""What is exported can be imported again, as CSV and as Excel; templates say what each column means."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from shutil import copyfile
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from billing_aggregator.database import Database
from billing_aggregator.errors import InputRejected, NotFound
from billing_aggregator.masterdata import schema
from billing_aggregator.masterdata.exporting import (
    export_csv,
    export_workbook,
    write_csv_templates,
    write_template_workbook,
)
from billing_aggregator.masterdata.facts import Area, Dwelling, Fact, Occupancy, Period, Persons
from billing_aggregator.masterdata.importing import import_files, load_facts
from billing_aggregator.masterdata.parsing import parse_sheets
from billing_aggregator.masterdata.schema import TABLE_OF, TABLES
from billing_aggregator.masterdata.sheets import read_file
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.masterdata.store import MasterData
from tests.unit.billing_aggregator.masterdata_estates import estates
from tests.unit.billing_aggregator.masterdata_files import (
    IMPORTED_AT,
    NAME,
    Files,
    import_all,
    open_masterdata,
)
from tests.unit.billing_aggregator.masterdata_manual import MANUAL, rewrite


@pytest.fixture
def masterdata(sqlite_url: str) -> MasterData:
    return open_masterdata(sqlite_url)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty books to copy: making the schema takes longer than an example does."""
    path = tmp_path_factory.mktemp("books") / "empty.sqlite"
    open_masterdata(f"sqlite:///{path}").close()
    return path


@contextmanager
def two_books(empty: Path) -> Iterator[tuple[MasterData, MasterData, Path]]:
    """Two empty books and a directory, for one example."""
    with TemporaryDirectory() as name:
        books = []
        for number in range(2):
            path = Path(name) / f"{number}.sqlite"
            copyfile(empty, path)
            books.append(MasterData(Database(f"sqlite:///{path}")))
        yield books[0], books[1], Path(name)
        for each in books:
            each.close()


def contents(snapshot: Snapshot) -> tuple[object, ...]:
    return (snapshot.hash, snapshot.property, snapshot.parties, snapshot.credentials, snapshot.agreements)


@settings(max_examples=10)
@given(estates(), st.booleans())
def test_an_export_imported_into_empty_books_gives_the_same_snapshot(
    empty: Path, estate: list[Fact], excel: bool
) -> None:
    with two_books(empty) as (first, second, directory):
        load_facts(first, estate, "generator")
        if excel:
            export_workbook(first, directory / "all.xlsx")
        else:
            export_csv(first, directory / "out")
        import_files(second, [directory / "all.xlsx" if excel else directory / "out"], "clerk")
        assert contents(second.snapshot("estate")) == contents(first.snapshot("estate"))


@settings(max_examples=10)
@given(estates(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter_and_each_day_is_one_row_s(
    empty: Path, estate: list[Fact], random: Random
) -> None:
    """Design 4: every day of the period each dwelling has exactly one party."""
    with two_books(empty) as (first, second, _):
        load_facts(first, estate, "generator")
        shuffled = list(estate)
        random.shuffle(shuffled)
        load_facts(second, shuffled, "generator")
        snapshot = second.snapshot("estate")
        assert snapshot.hash == first.snapshot("estate").hash
        for period in snapshot.periods:
            rows = snapshot.rows(period, 1)
            for dwelling in snapshot.dwellings:
                days = [row.days for row in rows if row.dwelling == dwelling.dwelling]
                assert sum(days) == period.days.days


@settings(max_examples=15)
@given(estates(), st.data())
def test_no_area_party_or_number_of_persons_within_a_period_can_be_left_out(
    empty: Path, estate: list[Fact], data: st.DataObject
) -> None:
    """Design 4: every day of the period has exactly one area and one party, each resident one count of persons."""
    periods = [fact.days for fact in estate if isinstance(fact, Period)]
    needed = [
        fact
        for fact in estate
        if isinstance(fact, Area | Occupancy | Persons) and any(fact.days.cut(days) for days in periods)
    ]
    left_out = data.draw(st.sampled_from(needed))
    with two_books(empty) as (books, _, _), pytest.raises(InputRejected):
        load_facts(books, [fact for fact in estate if fact is not left_out], "generator")


def test_what_was_known_at_an_instant_can_be_exported(masterdata: MasterData, tmp_path: Path) -> None:
    now = [IMPORTED_AT]
    masterdata.clock = lambda: now[0]
    import_all(masterdata, Files(tmp_path / "files"))
    now[0] += timedelta(days=1)
    load_facts(masterdata, [Dwelling(NAME, "WE1", "renamed")], "clerk", "door sign")
    before, after = tmp_path / "before", tmp_path / "after"
    export_csv(masterdata, before, [NAME], IMPORTED_AT)
    export_csv(masterdata, after)
    assert "renamed" not in (before / "dwelling.csv").read_text()
    assert "renamed" in (after / "dwelling.csv").read_text()
    with pytest.raises(NotFound, match="no property elsewhere"):
        export_csv(masterdata, tmp_path / "none", [NAME, "elsewhere"])
    assert not (tmp_path / "none").exists()


def test_a_text_that_begins_like_a_formula_stays_a_text(masterdata: MasterData, tmp_path: Path) -> None:
    import_all(masterdata, Files(tmp_path / "files"))
    load_facts(masterdata, [Dwelling(NAME, "WE1", "=1+1")], "clerk", "odd name")
    export_workbook(masterdata, tmp_path / "all.xlsx")
    cell = load_workbook(tmp_path / "all.xlsx")["dwelling"]["C2"]
    assert (cell.value, cell.data_type) == ("=1+1", "s")


@pytest.mark.parametrize("name", TABLES)
def test_a_template_s_example_can_be_read_in_both_formats(name: str, tmp_path: Path) -> None:
    [csv] = write_csv_templates(tmp_path, [name])
    excel = write_template_workbook(tmp_path / "t.xlsx", [name])
    for path in (csv, excel):
        found = read_file(path)
        rows, problems = parse_sheets(found.sheets, {"lindenhof": "Europe/Berlin"})
        assert (problems, list(found.problems), len(rows)) == ([], [], 1)
        assert rows[0].fact is not None and TABLE_OF[type(rows[0].fact)].name == name
    comments = [cell.comment for cell in next(load_workbook(excel)[name].iter_rows(max_row=1))]
    meanings = [None if comment is None else comment.text.splitlines()[0] for comment in comments]
    assert meanings == [column.meaning for column in TABLES[name].columns]


def test_templates_are_written_for_all_tables_unless_some_are_named(tmp_path: Path) -> None:
    assert [path.stem for path in write_csv_templates(tmp_path / "all")] == list(TABLES)
    with pytest.raises(NotFound, match="no table tenants; there is: property, party"):
        write_csv_templates(tmp_path, ["tenants"])


def test_each_table_has_a_fact_and_a_place_in_the_snapshot() -> None:
    fields = set(Snapshot.__dataclass_fields__) - {"property", "known_at", "hash"}
    assert set(schema.COLLECTIONS) == set(TABLES) - {"property"}
    assert set(schema.COLLECTIONS.values()) == fields
    for table in TABLES.values():
        assert table.columns[0].name == "property"
        assert table.name == "property" or table.key_columns


def test_the_manual_describes_the_tables_as_they_are() -> None:
    text = MANUAL.read_text(encoding="utf-8")
    assert text == rewrite(text), "write it anew: python -m tests.unit.billing_aggregator.masterdata_manual"
