"""A short day of an installation with its own authority; `make day` lives the whole 24 hours and judges memory, too."""

import os
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.day import Day
from tests.acceptance.day_plan import SHORT_H, Kind, draw_day
from tests.acceptance.estates import small_estate
from tests.acceptance.memory import Sample, at_quarters, judge, last_life, take_sample

HOURS, SPEED, SEED = 3.5, 1440, 11
LIVED_H = 18.0
EVERY_H = 1 / 6


@pytest.mark.long
def test_a_day_with_faults_new_lists_commands_and_certificates_ends_as_it_should(tmp_path: Path) -> None:
    told: list[str] = []
    outcome = Day(tmp_path / "day", HOURS, SPEED, SEED, told.append).run()
    assert outcome.shortcomings == [], "\n".join(told)
    assert outcome.comparison.equal and outcome.comparison.events > 100
    assert outcome.renewals.certificates >= 2 and len(outcome.renewals.pages) >= 2
    assert len(outcome.in_force_after_s) >= 4
    assert outcome.commands.total() >= 4
    assert set(outcome.memory) == {"edge-agent", "cloud-sink"}


def test_same_seed_gives_the_same_day_and_another_one_another() -> None:
    estate = small_estate()
    assert draw_day(1, 24, 60, estate) == draw_day(1, 24, 60, estate)
    assert draw_day(1, 24, 60, estate) != draw_day(2, 24, 60, estate)


def test_after_the_rough_hours_nobody_kills_agent_or_sink_any_more() -> None:
    for seed in range(5):
        deeds = draw_day(seed, 24, 60, small_estate())
        killed = [
            deed for deed in deeds if deed.fault is not None and deed.fault.kind.startswith(("kill", "spool"))
        ]
        of_ours = [
            deed for deed in killed
            if deed.fault is not None
            and deed.fault.with_what.get("program") not in ("mosquitto", "firmware-sim")
        ]  # fmt: skip
        assert of_ours and max(deed.at_h for deed in of_ours) < 4


def test_a_whole_day_has_something_of_everything_and_a_short_one_is_bounded() -> None:
    whole = draw_day(1, 24, 60, small_estate())
    counts = {kind: sum(deed.kind is kind for deed in whole) for kind in Kind}
    assert counts[Kind.FAULT] > 80 and counts[Kind.LIST_CHANGE] > 12 and counts[Kind.COMMAND] > 40
    assert counts[Kind.NEW_SIGNING_KEY] == 2
    assert len(draw_day(1, SHORT_H / 3, 2.5, small_estate())) < 30


def life(growth: str, seed: int = 1) -> list[Sample]:
    """Return 18 hours of a process's samples, with noise and now and then an outlier."""
    rng, samples = Random(seed), []
    for n in range(round(LIVED_H / EVERY_H)):
        at_h = n * EVERY_H
        grown = {
            "none": 0.0,
            "leak": 0.12 * at_h,
            "to a bound": min(at_h, 5.0),
            "late": max(0.0, at_h - 9) * 0.3,
            "files": 0.0,
        }
        pss = 40 + grown[growth] + rng.uniform(-0.15, 0.15) + (3 if rng.random() < 0.05 else 0)
        files = 20 + (round(at_h) if growth == "files" else 0) + (3 if rng.random() < 0.05 else 0)
        samples.append(Sample(6 + at_h, 1, pss + 3, pss + 20, pss, files))
    return samples


@pytest.mark.parametrize(
    "growth,flat", [("none", True), ("to a bound", True), ("leak", False), ("late", False), ("files", False)]
)
def test_a_leak_is_told_from_noise_and_from_what_fills_up_to_its_bound(growth: str, flat: bool) -> None:
    for seed in range(5):
        assert judge("edge-agent", life(growth, seed)).flat is flat


def test_only_the_life_of_the_process_that_ran_last_is_judged() -> None:
    first = [Sample(float(hour), 1, 90.0, 100.0, 85.0, 20) for hour in range(4)]
    second = [Sample(hour + 10.0, 2, 40.0, 60.0, 38.0, 20) for hour in range(9)]
    assert last_life([*first, *second]) == second
    assert [sample.at_h for sample in at_quarters(second)] == [10, 12, 14, 16, 18]


def test_a_process_is_measured_with_its_children_and_one_that_is_gone_is_not() -> None:
    sample = take_sample(1.0, os.getpid())
    assert sample is not None and sample.files > 2
    assert 1 < sample.own_mib < sample.pss_mib <= sample.rss_mib
    assert take_sample(1.0, 2**22 + 1) is None
