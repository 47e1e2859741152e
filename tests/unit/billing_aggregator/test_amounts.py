"""Amounts as people write them, and what is refused because two people would read it differently."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_aggregator.amounts import format_cents, format_litres, parse_units, plain, scale


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("1234.56", 123456), ("1.234,56", 123456), ("1,234.56", 123456), ("1234,56", 123456), ("1234", 123400),
        ("12,5", 1250), ("-0,01", -1), ("\N{MINUS SIGN}3.50", -350), ("+7", 700), ("1.234.567", 123456700),
        ("1.234.567,89", 123456789), (" 0.10 ", 10), ("0,5", 50),
    ],
)  # fmt: skip
def test_amounts_are_read_as_written(text: str, cents: int) -> None:
    assert parse_units(text, 2) == cents


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("1.234", "may mean 1234 or 1 and 234/1000: write 1234"),
        ("1,234", "may mean 1234 or 1 and 234/1000: write 1234"),
        ("-12.345", "may mean 12345 or 12 and 345/1000"),
        ("1.2345", "4 decimals, only 2"),
        ("0.123", "3 decimals, only 2"),
        ("1,23,456.00", "groups of three digits"),
        ("1.23.45", "groups of three digits"),
        ("1.234,567.89", "don't make a number"),
        ("12.", "after the decimal mark"),
        ("", "only digits"),
        ("12 €", "only digits"),
        ("1e3", "only digits"),
        ("١٢", "only digits"),
        ("1 234,56", "only digits"),
        ("9" * 16, "too large"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_with_a_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy.replace(".", r"\.")):
        parse_units(text, 2)


def test_a_whole_number_has_no_decimals() -> None:
    assert parse_units("5000", 0) == 5000
    with pytest.raises(ValueError, match="a whole number"):
        parse_units("5000,5", 0)


@pytest.mark.parametrize(
    ("number", "places", "units"), [("1234.56", 2, 123456), ("1E+3", 2, 100000), ("7", 0, 7)]
)
def test_exact_numbers_are_scaled(number: str, places: int, units: int) -> None:
    assert scale(Decimal(number), places) == units


@pytest.mark.parametrize("number", ["0.30000000000000004", "1.005", "NaN", "Infinity", "1E+40"])
def test_numbers_that_are_no_whole_cents_are_refused(number: str) -> None:
    with pytest.raises(ValueError):
        scale(Decimal(number), 2)


@given(st.integers(-(10**13), 10**13))
def test_what_is_exported_is_read_as_the_same_amount(cents: int) -> None:
    assert parse_units(plain(cents, 2), 2) == cents
    assert parse_units(format_cents(cents), 2) == cents == parse_units(format_cents(cents, "de"), 2)


def test_amounts_and_litres_look_as_their_language_has_them() -> None:
    assert (format_cents(-123456), format_cents(123456, "de"), format_cents(5)) == (
        "-1,234.56",
        "1.234,56",
        "0.05",
    )
    assert (format_litres(1_385_000), format_litres(129_285), format_litres(129_285, "de")) == (
        "1,385", "129.285", "129,285",
    )  # fmt: skip
