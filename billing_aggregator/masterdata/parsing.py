"""From cells to facts: each row of a sheet is read column by column; what can't be read is a problem with its place."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from billing_aggregator.errors import Problem
from billing_aggregator.masterdata.cells import PSEUDONYM, TEXT, Cell
from billing_aggregator.masterdata.columns import Column, Table
from billing_aggregator.masterdata.facts import Fact, Property
from billing_aggregator.masterdata.schema import PROPERTY, TABLES
from billing_aggregator.masterdata.sheets import Sheet, SheetRow

ACTION, REASON = "action", "reason"
REVERSE = "reverse"
_SHOWN = 60  # characters of a cell that a message repeats


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class ParsedRow:
    """A row as it was read. `fact`: None if what has this key is to be taken back. `reason`: the row's own."""

    table: Table
    property: str
    key: str
    fact: Fact | None
    reason: str
    place: Place | None


@dataclass(frozen=True, slots=True)
class _Field:
    """Where a column stands in a sheet (None: nowhere), and what it is where the cell is empty.

    `missing`: it isn't there though rows that take nothing back need it.
    """

    column: Column
    place: int | None
    default: Any
    missing: bool


def parse_sheets(sheets: Iterable[Sheet], zones: Mapping[str, str]) -> tuple[list[ParsedRow], list[Problem]]:
    """Return the rows of all sheets, and every problem that they have.

    `zones`: time zone by property as it is known already; the sheets' own rows of the table `property` come first.
    """
    ordered = sorted(sheets, key=lambda sheet: sheet.table != PROPERTY.name)
    known = dict(zones)
    rows: list[ParsedRow] = []
    problems: list[Problem] = []
    for sheet in ordered:
        parser = _SheetParser(sheet, known, problems)
        for row in sheet.rows if parser.usable else ():
            parsed = parser.parse(row)
            if parsed is not None:
                rows.append(parsed)
                if isinstance(parsed.fact, Property):
                    known[parsed.property] = parsed.fact.time_zone
    return rows, problems


class _SheetParser:
    """Reads the rows of one sheet. Not usable if its header is wrong: the rows' meaning isn't known then."""

    def __init__(self, sheet: Sheet, zones: Mapping[str, str], problems: list[Problem]) -> None:
        self._file = sheet.file
        self._table = TABLES[sheet.table]
        self._zones = zones
        self._problems = problems
        before = len(problems)
        self._fields = self._match(sheet.columns)
        self._action = _index(sheet.columns, ACTION)
        self._reason = _index(sheet.columns, REASON)
        self.usable = len(problems) == before

    def parse(self, row: SheetRow) -> ParsedRow | None:
        """Return what a row says, None if it has a problem."""
        before = len(self._problems)
        taken_back = self._is_reversal(row)
        values: dict[str, Any] = {}
        zone: str | None = None
        for field in self._fields:
            column = field.column
            if taken_back and not column.key:
                continue
            cell = "" if field.place is None else row.cells[field.place]
            if cell == "" or (isinstance(cell, str) and not cell.strip()):
                if column.default is None or field.missing:
                    self._complain(row, column.name, f"it is empty: expected {_words(column)}")
                values[column.target] = field.default
            else:
                try:
                    values[column.target] = column.kind.read(cell, zone)
                except ValueError as error:
                    self._complain(
                        row, column.name, f"{_shown(cell, column)} isn't {_words(column)}: {error}"
                    )
            if column.target == "property":
                zone = self._zones.get(values.get("property", ""))
        if len(self._problems) > before:
            return None
        return self._finish(row, values, taken_back)

    def _finish(self, row: SheetRow, values: dict[str, Any], taken_back: bool) -> ParsedRow | None:
        table = self._table
        name, key = values["property"], table.key_in(values)
        try:
            fact = None if taken_back else table.make(values)
        except ValueError as error:
            self._complain(row, "to_exclusive", str(error))
            return None
        reason = "" if self._reason is None else str(row.cells[self._reason]).strip()
        return ParsedRow(table, name, key, fact, reason, Place(self._file, row.line))

    def _is_reversal(self, row: SheetRow) -> bool:
        action = "" if self._action is None else str(row.cells[self._action]).strip()
        if action not in ("", REVERSE):
            self._complain(
                row, ACTION, f"{action!r} isn't known: leave it empty, or write {REVERSE} to take it back"
            )
        return action == REVERSE

    def _complain(self, row: SheetRow, column: str | None, message: str) -> None:
        self._problems.append(Problem(self._file, row.line, column, message))

    def _match(self, columns: Sequence[str]) -> list[_Field]:
        """Return where each column of the table stands in the sheet."""
        names = [name for column in self._table.columns for name in column.names]
        for name in dict.fromkeys(columns):
            if name not in (*names, ACTION, REASON):
                near = get_close_matches(name, names, 1)
                hint = f"did you mean {near[0]}?" if near else f"expected {', '.join(names)}"
                self._complain_header(name or "?", f"there is no such column: {hint}")
            elif columns.count(name) > 1:
                self._complain_header(name, "this column is there more than once: remove one of them")
        return [self._find(column, columns) for column in self._table.columns]

    def _find(self, column: Column, columns: Sequence[str]) -> _Field:
        here = [name for name in column.names if name in columns]
        wanted = " or ".join(column.names)
        if len(here) > 1:
            self._complain_header(wanted, "only one of these columns is possible: remove the other")
        missing = not here and (column.default is None or column.instead is not None)
        # A file that only takes rows back needs no more than their keys.
        if missing and (column.key or ACTION not in columns):
            self._complain_header(wanted, f"this column is missing: add it, {column.meaning}")
        chosen = column
        if column.instead is not None and here == [column.instead.name]:
            chosen = column.instead
        return _Field(
            chosen, columns.index(here[0]) if len(here) == 1 else None, _default_of(chosen), missing
        )

    def _complain_header(self, column: str, message: str) -> None:
        self._problems.append(Problem(self._file, 1, column, message))


def _default_of(column: Column) -> Any:
    if column.default is None or (column.default == "" and column.kind is not TEXT):
        return None
    return column.kind.read(column.default, None)


def _index(columns: Sequence[str], name: str) -> int | None:
    return columns.index(name) if name in columns else None


def _words(column: Column) -> str:
    return column.kind.expected.replace("`", "")


def _shown(cell: Cell, column: Column) -> str:
    # What stands in a transponder's place may be its own number, which must not get into a log.
    if column.kind is PSEUDONYM:
        return "what stands here"
    text = str(cell)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
