"""The append-only store, on SQLite and PostgreSQL: what was known when, who said so, and what is never half there."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from billing_aggregator.database import Database, StoreRefused, migrate
from billing_aggregator.errors import ConfigError, NotFound, StoreUnavailable
from billing_aggregator.masterdata.facts import Dwelling, Fact, LockAccess, Party, Period, Property
from billing_aggregator.masterdata.importing import import_files, load_facts
from billing_aggregator.masterdata.store import MasterData
from billing_aggregator.masterdata.tables import facts, imports, metadata
from billing_aggregator.model import DayRange
from tests.unit.billing_aggregator.masterdata_files import (
    IMPORTED_AT,
    NAME,
    WRITTEN,
    Files,
    import_all,
    open_masterdata,
    problems_of,
)

_PROGRAM = (sys.executable, "-m", "tests.unit.billing_aggregator.masterdata_files")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = IMPORTED_AT

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind."""
    value: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return value


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def masterdata(url: str, clock: Clock) -> Iterator[MasterData]:
    opened = open_masterdata(url, clock)
    yield opened
    opened.close()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "files")


def count_facts(url: str) -> int:
    database = Database(url)
    with database.reading() as connection:
        number = connection.scalar(sa.select(sa.func.count()).select_from(facts)) or 0
    database.close()
    return number


def test_the_worked_example_is_imported_and_its_rows_have_the_design_s_weights(
    masterdata: MasterData, files: Files
) -> None:
    """Design 4: row, area × days in dm2, persons × days."""
    report = import_all(masterdata, files)
    assert (report.import_no, sum(counts["added"] for counts in report.counts().values())) == (1, 62)
    snapshot = masterdata.snapshot(NAME)
    period = snapshot.period(date(2025, 1, 1))
    assert [
        (row.row, row.area_dm2_days, row.person_days, row.vacant_days) for row in snapshot.rows(period, 1)
    ] == [
        ("WE1/T1", 6240 * 365, 2 * 365, 0),
        ("WE2/T2", 4815 * 120, 120, 0),
        ("WE2/T3", 4815 * 245, 2 * 245, 0),
        ("WE3/T4", 7530 * 365, 4 * 365, 0),
        ("WE4/T5", 4815 * 181, 181, 0),
        ("WE4/owner", 4815 * 184, 0, 184),
    ]
    assert sum(cost.gross_cents for cost in snapshot.costs if cost.apportionable) == 100001
    assert (period.seed, snapshot.owner, period.days.days) == ("A-2025", "owner", 365)


def test_the_same_files_again_change_nothing(masterdata: MasterData, files: Files, url: str) -> None:
    import_all(masterdata, files)
    before = masterdata.snapshot(NAME)
    again = import_all(masterdata, files)
    assert (again.import_no, again.differences) == (None, ())
    assert sum(again.unchanged.values()) == count_facts(url) == 62
    assert masterdata.snapshot(NAME) == before


def test_a_dry_run_shows_each_change_and_takes_nothing(
    masterdata: MasterData, files: Files, url: str
) -> None:
    import_all(masterdata, files)
    files.replace("area", "WE1;62,40", "WE1;62,50")
    files.append("dwelling", f"{NAME},WE5,Anbau")
    files.append("area", f"{NAME};WE5;30,00;01.01.2026;")
    report = import_files(masterdata, [files.directory], "clerk", "measured anew", dry_run=True)
    assert report.import_no is None
    assert [(each.kind, each.table, each.key, each.changed_columns()) for each in report.differences] == [
        ("changed", "area", "WE1/2024-01-01", {"m2": ("62.40", "62.50")}),
        ("added", "area", "WE5/2026-01-01",
         {"property": ("", NAME), "dwelling": ("", "WE5"), "m2": ("", "30.00"), "from": ("", "2026-01-01")}),
        ("added", "dwelling", "WE5", {"property": ("", NAME), "dwelling": ("", "WE5"), "label": ("", "Anbau")}),
    ]  # fmt: skip
    assert count_facts(url) == 62


def test_a_change_needs_a_reason_and_leaves_what_was_known_before(
    masterdata: MasterData, files: Files, clock: Clock
) -> None:
    import_all(masterdata, files)
    before = masterdata.snapshot(NAME)
    clock.at = datetime(2025, 2, 1, tzinfo=UTC)
    line = files.replace("area", "WE1;62,40", "WE1;62,50")
    assert problems_of(masterdata, files) == [
        f"area.csv:{line}: it is known with other values (m2 62.40 -> 62.50): say why it changes, with --reason or in "
        "a column reason"
    ]
    import_files(masterdata, [files.directory], "Ms Lang", "measured anew")
    assert masterdata.snapshot(NAME).areas[0].dm2 == 6250
    assert masterdata.snapshot(NAME).hash != before.hash
    known_then = masterdata.snapshot(NAME, clock.at - timedelta(milliseconds=1))
    assert (known_then.areas[0].dm2, known_then.hash) == (6240, before.hash)
    added, reversal, changed = masterdata.history(NAME, "area", "WE1/2024-01-01")
    assert (added.actor, added.at, added.reverses) == ("clerk", IMPORTED_AT, None)
    assert (reversal.reverses, reversal.reason, reversal.actor, reversal.at) == (
        added.fact_no, "measured anew", "Ms Lang", clock.at,
    )  # fmt: skip
    assert (changed.reverses, changed.reason) == (None, "measured anew")
    assert '"dm2":6250' in changed.payload
    assert "area.csv" in changed.files


def test_a_row_s_own_reason_comes_before_the_import_s(masterdata: MasterData, files: Files) -> None:
    import_all(masterdata, files)
    files.only("dwelling")
    files.path("dwelling").write_text(
        f"property,dwelling,label,reason\n{NAME},WE1,EG links,door sign\n{NAME},WE2,x,\n"
    )
    import_all(masterdata, files, "renamed")
    assert masterdata.history(NAME, "dwelling", "WE1")[-1].reason == "door sign"
    assert masterdata.history(NAME, "dwelling", "WE2")[-1].reason == "renamed"


def test_a_row_entered_by_mistake_is_taken_back_once_and_may_come_again(
    masterdata: MasterData, files: Files
) -> None:
    import_all(masterdata, files)
    files.only("advance")
    rows = f"property,payment,action\n{NAME},2025-01-WE1,reverse\n"
    files.path("advance").write_text(rows)
    assert problems_of(masterdata, files) == [
        "advance.csv:2: it would be taken back: say why, with --reason or in a column reason"
    ]
    assert import_all(masterdata, files, "booked twice").counts()["advance"]["reversed"] == 1
    assert len(masterdata.snapshot(NAME).advances) == 13
    assert import_all(masterdata, files, "booked twice").counts()["advance"]["unchanged"] == 1
    files.path("advance").write_text(rows.replace("01-WE1", "99-WE1"))
    assert problems_of(masterdata, files, "?") == [
        "advance.csv:2: advance 2025-99-WE1 isn't known, there is nothing to take back: correct its key"
    ]
    said = [
        f"advance.csv:2:{column}: it is empty: expected {what}"
        for column, what in (
            ("amount", "euros, 1234.56 or 1.234,56"),
            ("dwelling", "letters A-Z, digits, ., _, -"),
            ("paid_on", "a local day, 2025-12-31 or 31.12.2025"),
            ("party", "letters A-Z, digits, ., _, -"),
            ("period_first", "a local day, 2025-12-31 or 31.12.2025"),
        )
    ]
    files.path("advance").write_text(rows.replace("reverse", "delete"))
    assert problems_of(masterdata, files, "?") == [
        "advance.csv:2:action: 'delete' isn't known: leave it empty, or write reverse to take it back",
        *said,
    ]
    files.path("advance").write_text(rows.replace("reverse", ""))
    assert problems_of(masterdata, files, "?") == said


def test_taking_back_what_others_refer_to_is_refused_at_its_row(masterdata: MasterData, files: Files) -> None:
    import_all(masterdata, files)
    files.only("dwelling")
    files.path("dwelling").write_text(f"property,dwelling,action\n{NAME},WE4,reverse\n")
    found = problems_of(masterdata, files, "moved")
    assert "dwelling.csv:2:dwelling: WE4 isn't in the table dwelling" in found[0]
    assert any(problem.endswith("[occupancy WE4-T5: not in these files]") for problem in found)


def test_blocking_a_credential_is_setting_its_end(masterdata: MasterData, files: Files) -> None:
    import_all(masterdata, files)
    files.only("credential")
    text = files.path("credential").read_text()
    [line] = [line for line in text.splitlines() if "WE1-T1" in line]
    files.path("credential").write_text(text.splitlines()[0] + "\n" + line + "2025-10-26T02:30:00+01:00\n")
    import_all(masterdata, files, "lost")
    [held] = [each for each in masterdata.snapshot(NAME).credentials if each.occupancy == "WE1-T1"]
    assert held.ends_at == datetime(2025, 10, 26, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("statement", [
    facts.update().values(payload="{}"), facts.delete(), imports.update().values(actor="x"), imports.delete(),
])  # fmt: skip
def test_the_database_itself_refuses_to_change_or_delete_anything(
    statement: sa.Update | sa.Delete, masterdata: MasterData, files: Files, url: str
) -> None:
    import_all(masterdata, files)
    database = Database(url)
    with pytest.raises(StoreRefused, match="only ever added to"), database.writing() as connection:
        connection.execute(statement)
    database.close()
    assert masterdata.snapshot(NAME).areas[0].dm2 == 6240


def test_nothing_is_reversed_twice(masterdata: MasterData, files: Files, url: str) -> None:
    import_all(masterdata, files)
    row = {"property": NAME, "table_name": "area", "key": "x", "payload": "", "import_no": 1, "reverses": 1}
    row["reason"] = "twice"
    database = Database(url)
    with pytest.raises(StoreRefused), database.writing() as connection:
        connection.execute(facts.insert(), [{**row, "fact_no": 901}, {**row, "fact_no": 902}])
    database.close()


def test_what_was_known_at_an_instant_stays_so_if_the_clock_goes_back(
    masterdata: MasterData, files: Files, clock: Clock
) -> None:
    import_all(masterdata, files)
    seen = masterdata.snapshot(NAME, IMPORTED_AT - timedelta(seconds=1) + timedelta(seconds=1))
    clock.at = IMPORTED_AT - timedelta(days=3)
    load_facts(masterdata, [Party(NAME, "T9", "Late", "", "", "", "de")], "clerk")
    assert masterdata.history(NAME, "party", "T9")[0].at == IMPORTED_AT
    with pytest.raises(NotFound):
        masterdata.snapshot(NAME, clock.at)
    assert masterdata.snapshot(NAME, IMPORTED_AT).hash == seen.hash


def test_names_are_in_no_hash_and_all_else_is(masterdata: MasterData, files: Files) -> None:
    import_all(masterdata, files)
    before = masterdata.snapshot(NAME).hash
    load_facts(masterdata, [Party(NAME, "T1", "Erika Neu", "", "", "", "de")], "clerk", "married")
    assert masterdata.snapshot(NAME).hash == before
    assert masterdata.snapshot(NAME).party("T1").name == "Erika Neu"
    load_facts(masterdata, [Dwelling(NAME, "WE1", "EG rechts")], "clerk", "door sign")
    assert masterdata.snapshot(NAME).hash != before


def test_what_isn_t_there_is_named_together_with_what_is(masterdata: MasterData, files: Files) -> None:
    import_all(masterdata, files)
    with pytest.raises(NotFound, match="no property elsewhere; there is: musterhof"):
        masterdata.snapshot("elsewhere")
    snapshot = masterdata.snapshot(NAME)
    with pytest.raises(NotFound, match="no period that begins on 2026-01-01; there is: 2025-01-01"):
        snapshot.period(date(2026, 1, 1))
    with pytest.raises(NotFound, match="no party T9"):
        snapshot.party("T9")
    with pytest.raises(NotFound, match="no agreement for the period from 2024-01-01"):
        snapshot.agreement_for(Period(NAME, DayRange(date(2024, 1, 1), date(2025, 1, 1)), "x"))


def test_many_properties_come_one_after_the_other_in_order(masterdata: MasterData) -> None:
    names = [f"p{number:03}" for number in range(120)]
    made: list[Fact] = []
    for name in names:
        made.append(Property(name, name, "", "", "", "Europe/Berlin", "owner"))
        made.append(Party(name, "owner", "Owner", "", "", "", "de"))
    load_facts(masterdata, made, "generator")
    assert masterdata.properties() == tuple(names)
    assert [snapshot.property.property for snapshot in masterdata.snapshots()] == names
    assert [each.property.property for each in masterdata.snapshots(["p007", "nobody", "p003"])] == [
        "p007",
        "p003",
    ]


def test_an_import_that_dies_before_its_commit_leaves_nothing(
    masterdata: MasterData, files: Files, url: str
) -> None:
    import_all(masterdata, files)
    command = [*_PROGRAM, url, str(files.directory), "--hang"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None and program.stdout.readline().strip() == WRITTEN
        program.kill()
        program.wait(30)
    assert count_facts(url) == 62
    load_facts(masterdata, [Dwelling(NAME, "WE1", "EG rechts")], "clerk", "door sign")
    assert masterdata.history(NAME, "dwelling", "WE1")[-1].fact_no == 64


def test_two_that_import_at_once_don_t_interleave(files: Files, url: str) -> None:
    open_masterdata(url).close()
    command = [*_PROGRAM, url, str(files.directory)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    added = [program.communicate(timeout=120)[0].strip() for program in running]
    assert sorted(added) == ["0", "0", "62"]
    assert count_facts(url) == 62


def test_access_for_one_day_only(masterdata: MasterData, files: Files) -> None:
    import_all(masterdata, files)
    day = DayRange(date(2023, 3, 26), date(2023, 3, 27))
    load_facts(masterdata, [LockAccess(NAME, "1f00b1", "WE1", day)], "clerk")
    assert masterdata.snapshot(NAME).lock_access[0].days.days == 1


def test_the_migrations_make_the_tables_that_the_code_knows(masterdata: MasterData, url: str) -> None:
    database = Database(url)
    with database.reading() as connection:
        inspector = sa.inspect(connection)
        for table in metadata.sorted_tables:
            made = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
            assert made == {column.name: bool(column.nullable) for column in table.columns}
    assert migrate(database) == migrate(database)
    database.close()


def test_keys_are_ordered_by_code_points_on_any_server(masterdata: MasterData, url: str) -> None:
    """In other collations `/` counts less, and a lock's chambers aren't between `lock/` and `lock0`."""
    database = Database(url)
    if database.dialect == "postgresql":
        asked = "SELECT DISTINCT collation_name FROM information_schema.columns WHERE table_name = 'facts'"
        asked += " AND column_name IN ('property', 'table_name', 'key')"
        with database.reading() as connection:
            assert connection.execute(sa.text(asked)).scalars().all() == ["C"]
    keys = ["1f00a3/1/x", "1f00a30/1/x", "1f00a3/2/x"]
    with database.writing() as connection:
        row = {"property": NAME, "table_name": "chamber", "payload": "{}", "import_no": 1, "reason": ""}
        connection.execute(
            facts.insert(), [{**row, "fact_no": number, "key": key} for number, key in enumerate(keys)]
        )
    with masterdata.trying() as change:
        assert len(change.chambers_of("1f00a3")) == 2
    database.close()


def test_books_of_a_newer_release_are_refused(masterdata: MasterData, url: str) -> None:
    database = Database(url)
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="9999 of billing's database is newer"):
        migrate(database)
    database.close()


def test_a_database_that_cannot_be_reached_is_to_be_tried_again_later(tmp_path: Path) -> None:
    for url in (
        f"sqlite:///{tmp_path}/nowhere/books.sqlite",
        "postgresql+psycopg://nobody@127.0.0.1:1/books",
    ):
        with pytest.raises(StoreUnavailable, match="billing's database"):
            MasterData(Database(url)).properties()
