"""How far the gateway's clock is trusted."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent.clock import (
    GatewayClock,
    kernel_clock_is_synchronised,
    was_set_by_timesyncd,
    was_set_from_rtc,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("source", "synchronised", "rtc", "trust"),
    [
        ("auto", True, False, "ntp"),
        ("auto", True, True, "ntp"),
        ("auto", False, True, "rtc"),
        ("auto", False, False, "unset"),
        ("ntp", False, False, "ntp"),
        ("rtc", True, False, "rtc"),
    ],
)
def test_trust_follows_the_kernel_unless_the_operator_gives_his_word(
    source: str, synchronised: bool, rtc: bool, trust: str
) -> None:
    clock = GatewayClock(source, lambda: NOW, lambda: synchronised, lambda: rtc)  # type: ignore[arg-type]
    assert clock.trust() == trust


@pytest.mark.parametrize("source", ["auto", "ntp", "rtc"])
def test_a_clock_from_before_this_program_is_unset_whatever_anybody_says(source: str) -> None:
    clock = GatewayClock(source, lambda: datetime(1970, 1, 1, tzinfo=UTC), lambda: True, lambda: True)  # type: ignore[arg-type]
    assert clock.trust() == "unset"


def test_the_kernel_can_be_asked_without_any_privilege() -> None:
    assert kernel_clock_is_synchronised() in (True, False)


def test_only_an_rtc_that_set_the_clock_at_boot_counts(tmp_path: Path) -> None:
    assert not was_set_from_rtc(tmp_path)
    for name, flag in (("rtc0", "0\n"), ("rtc1", "1\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hctosys").write_text(flag)
        assert was_set_from_rtc(tmp_path) is (flag == "1\n")


def test_where_the_kernel_may_not_be_asked_the_time_services_last_success_counts(tmp_path: Path) -> None:
    flag = tmp_path / "synchronized"
    assert not was_set_by_timesyncd(NOW, flag)
    flag.touch()
    for age, lately in (
        (timedelta(hours=8), True),
        (timedelta(seconds=-30), True),
        (timedelta(hours=10), False),
        (timedelta(hours=-1), False),
    ):
        at_s = (NOW - age).timestamp()
        os.utime(flag, (at_s, at_s))
        assert was_set_by_timesyncd(NOW, flag) is lately
