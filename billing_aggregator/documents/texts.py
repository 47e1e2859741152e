"""Words and figures of one language: sentences from texts.toml, amounts, litres, days as people there write them."""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from fractions import Fraction
from functools import cache
from importlib.resources import files

from billing_aggregator.amounts import format_cents, format_litres
from billing_aggregator.documents.content import LANGUAGES
from billing_aggregator.errors import ConfigError

_SEPARATORS = {"de": (".", ","), "en": (",", ".")}
_MONTHS = {
    "de": ("Jan", "Feb", "Mär", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez"),
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
}
_LONG_MONTHS = {
    "de": (
        *("Januar", "Februar", "März", "April", "Mai", "Juni"),
        *("Juli", "August", "September", "Oktober", "November", "Dezember"),
    ),
    "en": (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
}
_FIRM = "\N{NO-BREAK SPACE}"
_EXACT_PLACES = 4


@cache
def read_texts() -> Mapping[str, Mapping[str, str]]:
    """Return all texts as key -> language -> text; keys with their dots as in texts.toml."""
    raw = tomllib.loads(files(__package__).joinpath("texts.toml").read_text("utf-8"))
    return dict(_flatten("", raw))


def _flatten(prefix: str, table: Mapping[str, object]) -> Iterator[tuple[str, Mapping[str, str]]]:
    texts = {language: str(table[language]) for language in LANGUAGES if language in table}
    if texts:
        yield prefix, texts
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(f"{prefix}.{name}".lstrip("."), value)


@cache
def words_of(language: str) -> "Words":
    """Return the words of a language, made once; ConfigError for one that there are no texts in."""
    return Words(language)


class Words:
    """Speaks one language. `words("key", name=…)` is a sentence; the methods write figures."""

    def __init__(self, language: str) -> None:
        """ConfigError for a language that there are no texts in."""
        if language not in LANGUAGES:
            raise ConfigError([f"language {language!r}: there are texts in {', '.join(LANGUAGES)} only"])
        self.language = language
        self._thousands, self._decimal = _SEPARATORS[language]
        self._texts = {key: texts[language] for key, texts in read_texts().items()}

    def __call__(self, key: str, **values: str | int) -> str:
        """Return the sentence with its {names} filled in; what is filled in is never read as a template."""
        return self._texts[key].format(**values)

    def __contains__(self, key: object) -> bool:
        return key in self._texts

    def name_of(self, prefix: str, name: str) -> str:
        """Return the text `prefix.name`, or the name itself where there is none, as for a fraction of one's own."""
        return self._texts.get(f"{prefix}.{name}", name)

    def number(self, value: int) -> str:
        """1.234 or 1,234."""
        return f"{value:,}".replace(",", self._thousands).replace("-", "\N{MINUS SIGN}")

    def money(self, cents: int, sign: bool = False) -> str:
        """1.234,56 € or €1,234.56; `sign`: with + for what is more."""
        amount = format_cents(abs(cents), self.language)
        before = "\N{MINUS SIGN}" if cents < 0 else "+" if sign and cents > 0 else ""
        return f"{before}{amount}\N{NO-BREAK SPACE}€" if self.language == "de" else f"{before}€{amount}"

    def exact_money(self, cents: Fraction) -> str:
        """The amount in euros to four places, cut off; an ellipsis says that it goes on."""
        scaled = cents * 10 ** (_EXACT_PLACES - 2)
        whole = scaled.numerator // scaled.denominator
        return self.decimal(whole, _EXACT_PLACES) + ("…" if whole != scaled else "")

    def litres(self, volume_ml: int, unit: bool = True) -> str:
        """1.385 l or 521,428 l: no places where they are all zero."""
        text = format_litres(volume_ml, self.language)
        return f"{text}\N{NO-BREAK SPACE}l" if unit else text

    def weight(self, key: str, weight: int) -> str:
        """A weight in the unit that people know: areas in m², volumes in litres, days as they are."""
        if key == "area_dm2_days":
            return self.decimal(weight, 2)
        return self.litres(weight, unit=False) if key == "billed_ml" else self.number(weight)

    def percent(self, part: int, whole: int) -> str:
        """30 % of 100; a part that is no whole percent as a fraction: 1/3."""
        scaled = Fraction(part * 100, whole)
        return f"{scaled}\N{NO-BREAK SPACE}%" if scaled.denominator == 1 else f"{part}/{whole}"

    def day(self, day: date) -> str:
        """01.03.2025 or 1 Mar 2025."""
        if self.language == "de":
            return f"{day.day:02}.{day.month:02}.{day.year}"
        return f"{day.day}{_FIRM}{_MONTHS['en'][day.month - 1]}{_FIRM}{day.year}"

    def month(self, month: str) -> str:
        """`2025-03` as Mär or Mar."""
        return _MONTHS[self.language][int(month[5:7]) - 1]

    def long_month(self, month: str) -> str:
        """`2025-03` as März 2025 or March 2025."""
        return f"{_LONG_MONTHS[self.language][int(month[5:7]) - 1]} {month[:4]}"

    def clock(self, at: datetime) -> str:
        """01.03.2025 18:22:01 +01:00: local time with its offset, columns of equal width."""
        text = at.isoformat(" ", "seconds")  # a hundred of these a page: strftime takes ten times as long
        day, time, offset = text[:10], text[11:19], text[19:]
        if self.language == "de":
            day = f"{day[8:]}.{day[5:7]}.{day[:4]}"
        return f"{day} {time} {offset}"

    def decimal(self, value: int, places: int) -> str:
        """The value divided by 10^places, all of them shown, the sign in front."""
        whole, rest = divmod(abs(value), 10**places)
        sign = "\N{MINUS SIGN}" if value < 0 else ""
        return f"{sign}{self.number(whole)}{self._decimal}{rest:0{places}}"
