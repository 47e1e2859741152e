"""Reads a list of locks (CSV) for `cloud-sink lock import`: all of it, or every problem with its place.

    lock    site       label       property   row  column  container_l  chamber_1  chamber_1_ml  chamber_2 …
    1f00a1  lindenhof  Restmüll A  lindenhof  1    1       1100         residual   5000          residual

The first line names the columns, in any order; only `lock` and `site` are needed. `chamber_N` is the fraction that
goes into chamber N, `chamber_N_ml` its volume. Lines that begin with # are comments; "," and ";" both separate.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cloud_sink.errors import InputRejected
from cloud_sink.operator_events import LockDescription, SubjectKind, check_subject

_CHAMBERS = range(1, 5)
_FIELDS = {
    "site": "site",
    "label": "label",
    "property": "property_id",
    "row": "row",
    "column": "column",
    "container_l": "container_ml",
}
_COLUMNS = (
    "lock",
    *_FIELDS,
    *(name for number in _CHAMBERS for name in (f"chamber_{number}", f"chamber_{number}_ml")),
)
_NEEDED = ("lock", "site")
_NUMBERS = frozenset({"row", "column", "container_l", *(f"chamber_{number}_ml" for number in _CHAMBERS)})
_ML_PER_L = 1000
_LOCKS_MAX = 100_000

Cells = dict[str, str]


@dataclass(slots=True)
class _Sheet:
    """What a file says. `columns`: name -> place, from 1. `problems`: gathered while it is read."""

    path: Path
    columns: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    descriptions: dict[str, LockDescription] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    places: dict[tuple[str, int | None, int | None], str] = field(default_factory=dict)

    def complain(self, line: int, column: str | None, problem: str) -> None:
        """`lock-list.csv:7:5: row: expected …`; without a column `lock-list.csv:7: …`."""
        place = f":{self.columns[column]}: {column}" if column in self.columns else ""
        self.problems.append(f"{self.path}:{line}{place}: {problem}")


def read_lock_list(path: Path) -> dict[str, LockDescription]:
    """Return the description of each lock in the file, or raise InputRejected with all its problems."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputRejected([f"{path}: can't be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise InputRejected([f"{path}: isn't UTF-8: save it as CSV in UTF-8 ({error.reason})"]) from error
    sheet = _Sheet(path)
    rows = _rows(path, text)
    head = next(rows, None)
    if head is None:
        raise InputRejected([f"{path}: is empty: its first line names the columns: {', '.join(_COLUMNS)}"])
    _read_head(sheet, *head)
    if not sheet.problems:
        for line, cells in rows:
            _read_lock(sheet, line, cells)
    if sheet.problems:
        raise InputRejected(sheet.problems)
    return sheet.descriptions


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that say something, each with its number."""
    lines = text.splitlines(keepends=True)
    # A comment stays in the count of lines, so that problems are told with the numbers that an editor shows.
    said = ["\n" if line.startswith("#") else line for line in lines]
    first = next((line for line in said if line.strip()), "")
    reader = csv.reader(said, delimiter=";" if first.count(";") > first.count(",") else ",")
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as error:
        raise InputRejected([f"{path}:{reader.line_num}: isn't CSV: {error}"]) from None


def _read_head(sheet: _Sheet, line: int, names: Sequence[str]) -> None:
    for place, name in enumerate(names, 1):
        if name in sheet.columns:
            sheet.problems.append(
                f"{sheet.path}:{line}:{place}: column {name} stands there twice: remove one"
            )
        elif name not in _COLUMNS:
            sheet.problems.append(
                f"{sheet.path}:{line}:{place}: {name!r} is no column: expected {', '.join(_COLUMNS)}"
            )
        sheet.columns.setdefault(name, place)
    for name in _NEEDED:
        if name not in sheet.columns:
            sheet.problems.append(f"{sheet.path}:{line}: column {name} is missing: add it")


def _read_lock(sheet: _Sheet, line: int, row: Sequence[str]) -> None:
    before = len(sheet.problems)
    if len(row) > len(sheet.columns):
        sheet.complain(line, None, f"has {len(row)} cells, the head only {len(sheet.columns)} columns")
        return
    cells = {name: row[place - 1] for name, place in sheet.columns.items() if place <= len(row)}
    lock = _lock_name(sheet, line, cells.get("lock", "").lower())
    numbers = {
        name: number
        for name in sorted(_NUMBERS & cells.keys())
        if (number := _number(sheet, line, name, cells))
    }
    fields = _fields(cells, numbers) | {"chambers": _chambers(sheet, line, cells, numbers)}
    try:
        described = LockDescription.model_validate(fields)
    except ValidationError as error:
        for problem in error.errors():
            sheet.complain(line, _column_of(problem["loc"]), problem["msg"].removeprefix("Value error, "))
        return
    if len(sheet.problems) > before:
        return
    _check_place(sheet, line, lock, described)
    if len(sheet.descriptions) >= _LOCKS_MAX:
        raise InputRejected([f"{sheet.path}:{line}: more than {_LOCKS_MAX} locks: split the file"])
    sheet.descriptions[lock] = described


def _lock_name(sheet: _Sheet, line: int, lock: str) -> str:
    try:
        check_subject(SubjectKind.LOCK, lock)
    except ValueError as error:
        sheet.complain(line, "lock", str(error))
    if lock in sheet.lines:
        sheet.complain(line, "lock", f"{lock} stands in line {sheet.lines[lock]} already: remove one")
    sheet.lines.setdefault(lock, line)
    return lock


def _number(sheet: _Sheet, line: int, name: str, cells: Cells) -> int | None:
    text = cells[name]
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 9 or int(text) == 0:
        sheet.complain(line, name, f"{text!r}: expected a whole number above 0")
        return None
    return int(text)


def _fields(cells: Cells, numbers: dict[str, int]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for column, name in _FIELDS.items():
        if column in _NUMBERS:
            fields[name] = numbers.get(column)
        elif column in cells:
            fields[name] = cells[column]
    if any(cells.get(name) and name not in numbers for name in ("row", "column")):
        fields |= {"row": None, "column": None}  # one of them is wrong, which is told already
    if "container_l" in numbers:
        fields["container_ml"] = numbers["container_l"] * _ML_PER_L
    return fields


def _chambers(sheet: _Sheet, line: int, cells: Cells, numbers: dict[str, int]) -> dict[int, dict[str, Any]]:
    chambers = {}
    for number in _CHAMBERS:
        fraction, volume = cells.get(f"chamber_{number}", ""), f"chamber_{number}_ml"
        if fraction and volume in numbers:
            chambers[number] = {"fraction": fraction, "volume_ml": numbers[volume]}
        elif fraction and not cells.get(volume):
            sheet.complain(line, f"chamber_{number}", f"its volume is missing: fill in {volume}")
        elif cells.get(volume) and not fraction:
            sheet.complain(line, volume, f"its fraction is missing: fill in chamber_{number}")
    return chambers


def _check_place(sheet: _Sheet, line: int, lock: str, described: LockDescription) -> None:
    if described.row is None:
        return
    place = (described.site, described.row, described.column)
    other = sheet.places.setdefault(place, lock)
    if other != lock:
        sheet.complain(
            line,
            "row",
            f"lock {other} has this place already: row {described.row}, column {described.column}",
        )


def _column_of(location: Sequence[int | str]) -> str | None:
    """Return the column that a field of the description comes from."""
    match location:
        case ["chambers", int() | str() as number, "fraction", *_]:
            return f"chamber_{number}"
        case ["chambers", int() | str() as number, *_]:
            return f"chamber_{number}_ml"
        case [str() as name, *_]:
            return next((column for column, field_name in _FIELDS.items() if field_name == name), None)
    return None
