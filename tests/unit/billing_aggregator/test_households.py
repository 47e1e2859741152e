"""What one household may see: its own days and pours, the others as an average of enough of them, what it was sent."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from billing_aggregator.database import StoreRefused
from billing_aggregator.errors import NotFound
from billing_aggregator.masterdata import facts
from billing_aggregator.model import DayRange
from billing_aggregator.runs import delivery
from billing_aggregator.runs.books import open_books
from billing_aggregator.runs.delivered import list_delivered
from billing_aggregator.runs.drafting import begin
from billing_aggregator.runs.estate import find_properties, look_at_property
from billing_aggregator.runs.gates import ObstacleKind, list_obstacles
from billing_aggregator.runs.household import find_household, read_household_pours
from billing_aggregator.runs.standing import FEWEST_OTHERS, HouseholdStanding, cut_household, stand_today
from tests.unit.billing_aggregator.pour_estates import credential, days, local, occupancy
from tests.unit.billing_aggregator.run_books import CLERK, RunDesk, advance, delivered, document_of, throw
from tests.unit.billing_aggregator.worked_case import PERIOD

EVER = DayRange(date(2000, 1, 1), None)


def settle_more(desk: RunDesk, count: int) -> None:
    """Let so many more households move in at the beginning of 2026, with transponders 11, 12 …"""
    for number in range(count):
        dwelling, party = f"WF{number}", f"U{number}"
        when = days("2026-01-01")
        desk.enter(
            facts.Dwelling("P1", dwelling, ""),
            facts.Area("P1", dwelling, 5000, when),
            occupancy(dwelling, party, when),
            facts.Persons("P1", f"{dwelling}-{party}", 1, when),
            credential(11 + number, f"{dwelling}-{party}", local("2026-01-01 00:00")),
        )


def seen_by(desk: RunDesk, row: str, within: DayRange = EVER) -> HouseholdStanding:
    return cut_household(stand_today(desk.books, "P1"), row, within)


def test_own_volume_stands_beside_the_average_of_the_others(desk: RunDesk) -> None:
    settle_more(desk, 2)
    throw(desk.estate, 1, 3, 1, "2026-02-02 08:00")  # 65 l
    throw(desk.estate, 11, 2, 0, "2026-02-03 08:00")
    throw(desk.estate, 4, 4, 0, "2026-02-04 08:00")
    desk.commit()
    desk.clock.at = datetime(2026, 3, 10, 9, tzinfo=UTC)
    standing = seen_by(desk, "WE1/T1")
    february = next(month for month in standing.months if month.month == "2026-02")
    # T3, T4, U0, U1 and nobody in WE4: four others are too few to be told of.
    assert (february.own_ml, february.others_ml) == (65_000, None)
    settle_more_dwelling = facts.Dwelling("P1", "WG1", "")
    desk.enter(
        settle_more_dwelling,
        facts.Area("P1", "WG1", 5000, days("2026-01-01")),
        occupancy("WG1", "V1", days("2026-01-01")),
        facts.Persons("P1", "WG1-V1", 1, days("2026-01-01")),
    )
    february = next(month for month in seen_by(desk, "WE1/T1").months if month.month == "2026-02")
    assert FEWEST_OTHERS == 5
    assert february.others_ml == 24_000  # 120 l over five, whoever they are


def test_who_moved_in_late_is_compared_over_its_own_days(desk: RunDesk) -> None:
    settle_more(desk, 6)
    late = days("2026-02-15")
    desk.enter(
        facts.Dwelling("P1", "WG1", ""),
        facts.Area("P1", "WG1", 5000, late),
        occupancy("WG1", "V1", late),
        facts.Persons("P1", "WG1-V1", 1, late),
        credential(50, "WG1-V1", local("2026-02-15 00:00")),
    )
    throw(desk.estate, 11, 28, 0, "2026-02-02 00:00")  # 560 l by one of nine others
    desk.commit()
    desk.clock.at = datetime(2026, 3, 1, 10, tzinfo=UTC)
    (february,) = [month for month in seen_by(desk, "WG1/V1").months if month.month == "2026-02"]
    assert february.days == 14
    # Nine households lived there on 28 days each: 560 l / 252 × 14, in whole litres.
    assert february.others_ml == 31_000


def test_months_outside_of_what_a_link_shows_are_left_out(desk: RunDesk) -> None:
    desk.clock.at = datetime(2026, 3, 10, 9, tzinfo=UTC)
    every = [month.month for month in seen_by(desk, "WE1/T1").months]
    assert every == ["2026-01", "2026-02", "2026-03"]
    from_february = seen_by(desk, "WE1/T1", DayRange(date(2026, 2, 1), date(2026, 3, 1)))
    assert [month.month for month in from_february.months] == ["2026-02"]
    half = seen_by(desk, "WE1/T1", DayRange(date(2026, 2, 10), None))
    assert [month.month for month in half.months] == ["2026-03"]  # of February only a part would be its own
    assert seen_by(desk, "WE2/T2").months == () and seen_by(desk, "WE2/T2").band is None


def test_the_year_before_is_its_own_and_only_where_it_lived_there(desk: RunDesk) -> None:
    desk.finalized()
    desk.clock.at = datetime(2026, 6, 10, 9, tzinfo=UTC)
    before = {month.month: month.before_ml for month in seen_by(desk, "WE2/T3").months}
    assert before["2026-04"] is None and before["2026-06"] == 610_000  # moved in on 1 May 2025
    band = seen_by(desk, "WE2/T3").band
    assert band is not None and band.low_cents <= band.likely_cents <= band.high_cents


def test_months_that_the_period_before_lacks_are_unknown_and_not_nothing(desk: RunDesk) -> None:
    desk.finalized()
    desk.clock.at = datetime(2026, 6, 10, 9, tzinfo=UTC)
    standing = stand_today(desk.books, "P1")
    june = {key: {"2025-06": months.get("2025-06", 0)} for key, months in standing.before.items()}
    household = cut_household(replace(standing, before=june), "WE2/T3", EVER)
    before = {month.month: month.before_ml for month in household.months}
    assert (before["2026-05"], before["2026-06"]) == (None, 610_000)


def test_a_transponder_that_is_passed_on_shows_nobody_anothers_pours(desk: RunDesk) -> None:
    moved = local("2026-02-10 12:00")
    desk.take_back(credential(1, "WE1-T1"), "given to T4")
    desk.enter(credential(1, "WE1-T1", ends_at=moved), credential(1, "WE3-T4", begins_at=moved))
    desk.estate.pour("2026-02-10 11:00", 1, 2)
    desk.estate.pour("2026-02-10 13:00", 1, 2)
    desk.commit()
    within = DayRange(date(2026, 2, 1), date(2026, 3, 1))
    pseudonym = credential(1, None).credential
    for row, hour in (("WE1/T1", 11), ("WE3/T4", 13)):
        household = find_household(desk.books, "P1", row, EVER)
        (pour,) = read_household_pours(desk.books, "P1", household, within)
        assert pour.at.hour == hour and pour.register is not None
        at = [local("2026-02-10 11:00"), local("2026-02-10 13:00")]
        assert [household.owns(pseudonym, each) for each in at] == [hour == 11, hour == 13]


def test_days_that_are_not_asked_for_are_not_its_own(desk: RunDesk) -> None:
    household = find_household(desk.books, "P1", "WE2/T2", DayRange(date(2025, 1, 11), None))
    pours = read_household_pours(desk.books, "P1", household, PERIOD)
    assert pours and min(pour.at.date() for pour in pours) >= date(2025, 1, 11)
    assert household.days == (DayRange(date(2025, 1, 11), date(2025, 5, 1)),)
    assert not household.lives_on(date(2025, 5, 1))
    for nobody in ("WE9/T1", "WE2/T1", "WE4/owner"):
        with pytest.raises(NotFound, match="no household"):
            find_household(desk.books, "P1", nobody, EVER)


def test_only_what_was_sent_is_a_statement_of_its(desk: RunDesk) -> None:
    run = desk.finalized()
    assert list_delivered(desk.books, "P1", "WE1/T1") == ()
    run = delivery.deliver(desk.books, run, CLERK)
    (sent,) = list_delivered(desk.books, "P1", "WE1/T1")
    assert (sent.received_on, sent.objections_until) == (None, date(2027, 3, 31))
    delivery.receive(desk.books, run, date(2026, 3, 1), ["WE1/T1"], CLERK)
    (sent,) = list_delivered(desk.books, "P1", "WE1/T1")
    assert (sent.received_on, sent.balance_cents, sent.revision) == (date(2026, 3, 1), 29_476, 1)
    assert list_delivered(desk.books, "P1", "WE9/T9") == ()


def test_whoever_a_correction_drops_was_sent_that(desk: RunDesk) -> None:
    paid = advance("1", "WE2/T5", 5_000)
    desk.enter(paid)
    run = delivered(desk, desk.finalized(), date(2026, 3, 20))
    assert [each.balance_cents for each in list_delivered(desk.books, "P1", "WE2/T5")] == [-5_000]
    assert run.state == "delivered"


def test_a_property_is_shown_in_the_period_that_was_billed_last(desk: RunDesk) -> None:
    assert look_at_property(desk.books, "P1").period == days("2026-01-01", "2027-01-01")
    desk.drafted()
    view = look_at_property(desk.books, "P1")
    assert view.period == PERIOD and len(view.dwellings) == 4
    assert view.metering is not None
    assert [(each.present, each.completeness_permille) for each in view.metering] == [(5, 1000), (218, 1000)]
    (stay,) = next(each for each in view.dwellings if each.dwelling == "WE1").stays
    assert (stay.name, stay.persons, stay.transponders, stay.vacant) == ("Familie T1", 2, 1, False)
    assert [each.property for each in find_properties(desk.books, "linden BERLIN")] == ["P1"]
    assert find_properties(desk.books, "linden hamburg") == ()


def test_obstacles_say_of_which_kind_they_are(desk: RunDesk) -> None:
    desk.estate.pour("2025-12-01 10:00", 1, 2, volume_ml=15_000)
    desk.commit()
    document = document_of(desk, desk.drafted())
    found = list(list_obstacles(document, date(2026, 5, 1)))
    assert [each.kind for each in found] == [ObstacleKind.RECEIPT_PASSED, ObstacleKind.REVIEW]
    assert found[1].subject == document.reviews[0].review


def test_books_that_are_only_looked_at_cannot_be_written(any_desk: RunDesk) -> None:
    with open_books(any_desk.config, any_desk.clock, read_only=True) as books:
        assert books.masterdata.properties() == ("P1",)
        with pytest.raises(StoreRefused):
            begin(books, "P1", PERIOD.first, CLERK)
    assert any_desk.books.store.list() == ()
