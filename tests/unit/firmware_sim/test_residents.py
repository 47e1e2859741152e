"""Residents: the same seed lives the same days; households, hours, wrong transponders, the truck, the technician."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import islice, takewhile

import pytest

from firmware_sim.access import Transponder
from firmware_sim.residents import ESTATE_ZONE, Household, Neighbourhood, Visit, VisitKind

MONDAY = datetime(2026, 3, 2, tzinfo=ESTATE_ZONE)
DAYS = 91
MAINTENANCE = (VisitKind.MAINTENANCE_BEGINS, VisitKind.MAINTENANCE_ENDS)


def neighbourhood(seed: int = 1, pours_per_day: float | None = None, dwellings: int = 24) -> Neighbourhood:
    return Neighbourhood(seed, 0x1F00A1, (5000, 20000), dwellings, pours_per_day, None)


def lived(people: Neighbourhood, days: int = DAYS) -> list[Visit]:
    end_s = (MONDAY + timedelta(days=days)).timestamp()
    return list(takewhile(lambda visit: visit.at_s < end_s, people.visits(MONDAY.timestamp())))


def test_same_seed_lives_the_same_days_and_another_one_others() -> None:
    assert lived(neighbourhood()) == lived(neighbourhood())
    assert lived(neighbourhood(2)) != lived(neighbourhood())
    late = MONDAY + timedelta(days=40, hours=5)
    whole = [visit for visit in lived(neighbourhood()) if visit.at_s > late.timestamp()]
    assert list(islice(neighbourhood().visits(late.timestamp()), len(whole))) == whole


def test_visits_come_day_by_day_also_over_the_change_of_clocks() -> None:
    instants = [visit.at_s for visit in lived(neighbourhood())]
    days = [datetime.fromtimestamp(at_s, ESTATE_ZONE).date() for at_s in instants]
    assert days == sorted(days)
    assert set(days) == {(MONDAY + timedelta(days=n)).date() for n in range(DAYS)}


@pytest.mark.parametrize(
    "today",
    [
        datetime(2026, 11, 25, 12, 40, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 59, 59, tzinfo=UTC),  # the last second of summer time
        datetime(2027, 3, 28, 1, 0, tzinfo=UTC),  # the first one of the next
        datetime(2028, 2, 29, 23, 0, tzinfo=UTC),
        datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
    ],
)
def test_with_a_calendar_of_their_own_residents_live_the_same_days_whatever_day_it_is(
    today: datetime,
) -> None:
    now_s, shown_s = today.timestamp(), MONDAY.timestamp()
    people = Neighbourhood(1, 0x1F00A1, (5000, 20000), 24, None, None, ahead_s=shown_s - now_s)
    expected = lived(neighbourhood())
    found = list(islice(people.visits(now_s), len(expected)))
    assert [visit.at_s - now_s for visit in found] == pytest.approx([v.at_s - shown_s for v in expected])
    assert [(v.kind, v.uid, v.chamber) for v in found] == [(v.kind, v.uid, v.chamber) for v in expected]


def test_24_dwellings_pour_as_24_dwellings_do() -> None:
    people = neighbourhood()
    persons = sum(home.persons for home in people.households)
    assert 24 <= persons <= 24 * 3
    pours = [visit for visit in lived(people) if visit.kind is VisitKind.POUR]
    per_person_week = len(pours) / persons / DAYS * 7
    assert 1.5 < per_person_week < 3.0
    chambers = Counter(visit.chamber for visit in pours)
    assert chambers[1] > chambers[2] > 0


def test_people_sleep_at_night_and_come_in_the_evening() -> None:
    hours = Counter(
        datetime.fromtimestamp(visit.at_s, ESTATE_ZONE).hour
        for visit in lived(neighbourhood())
        if visit.kind is VisitKind.POUR
    )
    assert sum(hours[h] for h in range(5)) < 0.03 * sum(hours.values())
    assert sum(hours[h] for h in (17, 18, 19)) > 0.15 * sum(hours.values())


def test_wrong_blocked_and_service_transponders_come_too() -> None:
    people = neighbourhood()
    visits = lived(people)
    own = {uid for home in people.households for uid in home.uids}
    strangers = [visit for visit in visits if visit.kind is VisitKind.STRANGER]
    assert any(visit.uid == people.blocked_uid for visit in strangers)
    assert any(visit.uid not in own | {people.blocked_uid, people.service_uid} for visit in strangers)
    kinds = Counter(visit.kind for visit in visits)
    service = [visit for visit in visits if visit.kind in MAINTENANCE]
    assert [visit.kind for visit in service] == [*MAINTENANCE] * (len(service) // 2)
    assert 3 <= len(service) // 2 <= 4
    assert all(visit.uid == people.service_uid for visit in service)
    assert kinds[VisitKind.GIVEN_UP] and kinds[VisitKind.NEVER_OPENED] and kinds[VisitKind.JAMMED]


def test_truck_comes_twice_a_week_in_the_morning_and_swaps_the_container_now_and_then() -> None:
    visits = lived(neighbourhood())
    emptyings = [visit for visit in visits if visit.kind is VisitKind.EMPTYING]
    assert len(emptyings) == DAYS // 7 * 2
    for visit in emptyings:
        at = datetime.fromtimestamp(visit.at_s, ESTATE_ZONE)
        assert at.weekday() in (1, 4) and 6 <= at.hour < 9
    assert sum(visit.kind is VisitKind.SWAP for visit in visits) == 1


@pytest.mark.parametrize("wanted", [0.0, 3.0, 200.0])
def test_pours_per_day_can_be_given(wanted: float) -> None:
    visits = lived(neighbourhood(pours_per_day=wanted))
    errands = sum(visit.kind not in (VisitKind.EMPTYING, VisitKind.SWAP, *MAINTENANCE) for visit in visits)
    assert errands / DAYS == pytest.approx(wanted * 1.1, rel=0.2)


def test_access_list_is_everybody_plus_one_service_and_one_blocked() -> None:
    people = neighbourhood()
    own = {uid for home in people.households for uid in home.uids}
    assert {entry.uid for entry in people.transponders if not entry.service and not entry.blocked} == own
    assert [entry.uid for entry in people.transponders if entry.service] == [people.service_uid]
    assert [entry.uid for entry in people.transponders if entry.blocked] == [people.blocked_uid]
    assert all(0 < entry.uid < 2**56 and entry.uid >> 48 == 4 for entry in people.transponders)


def test_listed_transponders_are_shared_out_and_nobody_else_is_at_home() -> None:
    listed = (
        Transponder(1),
        Transponder(2),
        Transponder(3),
        Transponder(8, service=True),
        Transponder(9, blocked=True),
    )
    people = Neighbourhood(1, 5, (5000,), 2, None, listed)
    assert [home.uids for home in people.households] == [(1, 3), (2,)]
    assert (people.service_uid, people.blocked_uid) == (8, 9)
    assert people.transponders == listed
    nobody = Neighbourhood(1, 5, (5000,), 3, None, ())
    assert nobody.households == () and (nobody.service_uid, nobody.blocked_uid) == (0, 0)


def test_named_households_come_while_they_live_there_and_may_hand_on_a_transponder() -> None:
    moves = date(2026, 4, 1)
    homes = (
        Household(1, (7,), 0.1, pours_per_day=2.0, end_day=moves),
        Household(2, (7, 8), 0.1, pours_per_day=1.0, first_day=moves),
        Household(3, (9,), 0.1, pours_per_day=0.0),
    )
    people = Neighbourhood(1, 5, (5000, 20000), 24, None, None, homes)
    assert [t.uid for t in people.transponders if not (t.service or t.blocked)] == [7, 8, 9]
    days = {
        uid: [datetime.fromtimestamp(v.at_s, ESTATE_ZONE).date() for v in lived(people) if v.uid == uid]
        for uid in (7, 8, 9)
    }
    assert min(days[7]) < moves < max(days[7])
    assert min(days[8]) >= moves and not days[9]
    before = [day for day in days[7] if day < moves]
    assert 1.5 < len(before) / 30 < 2.6
    assert people.present(MONDAY.timestamp()) == (homes[0], homes[2])


def test_nobody_lives_where_there_are_no_dwellings() -> None:
    people = neighbourhood(dwellings=0)
    assert people.day(MONDAY) == []
