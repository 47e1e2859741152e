"""How far the time of a record can be trusted: grades, and the seconds that they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wastelock.clock_grade import GOOD_WITHIN_S, ClockGrade, ClockQuality, anchored, grade_clock
from wastelock.record import ClockStatus, Flag

AT = 1_750_000_000
SET, LOST, NEVER = ClockStatus.SET, ClockStatus.LOST, ClockStatus.NEVER_SET


@pytest.mark.parametrize(
    ("flags", "offset_s", "gateway_clock", "expected"),
    [
        (SET, -2, "ntp", (ClockGrade.NTP, 4)),
        (SET, 2, "rtc", (ClockGrade.RTC, 62)),
        (SET, 0, "unset", (ClockGrade.UNCERTAIN, 3600)),
        (SET, -50, "unset", (ClockGrade.UNCERTAIN, 3650)),
        (SET, None, "ntp", (ClockGrade.UNCERTAIN, 3600)),
        (SET, 5, None, (ClockGrade.UNCERTAIN, 3605)),
        (LOST, 5, "ntp", (ClockGrade.LOST, 86_405)),
        (3, 0, "ntp", (ClockGrade.LOST, 86_400)),
        (SET | Flag.DERIVED, 0, "ntp", (ClockGrade.DERIVED, 900)),
        (SET | Flag.DEGRADED | Flag.SERVICE, 1, "ntp", (ClockGrade.NTP, 3)),
    ],
)
def test_a_grade_says_how_many_seconds_a_record_may_be_off(
    flags: int, offset_s: int | None, gateway_clock: str | None, expected: tuple[ClockGrade, int]
) -> None:
    assert grade_clock(flags, AT, AT + 60, offset_s, gateway_clock) == ClockQuality(*expected)


def test_what_was_read_long_after_the_pour_may_have_drifted_in_between() -> None:
    assert grade_clock(SET, AT, AT + 365 * 86_400, 0, "ntp").uncertainty_s == 2 + 1576
    assert grade_clock(SET, AT, AT - 365 * 86_400, 0, "ntp").uncertainty_s == 2 + 1576


def test_a_clock_never_set_is_never_good_however_well_it_is_reckoned_back() -> None:
    never = grade_clock(NEVER, 77, AT, None, "ntp")
    assert (never.grade, never.is_good) == (ClockGrade.NEVER_SET, False)
    reckoned = anchored(grade_clock(SET, AT, AT, 0, "ntp"))
    assert (reckoned.grade, reckoned.uncertainty_s, reckoned.is_good) == (ClockGrade.NEVER_SET, 4, False)


@given(
    st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1),
    st.none() | st.integers(-(2**31), 2**31 - 1), st.sampled_from(["ntp", "rtc", "unset", None, "new"]),
)  # fmt: skip
def test_only_what_is_known_within_a_quarter_of_an_hour_is_good(
    flags: int, began_s: int, read_s: int, offset_s: int | None, gateway_clock: str | None
) -> None:
    quality = grade_clock(flags, began_s, read_s, offset_s, gateway_clock)
    assert quality.uncertainty_s > 0
    if quality.is_good:
        assert quality.uncertainty_s <= GOOD_WITHIN_S
        assert flags & 0b11 == SET
        assert flags & Flag.DERIVED or (offset_s is not None and abs(offset_s) < GOOD_WITHIN_S)
