"""What the allocation does beside the worked case: unattributed volume, estimates, vacancy, several fractions."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import pytest

from billing_aggregator.engine.allocation import allocate
from billing_aggregator.errors import InputRejected
from billing_aggregator.model import (
    UNATTRIBUTED_ROW,
    Allocation,
    AllocationInput,
    BaseKey,
    FractionResult,
    Review,
    ReviewKind,
    RowBasis,
    RowVolumes,
    Substitute,
)
from tests.unit.billing_aggregator.engine_inputs import cents_of
from tests.unit.billing_aggregator.worked_case import AGREEMENT, METERED, worked_input, worked_rows


def only_fraction(allocation: Allocation) -> FractionResult:
    (fraction,) = allocation.fractions
    return fraction


def kinds_of(allocation: Allocation) -> list[ReviewKind]:
    return [review.kind for review in allocation.reviews]


def with_unattributed(volume_ml: int, metered: Mapping[str, int] = METERED) -> AllocationInput:
    return replace(worked_input(metered), unattributed={"residual": volume_ml})


def substitute(row: str, volume_ml: int) -> Substitute:
    return Substitute(row, "residual", "1f00a3", 2, Fraction(volume_ml), volume_ml, "average", ())


def dwelling(number: int, area_dm2: int = 5000, persons: int = 0) -> RowBasis:
    """One dwelling that had a single resident all year."""
    days = 365
    return RowBasis(
        f"WE{number}/T{number}", f"WE{number}", f"T{number}", days, 0, area_dm2 * days, persons * days, 0
    )


def four_equal_dwellings(substituted: Mapping[int, int], metered_ml: int = 900_000) -> AllocationInput:
    """Four dwellings of the same area with the same metered volume; substitutes in ml by dwelling."""
    return replace(
        worked_input({f"WE{number}/T{number}": metered_ml for number in range(1, 5)}),
        rows=tuple(dwelling(number) for number in range(1, 5)),
        substitutes=tuple(
            substitute(f"WE{number}/T{number}", volume) for number, volume in substituted.items()
        ),
    )


def test_unattributed_volume_is_the_owners_and_no_resident_pays_for_it() -> None:
    fraction = only_fraction(allocate(with_unattributed(225_714)))  # 5 % of 4,514.285 l, roughly
    assert RowVolumes(UNATTRIBUTED_ROW, 225_714, 0, 0, 225_714) in fraction.volumes
    assert cents_of(fraction.base)[UNATTRIBUTED_ROW] == 0
    paid = cents_of(fraction.usage)
    assert paid[UNATTRIBUTED_ROW] == round(Fraction(70_001 * 225_714, 4_514_285 + 225_714))
    residents = sum(cents for row, cents in paid.items() if row != UNATTRIBUTED_ROW)
    assert residents + paid[UNATTRIBUTED_ROW] == 70_001
    assert paid["WE4/owner"] == 0, "not netted with a vacancy"


@pytest.mark.parametrize(("volume_ml", "reviewed"), [(50_000, False), (50_001, True)])
def test_unattributed_volume_above_five_percent_of_all_billed_is_reviewed(
    volume_ml: int, reviewed: bool
) -> None:
    inputs = with_unattributed(volume_ml, {"WE3/T4": 950_000})
    inputs = replace(inputs, agreement=replace(AGREEMENT, minimum_ml_per_person_week=0))
    reviews = [review for review in allocate(inputs).reviews if review.kind is ReviewKind.UNATTRIBUTED_SHARE]
    assert bool(reviews) is reviewed
    assert [review.volume_ml for review in reviews] == [volume_ml] * reviewed


def test_who_accepted_some_unattributed_volume_is_asked_again_about_more() -> None:
    (first,), (again,), (more,) = (
        allocate(with_unattributed(volume_ml)).reviews for volume_ml in (300_000, 300_000, 400_000)
    )
    assert first.review == again.review != more.review


@pytest.mark.parametrize("unattributed_ml", [0, 40_000])
def test_usage_goes_by_the_base_key_if_nothing_is_billed_or_only_unattributed_volume(
    unattributed_ml: int,
) -> None:
    inputs = with_unattributed(unattributed_ml, {})
    fraction = only_fraction(
        allocate(replace(inputs, agreement=replace(AGREEMENT, minimum_ml_per_person_week=0)))
    )
    assert fraction.base_only_because == "nothing_billed"
    assert fraction.usage.key == fraction.base.key == "area_dm2_days"
    assert cents_of(fraction.usage).get(UNATTRIBUTED_ROW, 0) == 0
    assert [share.exact / 30_000 for share in fraction.base.shares] == [
        share.exact / 70_001 for share in fraction.usage.shares
    ]
    assert sum(cents_of(fraction.usage).values()) == 70_001


def test_the_minimum_alone_is_something_billed() -> None:
    """VIII ZR 78/15: a minimum volume for who throws (almost) nothing."""
    fraction = only_fraction(allocate(worked_input({})))
    assert fraction.base_only_because is None
    billed = {volume.row: volume.billed_ml for volume in fraction.volumes}
    assert billed == {volume.row: volume.minimum_ml for volume in fraction.volumes}
    assert billed["WE4/owner"] == 0


def test_substitutes_count_towards_the_minimum() -> None:
    inputs = replace(
        worked_input(), substitutes=(substitute("WE4/T5", 20_000), substitute("WE4/T5", 100_000))
    )
    volumes = {volume.row: volume for volume in only_fraction(allocate(inputs)).volumes}
    assert volumes["WE4/T5"] == RowVolumes("WE4/T5", 0, 120_000, 129_285, 129_285)
    more = replace(inputs, substitutes=(*inputs.substitutes, substitute("WE4/T5", 10_000)))
    assert only_fraction(allocate(more)).volumes[4] == RowVolumes("WE4/T5", 0, 130_000, 129_285, 130_000)


@pytest.mark.parametrize(("volume_ml", "affected"), [(100_000, False), (100_001, True)])
def test_a_dwelling_is_affected_if_substitutes_exceed_ten_percent_of_its_billed_volume(
    volume_ml: int, affected: bool
) -> None:
    """As § 9a (2) HeizkostenV has it for heat: too much estimated, and usage goes by the base key. Two of four
    dwellings are 50 % of the area, the agreement's threshold is 25 %."""
    inputs = four_equal_dwellings({1: volume_ml, 2: volume_ml})
    assert (only_fraction(allocate(inputs)).base_only_because == "affected_area") is affected


def test_affected_dwellings_of_exactly_the_threshold_are_not_too_many() -> None:
    inputs = four_equal_dwellings({1: 400_000})
    assert only_fraction(allocate(inputs)).base_only_because is None
    lower = replace(inputs, agreement=replace(AGREEMENT, affected_area_percent=24))
    fraction = only_fraction(allocate(lower))
    assert fraction.base_only_because == "affected_area"
    assert fraction.usage.key == "area_dm2_days"
    assert {share.exact for share in fraction.usage.shares} == {Fraction(70_001, 4)}


def test_a_dwelling_is_judged_by_all_its_rows_together() -> None:
    """T2's substitutes are more than 10 % of what T2 is billed, but less than 10 % of what WE2 is."""
    inputs = replace(
        worked_input(),
        substitutes=(substitute("WE2/T2", 20_000),),
        agreement=replace(AGREEMENT, affected_area_percent=0),
    )
    assert only_fraction(allocate(inputs)).base_only_because is None
    more = replace(inputs, substitutes=(substitute("WE2/T2", 90_000),))
    assert only_fraction(allocate(more)).base_only_because == "affected_area"


def test_one_fraction_without_measurements_leaves_the_other_as_it_is() -> None:
    inputs = replace(
        four_equal_dwellings({1: 400_000, 2: 400_000}), costs={"residual": 5000, "organic": 5000}
    )
    inputs = replace(inputs, metered={**inputs.metered, ("WE1/T1", "organic"): 7000})
    organic, residual = allocate(inputs).fractions
    assert (organic.base_only_because, residual.base_only_because) == (None, "affected_area")
    assert cents_of(organic.usage) == {"WE1/T1": 3500, "WE2/T2": 0, "WE3/T3": 0, "WE4/T4": 0}


def test_lost_pours_that_no_resident_can_have_made_are_billed_to_nobody() -> None:
    inputs = replace(worked_input(), substitutes=(substitute(UNATTRIBUTED_ROW, 20_000),))
    assert RowVolumes(UNATTRIBUTED_ROW, 0, 20_000, 0, 20_000) in only_fraction(allocate(inputs)).volumes
    more = replace(worked_input(), substitutes=(substitute(UNATTRIBUTED_ROW, 400_000),))
    assert kinds_of(allocate(more)) == [ReviewKind.UNATTRIBUTED_SHARE]


@pytest.mark.parametrize(("vacant_days", "reviewed"), [(182, False), (183, True)])
def test_vacancy_above_twenty_percent_of_area_and_days_is_reviewed(vacant_days: int, reviewed: bool) -> None:
    """Three dwellings of 50 m² and one of 100 m²: 20 % of all area and days are 182.5 days of the large one."""
    rows = [dwelling(number) for number in range(1, 4)]
    lived_in = 365 - vacant_days
    vacant_area = 10_000 * vacant_days
    rows += [
        RowBasis("WE4/T4", "WE4", "T4", lived_in, 0, 10_000 * lived_in, 0, 0),
        RowBasis("WE4/owner", "WE4", "owner", vacant_days, vacant_days, vacant_area, 0, 0, vacant_area),
    ]
    allocation = allocate(replace(worked_input({"WE1/T1": 5000}), rows=tuple(rows)))
    assert (ReviewKind.VACANCY_SHARE in kinds_of(allocation)) is reviewed


def test_without_any_weight_the_base_goes_by_area_and_days_and_a_person_looks_at_it() -> None:
    inputs = replace(
        worked_input({"WE1/T1": 5000}),
        rows=(dwelling(1, 3000), dwelling(2, 1000)),
        agreement=replace(AGREEMENT, base_key=BaseKey.PERSONS),
    )
    allocation = allocate(inputs)
    fraction = only_fraction(allocation)
    assert fraction.base.key == "area_dm2_days"
    assert cents_of(fraction.base) == {"WE1/T1": 22_500, "WE2/T2": 7500}
    assert kinds_of(allocation) == [ReviewKind.NO_BASE_WEIGHT]


def test_a_property_without_any_area_is_refused_with_what_to_do() -> None:
    inputs = replace(worked_input({}), rows=(dwelling(1, 0), dwelling(2, 0)))
    with pytest.raises(InputRejected, match="import areas"):
        allocate(inputs)
    with pytest.raises(InputRejected, match="import areas"):
        allocate(replace(inputs, rows=()))


def test_common_costs_go_over_the_fractions_by_their_own_totals() -> None:
    inputs = replace(worked_input(), costs={"residual": 30_000, "organic": 10_000, "common": 101})
    organic, residual = allocate(inputs).fractions
    assert (organic.own_cents, organic.common_cents, organic.total_cents) == (10_000, 25, 10_025)
    assert (residual.own_cents, residual.common_cents, residual.total_cents) == (30_000, 76, 30_076)


def test_equal_fractions_get_the_odd_common_cent_in_the_order_of_their_names() -> None:
    inputs = replace(worked_input(), costs={"residual": 100, "paper": 100, "organic": 100, "common": 2})
    assert {part.fraction: part.common_cents for part in allocate(inputs).fractions} == {
        "organic": 1,
        "paper": 1,
        "residual": 0,
    }


def test_common_costs_alone_are_refused_with_what_to_do() -> None:
    with pytest.raises(InputRejected, match="import its cost items"):
        allocate(worked_input(costs={"common": 100}))


@pytest.mark.parametrize(
    ("total_cents", "shares", "split"),
    [
        (100_001, (30, 70), (30_000, 70_001)),
        (1, (1, 1), (1, 0)),  # a tie: base gets the cent
        (3, (50, 50), (2, 1)),
        (5, (0, 100), (0, 5)),
        (5, (100, 0), (5, 0)),
        (0, (30, 70), (0, 0)),
    ],
)
def test_a_total_is_split_into_two_pools_and_base_wins_the_tie(
    total_cents: int, shares: tuple[int, int], split: tuple[int, int]
) -> None:
    agreement = replace(AGREEMENT, base_share=shares[0], usage_share=shares[1])
    fraction = only_fraction(allocate(worked_input(agreement=agreement, costs={"residual": total_cents})))
    assert (fraction.base.total_cents, fraction.usage.total_cents) == split


def test_minimum_holds_only_in_named_fractions() -> None:
    """§ 556a (2) BGB: what the agreement says, and not more."""
    organic, residual = allocate(worked_input({}, costs={"residual": 100, "organic": 100})).fractions
    assert organic.base_only_because == "nothing_billed"
    assert residual.base_only_because is None


def test_costs_below_zero_are_refused_with_the_fraction() -> None:
    with pytest.raises(InputRejected, match="organic"):
        allocate(worked_input(costs={"residual": 100, "organic": -1}))


@pytest.mark.parametrize(
    "broken",
    [
        replace(worked_input(), metered={("WE9/T9", "residual"): 5000}),
        replace(worked_input(), substitutes=(substitute("WE9/T9", 5000),)),
        replace(worked_input(), metered={("WE1/T1", "residual"): -5000}),
        replace(worked_input(), unattributed={"residual": -5000}),
        replace(worked_input(), rows=(*worked_rows(), *worked_rows())),
    ],
)
def test_volume_that_no_row_could_be_billed_for_never_vanishes(broken: AllocationInput) -> None:
    with pytest.raises(ValueError, match=r"row|negative"):
        allocate(broken)


def test_reviews_of_the_engine_say_what_to_look_at() -> None:
    (review,) = allocate(with_unattributed(400_000)).reviews
    assert review == Review(
        review="unattributed_share:A-2025:residual:400000",
        kind=ReviewKind.UNATTRIBUTED_SHARE,
        detail=review.detail,
        nominal="acknowledged",
        choices=("acknowledged",),
        volume_ml=400_000,
    )
    assert "400000 ml of the 4914285 ml billed in residual" in review.detail
