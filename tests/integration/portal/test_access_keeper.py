"""Access lists follow the master data, between billing's real books and the sink's real ledger, by the test's clock."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from billing_aggregator.masterdata.facts import Chamber, LockAccess, Occupancy, Persons
from billing_aggregator.masterdata.transponders import block_transponder
from cloud_sink.orders.model import ListedTransponder
from portal.access_keeper import ACTOR, AccessKeeper
from portal.access_standing import ListState
from portal.errors import NotThere, Refused
from portal.metrics import Metrics
from portal.sink_door import Author
from tests.support.access_desk import LOCK, NEW, T1, T2, T3, T4, AccessDesk, open_access_desk, said
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.waiting import wait_until
from tests.unit.billing_aggregator.pour_estates import LONG_AGO, credential, days, local, pseudonym

ANNA = Author("anna", "the import is right")


@pytest.fixture
def desk(tmp_path: Path, ledger: Ledger, gateway: FakeGateway, lock: FakeLock) -> Iterator[AccessDesk]:
    with open_access_desk(tmp_path, ledger, gateway, lock) as opened:
        yield opened


def test_a_lock_without_a_list_gets_its_own(desk: AccessDesk) -> None:
    desk.hear()
    keeper = desk.keeper()
    keeper.look()
    assert desk.list() == {T1: "admitted", T2: "blocked", T3: "admitted", T4: "admitted"}
    found = desk.orders.access_list(LOCK)
    assert found is not None and found.view.set_by == ACTOR
    standing = keeper.standing(LOCK)
    assert standing is not None
    assert (standing.state, standing.admitted, standing.properties) == (ListState.GIVEN, 3, ("P1",))


def test_looking_again_writes_nothing(desk: AccessDesk) -> None:
    desk.hear()
    keeper = desk.keeper()
    keeper.look()
    for _ in range(3):
        desk.clock.go_on(seconds=30)
        keeper.look()
    desk.keeper().look()  # another portal, or this one started anew
    assert len(desk.orders.access_lists(LOCK)) == 1


def test_a_lost_transponder_is_blocked_at_the_next_look(desk: AccessDesk) -> None:
    desk.hear()
    keeper = desk.keeper()
    keeper.look()
    desk.clock.go_on(minutes=5)
    block_transponder(desk.masterdata, T4, "clerk", "lost")
    keeper.look()
    assert desk.list() == {T1: "admitted", T2: "blocked", T3: "admitted", T4: "blocked"}


def test_a_move_takes_effect_when_its_day_comes_though_nobody_enters_anything(desk: AccessDesk) -> None:
    desk.hear()
    moves = local("2026-04-01 00:00")
    desk.add_numbers(9)
    desk.enter(
        Occupancy("P1", "WE1-T1", "WE1", "T1", days("2020-01-01", "2026-04-01")),
        Persons("P1", "WE1-T1", 2, days("2020-01-01", "2026-04-01")),
        credential(1, "WE1-T1", ends_at=moves),
        Occupancy("P1", "WE1-T3", "WE1", "T3", days("2026-04-01")),
        Persons("P1", "WE1-T3", 1, days("2026-04-01")),
        credential(9, "WE1-T3", begins_at=moves),
    )
    keeper = desk.keeper()
    keeper.look()
    assert (desk.list()[T1], NEW in desk.list()) == ("admitted", False)
    desk.clock.at = moves - timedelta(seconds=1)
    keeper.look()
    assert desk.list()[T1] == "admitted"
    desk.clock.at = moves
    keeper.look()
    assert (desk.list()[T1], desk.list()[NEW]) == ("blocked", "admitted")


def test_a_list_that_would_drop_most_is_held_until_somebody_lets_it_through(desk: AccessDesk) -> None:
    desk.hear()
    keeper = desk.keeper()
    keeper.look()
    desk.clock.go_on(minutes=5)
    desk.end(T1, T3)
    keeper.look()
    assert desk.list() == {T1: "admitted", T2: "blocked", T3: "admitted", T4: "admitted"}
    (standing,) = keeper.waiting()
    assert (standing.state, standing.held, standing.admitted) == (ListState.HELD, frozenset({T1, T3}), 1)
    # A portal that is started anew asks, too.
    again = desk.keeper()
    again.look()
    assert [each.held for each in again.waiting()] == [{T1, T3}]
    with pytest.raises(Refused, match=r"access\.moved_on"):
        keeper.release(LOCK, 2, ANNA)
    keeper.release(LOCK, 1, ANNA)
    assert desk.list() == {T1: "blocked", T2: "blocked", T3: "blocked", T4: "admitted"}
    found = desk.orders.access_list(LOCK)
    assert found is not None and (found.view.set_by, found.view.reason) == ("anna", "the import is right")
    assert keeper.waiting() == []
    desk.clock.go_on(seconds=30)
    again.look()
    assert again.waiting() == []


def test_others_come_and_go_while_a_drop_is_held(desk: AccessDesk) -> None:
    desk.hear()
    keeper = desk.keeper()
    keeper.look()
    desk.clock.go_on(minutes=5)
    desk.end(T1, T3)
    keeper.look()
    desk.add_numbers(9)
    desk.enter(credential(9, "WE3-T4", begins_at=desk.clock.at))
    block_transponder(desk.masterdata, T4, "clerk", "lost")
    keeper.look()
    assert desk.list() == {T1: "admitted", T2: "blocked", T3: "admitted", T4: "blocked", NEW: "admitted"}


def test_what_an_import_mends_is_held_no_more(desk: AccessDesk) -> None:
    desk.hear()
    keeper = desk.keeper()
    keeper.look()
    desk.clock.go_on(minutes=5)
    desk.end(T1, T3)
    keeper.look()
    desk.enter(credential(1, "WE1-T1"), credential(3, "WE2-T3", begins_at=local("2025-05-01 00:00")))
    keeper.look()
    assert keeper.waiting() == []
    assert len(desk.orders.access_lists(LOCK)) == 1


def test_a_list_that_nobody_gave_here_is_kept_until_somebody_lets_it_go(desk: AccessDesk) -> None:
    desk.hear(version=7)
    keeper = desk.keeper()
    keeper.look()
    assert desk.orders.access_list(LOCK) is None
    (standing,) = keeper.waiting()
    assert standing.state is ListState.TAKEOVER
    keeper.release(LOCK, 3, ANNA)
    found = desk.orders.access_list(LOCK)
    assert found is not None and found.view.version > 7
    assert keeper.waiting() == []


def test_a_lock_that_has_not_told_which_list_it_has_waits_until_it_has(desk: AccessDesk) -> None:
    desk.hear(version=None)
    keeper = desk.keeper()
    keeper.look()
    standing = keeper.standing(LOCK)
    assert standing is not None and standing.state is ListState.UNREAD
    assert desk.orders.access_list(LOCK) is None
    desk.hear(version=0)
    desk.clock.go_on(seconds=20)
    keeper.look()
    assert desk.list()[T1] == "admitted"


def test_a_lock_gets_its_list_once_a_gateway_has_reported_it(desk: AccessDesk) -> None:
    keeper = desk.keeper()
    keeper.look()
    assert keeper.standing(LOCK) is None
    with pytest.raises(NotThere):
        keeper.release(LOCK, 3, ANNA)
    desk.hear()
    desk.clock.go_on(seconds=20)
    keeper.look()
    assert desk.list()[T1] == "admitted"


def test_an_unknown_number_is_told_and_listed_as_soon_as_it_is_added(desk: AccessDesk) -> None:
    desk.hear()
    desk.enter(credential(9, "WE3-T4"))
    keeper = desk.keeper()
    keeper.look()
    standing = keeper.standing(LOCK)
    assert standing is not None and standing.unknown == (NEW,)
    assert NEW not in desk.list()
    desk.clock.go_on(seconds=3)
    desk.add_numbers(9)
    keeper.look()
    standing = keeper.standing(LOCK)
    assert standing is not None and standing.unknown == ()
    assert desk.list()[NEW] == "admitted"


def test_the_services_transponder_and_dwellings_without_access(desk: AccessDesk) -> None:
    desk.hear()
    desk.enter(
        credential(9, None),
        LockAccess("P1", LOCK, "WE3", days("2020-01-01", "2026-02-01")),
    )
    desk.add_numbers(9)
    keeper = desk.keeper()
    keeper.look()
    assert desk.list() == {T1: "admitted", T2: "blocked", T3: "admitted", NEW: "service"}


def test_a_lock_of_which_the_master_data_say_nothing_is_its_descriptions_property_s(desk: AccessDesk) -> None:
    other = FakeLock(0x1F00B2)
    desk.rig.hear_lock(other, desk.gateway, access_list_version=0)
    keeper = desk.keeper()
    keeper.look()
    assert desk.orders.access_list(other.name) is None
    with desk.sink.operations() as operations:
        operations.describe_lock(other.name, {"property_id": "P1", "site": "estate-1"}, ANNA)
    desk.clock.go_on(seconds=20)
    keeper.look()
    found = desk.orders.access_list(other.name)
    assert found is not None
    assert said(found) == {T1: "admitted", T2: "blocked", T3: "admitted", T4: "admitted"}


def test_a_lock_that_left_the_estate_keeps_what_it_has(desk: AccessDesk) -> None:
    desk.hear()
    keeper = desk.keeper()
    keeper.look()
    desk.clock.go_on(minutes=5)
    before = desk.list()
    desk.enter(
        *(
            Chamber("P1", LOCK, n, ml, "residual", LONG_AGO, desk.clock.at)
            for n, ml in ((1, 5000), (2, 20_000))
        )
    )
    keeper.look()
    assert keeper.standing(LOCK) is None
    assert desk.list() == before


def test_a_list_set_by_hand_gives_way_to_the_master_data_at_their_next_change(desk: AccessDesk) -> None:
    desk.hear()
    keeper = desk.keeper()
    keeper.look()
    desk.clock.go_on(minutes=5)
    desk.orders.set_access_list(LOCK, [ListedTransponder(T1), ListedTransponder(T4)], ANNA)
    keeper.look()
    assert desk.list() == {T1: "admitted", T4: "admitted"}
    block_transponder(desk.masterdata, T4, "clerk", "lost")
    keeper.look()
    assert desk.list() == {T1: "admitted", T2: "blocked", T3: "admitted", T4: "blocked"}


def test_what_is_held_stays_held_by_a_portal_that_is_started_anew(desk: AccessDesk) -> None:
    desk.hear()
    crowd = range(20, 46)
    desk.add_numbers(*crowd, *range(60, 66))
    desk.enter(*(credential(uid, "WE3-T4") for uid in crowd))
    keeper = desk.keeper()
    keeper.look()
    desk.clock.go_on(minutes=5)
    dropped = [pseudonym(uid) for uid in range(20, 30)]
    desk.end(*dropped)
    keeper.look()
    assert [each.held for each in keeper.waiting()] == [set(dropped)]
    # Six move in: the drop isn't more than a third of those admitted any more.
    desk.enter(*(credential(uid, "WE3-T4") for uid in range(60, 66)))
    keeper.look()
    desk.clock.go_on(hours=2)
    desk.lose(T4)
    again = desk.keeper()
    again.look()
    assert [each.held for each in again.waiting()] == [set(dropped)]
    assert {desk.list()[each] for each in dropped} == {"admitted"}
    assert desk.list()[T4] == "blocked"


def test_a_lost_one_is_blocked_also_when_it_is_found_together_with_a_drop_that_is_held(
    desk: AccessDesk,
) -> None:
    desk.hear()
    desk.keeper().look()
    desk.clock.go_on(minutes=5)
    desk.end(T1, T3)
    desk.lose(T4)
    keeper = desk.keeper()  # it learns of all three at once
    keeper.look()
    assert desk.list() == {T1: "admitted", T2: "blocked", T3: "admitted", T4: "blocked"}
    assert [each.held for each in keeper.waiting()] == [{T1, T3}]


def test_the_last_one_goes_only_if_he_is_lost_or_somebody_says_so(desk: AccessDesk) -> None:
    desk.hear()
    keeper = desk.keeper()
    keeper.look()
    for each in (T1, T3, T4):  # one file after the other, within the hour
        desk.clock.go_on(minutes=10)
        desk.end(each)
        keeper.look()
    assert desk.list() == {T1: "blocked", T2: "blocked", T3: "admitted", T4: "admitted"}
    assert [each.held for each in keeper.waiting()] == [{T3, T4}]
    desk.clock.go_on(hours=2)
    keeper.look()
    assert [each.held for each in keeper.waiting()] == [{T3, T4}]


def test_all_who_are_marked_lost_are_blocked_though_nobody_is_left(desk: AccessDesk) -> None:
    desk.hear()
    keeper = desk.keeper()
    keeper.look()
    desk.clock.go_on(minutes=5)
    for each in (T1, T3, T4):
        desk.lose(each)
    keeper.look()
    assert desk.list() == dict.fromkeys((T1, T2, T3, T4), "blocked")
    assert keeper.waiting() == []


def test_a_database_that_is_away_stops_nothing_for_good(desk: AccessDesk) -> None:
    desk.hear()
    away = desk.billing_config.parent / "away"
    away.mkdir()
    metrics = Metrics()
    keeper = AccessKeeper(desk.billing, desk.sink, desk.accounts.held, desk.clock, 0.05, metrics)
    desk.billing.check()  # they were there once
    books = sorted(away.parent.glob("billing.sqlite*"))
    for path in books:
        path.rename(away / path.name)
    keeper.start()
    wait_until(lambda: "failures_total 1.0" in metrics.exposition("")[1].decode(), 20, "a look that fails")
    assert desk.orders.access_list(LOCK) is None
    for path in away.parent.glob("billing.sqlite*"):
        path.unlink()
    for path in books:
        (away / path.name).rename(path)
    keeper.hurry()
    wait_until(desk.list, 20, "the list")
    keeper.close()


def test_a_thread_that_dies_is_told_so_that_the_portal_is_started_anew(desk: AccessDesk) -> None:
    died: list[BaseException] = []

    def broken() -> datetime:
        raise ZeroDivisionError

    keeper = AccessKeeper(desk.billing, desk.sink, desk.accounts.held, broken, 0.05, Metrics(), died.append)
    keeper.start()
    wait_until(lambda: died, 20, "the thread's death")
    keeper.close()
    assert isinstance(died[0], ZeroDivisionError)
