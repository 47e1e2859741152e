"""Substitutes for lost pours: whose figures they are taken from, in which order, and that nothing of a loss is lost."""

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_aggregator.engine.substitutes import Reference, references_in, substitute_lost
from billing_aggregator.engine.weights import Stretch
from billing_aggregator.model import UNATTRIBUTED_ROW, DayRange, LostVolume, RowUsage, Substitute

SEED = "A-2025"
YEAR = DayRange(date(2025, 1, 1), date(2026, 1, 1))
LOSS = LostVolume(
    "1f00a3", 2, "residual", 15, 300_000, date(2025, 3, 10), date(2025, 3, 20), ("WE1", "WE2"), "overwritten"
)


def lived_in(dwelling: str, party: str, persons: int, days: DayRange = YEAR, area_dm2: int = 5000) -> Stretch:
    return Stretch(dwelling, party, False, days, area_dm2, persons)


ONE, TWO = lived_in("WE1", "T1", 1), lived_in("WE2", "T2", 2)


def known(
    row: str,
    volume_ml: int,
    persons: int,
    days: int = 100,
    *,
    this_period: bool = True,
    source: str = "2025-01..2025-02",
) -> Reference:
    return Reference(row, "residual", volume_ml, days, persons * days, this_period, source)


def by_row(substitutes: tuple[Substitute, ...]) -> dict[str, Substitute]:
    return {substitute.row: substitute for substitute in substitutes}


def test_each_party_is_estimated_by_its_own_figures_first() -> None:
    """As § 9a (1) HeizkostenV orders it: comparable periods, comparable rooms, the average."""
    references = [
        known("WE1/T1", 400_000, 1, source="2024-01-01..2024-12-31", this_period=False),
        known("WE1/T1", 600_000, 1),
        known("WE2/T2", 500_000, 2, days=50),
    ]
    found = by_row(substitute_lost([LOSS], [ONE, TWO], references, SEED))
    assert found["WE1/T1"] == Substitute(
        row="WE1/T1",
        fraction="residual",
        lock="1f00a3",
        chamber=2,
        estimate=Fraction(10 * 1_000_000, 200),  # ten days at 5 l a day
        volume_ml=100_000,
        method="same_party",
        sources=("2024-01-01..2024-12-31", "2025-01..2025-02"),
    )
    assert found["WE2/T2"].estimate == 100_000
    assert found["WE2/T2"].volume_ml == 200_000


def test_comparable_dwellings_are_households_of_the_same_size_in_this_period() -> None:
    references = [
        known("WE1/T1", 100_000, 1),
        *(known(f"WE{number}/T{number}", 300_000, 2) for number in (5, 6, 7)),
        known("WE8/T8", 999_999, 3),
        known("WE9/T9", 999_999, 2, this_period=False),
    ]
    found = by_row(substitute_lost([LOSS], [ONE, TWO], references, SEED))
    assert found["WE2/T2"].method == "comparable_dwellings"
    assert found["WE2/T2"].estimate == 30_000
    assert found["WE2/T2"].sources == ("WE5/T5", "WE6/T6", "WE7/T7")
    assert found["WE2/T2"].volume_ml == 3 * found["WE1/T1"].volume_ml == 225_000


def test_fewer_than_three_comparable_dwellings_leave_the_average_per_person_and_day() -> None:
    references = [known("WE1/T1", 100_000, 1), known("WE5/T5", 300_000, 2), known("WE6/T6", 300_000, 2)]
    found = by_row(substitute_lost([LOSS], [ONE, TWO], references, SEED))
    assert found["WE2/T2"].method == "average"
    assert found["WE2/T2"].estimate == Fraction(700_000, 500) * 2 * 10
    assert found["WE2/T2"].sources == ("2025-01..2025-02",)


@pytest.mark.parametrize(("days", "method"), [(27, "average"), (28, "same_party")])
def test_a_partys_own_figures_count_from_four_weeks_on(days: int, method: str) -> None:
    references = [known("WE1/T1", 50_000, 1, days=days), known("WE2/T2", 50_000, 2)]
    assert by_row(substitute_lost([LOSS], [ONE, TWO], references, SEED))["WE1/T1"].method == method


@pytest.mark.parametrize(
    "references",
    [
        [],
        [known("WE1/T1", 0, 1), known("WE2/T2", 0, 2)],  # estimates of nothing can't weigh
        [known("WE1/T1", 50_000, 1, this_period=False)],  # ml of one, and no figure for the other
    ],
)
def test_area_is_the_last_resort_and_then_for_all_of_them_alike(references: list[Reference]) -> None:
    stretches = [replace(ONE, area_dm2=4000), replace(TWO, area_dm2=8000)]
    found = by_row(substitute_lost([LOSS], stretches, references, SEED))
    assert {each.method for each in found.values()} == {"area"}
    assert [each.volume_ml for each in found.values()] == [100_000, 200_000]
    assert found["WE1/T1"].estimate == 4000 * 10


def test_only_who_lived_there_with_access_while_it_was_lost_takes_part() -> None:
    before, after = DayRange(YEAR.first, date(2025, 3, 14)), DayRange(date(2025, 3, 14), YEAR.end)
    stretches = [
        lived_in("WE1", "T1", 1, before),
        Stretch("WE1", "owner", True, after, 5000, 0),
        TWO,
        lived_in("WE3", "T3", 4),  # has no access to this lock
        lived_in("WE2", "T9", 2, DayRange(date(2025, 3, 20), YEAR.end)),  # came when it was over
    ]
    found = by_row(substitute_lost([LOSS], stretches, [], SEED))
    assert {row: each.estimate for row, each in found.items()} == {"WE1/T1": 4 * 5000, "WE2/T2": 10 * 5000}


@pytest.mark.parametrize("stretches", [[], [Stretch("WE1", "owner", True, YEAR, 5000, 0)]])
def test_pours_that_no_resident_can_have_made_are_nobodys(stretches: list[Stretch]) -> None:
    (substitute,) = substitute_lost([LOSS], stretches, [], SEED)
    assert (substitute.row, substitute.volume_ml, substitute.method) == (
        UNATTRIBUTED_ROW,
        300_000,
        "no_resident",
    )


def test_a_loss_that_begins_and_ends_on_one_day_lasted_that_day() -> None:
    loss = replace(LOSS, end_day=LOSS.first_day)
    found = by_row(substitute_lost([loss], [ONE, TWO], [], SEED))
    assert {row: each.estimate for row, each in found.items()} == {"WE1/T1": 5000, "WE2/T2": 5000}


def test_equal_estimates_settle_their_odd_millilitre_by_lock_and_chamber() -> None:
    """Their order is that of SHA-256 over `A-2025|residual/lost/1f00a3/2|<row id>`."""
    odd = replace(LOSS, volume_ml=5)
    found = by_row(substitute_lost([odd], [ONE, TWO], [], SEED))
    elsewhere = by_row(substitute_lost([replace(odd, chamber=3)], [ONE, TWO], [], SEED))
    assert sorted(each.volume_ml for each in found.values()) == [2, 3]
    assert found["WE1/T1"].volume_ml != elsewhere["WE1/T1"].volume_ml


def usage(row: str, months: dict[str, int], fraction: str = "residual") -> RowUsage:
    return RowUsage(row, fraction, sum(months.values()), (), months)


def test_this_periods_figures_are_the_months_that_no_loss_touches() -> None:
    stretches = [ONE, lived_in("WE3", "T3", 2, DayRange(date(2025, 2, 15), date(2025, 5, 1)))]
    metered = [
        usage("WE1/T1", {"2025-01": 10_000, "2025-03": 99_000, "2025-04": 20_000}),
        usage("WE1/T1", {"2025-01": 77_000}, "organic"),
        usage("WE3/T3", {"2025-03": 30_000}),
    ]
    assert references_in(metered, [LOSS], stretches) == (
        Reference("WE1/T1", "residual", 30_000, 334, 334, True, "2025-01..2025-02, 2025-04..2025-12"),
        Reference("WE3/T3", "residual", 30_000, 75, 150, True, "2025-02..2025-04"),  # its locks lost nothing
    )


def test_who_threw_nothing_is_a_figure_and_who_had_a_loss_all_the_time_has_none() -> None:
    always = replace(LOSS, first_day=YEAR.first, end_day=date(2026, 1, 1))
    references = references_in([], [always], [ONE, lived_in("WE3", "T3", 1)])
    assert references == (Reference("WE3/T3", "residual", 0, 365, 365, True, "2025-01..2025-12"),)


def test_nobody_lives_in_vacancy_so_it_is_no_figure() -> None:
    assert references_in([], [LOSS], [Stretch("WE3", "owner", True, YEAR, 5000, 0)]) == ()


@st.composite
def losses(draw: st.DrawFn) -> list[LostVolume]:
    found = []
    for number in range(draw(st.integers(1, 3))):
        first = YEAR.first + timedelta(days=draw(st.integers(0, 360)))
        end = first + timedelta(days=draw(st.integers(0, 60)))
        dwellings = draw(st.sets(st.sampled_from(["WE1", "WE2", "WE3", "WE4"])))
        volume_ml = draw(st.integers(0, 20).map(lambda pours: pours * 20_000) | st.integers(0, 10**6))
        found.append(
            LostVolume(f"1f00a{number}", 2, "residual", 1, volume_ml, first, end, tuple(sorted(dwellings)), "lost")
        )  # fmt: skip
    return found


@st.composite
def houses(draw: st.DrawFn) -> list[Stretch]:
    stretches = []
    for number in range(1, 5):
        moved = YEAR.first + timedelta(days=draw(st.integers(1, 364)))
        persons = draw(st.integers(1, 3))
        stretches.append(lived_in(f"WE{number}", f"T{number}", persons, DayRange(YEAR.first, moved)))
        rest = DayRange(moved, YEAR.end)
        vacant = draw(st.booleans())
        party = "owner" if vacant else f"N{number}"
        stretches.append(Stretch(f"WE{number}", party, vacant, rest, 5000, 0 if vacant else 2))
    return stretches


@given(losses(), houses(), st.data())
def test_substitutes_of_each_loss_sum_to_it_whatever_the_order(
    lost: list[LostVolume], stretches: list[Stretch], data: st.DataObject
) -> None:
    months = data.draw(
        st.dictionaries(st.sampled_from(["2025-01", "2025-07", "2025-11"]), st.integers(0, 10**6), max_size=3)
    )
    metered = [usage(row, months) for row in data.draw(st.sets(st.sampled_from([s.row for s in stretches])))]
    references = list(references_in(metered, lost, stretches))
    found = substitute_lost(lost, stretches, references, SEED)
    for loss in lost:
        parts = [each for each in found if each.lock == loss.lock]
        assert sum(each.volume_ml for each in parts) == loss.volume_ml
        assert all(each.volume_ml >= 0 for each in parts)
        dwellings = {each.row.partition("/")[0] for each in parts if each.method != "no_resident"}
        assert dwellings <= set(loss.dwellings)
        kinds = {each.method == "area" for each in parts}
        assert len(kinds) == 1, "weights of two kinds can't be compared"
    shuffled = substitute_lost(
        data.draw(st.permutations(lost)),
        data.draw(st.permutations(stretches)),
        data.draw(st.permutations(references)),
        SEED,
    )
    assert shuffled == found
    assert references_in(metered[::-1], lost[::-1], stretches[::-1]) == tuple(references)
