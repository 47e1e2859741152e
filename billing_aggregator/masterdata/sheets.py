"""Reads and writes files of master data, as cells of a table: CSV (one table a file) and Excel (one table a sheet).

CSV: UTF-8, with or without a byte order mark; separated by `;` or `,`, whichever the header has. Excel: dates come as
dates and numbers exactly as the cell holds them; formulas are refused, for what they show depends on who opened the
file last. Nothing is guessed: what can't be read for sure is a problem with its place and its remedy.
"""

import csv
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Context
from hashlib import sha256
from io import BytesIO, StringIO
from numbers import Integral, Real
from pathlib import Path
from stat import S_ISREG
from types import TracebackType
from typing import Any, Self
from zipfile import BadZipFile, ZipFile

from openpyxl import Workbook, load_workbook
from openpyxl.comments import Comment
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException

from billing_aggregator.errors import Problem
from billing_aggregator.masterdata.cells import Cell
from billing_aggregator.masterdata.schema import TABLES

_MOST_BYTES = 256 * 2**20
_MOST_UNPACKED_BYTES = 2**31
_MOST_COLUMNS = 100
_SHOWN = Context(prec=15)  # so many digits Excel shows; beyond them, sums end in 0000004 or 9999998


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row, with its line (of a sheet: its row); `cells` are as many as the sheet has columns."""

    line: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table's rows in one file. `file`: as messages name it, for Excel with the sheet: `estate.xlsx[area]`."""

    file: str
    table: str
    columns: tuple[str, ...]
    rows: tuple[SheetRow, ...]


@dataclass(frozen=True, slots=True)
class FileContents:
    """What a file holds, and what is wrong with it."""

    name: str
    sha256: str
    sheets: tuple[Sheet, ...]
    problems: tuple[Problem, ...]


_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class _Unreadable(Exception):
    """A file, or a sheet, can't be read at all."""

    def __init__(self, message: str, line: int | None = None, column: str | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


def read_file(path: Path) -> FileContents:
    """Return a file's tables with all that is wrong with it; the name says what it is: `area.csv`, `estate.xlsx`."""
    try:
        content = _read_bytes(path)
    except _Unreadable as error:
        return FileContents(path.name, "", (), (Problem(path.name, None, None, str(error)),))
    suffix = path.suffix.lower()
    if suffix == ".csv":
        sheets, problems = _read_csv(path, content)
    elif suffix == ".xlsx":
        sheets, problems = _read_workbook(path, content)
    else:
        sheets = []
        problems = [
            Problem(
                path.name, None, None, "expected a file that ends in .csv or .xlsx: save it as one of these"
            )
        ]
    return FileContents(path.name, sha256(content).hexdigest(), tuple(sheets), tuple(problems))


def _read_bytes(path: Path) -> bytes:
    try:
        if not S_ISREG(path.stat().st_mode):
            raise _Unreadable("it is no file: name a .csv or .xlsx file, or a directory of them")
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise _Unreadable("isn't there: check the name") from None
    except OSError as error:
        raise _Unreadable(f"can't be read: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise _Unreadable(f"it has more than {_MOST_BYTES >> 20} MiB: split it into several imports")
    return content


def _table_name(name: str) -> str:
    if name not in TABLES:
        raise _Unreadable(f"{name!r} is no table: name it after one of {', '.join(TABLES)}")
    return name


# --- CSV


def _read_csv(path: Path, content: bytes) -> tuple[list[Sheet], list[Problem]]:
    problems: list[Problem] = []
    try:
        table = _table_name(path.stem)
        text = _decode(content)
        columns, rows = _read_rows(text, path.name, problems)
    except _Unreadable as error:
        return [], [Problem(path.name, error.line, error.column, str(error))]
    return [Sheet(path.name, table, columns, rows)], problems


def _decode(content: bytes) -> str:
    """Return the text of UTF-8 bytes; _Unreadable says where it isn't that and how to save it."""
    sample = content[:4096]
    nothing = sample.count(0)
    if nothing and nothing * 3 < len(sample) and not sample.startswith(_UTF_16_MARKS):
        raise _Unreadable('it is no text, it holds zero bytes: save the table as "CSV UTF-8"', 1)
    if nothing or sample.startswith(_UTF_16_MARKS):
        raise _Unreadable('it is UTF-16 ("Unicode text"), UTF-8 is expected: save it as "CSV UTF-8"', 1)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The start is counted after a byte order mark, which the codec has taken away.
        at = error.start + (len(content) - len(error.object))
        byte = content[at : at + 1]
        line = content.count(b"\n", 0, at) + 1
        guess = byte.decode("cp1252", errors="replace")
        raise _Unreadable(
            f'it isn\'t UTF-8: byte {at + 1} is 0x{byte.hex()}, in Windows-1252 {guess!r}: save it as "CSV UTF-8"',
            line,
        ) from None


def _read_rows(text: str, file: str, problems: list[Problem]) -> tuple[tuple[str, ...], tuple[SheetRow, ...]]:
    header = text.partition("\n")[0]
    separator = ";" if header.count(";") >= header.count(",") and ";" in header else ","
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    columns: tuple[str, ...] | None = None
    rows = []
    line = 1
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                pass
            elif columns is None:
                columns = tuple(cell.strip() for cell in cells)
            elif len(cells) != len(columns):
                problems.append(Problem(file, line, None, _miscounted(len(cells), len(columns), separator)))
            else:
                rows.append(SheetRow(line, tuple(cells)))
            line = reader.line_num + 1
    except csv.Error as error:
        raise _Unreadable(
            f"its quotation marks don't fit together ({error}): each \" within a cell is doubled", line
        ) from None
    if columns is None:
        raise _Unreadable(
            "it is empty, a header line is expected: `billing-aggregator template` writes one", 1
        )
    return columns, tuple(rows)


def _miscounted(cells: int, columns: int, separator: str) -> str:
    remedy = "add or remove separators"
    if separator == "," and cells > columns:
        remedy = 'put cells with a comma (as "12,50") between quotation marks, or separate by ;'
    return f"{cells} cells, but the header has {columns} columns, separated by {separator!r}: {remedy}"


class CsvFile:
    """One table that is written as UTF-8, separated by commas. Use it as a context."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self.write(columns)

    def write(self, row: Sequence[str]) -> None:
        self._writer.writerow(row)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


# --- Excel


def _read_workbook(path: Path, content: bytes) -> tuple[list[Sheet], list[Problem]]:
    sheets: list[Sheet] = []
    problems: list[Problem] = []
    try:
        with warnings.catch_warnings():
            # Of styles and the like that it doesn't know: nothing of that is read here.
            warnings.simplefilter("ignore")
            _read_worksheets(path, content, sheets, problems)
    except (BadZipFile, InvalidFileException, SyntaxError, KeyError, ValueError) as error:
        said = f"isn't an Excel workbook, or has a password ({error}): save it as .xlsx without one"
        return [], [Problem(path.name, None, None, said)]
    if not sheets and not problems:
        problems.append(Problem(path.name, None, None, "it is empty: name each sheet after its table"))
    return sheets, problems


def _read_worksheets(path: Path, content: bytes, sheets: list[Sheet], problems: list[Problem]) -> None:
    with ZipFile(BytesIO(content)) as archive:
        if sum(part.file_size for part in archive.infolist()) > _MOST_UNPACKED_BYTES:
            raise ValueError("it is far too large when unpacked")
    workbook = load_workbook(BytesIO(content), read_only=True, data_only=False)
    for worksheet in workbook.worksheets:
        name = f"{path.name}[{worksheet.title}]"
        try:
            sheet = _read_worksheet(worksheet, name, problems)
        except _Unreadable as error:
            problems.append(Problem(name, error.line, error.column, str(error)))
            continue
        if sheet is not None:
            sheets.append(sheet)
    workbook.close()


def _read_worksheet(worksheet: Any, file: str, problems: list[Problem]) -> Sheet | None:
    columns: tuple[str, ...] | None = None
    rows = []
    for line, cells in enumerate(worksheet.iter_rows(max_col=_MOST_COLUMNS), 1):
        if all(cell.value is None or cell.value == "" for cell in cells):
            continue
        if columns is None:
            columns = tuple(str(cell.value or "").strip() for cell in cells)
            while columns and not columns[-1]:
                columns = columns[:-1]
            continue
        values: list[Cell] = []
        for place, cell in enumerate(cells):
            try:
                values.append(_cell_value(cell))
            except _Unreadable as error:
                column = columns[place] if place < len(columns) else get_column_letter(place + 1)
                problems.append(Problem(file, line, column, str(error)))
        if len(values) == len(cells):
            if any(value != "" for value in values[len(columns) :]):
                problems.append(
                    Problem(file, line, None, "there are cells beyond the last column: remove them")
                )
            padded = [
                *values,
                *[""] * (len(columns) - len(values)),
            ]  # Excel leaves out empty cells at the end
            rows.append(SheetRow(line, tuple(padded[: len(columns)])))
    if columns is None:
        return None
    return Sheet(file, _table_name(worksheet.title.strip()), columns, tuple(rows))


def _cell_value(cell: Any) -> Cell:
    """Return what a cell holds: of a number the decimal that Excel shows, 1234.56, and no binary near it."""
    value = cell.value
    if value is None:
        return ""
    if cell.data_type == "f":
        raise _Unreadable("it holds a formula: put its value there (copy, paste special, values)")
    if cell.data_type == "e":
        raise _Unreadable(f"it holds the error {value}: correct it")
    if isinstance(value, str | bool | datetime | date):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return _SHOWN.create_decimal(repr(value))
    if isinstance(value, time):
        raise _Unreadable(f"it holds the time of day {value}: a day or an instant is expected")
    raise _Unreadable(f"it holds something that isn't read here ({type(value).__name__}): format it as text")


@dataclass(frozen=True, slots=True)
class OutColumn:
    """A column that is written: its name, and what the comment on it says."""

    name: str
    comment: str


@dataclass(frozen=True, slots=True)
class OutSheet:
    """A sheet that is written."""

    title: str
    columns: Sequence[OutColumn]
    rows: Sequence[Sequence[str]]


def write_workbook(path: Path, sheets: Iterable[OutSheet]) -> None:
    """Write a workbook. All its cells are text, so that Excel changes nothing in them."""
    workbook = Workbook()
    workbook.remove(workbook.worksheets[0])
    for sheet in sheets:
        worksheet = workbook.create_sheet(sheet.title)
        for place, column in enumerate(sheet.columns, 1):
            cell = worksheet.cell(1, place, column.name)
            cell.font = Font(bold=True)
            cell.comment = Comment(column.comment, "billing-aggregator", height=120, width=320)
            worksheet.column_dimensions[get_column_letter(place)].width = max(14, len(column.name) + 2)
        for line, row in enumerate(sheet.rows, 2):
            for place, text in enumerate(row, 1):
                cell = worksheet.cell(line, place, text)
                cell.data_type = "s"  # a text that begins with "=" is no formula
                cell.number_format = "@"
        worksheet.freeze_panes = "A2"
    workbook.save(path)
