"""Local days and their instants, by the pinned rules of time zones."""

import zoneinfo
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_aggregator.days import (
    TZDATA_VERSION,
    add_months,
    begin_of_day,
    day_of,
    format_instant,
    month_key,
    zone_of,
)

BERLIN = "Europe/Berlin"


def test_the_rules_are_the_pinned_package_s_and_not_the_machine_s() -> None:
    assert zoneinfo.TZPATH == ()
    assert TZDATA_VERSION[:4].isdigit()


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2025, 3, 30), 23), (date(2025, 10, 26), 25), (date(2025, 6, 1), 24)]
)
def test_a_billing_day_across_dst_has_23_or_25_hours(day: date, hours: int) -> None:
    assert begin_of_day(day + timedelta(days=1), BERLIN) - begin_of_day(day, BERLIN) == timedelta(hours=hours)


def test_the_hour_that_comes_twice_belongs_to_one_day() -> None:
    first, second = datetime(2025, 10, 26, 0, 30, tzinfo=UTC), datetime(2025, 10, 26, 1, 30, tzinfo=UTC)
    assert day_of(first, BERLIN) == day_of(second, BERLIN) == date(2025, 10, 26)
    assert day_of(datetime(2025, 10, 26, 23, tzinfo=UTC), BERLIN) == date(2025, 10, 27)


def test_where_the_clock_skips_midnight_the_day_begins_with_the_change() -> None:
    begin = begin_of_day(date(2018, 11, 4), "America/Sao_Paulo")  # 00:00 was put forward to 01:00
    assert begin == datetime(2018, 11, 4, 3, tzinfo=UTC)
    assert day_of(begin - timedelta(seconds=1), "America/Sao_Paulo") == date(2018, 11, 3)


@given(
    st.dates(date(1990, 1, 1), date(2040, 1, 1)),
    st.sampled_from([BERLIN, "Pacific/Apia", "Asia/Beirut", "UTC"]),
)
def test_a_day_s_first_instant_is_on_no_earlier_day(day: date, zone: str) -> None:
    if zone == "Pacific/Apia" and day == date(2011, 12, 30):  # there was no such day
        return
    assert day_of(begin_of_day(day, zone), zone) == day
    assert day_of(begin_of_day(day, zone) - timedelta(seconds=1), zone) < day


def test_months_are_counted_to_the_last_day_of_shorter_ones() -> None:
    assert add_months(date(2024, 1, 31), 1) == date(2024, 2, 29)
    assert add_months(date(2025, 1, 1), 12) == date(2026, 1, 1)
    assert add_months(date(2024, 3, 1), -3) == date(2023, 12, 1)
    assert month_key(date(2025, 3, 30)) == "2025-03"


def test_instants_are_written_in_utc() -> None:
    at = datetime(2025, 10, 26, 2, 30, tzinfo=zone_of(BERLIN))
    assert format_instant(at) == "2025-10-26T00:30:00Z"
    assert format_instant(at.replace(fold=1, microsecond=250_000)) == "2025-10-26T01:30:00.250000Z"


@pytest.mark.parametrize("name", ["Europe/Belrin", "", "../etc/passwd", "Europe"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        zone_of(name)
