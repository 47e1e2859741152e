"""Amounts as people write them, exactly: text to whole cents (or other smallest units) and back. Pure, no float.

Both ways of writing are read, `1234.56` and `1.234,56`. What could be either, `1.234` or `1,234`, is refused: readers
would differ by a factor of a thousand.
"""

import re
from decimal import Decimal

_SHAPE = re.compile(r"([+-]?)(\d[\d.,]*)\Z", re.ASCII)
_GROUP = 3  # digits between thousands' separators
_MAX_DIGITS = 15


def parse_units(text: str, places: int) -> int:
    """Return a decimal number in units of 10^-places: with 2 places `12,5` is 1250. ValueError says what to write."""
    shape = _SHAPE.match(text.strip().replace("\N{MINUS SIGN}", "-"))
    if shape is None:
        raise ValueError("only digits, a decimal mark and a minus sign are expected, as 1234.56 or 1234,56")
    sign, digits = shape.groups()
    whole, decimals = _split(digits)
    if len(decimals) > places:
        raise ValueError(
            f"it has {len(decimals)} decimals, only {places} are possible"
            if places
            else "a whole number is expected"
        )
    if len(whole) > _MAX_DIGITS:
        raise ValueError("it is too large")
    units = int(whole + decimals.ljust(places, "0"))
    return -units if sign == "-" else units


def scale(number: Decimal, places: int) -> int:
    """Return an exact number in units of 10^-places; ValueError if it isn't a whole number of them."""
    if not number.is_finite() or number.adjusted() > _MAX_DIGITS:
        raise ValueError("it is no number that can be kept")
    units = number.scaleb(places)
    if units != units.to_integral_value():
        raise ValueError(
            f"it is {number}, but only {places} decimals are possible: round it yourself"
            if places
            else f"it is {number}, but a whole number is expected"
        )
    return int(units)


def plain(units: int, places: int) -> str:
    """Return a number for machines, as exports have it: 123456 with 2 places is `1234.56`."""
    whole, rest = divmod(abs(units), 10**places)
    return f"{'-' if units < 0 else ''}{whole}" + (f".{rest:0{places}}" if places else "")


def format_cents(cents: int, language: str = "en") -> str:
    """Return an amount for people: `1,234.56`, in German `1.234,56`."""
    whole, rest = divmod(abs(cents), 100)
    return _localise(f"{'-' if cents < 0 else ''}{whole:,}.{rest:02}", language)


def format_litres(volume_ml: int, language: str = "en") -> str:
    """Return millilitres in litres for people, exactly: `1,385` and `129.285`, in German `1.385` and `129,285`."""
    whole, rest = divmod(abs(volume_ml), 1000)
    decimals = f".{rest:03}" if rest else ""
    return _localise(f"{'-' if volume_ml < 0 else ''}{whole:,}{decimals}", language)


def _split(digits: str) -> tuple[str, str]:
    """Return whole part and decimals of a number as people write it, without separators."""
    marks = [mark for mark in digits if mark in ".,"]
    if not marks:
        return digits, ""
    last = marks[-1]
    whole, _, decimals = digits.rpartition(last)
    if len(set(marks)) == 1 and len(marks) > 1:  # 1.234.567: a decimal mark comes only once
        return _ungroup(digits, last), ""
    others = [mark for mark in marks if mark != last]
    if others:
        if marks.count(last) > 1:
            raise ValueError("its points and commas don't make a number: write it as 1234.56 or 1234,56")
        return _ungroup(whole, others[0]), decimals
    if len(decimals) == _GROUP and whole != "0":
        raise ValueError(
            f"{digits} may mean {whole}{decimals} or {whole} and {decimals}/1000: write {whole}{decimals}, "
            f"{whole}{decimals}{last}00 or {whole}{last}{decimals[:2]}"
        )
    if not decimals:
        raise ValueError("digits are expected after the decimal mark")
    return whole, decimals


def _ungroup(digits: str, separator: str) -> str:
    first, *groups = digits.split(separator)
    if not 1 <= len(first) <= _GROUP or any(len(group) != _GROUP for group in groups):
        raise ValueError("its thousands aren't groups of three digits: leave the separators out")
    return first + "".join(groups)


def _localise(english: str, language: str) -> str:
    return english.translate(str.maketrans(".,", ",.")) if language == "de" else english
