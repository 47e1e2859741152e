"""Files of master data as people really make them: encodings, separators, decimals, days, instants, Excel."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from billing_aggregator.errors import InputRejected
from billing_aggregator.masterdata.cells import (
    DAY,
    EUROS,
    INSTANT,
    LAST_DAY_INSTANT,
    LOCK,
    SQUARE_METRES,
    TEXT,
    YES_NO,
    Kind,
)
from billing_aggregator.masterdata.importing import import_files
from billing_aggregator.masterdata.store import MasterData
from tests.unit.billing_aggregator.masterdata_files import (
    NAME,
    Files,
    import_all,
    open_masterdata,
    problems_of,
)

BERLIN = "Europe/Berlin"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "files")


@pytest.fixture
def masterdata(sqlite_url: str) -> MasterData:
    return open_masterdata(sqlite_url)


# --- encodings and shapes of CSV


def test_utf_8_is_read_with_and_without_a_byte_order_mark(files: Files, masterdata: MasterData) -> None:
    party = files.path("party")
    party.write_bytes(b"\xef\xbb\xbf" + party.read_bytes().replace(b"\n", b"\r\n"))
    assert problems_of(masterdata, files) == []
    assert masterdata.snapshot(NAME).costs[0].description == "Restmüllgebühr 2025"


def test_windows_1252_is_refused_with_the_byte_s_place_and_the_remedy(
    files: Files, masterdata: MasterData
) -> None:
    costs = files.path("cost_item")
    text = costs.read_text(encoding="utf-8")
    costs.write_bytes(text.encode("cp1252"))
    at = text.index("ü") + 1
    assert problems_of(masterdata, files) == [
        f"cost_item.csv:2: it isn't UTF-8: byte {at} is 0xfc, in Windows-1252 'ü': save it as \"CSV UTF-8\""
    ]
    costs.write_bytes(b"\xef\xbb\xbf" + text.encode("cp1252"))
    assert f"byte {at + 3} is 0xfc" in problems_of(masterdata, files)[0]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused(encoding: str, files: Files, masterdata: MasterData) -> None:
    party = files.path("party")
    party.write_bytes(party.read_text(encoding="utf-8").encode(encoding))
    assert problems_of(masterdata, files) == [
        'party.csv:1: it is UTF-16 ("Unicode text"), UTF-8 is expected: save it as "CSV UTF-8"'
    ]


def test_what_is_no_text_is_refused_as_such(files: Files, masterdata: MasterData) -> None:
    files.path("party").write_bytes(b"%PDF-1.7 " + bytes(range(256)) * 4)
    assert problems_of(masterdata, files) == [
        'party.csv:1: it is no text, it holds zero bytes: save the table as "CSV UTF-8"'
    ]


def test_a_decimal_comma_among_commas_is_refused_with_the_remedy(
    files: Files, masterdata: MasterData
) -> None:
    line = files.replace("cost_item", "881.21", "881,21")
    assert problems_of(masterdata, files) == [
        f"cost_item.csv:{line}: 10 cells, but the header has 9 columns, separated by ',': put cells with a comma "
        '(as "12,50") between quotation marks, or separate by ;'
    ]


def test_lines_are_counted_where_cells_hold_quotes_and_blank_lines(
    files: Files, masterdata: MasterData
) -> None:
    files.append("party", f'\n;;\n{NAME},T/6,"Anna ""die"" Muster",,,,de'.replace(";;", ",,,,,,"))
    assert [problem.partition(": ")[0] for problem in problems_of(masterdata, files)] == [
        "party.csv:10:party"
    ]


def test_a_line_break_within_a_cell_is_refused_at_the_line_where_its_row_begins(
    files: Files, masterdata: MasterData
) -> None:
    line = files.append("party", f'{NAME},T6,"Anna\nMuster",,,,de\n{NAME},T/7,x,,,,de')
    assert [problem.partition(": ")[0] for problem in problems_of(masterdata, files)] == [
        f"party.csv:{line}:name",
        f"party.csv:{line + 2}:party",
    ]


@pytest.mark.parametrize(
    ("table", "old", "new", "problem"),
    [
        ("area", "m2", "qm", "area.csv:1:m2 or dm2: this column is missing: add it, floor area in m²"),
        ("area", "m2", "qm", "area.csv:1:qm: there is no such column: expected property, dwelling, m2, dm2"),
        ("party", ",name,", ",nmae,", "party.csv:1:nmae: there is no such column: did you mean name?"),
        ("party", ",city,", ",name,", "party.csv:1:name: this column is there more than once"),
        (
            "period",
            "from,last_day",
            "last_day,to_exclusive",
            "period.csv:1:to_exclusive or last_day: only one of these",
        ),
        (
            "period",
            "from,last_day",
            "from,label",
            "period.csv:1:to_exclusive or last_day: this column is missing",
        ),
    ],
)
def test_a_wrong_header_is_refused_column_by_column(
    table: str, old: str, new: str, problem: str, files: Files, masterdata: MasterData
) -> None:
    files.replace(table, old, new)
    found = problems_of(masterdata, files)
    assert any(each.startswith(problem) for each in found), found


def test_files_that_are_no_tables_are_refused(files: Files, masterdata: MasterData) -> None:
    (files.directory / "advances.csv").write_text("a\n")
    (files.directory / "period.csv").write_text("\n")
    (files.directory / "area.csv").write_text('property;"dwelling\n')
    found = problems_of(masterdata, files)
    assert found[0].startswith("advances.csv: 'advances' is no table: name it after one of property, party")
    assert found[1].startswith("area.csv:1: its quotation marks don't fit together")
    assert found[2].startswith("period.csv:1: it is empty, a header line is expected")
    missing = files.directory / "none.xlsx"
    assert "none.xlsx: isn't there" in _rejected(masterdata, missing)
    (files.directory / "broken.xlsx").write_text("no workbook")
    assert "isn't an Excel workbook" in _rejected(masterdata, files.directory / "broken.xlsx")
    assert "ends in .csv or .xlsx" in _rejected(masterdata, files.directory / "old.xls", b"x")


def _rejected(masterdata: MasterData, path: Path, content: bytes | None = None) -> str:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputRejected) as rejected:
        import_files(masterdata, [path], "clerk")
    return str(rejected.value)


def test_areas_may_come_in_dm2_and_last_days_instead_of_ends(files: Files, masterdata: MasterData) -> None:
    import_all(masterdata, files)
    files.only("area")
    text = "property,dwelling,dm2,from,last_day\n" + "".join(
        f"{NAME},WE{number},{dm2},2024-01-01,\n" for number, dm2 in enumerate((6240, 4815, 7530, 4815), 1)
    )
    files.path("area").write_text(text)
    report = import_all(masterdata, files)
    assert report.counts() == {"area": {"added": 0, "changed": 0, "reversed": 0, "unchanged": 4}}


# --- cells


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        (DAY, "2025-02-28", date(2025, 2, 28)),
        (DAY, "28.2.2025", date(2025, 2, 28)),
        (DAY, datetime(2025, 2, 28), date(2025, 2, 28)),  # noqa: DTZ001
        (INSTANT, "2025-03-30", datetime(2025, 3, 29, 23, tzinfo=UTC)),
        (INSTANT, "31.03.2025", datetime(2025, 3, 30, 22, tzinfo=UTC)),
        (INSTANT, "2025-10-26T02:30:00+02:00", datetime(2025, 10, 26, 0, 30, tzinfo=UTC)),
        (INSTANT, "2025-10-26 02:30:00+01:00", datetime(2025, 10, 26, 1, 30, tzinfo=UTC)),
        (INSTANT, "2025-10-26T01:30Z", datetime(2025, 10, 26, 1, 30, tzinfo=UTC)),
        (LAST_DAY_INSTANT, "2025-10-26", datetime(2025, 10, 26, 23, tzinfo=UTC)),
        (EUROS, "1.234,56", 123456),
        (SQUARE_METRES, "62,4", 6240),
        (YES_NO, "Ja", True),
        (YES_NO, False, False),
        (LOCK, "001F00A3", "1f00a3"),
        (LOCK, "a3", "0000a3"),
        (TEXT, " 01067 ", "01067"),
        (TEXT, 99999, "99999"),
    ],
)
def test_cells_are_read(kind: Kind, cell: Any, value: object) -> None:
    assert kind.read(cell, BERLIN) == value


@pytest.mark.parametrize(
    ("kind", "cell", "remedy"),
    [
        (DAY, "2025-02-29", "no such day"),
        (DAY, "28.2.25", "write the day as 2025-12-31 or 31.12.2025"),
        (DAY, "02/28/2025", "write the day as"),
        (DAY, "1025-02-28", "between 1900 and 2199"),
        (DAY, datetime(2025, 2, 28, 12), "a day alone"),  # noqa: DTZ001
        (INSTANT, "2025-10-26T02:30:00", "02:30 comes twice in October.*add Z for UTC or an offset"),
        (INSTANT, datetime(2025, 10, 26, 2, 30), "Excel's times have no offset"),  # noqa: DTZ001
        (INSTANT, "26.10.2025 02:30", "write it as 2025-10-26T02:30:00"),
        (INSTANT, "2025-10-26T25:30:00Z", "write it as"),
        (EUROS, "1.234", "may mean 1234 or 1 and 234/1000"),
        (EUROS, date(2025, 1, 1), "Excel took it for 2025-01-01"),
        (SQUARE_METRES, "62,405", "may mean 62405"),
        (SQUARE_METRES, "0", "from 0.01"),
        (YES_NO, "x", "write yes or no"),
        (LOCK, "1f00g3", "16 hexadecimal digits"),
        (LOCK, Decimal("1E+4"), "format the column as text and type it again"),
        (TEXT, True, "format the column as text"),
        (TEXT, "x" * 1001, "1000 are the most"),
    ],
)
def test_cells_that_cannot_be_read_for_sure_are_refused(kind: Kind, cell: Any, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        kind.read(cell, BERLIN)


def test_a_transponder_s_own_number_is_never_repeated_in_a_message(
    files: Files, masterdata: MasterData
) -> None:
    files.append("credential", f"{NAME},04A1B2C3D4E5F6,WE1-T1,no,2025-01-01,")
    [problem] = problems_of(masterdata, files)
    assert "04A1B2C3D4E5F6" not in problem.upper()


@pytest.mark.parametrize(
    "row",
    [
        "{uid},0123456789abcdef0123456789abcdef,WE1-T1,no,2025-01-01,",
        f"{NAME},0123456789abcdef0123456789abcdef,{{uid}},no,2025-01-01,",
        f"{NAME},0123456789abcdef0123456789abcdef,WE1-T1,{{uid}},2025-01-01,",
        f"{NAME},0123456789abcdef0123456789abcdef,WE1-T1,no,{{uid}},",
        f"{NAME},0000000000000000{{uid}},WE1-T1,no,2025-01-01,",
    ],
)
@pytest.mark.parametrize("uid", ["E0040150ABCDEF12", "E0:04:01:50:AB:CD:EF:12"])
def test_a_transponder_s_own_number_is_not_repeated_either_where_it_stands_in_another_s_place(
    files: Files, masterdata: MasterData, row: str, uid: str
) -> None:
    line = files.append("credential", row.format(uid=uid))
    problems = problems_of(masterdata, files)
    assert any(f"credential.csv:{line}:" in problem for problem in problems)
    assert uid not in "".join(problems).upper()


# --- Excel


def write_workbook(path: Path, title: str, rows: Sequence[Sequence[Any]]) -> Path:
    workbook = Workbook()
    sheet = workbook.worksheets[0]
    sheet.title = title
    for row in rows:
        sheet.append(list(row))
    workbook.save(path)
    return path


ADVANCE = ("property", "payment", "dwelling", "party", "period_first", "paid_on", "amount")
PAID = (NAME, "x1", "WE1", "T1", date(2025, 1, 1), datetime(2025, 1, 3))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("shown", "cents"), [(1234.56, 123456), (0.1, 10), (75, 7500), ("1.234,56", 123456), (1e3, 100000)]
)
def test_excel_s_numbers_are_taken_exactly(
    shown: Any, cents: int, files: Files, masterdata: MasterData, tmp_path: Path
) -> None:
    import_all(masterdata, files)
    import_files(
        masterdata, [write_workbook(tmp_path / "a.xlsx", "advance", [ADVANCE, (*PAID, shown)])], "clerk"
    )
    [entered] = [each for each in masterdata.snapshot(NAME).advances if each.payment == "x1"]
    assert (entered.amount_cents, entered.paid_on) == (cents, date(2025, 1, 3))


@pytest.mark.parametrize(
    ("shown", "problem"),
    [
        (0.3000001, "only 2 decimals are possible: round it yourself"),
        (1.234, "only 2 decimals are possible"),
        ("=SUM(A1:A3)", "it holds a formula: put its value there"),
        ("#DIV/0!", "it holds the error #DIV/0!"),
        (time(12, 0), "it holds the time of day"),
        (date(2025, 1, 2), "Excel took it for 2025-01-02"),
        (True, "Excel took it for True"),
        (None, "it is empty: expected euros"),
    ],
)
def test_excel_s_cells_that_are_no_amounts_are_refused(
    shown: Any, problem: str, files: Files, masterdata: MasterData, tmp_path: Path
) -> None:
    import_all(masterdata, files)
    path = write_workbook(tmp_path / "a.xlsx", "advance", [ADVANCE, (), (*PAID, shown)])
    said = _rejected(masterdata, path)
    assert said.startswith("a.xlsx[advance]:3:amount: ") and problem in said


def test_a_sheet_that_is_no_table_and_cells_beyond_the_header_are_refused(
    masterdata: MasterData, tmp_path: Path
) -> None:
    assert "a.xlsx[Tabelle1]: 'Tabelle1' is no table" in _rejected(
        masterdata, write_workbook(tmp_path / "a.xlsx", "Tabelle1", [("a",)])
    )
    rows = [("property", "dwelling", "label"), (NAME, "WE1", "", "note")]
    assert "a.xlsx[dwelling]:2: there are cells beyond the last column" in _rejected(
        masterdata, write_workbook(tmp_path / "a.xlsx", "dwelling", rows)
    )
    assert "a.xlsx: it is empty" in _rejected(masterdata, write_workbook(tmp_path / "a.xlsx", "area", []))
