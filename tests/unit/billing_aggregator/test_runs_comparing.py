"""Two agreements on the same data."""

from billing_aggregator.model import BaseKey
from billing_aggregator.runs.comparing import Variant, compare
from tests.unit.billing_aggregator.run_inputs import worked_inputs


def test_same_agreement_twice_moves_nobody() -> None:
    assert {each.moves_cents for each in compare(worked_inputs(), Variant(), Variant(30, 70))} == {0}


def test_half_by_area_favours_who_throws_much_and_sums_stay_equal() -> None:
    differences = compare(worked_inputs(), Variant(), Variant(50, 50))
    assert sum(each.moves_cents for each in differences) == 0
    assert sum(each.second_cents for each in differences) == 100_001
    assert differences[0].row == "WE3/T4"  # the one with the most pours for his area wins most
    assert differences[0].moves_cents < 0 < differences[-1].moves_cents
    assert {each.row: each.first_cents for each in differences}["WE1/T1"] == 29476


def test_another_key_or_minimum_can_be_compared_too() -> None:
    by_persons = compare(worked_inputs(), Variant(), Variant(base_key=BaseKey.PERSONS))
    assert {each.row: each.second_cents for each in by_persons}["WE3/T4"] > 44_389
    without_minimum = compare(worked_inputs(), Variant(), Variant(minimum_ml_per_person_week=0))
    assert {each.row: each.moves_cents for each in without_minimum}["WE4/T5"] == -2005
