"""Numbers, volumes, money, days and instants as German and English readers expect them."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.words.formatting import Formatting

BERLIN = ZoneInfo("Europe/Berlin")
DE, EN = Formatting("de", BERLIN), Formatting("en", BERLIN)
AT = datetime(2026, 7, 1, 22, 30, 5, tzinfo=UTC)


def plain(text: str) -> str:
    """Return a text with ordinary blanks."""
    return text.replace("\u00a0", " ").replace("\u202f", " ")


def test_volumes_are_litres_to_the_millilitre() -> None:
    assert plain(DE.volume(5000)) == "5 l"
    assert plain(DE.volume(1_234_567)) == "1.234,567 l"
    assert plain(EN.volume(12_500)) == "12.5 l"


def test_money_is_euros_to_the_cent() -> None:
    assert plain(DE.money(123_456)) == "1.234,56 €"
    assert plain(EN.money(-5)) == "-€0.05"


@given(st.integers(min_value=-(10**14), max_value=10**14))
def test_money_keeps_every_cent(amount_cents: int) -> None:
    digits = "".join(letter for letter in plain(DE.money(amount_cents)) if letter.isdigit())
    assert int(digits) == abs(amount_cents)


def test_what_is_missing_never_looks_complete() -> None:
    assert plain(DE.permille(1000)) == "100 %"
    assert plain(DE.permille(999)) == "99 %"
    assert plain(DE.permille(999, 1)) == "99,9 %"
    assert plain(EN.permille(5)) == "0 %"


def test_instants_are_in_the_propertys_zone() -> None:
    assert DE.instant(AT) == "02.07.2026, 00:30:05"
    assert EN.instant(AT) == "2 Jul 2026, 00:30:05"
    assert DE.time(AT) == "00:30:05"
    assert DE.minute(AT) == "02.07.26, 00:30"


def test_days_and_months() -> None:
    assert DE.day(date(2026, 11, 5)) == "05.11.2026"
    assert EN.day(date(2026, 11, 5)) == "5 Nov 2026"
    assert DE.month(date(2026, 11, 5)) == "November 2026"


def test_how_long_ago() -> None:
    assert DE.ago(AT, AT + timedelta(hours=3)) == "vor 3 Stunden"
    assert EN.ago(AT, AT + timedelta(minutes=2)) == "2 minutes ago"
    assert DE.duration(timedelta(days=2)) == "2 Tage"


@pytest.mark.parametrize(
    "form", ["number", "volume", "money", "permille", "weight", "day", "month", "instant"]
)
def test_what_is_not_known_is_a_dash(form: str) -> None:
    assert getattr(DE, form)(None) == "–"


def test_the_day_of_an_instant_is_that_of_the_propertys_zone() -> None:
    late = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)
    assert Formatting("de", BERLIN).day(late) == "01.04.2026"
    assert Formatting("de", BERLIN).day(date(2026, 3, 31)) == "31.03.2026"
