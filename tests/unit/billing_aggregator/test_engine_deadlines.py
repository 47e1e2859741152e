"""§ 556 (3) BGB: until when a statement is received in time, and until when objections are possible."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_aggregator.engine.deadlines import claim_until, is_in_time, objections_until
from billing_aggregator.model import DayRange

YEAR = DayRange(date(2025, 1, 1), date(2026, 1, 1))
DAYS = st.dates(date(2000, 1, 1), date(2100, 12, 31))


@pytest.mark.parametrize(
    ("first", "end", "last"),
    [
        (date(2025, 1, 1), date(2026, 1, 1), date(2026, 12, 31)),
        (date(2024, 7, 1), date(2025, 7, 1), date(2026, 6, 30)),
        (date(2022, 3, 1), date(2023, 3, 1), date(2024, 2, 29)),  # the twelfth month has a day more
        (date(2023, 3, 1), date(2024, 3, 1), date(2025, 2, 28)),
        (
            date(2025, 1, 16),
            date(2025, 6, 16),
            date(2026, 6, 30),
        ),  # ends on 15 June: June is the twelfth month
    ],
)
def test_a_statement_is_in_time_until_the_last_day_of_the_twelfth_month_after_the_period(
    first: date, end: date, last: date
) -> None:
    """§ 556 (3) sentence 2 BGB."""
    period = DayRange(first, end)
    assert claim_until(period) == last
    assert is_in_time(last, period)
    assert not is_in_time(last + timedelta(days=1), period)


def test_what_nobody_knows_to_have_arrived_isnt_in_time() -> None:
    assert not is_in_time(None, YEAR)


@pytest.mark.parametrize(
    ("received_on", "last"),
    [
        (date(2026, 3, 10), date(2027, 3, 31)),
        (date(2026, 3, 31), date(2027, 3, 31)),
        (date(2026, 4, 1), date(2027, 4, 30)),
        (date(2027, 2, 1), date(2028, 2, 29)),
        (date(2028, 2, 29), date(2029, 2, 28)),
    ],
)
def test_objections_are_possible_until_the_end_of_the_twelfth_month_after_receipt(
    received_on: date, last: date
) -> None:
    """§ 556 (3) sentence 5 BGB."""
    assert objections_until(received_on) == last


def test_a_period_without_an_end_has_no_deadline() -> None:
    with pytest.raises(ValueError, match="no end"):
        claim_until(DayRange(date(2025, 1, 1), None))


@given(DAYS, DAYS)
def test_who_gets_it_later_has_at_least_as_long_and_everybody_twelve_months(one: date, other: date) -> None:
    """§ 556 (3) sentence 5 BGB: a year at least, a year and a month at most."""
    earlier, later = sorted((one, other))
    assert objections_until(earlier) <= objections_until(later)
    assert timedelta(days=365) <= objections_until(one) + timedelta(days=1) - one <= timedelta(days=397)
    assert (objections_until(one) + timedelta(days=1)).day == 1
