"""Figures, ratios and goals: the arithmetic that a verdict rests on."""

import json

import pytest

from bench.table import Baseline, Goal, Row, goal_text, number, render


def row(figure: float = 30.0, baseline: float | None = 20.0, goal: Goal | None = None) -> Row:
    against = None if baseline is None else Baseline("the plain way", (baseline,))
    return Row("pages taken in", "records/s", (figure,), against, goal, "intake")


def test_figure_is_the_median_of_what_was_measured() -> None:
    assert Row("x", "ms", (9.0, 1.0, 2.0)).figure == 2.0
    assert Baseline("y", (9.0, 1.0)).figure == 5.0


def test_ratio_is_figure_by_baseline() -> None:
    assert row(30, 20).ratio == 1.5
    assert row(30, None).ratio is None
    assert row(30, 0).ratio is None


def test_ratio_of_paired_samples_is_the_median_of_each_by_its_partner() -> None:
    samples, slow_disk = (30.0, 300.0, 33.0), (20.0, 200.0, 20.0)
    paired = Row("x", "records/s", samples, Baseline("y", slow_disk, paired=True))
    assert paired.ratios == pytest.approx((1.5, 1.5, 1.65))
    assert paired.ratio == pytest.approx(1.5)
    assert "1.50 ±5 %" in render([paired])
    assert Row("x", "records/s", samples, Baseline("y", slow_disk)).ratios == (33 / 20,)


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (None, None),
        (Goal("ratio", "at least", 1.5), True),
        (Goal("ratio", "at least", 1.51), False),
        (Goal("ratio", "at most", 1.5), True),
        (Goal("ratio", "at most", 1.49), False),
        (Goal("figure", "at least", 30), True),
        (Goal("figure", "at least", 31), False),
        (Goal("figure", "at most", 30), True),
        (Goal("figure", "at most", 29), False),
    ],
)
def test_goal_is_met_up_to_and_including_its_bound(goal: Goal | None, met: bool | None) -> None:
    assert row(30, 20, goal).met is met


def test_goal_for_a_ratio_that_there_is_not_is_missed() -> None:
    assert row(30, None, Goal("ratio", "at least", 1.5)).met is False


def test_spread_leaves_out_what_lies_far_off_once_there_are_enough_samples() -> None:
    assert Row("x", "ms", (10.0,)).spread == 0
    assert Row("x", "ms", (9.0, 10.0, 11.0)).spread == pytest.approx(0.1)
    assert Row("x", "ms", (*[9.0, 10.0, 11.0] * 10, 1000.0)).spread == pytest.approx(0.1)


def test_table_shows_a_missed_goal_as_plainly_as_a_met_one() -> None:
    lines = render(
        [row(30, 20, Goal("ratio", "at least", 1.5)), row(20, 20, Goal("ratio", "at least", 1.5))]
    ).splitlines()
    assert lines[2].split()[-1] == "yes"
    assert lines[3].split()[-1] == "NO"
    assert "ratio ≥ 1.5" in lines[3]
    assert lines[-1] == "baseline of intake: the plain way"


def test_columns_of_the_table_are_aligned() -> None:
    text = render([row(1_234_567.0, 3), row(1.5, None)])
    header, rule, first, second = text.splitlines()[:4]
    end = header.index("figure") + len("figure")
    assert rule[end - 1] == "-"
    assert first[:end].endswith("1,234,567")
    assert second[:end].endswith("1.5")


@pytest.mark.parametrize(
    ("value", "text"), [(12_345.6, "12,346"), (999.4, "999"), (3.14159, "3.14"), (0.01234, "0.0123")]
)
def test_numbers_tell_what_matters(value: float, text: str) -> None:
    assert number(value) == text


def test_goal_names_its_unit() -> None:
    assert goal_text(row(goal=Goal("figure", "at least", 10_000))) == "≥ 10,000 records/s"
    assert goal_text(row(goal=Goal("ratio", "at most", 1.5))) == "ratio ≤ 1.5"
    assert goal_text(row()) == ""


def test_json_of_a_row_holds_all_samples() -> None:
    held = json.loads(json.dumps(row(30, 20, Goal("ratio", "at least", 1.5)).as_json()))
    assert held["samples"] == [30]
    assert held["baseline"] == 20
    assert held["goal"] == {"of": "ratio", "sense": "at least", "bound": 1.5}
    assert held["met"] is True
