"""Reads an access list (CSV) for `cloud-sink access-list set`: all of it, or every problem with its line.

    credential                        service  blocked        or  uid               service  blocked
    0a4f…  (a pseudonym, 32 digits)            yes                E00401500A1B2C3D  yes

The first line names the columns, in any order; one of `credential` and `uid` is needed. A cell that is empty, `no`, `0`
or `false` says no; `yes`, `1`, `true` or `x` says yes. Lines that begin with # are comments; "," and ";" both separate.
A number is never repeated in a message.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

from cloud_sink.errors import InputRejected
from cloud_sink.orders.model import ListedTransponder
from cloud_sink.pseudonymising import BadNumber, parse_uid
from cloud_sink.pseudonyms import Pseudonyms

_WHO = ("credential", "uid")
_FLAGS = ("service", "blocked")
_MEANINGS = {
    "": False,
    "no": False,
    "0": False,
    "false": False,
    "yes": True,
    "1": True,
    "true": True,
    "x": True,
}


@dataclass(slots=True)
class ReadList:
    """What a file says: who, by pseudonym, and the numbers that stood in it."""

    transponders: list[ListedTransponder] = field(default_factory=list)
    uids: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_access_list(source: TextIO, pseudonyms: Pseudonyms) -> ReadList:
    """Return the list in a CSV file, or raise InputRejected with all its problems."""
    lines = [
        (number, line) for number, line in enumerate(source, 1) if not line.lstrip("\ufeff ").startswith("#")
    ]
    delimiter = ";" if lines and ";" in lines[0][1] else ","
    rows = csv.reader((line.removeprefix("\ufeff") for _, line in lines), delimiter=delimiter)
    header = [cell.strip() for cell in next(rows, [])]
    who = [name for name in header if name in _WHO]
    if len(who) != 1 or set(header) - {*_WHO, *_FLAGS} or len(set(header)) != len(header):
        raise InputRejected(
            [f"the first line names the columns: {_WHO[0]} or {_WHO[1]}, and if wanted {', '.join(_FLAGS)}"]
        )
    found = ReadList()
    for row in rows:
        if any(cell.strip() for cell in row):
            where = f"line {lines[rows.line_num - 1][0]}"
            _read(found, where, dict(zip(header, (cell.strip() for cell in row), strict=False)), pseudonyms)
    if found.problems:
        raise InputRejected(found.problems)
    return found


def _read(found: ReadList, where: str, cells: dict[str, str], pseudonyms: Pseudonyms) -> None:
    flags: dict[str, bool] = {}
    for name in _FLAGS:
        meaning = _MEANINGS.get(cells.get(name, "").lower())
        if meaning is None:
            found.problems.append(f"{where}: {name}: expected yes or no")
        flags[name] = bool(meaning)
    credential = cells.get("credential", "").lower()
    if "uid" in cells:
        try:
            uid = parse_uid(cells["uid"])
        except BadNumber as error:
            found.problems.append(f"{where}: {error}")
            return
        found.uids.append(uid)
        credential = (pseudonyms.of(uid) or b"").hex()
    found.transponders.append(ListedTransponder(credential, **flags))


def write_access_list(transponders: Sequence[ListedTransponder], out: TextIO) -> None:
    """Write a list as it can be read again, by pseudonyms."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_WHO[0], *_FLAGS])
    for each in transponders:
        writer.writerow([each.credential, *("yes" if flag else "" for flag in (each.service, each.blocked))])
