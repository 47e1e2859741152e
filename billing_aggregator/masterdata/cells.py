"""What can stand in a column: how each kind of cell is read and written, and what is said where it can't be read.

Text comes from CSV files, typed values from Excel: dates as dates, numbers exactly as the cell holds them. A reader
gets the cell and the zone of the row's property (None while nobody knows it), and raises ValueError with what to do.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from billing_aggregator.amounts import parse_units, plain, scale
from billing_aggregator.days import begin_of_day, format_instant, zone_of
from wastelock.registers import lock_id

Cell = str | int | Decimal | date | datetime | bool
Reader = Callable[[Cell, str | None], Any]

ID = re.compile(r"[A-Za-z0-9._-]+")
_ID_LENGTH, _TEXT_LENGTH = 100, 1000
_ISO_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})\Z", re.ASCII)
_GERMAN_DAY = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})\Z", re.ASCII)
_ISO_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = 1900, 2199
_PSEUDONYM = re.compile(r"[0-9a-f]{32}\Z")
_RAW_UID = re.compile(r"(?:[0-9a-f]{8}|[0-9a-f]{14}|[0-9a-f]{16}|[0-9a-f]{20})\Z")
# The same within a sentence, wherever it stood; eight digits may be a day there, and stay.
_RAW_UID_IN_TEXT = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{14}|[0-9A-Fa-f]{16}|[0-9A-Fa-f]{20}|[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){6,9})"
    r"(?![0-9A-Za-z])"
)
_LONGEST_UID = 20
_SERIAL = re.compile(r"[0-9a-fA-F]{1,16}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_WORDS = {
    "yes": True,
    "ja": True,
    "true": True,
    "1": True,
    "no": False,
    "nein": False,
    "false": False,
    "0": False,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of cell. `expected`: in words, for messages and documents. `show`: a value as CSV has it."""

    expected: str
    read: Reader
    show: Callable[[Any], str] = str


def _text_of(cell: Cell) -> str:
    """Return a cell as text. A number that was typed into a text column keeps no zeros, so only whole ones pass."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bool | date | Decimal):
        raise ValueError(f"Excel took it for {cell}: format the column as text and type it again")
    return str(cell)


def _read_text(cell: Cell, _zone: str | None) -> str:
    text = _text_of(cell)
    if len(text) > _TEXT_LENGTH:
        raise ValueError(f"it has {len(text)} characters, {_TEXT_LENGTH} are the most")
    if not text.isprintable():
        raise ValueError("it holds a line break or another character that nobody sees: remove it")
    return text


def _read_id(cell: Cell, _zone: str | None) -> str:
    text = _text_of(cell)
    if ID.fullmatch(text) is None or len(text) > _ID_LENGTH:
        raise ValueError("use letters A-Z, digits, and . _ - only, without umlauts, slashes and spaces")
    return text


def _read_day(cell: Cell, _zone: str | None) -> date:
    if isinstance(cell, datetime):
        if cell.time() != time():
            raise ValueError("it has a time of day: a day alone is expected")
        return _bounded(cell.date())
    if isinstance(cell, date):
        return _bounded(cell)
    text = _text_of(cell)
    if match := _ISO_DAY.match(text):
        year, month, day = (int(part) for part in match.groups())
    elif match := _GERMAN_DAY.match(text):
        day, month, year = (int(part) for part in match.groups())
    else:
        raise ValueError("write the day as 2025-12-31 or 31.12.2025")
    try:
        return _bounded(date(year, month, day))
    except ValueError:
        raise ValueError("there is no such day between 1900 and 2199") from None


def _bounded(day: date) -> date:
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise ValueError("there is no such day between 1900 and 2199")
    return day


def _read_last_day(cell: Cell, zone: str | None) -> date:
    return _read_day(cell, zone) + timedelta(days=1)


def _read_instant(cell: Cell, zone: str | None) -> datetime:
    if isinstance(cell, str) and _ISO_INSTANT.match(cell.strip()):
        try:
            at = datetime.fromisoformat(cell.strip().replace(" ", "T"))
        except ValueError:
            raise ValueError(
                "write it as 2025-10-26T02:30:00+02:00, 2025-10-26T00:30:00Z or 2025-10-26"
            ) from None
        if at.tzinfo is None:
            raise ValueError(
                "a local time alone isn't enough (02:30 comes twice in October): add Z for UTC or an offset, "
                "as 2025-10-26T02:30:00+02:00"
            )
        _bounded(at.date())
        if at.microsecond % 1000:
            raise ValueError("milliseconds are the smallest part of a second that is kept")
        return at.astimezone(UTC)
    if isinstance(cell, datetime) and cell.time() != time():
        raise ValueError(
            "Excel's times have no offset, and 02:30 comes twice in October: write it as text, "
            "2025-10-26T02:30:00+02:00"
        )
    try:
        day = _read_day(cell, zone)
    except ValueError:
        raise ValueError(
            "write it as 2025-10-26T02:30:00+02:00, as 2025-10-26T00:30:00Z, or a day for its midnight"
        ) from None
    if zone is None:
        raise ValueError("its property isn't known, so nobody knows when its midnight is: correct that first")
    return begin_of_day(day, zone)


def _read_last_day_instant(cell: Cell, zone: str | None) -> datetime:
    if zone is None:
        raise ValueError("its property isn't known, so nobody knows when its midnight is: correct that first")
    return begin_of_day(_read_last_day(cell, zone), zone)


def _units(cell: Cell, places: int) -> int:
    if isinstance(cell, str):
        return parse_units(cell, places)
    if isinstance(cell, bool | date):
        raise ValueError(f"Excel took it for {cell}: type the number again")
    return scale(Decimal(cell), places)


def whole(least: int, most: int) -> Kind:
    """Return the kind of a whole number within these bounds."""

    def read(cell: Cell, _zone: str | None) -> int:
        number = _units(cell, 0)
        if not least <= number <= most:
            raise ValueError(f"it must be from {least} to {most}")
        return number

    return Kind(f"a whole number from {least} to {most}", read)


def decimal(least: int, most: int, places: int, expected: str) -> Kind:
    """Return the kind of a decimal number that is kept in units of 10^-places, within bounds in these units."""

    def read(cell: Cell, _zone: str | None) -> int:
        units = _units(cell, places)
        if not least <= units <= most:
            raise ValueError(f"it must be from {plain(least, places)} to {plain(most, places)}")
        return units

    return Kind(expected, read, lambda units: plain(units, places))


def choice(*words: str) -> Kind:
    """Return the kind of one of these words."""

    def read(cell: Cell, _zone: str | None) -> str:
        text = _text_of(cell)
        if text not in words:
            raise ValueError(f"choose one of {', '.join(words)}")
        return text

    return Kind(" or ".join(words), read)


def _read_yes_no(cell: Cell, _zone: str | None) -> bool:
    if isinstance(cell, bool):
        return cell
    found = _WORDS.get(_text_of(cell).lower())
    if found is None:
        raise ValueError("write yes or no")
    return found


def _read_ids(cell: Cell, zone: str | None) -> frozenset[str]:
    return frozenset(_read_id(part, zone) for part in _text_of(cell).split())


def hide_transponders(text: str) -> str:
    """Return a message without what may be a transponder's own number: a row's cells may stand one column too far."""
    return _RAW_UID_IN_TEXT.sub("(perhaps a transponder's own number)", text)


def _read_pseudonym(cell: Cell, _zone: str | None) -> str:
    text = _text_of(cell).lower()
    padded = len(text.strip("0")) <= _LONGEST_UID  # a number filled up with zeros is no pseudonym
    if _PSEUDONYM.match(text) and not padded:
        return text
    if _PSEUDONYM.match(text) or _RAW_UID.match(text.replace(":", "").replace(" ", "")):
        raise ValueError(
            "this is a transponder's own number, which has no place here: turn it into its pseudonym with "
            "`cloud-sink pseudonym`, and delete this file"
        )
    raise ValueError("32 hexadecimal digits are expected: `cloud-sink pseudonym` makes them from a number")


def _read_sha256(cell: Cell, _zone: str | None) -> str:
    text = _text_of(cell).lower()
    if _SHA256.match(text) is None:
        raise ValueError("64 hexadecimal digits are expected: `sha256sum FILE` prints them")
    return text


def _read_lock(cell: Cell, _zone: str | None) -> str:
    """Return the one name that a lock has, however its serial number was written (`1F00A3`, `001f00a3`)."""
    text = _text_of(cell)
    if _SERIAL.match(text) is None:
        raise ValueError("up to 16 hexadecimal digits are expected, as on the lock's type plate")
    return lock_id(int(text, 16))


def _read_zone(cell: Cell, _zone: str | None) -> str:
    return zone_of(_text_of(cell)).key


TEXT = Kind("text in one line", _read_text)
IDENTIFIER = Kind("letters A-Z, digits, `.`, `_`, `-`", _read_id)
DAY = Kind("a local day, `2025-12-31` or `31.12.2025`", _read_day, date.isoformat)
LAST_DAY = Kind("a local day, `2025-12-31` or `31.12.2025`", _read_last_day)
INSTANT = Kind(
    "an instant with offset or `Z`, or a day for its local midnight", _read_instant, format_instant
)
LAST_DAY_INSTANT = Kind("a local day, `2025-12-31` or `31.12.2025`", _read_last_day_instant)
YES_NO = Kind("yes or no", _read_yes_no, lambda value: "yes" if value else "no")
IDENTIFIERS = Kind("identifiers, with spaces between them", _read_ids, lambda ids: " ".join(sorted(ids)))
PSEUDONYM = Kind("32 hexadecimal digits, as `cloud-sink pseudonym` makes them", _read_pseudonym)
SHA256 = Kind("64 hexadecimal digits", _read_sha256)
LOCK = Kind("up to 16 hexadecimal digits", _read_lock)
ZONE = Kind("a name of the tz database, `Europe/Berlin`", _read_zone)
EUROS = decimal(-(10**13), 10**13, 2, "euros, `1234.56` or `1.234,56`")
SQUARE_METRES = decimal(1, 10**9, 2, "m², `62.40` or `62,40`")
