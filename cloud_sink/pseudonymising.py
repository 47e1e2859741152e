"""`cloud-sink pseudonym`: raw transponder numbers in, pseudonyms out: for master data, which never sees a raw number.

Numbers are hexadecimal as they are printed on transponders: up to 16 digits, groups may be parted by blanks, colons or
hyphens. What is wrong is named by line; a number itself is never repeated, neither in a message nor in a log.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TextIO

from cloud_sink.errors import ConfigError
from cloud_sink.pseudonyms import Pseudonyms

_PARTED = re.compile(r"[\s:-]+")
_NUMBER = re.compile(r"[0-9A-Fa-f]{1,16}\Z")


class BadNumber(ValueError):
    """This isn't a transponder's number; the message doesn't repeat it."""


def pseudonymise_lines(lines: Iterable[str], pseudonyms: Pseudonyms) -> list[str]:
    """Return a pseudonym for each line that isn't empty; ConfigError names the first line that holds no number."""
    return [
        _pseudonym(line, pseudonyms, f"line {number}") for number, line in enumerate(lines, 1) if line.strip()
    ]


def pseudonymise_column(source: TextIO, target: TextIO, column: str, pseudonyms: Pseudonyms) -> int:
    """Copy a CSV file with the numbers in one column replaced, empty cells left empty; return how many were.

    Nothing is written if one of them is none. Columns are parted by semicolons if the header has one, else by commas.
    """
    sheet = _open_sheet(source, column)
    writer = csv.writer(target, delimiter=sheet.delimiter, lineterminator="\n")
    written, replaced = [sheet.header], 0
    for line, row in sheet.rows:
        if sheet.holds_number(row):
            row[sheet.place] = _pseudonym(row[sheet.place], pseudonyms, f"line {line}")
            replaced += 1
        written.append(row)
    writer.writerows(written)
    return replaced


def read_numbers(source: TextIO, column: str | None) -> list[int]:
    """Return the numbers in a file, one a line or in a CSV's column; ConfigError names the first line that has none."""
    if column is None:
        return [_number(line, f"line {number}") for number, line in enumerate(source, 1) if line.strip()]
    sheet = _open_sheet(source, column)
    return [_number(row[sheet.place], f"line {line}") for line, row in sheet.rows if sheet.holds_number(row)]


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A CSV file whose header was read. `rows`: with their lines. `place`: of the column that is wanted."""

    rows: Iterator[tuple[int, list[str]]]
    header: list[str]
    delimiter: str
    place: int

    def holds_number(self, row: list[str]) -> bool:
        return len(row) > self.place and bool(row[self.place].strip())


def _open_sheet(source: TextIO, column: str) -> _Sheet:
    first = source.readline().removeprefix("\ufeff")
    delimiter = ";" if ";" in first else ","
    rows = csv.reader(chain([first], source), delimiter=delimiter)
    header = next(rows, [])
    if column not in header:
        there = ", ".join(header) or "nothing"
        raise ConfigError(
            [f"the header has no column {column!r}, but {there}: name one of these with --column"]
        )
    return _Sheet(((rows.line_num, row) for row in rows), header, delimiter, header.index(column))


def _pseudonym(text: str, pseudonyms: Pseudonyms, where: str) -> str:
    return (pseudonyms.of(_number(text, where)) or b"").hex()


def _number(text: str, where: str) -> int:
    try:
        return parse_uid(text)
    except BadNumber as error:
        raise ConfigError([f"{where}: {error}"]) from None


def parse_uid(text: str) -> int:
    """Return the number that is printed on a transponder, or raise BadNumber."""
    digits = _PARTED.sub("", text)
    if not _NUMBER.match(digits) or int(digits, 16) == 0:
        raise BadNumber(
            "no transponder's number: expected up to 16 hexadecimal digits, such as E00401500A1B2C3D"
        )
    return int(digits, 16)
