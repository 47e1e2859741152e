"""Lists that are short of something: of room in the lock, or of transponders' numbers. It locks nobody out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from billing_aggregator.masterdata.facts import LockAccess
from portal.access_standing import ListState
from portal.errors import Refused
from portal.sink_door import Author
from tests.support.access_desk import LOCK, T1, T2, T3, T4, AccessDesk, open_access_desk
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.unit.billing_aggregator.pour_estates import credential, days

ANNA = Author("anna", "as it was agreed")


@pytest.fixture
def desk(tmp_path: Path, ledger: Ledger, gateway: FakeGateway, lock: FakeLock) -> Iterator[AccessDesk]:
    with open_access_desk(tmp_path, ledger, gateway, lock) as opened:
        yield opened


def test_where_the_admitted_have_no_room_nothing_is_given_and_somebody_is_asked(desk: AccessDesk) -> None:
    desk.hear(capacity=2)
    keeper = desk.keeper()
    keeper.look()
    (standing,) = keeper.unsettled()
    assert (standing.state, standing.admitted, standing.capacity) == (ListState.TOO_MANY, 3, 2)
    assert desk.orders.access_list(LOCK) is None
    with pytest.raises(Refused, match=r"access\.too_many"):
        keeper.release(LOCK, standing.admitted, ANNA)
    # A dwelling uses it no more: it follows by itself.
    desk.enter(LockAccess("P1", LOCK, "WE3", days("2020-01-01", "2026-02-01")))
    keeper.look()
    assert desk.list() == {T1: "admitted", T3: "admitted"}
    assert keeper.unsettled() == []


def test_blocked_ones_give_way_where_the_lock_is_short_of_room(desk: AccessDesk) -> None:
    desk.hear(capacity=3)
    keeper = desk.keeper()
    keeper.look()
    assert desk.list() == {T1: "admitted", T3: "admitted", T4: "admitted"}
    standing = keeper.standing(LOCK)
    assert standing is not None and (standing.state, standing.left_out) == (ListState.GIVEN, 1)
    desk.clock.go_on(minutes=5)
    desk.lose(T4)
    keeper.look()
    assert desk.list() == {T1: "admitted", T3: "admitted", T4: "blocked"}


def test_a_lock_that_tells_later_how_much_it_takes_gets_a_list_that_fits(desk: AccessDesk) -> None:
    desk.hear()
    keeper = desk.keeper()
    keeper.look()
    assert len(desk.list()) == 4
    desk.clock.go_on(seconds=20)
    desk.hear(capacity=3)
    keeper.look()
    assert desk.list() == {T1: "admitted", T3: "admitted", T4: "admitted"}
    # Its gateway is started anew, and hasn't read it yet.
    desk.clock.go_on(seconds=20)
    desk.hear()
    desk.lose(T1)
    keeper.look()
    assert desk.list() == {T1: "blocked", T3: "admitted", T4: "admitted"}


def test_a_lost_one_is_blocked_though_the_others_have_no_room(desk: AccessDesk) -> None:
    desk.hear(capacity=4)
    keeper = desk.keeper()
    keeper.look()
    before = desk.list()
    desk.clock.go_on(minutes=5)
    desk.add_numbers(9, 11, 12)
    desk.enter(*(credential(uid, "WE3-T4") for uid in (9, 11, 12)))
    keeper.look()
    (standing,) = keeper.unsettled()
    assert standing.state is ListState.TOO_MANY
    assert desk.list() == before
    desk.lose(T4)
    keeper.look()
    assert desk.list() == {**before, T4: "blocked"}


def test_a_takeover_is_not_let_through_without_the_numbers(desk: AccessDesk) -> None:
    desk.forget_numbers()
    desk.hear(version=7)
    keeper = desk.keeper()
    keeper.look()
    (standing,) = keeper.waiting()
    assert (standing.state, standing.admitted) == (ListState.TAKEOVER, 0)
    assert standing.lacks_numbers and set(standing.unknown) == {T1, T3, T4}
    with pytest.raises(Refused, match=r"access\.lacks_numbers"):
        keeper.release(LOCK, standing.admitted, ANNA)
    desk.add_numbers(1)  # one of three: two would be locked out
    with pytest.raises(Refused, match=r"access\.lacks_numbers"):
        keeper.release(LOCK, 1, ANNA)
    assert desk.orders.access_list(LOCK) is None
    desk.add_numbers(1, 2, 3, 4)
    keeper.look()
    (standing,) = keeper.waiting()
    assert (standing.admitted, standing.unknown, standing.lacks_numbers) == (3, (), False)
    keeper.release(LOCK, 3, ANNA)
    assert desk.list()[T1] == "admitted"


def test_a_lock_without_a_list_admits_those_whose_numbers_are_known(desk: AccessDesk) -> None:
    desk.forget_numbers()
    desk.hear()
    keeper = desk.keeper()
    keeper.look()
    (standing,) = keeper.unsettled()
    assert (standing.state, len(standing.unknown)) == (ListState.UNNUMBERED, 3)
    assert desk.orders.access_list(LOCK) is None
    desk.add_numbers(1)
    keeper.look()
    assert desk.list() == {T1: "admitted"}
    desk.add_numbers(1, 2, 3, 4)
    keeper.look()
    assert desk.list() == {T1: "admitted", T2: "blocked", T3: "admitted", T4: "admitted"}
    assert keeper.unsettled() == []


def test_an_exchange_for_transponders_without_numbers_is_neither_given_nor_let_through(
    desk: AccessDesk,
) -> None:
    desk.hear()
    keeper = desk.keeper()
    keeper.look()
    before = desk.list()
    desk.clock.go_on(minutes=5)
    desk.enter(*(credential(uid, "WE3-T4") for uid in (9, 11, 12)))
    desk.end(T1, T3, T4)
    keeper.look()
    (standing,) = keeper.waiting()
    assert (standing.state, standing.admitted) == (ListState.HELD, 0)
    assert desk.list() == before
    with pytest.raises(Refused, match=r"access\.lacks_numbers"):
        keeper.release(LOCK, 0, ANNA)
    assert desk.list() == before
