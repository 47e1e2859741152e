"""`cloud-sink pseudonym`: raw transponder numbers in, pseudonyms out: for master data, which never sees a raw number.

Numbers are hexadecimal as they are printed on transponders: up to 16 digits, groups may be parted by blanks, colons or
hyphens. What is wrong is named by line; a number itself is never repeated, neither in a message nor in a log.
"""

import csv
import re
from collections.abc import Iterable
from itertools import chain
from typing import TextIO

from cloud_sink.errors import ConfigError
from cloud_sink.pseudonyms import Pseudonyms

_PARTED = re.compile(r"[\s:-]+")
_NUMBER = re.compile(r"[0-9A-Fa-f]{1,16}\Z")


class _BadNumber(ValueError):
    """This isn't a transponder's number."""


def pseudonymise_lines(lines: Iterable[str], pseudonyms: Pseudonyms) -> list[str]:
    """Return a pseudonym for each line that isn't empty; ConfigError names the first line that holds no number."""
    return [
        _pseudonym(line, pseudonyms, f"line {number}") for number, line in enumerate(lines, 1) if line.strip()
    ]


def pseudonymise_column(source: TextIO, target: TextIO, column: str, pseudonyms: Pseudonyms) -> int:
    """Copy a CSV file with the numbers in one column replaced, empty cells left empty; return how many were.

    Nothing is written if one of them is none. Columns are parted by semicolons if the header has one, else by commas.
    """
    first = source.readline().removeprefix("\ufeff")
    delimiter = ";" if ";" in first else ","
    rows = csv.reader(chain([first], source), delimiter=delimiter)
    writer = csv.writer(target, delimiter=delimiter, lineterminator="\n")
    header = next(rows, [])
    if column not in header:
        there = ", ".join(header) or "nothing"
        raise ConfigError(
            [f"the header has no column {column!r}, but {there}: name one of these with --column"]
        )
    place = header.index(column)
    written, replaced = [header], 0
    for row in rows:
        if len(row) > place and row[place].strip():
            row[place] = _pseudonym(row[place], pseudonyms, f"line {rows.line_num}")
            replaced += 1
        written.append(row)
    writer.writerows(written)
    return replaced


def _pseudonym(text: str, pseudonyms: Pseudonyms, where: str) -> str:
    try:
        return (pseudonyms.of(_uid(text)) or b"").hex()
    except _BadNumber as error:
        raise ConfigError([f"{where}: {error}"]) from None


def _uid(text: str) -> int:
    digits = _PARTED.sub("", text)
    if not _NUMBER.match(digits) or int(digits, 16) == 0:
        raise _BadNumber(
            "no transponder's number: expected up to 16 hexadecimal digits, such as E00401500A1B2C3D"
        )
    return int(digits, 16)
