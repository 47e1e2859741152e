"""Base weights and minimum volumes of rows, from stretches of days on which nothing changes."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_aggregator.engine.weights import Stretch, base_weights, minimum_ml, row_bases
from billing_aggregator.model import BaseKey, DayRange, RowBasis
from tests.unit.billing_aggregator.worked_case import AGREEMENT

FIRST = date(2025, 1, 1)


def days(first: int, end: int) -> DayRange:
    return DayRange(FIRST + timedelta(days=first), FIRST + timedelta(days=end))


def weigh(stretches: list[Stretch], key: BaseKey, vacancy_persons: int = 1) -> dict[str, int]:
    return base_weights(row_bases(stretches, vacancy_persons), key)


def test_a_row_adds_up_all_its_stretches_in_one_dwelling_and_no_other() -> None:
    stretches = [
        Stretch("WE1", "T1", False, days(0, 10), 5000, 2),
        Stretch("WE1", "T1", False, days(30, 40), 6000, 3),
        Stretch("WE2", "T1", False, days(10, 30), 4000, 2),
    ]
    assert row_bases(stretches, 1) == (
        RowBasis("WE1/T1", "WE1", "T1", 20, 0, 110_000, 50, 50, 0),
        RowBasis("WE2/T1", "WE2", "T1", 20, 0, 80_000, 40, 40, 0),
    )


def test_each_key_counts_its_own_thing() -> None:
    stretches = [
        Stretch("WE1", "T1", False, days(0, 10), 5000, 3),
        Stretch("WE1", "owner", True, days(10, 14), 5000, 0),
    ]
    assert weigh(stretches, BaseKey.AREA) == {"WE1/T1": 50_000, "WE1/owner": 20_000}
    assert weigh(stretches, BaseKey.PERSONS) == {"WE1/T1": 30, "WE1/owner": 4}
    assert weigh(stretches, BaseKey.DWELLINGS) == {"WE1/T1": 10, "WE1/owner": 4}


@pytest.mark.parametrize(("vacancy_persons", "counted"), [(0, 1), (1, 1), (2, 2)])
def test_a_vacant_day_counts_one_person_at_least(vacancy_persons: int, counted: int) -> None:
    """§ 556a (1) BGB: who keeps a dwelling empty bears its part by every key, and can't set it to nothing."""
    stretches = [Stretch("WE1", "owner", True, days(0, 10), 5000, 0)]
    assert weigh(stretches, BaseKey.PERSONS, vacancy_persons) == {"WE1/owner": 10 * counted}


def test_an_owner_who_lives_there_is_counted_by_his_persons() -> None:
    stretches = [
        Stretch("WE1", "owner", False, days(0, 10), 5000, 4),
        Stretch("WE1", "owner", True, days(10, 30), 5000, 4),
    ]
    (row,) = row_bases(stretches, 2)
    assert (row.person_days, row.key_person_days, row.vacant_days) == (40, 80, 20)
    assert (row.area_dm2_days, row.vacant_area_dm2_days) == (150_000, 100_000)


def test_a_minimum_of_five_litres_per_person_and_week_is_floored_once() -> None:
    """VIII ZR 78/15: 10 l a week were appropriate for a two-person household."""
    (row,) = row_bases([Stretch("WE1", "T1", False, days(0, 365), 5000, 2)], 1)
    assert minimum_ml(row, AGREEMENT, "residual") == 521_428  # 5,000 × 730 / 7 = 521,428.57
    halves = row_bases(
        [
            Stretch("WE1", "T1", False, days(0, 1), 5000, 1),
            Stretch("WE1", "T1", False, days(1, 2), 5000, 1),
        ],
        1,
    )
    assert minimum_ml(halves[0], AGREEMENT, "residual") == 1428  # not twice the floor of 714.28


def test_the_minimum_holds_only_in_the_fractions_named() -> None:
    (row,) = row_bases([Stretch("WE1", "T1", False, days(0, 7), 5000, 1)], 1)
    named = replace(AGREEMENT, minimum_fractions=frozenset({"residual", "organic"}))
    assert [minimum_ml(row, named, fraction) for fraction in ("residual", "organic", "paper")] == [
        5000,
        5000,
        0,
    ]


def test_vacancy_has_no_minimum() -> None:
    (row,) = row_bases([Stretch("WE1", "owner", True, days(0, 70), 5000, 3)], 3)
    assert minimum_ml(row, AGREEMENT, "residual") == 0


@given(st.data())
def test_how_days_are_cut_and_ordered_changes_no_weight(data: st.DataObject) -> None:
    whole = Stretch("WE1", "T1", data.draw(st.booleans()), days(0, 100), 5000, 2)
    cuts = sorted(data.draw(st.sets(st.integers(1, 99), max_size=6)))
    pieces = [
        replace(whole, days=days(first, end)) for first, end in zip([0, *cuts], [*cuts, 100], strict=True)
    ]
    assert row_bases(data.draw(st.permutations(pieces)), 2) == row_bases([whole], 2)
