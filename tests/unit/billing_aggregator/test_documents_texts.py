"""Texts and figures in both languages: the same sentences, exact figures, each written as people there do."""

import re
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_aggregator import documents
from billing_aggregator.documents.texts import Words, read_texts
from billing_aggregator.errors import ConfigError
from billing_aggregator.model import ReviewKind

DE, EN = Words("de"), Words("en")
_PLACES = re.compile(r"\{(\w+)\}")


def test_each_text_exists_in_both_languages_with_the_same_places() -> None:
    for key, texts in read_texts().items():
        assert set(texts) == {"de", "en"}, key
        if all(texts.values()):
            assert set(_PLACES.findall(texts["de"])) == set(_PLACES.findall(texts["en"])), key


def test_each_text_is_used_somewhere() -> None:
    sources = "".join(path.read_text() for path in Path(documents.__file__).parent.glob("*.py"))
    made = re.findall(r'f"([a-z_.]+)\.?\{', sources)  # f"sums.{who}": any text below
    unused = [
        key
        for key in read_texts()
        if f'"{key}"' not in sources
        and f"'{key}'" not in sources
        and not any(key.startswith(prefix) for prefix in made)
        and key.partition(".")[0]
        not in ("fraction", "unit", "method", "clock", "review", "base_only", "annex")
    ]
    assert unused == []


def test_each_kind_of_review_has_a_name() -> None:
    assert [kind for kind in ReviewKind if f"review.{kind}" not in DE] == []


def test_language_without_texts_is_refused() -> None:
    with pytest.raises(ConfigError, match="fr"):
        Words("fr")


def test_money_is_written_as_people_write_it() -> None:
    assert DE.money(123_456).replace("\N{NO-BREAK SPACE}", " ") == "1.234,56 €"
    assert EN.money(123_456) == "€1,234.56"
    assert DE.money(-5).replace("\N{NO-BREAK SPACE}", " ") == "−0,05 €"
    assert EN.money(1240, sign=True) == "+€12.40"


@given(st.integers(-(10**12), 10**12))
def test_money_is_exact_to_the_cent(cents: int) -> None:
    """No figure is lost on the way to the page: both languages' text reads back as the same cents."""
    german = DE.money(cents).replace("−", "-").replace("\N{NO-BREAK SPACE}€", "").replace(".", "")
    english = EN.money(cents).replace("−", "-").replace("€", "").replace(",", "")
    assert int(german.replace(",", "")) == int(english.replace(".", "")) == cents
    assert german[-3] == "," and english[-3] == "."


@given(st.integers(0, 10**12))
def test_litres_are_exact_to_the_millilitre(volume_ml: int) -> None:
    text = DE.litres(volume_ml, unit=False).replace(".", "")
    whole, _, places = text.partition(",")
    assert int(whole) * 1000 + int(places or 0) == volume_ml
    assert places in ("",) or len(places) == 3


@given(st.fractions(min_value=0, max_value=10**9))
def test_exact_share_is_cut_off_and_says_so(cents: Fraction) -> None:
    text = EN.exact_money(cents)
    shown = Fraction(text.rstrip("…").replace(",", "")) * 100
    assert 0 <= cents - shown < Fraction(1, 100)
    assert text.endswith("…") == (shown != cents)


def test_days_months_and_clock_times_carry_their_offset() -> None:
    summer = datetime(2025, 7, 1, 18, 3, 9, tzinfo=timezone(timedelta(hours=2)))
    assert DE.clock(summer) == "01.07.2025 18:03:09 +02:00"
    assert EN.clock(summer) == "2025-07-01 18:03:09 +02:00"
    assert DE.day(date(2025, 3, 1)) == "01.03.2025"
    assert EN.day(date(2025, 3, 1)).replace("\N{NO-BREAK SPACE}", " ") == "1 Mar 2025"
    assert (DE.month("2025-03"), DE.long_month("2025-03"), EN.long_month("2025-12")) == (
        "Mär", "März 2025", "December 2025",
    )  # fmt: skip


def test_split_that_is_no_whole_percent_is_written_as_a_fraction() -> None:
    assert DE.percent(30, 100).replace("\N{NO-BREAK SPACE}", " ") == "30 %"
    assert DE.percent(1, 3) == "1/3"


def test_what_is_filled_in_is_never_read_as_a_template() -> None:
    assert "{previous} {0}" in DE("correction.reason", reason="{previous} {0}")
