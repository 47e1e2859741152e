"""All who are wanted are let in at once; one alone goes at once; many, and the last, are asked about; the lost go."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from portal.access_weighing import lacks_numbers, listed, weigh
from portal.billing_door import WantedEntry, WantedList
from portal.sink_door import ListedTransponder

ENDED = datetime(2026, 1, 1, tzinfo=UTC)
names = st.sampled_from([f"{n:02}" for n in range(12)])
lists = st.dictionaries(names, st.tuples(st.booleans(), st.booleans()), max_size=12)
sets = st.frozensets(names)


def given_list(entries: dict[str, tuple[bool, bool]]) -> list[ListedTransponder]:
    return [ListedTransponder(name, service, blocked) for name, (service, blocked) in sorted(entries.items())]


def wanted_list(entries: dict[str, tuple[bool, bool]], lost: frozenset[str] = frozenset()) -> WantedList:
    return WantedList(
        tuple(
            WantedEntry(name, service and not blocked, ENDED if blocked else None)
            for name, (service, blocked) in sorted(entries.items())
        ),
        lost=lost,
    )


def admitted(entries: Sequence[ListedTransponder] | None) -> set[str]:
    assert entries is not None
    return {each.credential for each in entries if not each.blocked}


def house(*names: int, blocked: tuple[int, ...] = ()) -> dict[str, tuple[bool, bool]]:
    return {f"{n:02}": (False, n in blocked) for n in (*names, *blocked)}


@given(lists, lists, sets)
def test_all_who_are_wanted_are_let_in_and_only_what_is_held_goes_beyond(
    before: dict[str, tuple[bool, bool]], after: dict[str, tuple[bool, bool]], held: frozenset[str]
) -> None:
    weighed = weigh(given_list(before), wanted_list(after), held)
    assert admitted(weighed.entries) == wanted_list(after).admitted | weighed.held
    assert weighed.held <= admitted(given_list(before)) - wanted_list(after).admitted
    assert weighed.entries is not None
    assert [each.credential for each in weighed.entries] == sorted({e.credential for e in weighed.entries})


@given(lists, lists, sets, sets)
def test_looking_again_changes_nothing(
    before: dict[str, tuple[bool, bool]],
    after: dict[str, tuple[bool, bool]],
    held: frozenset[str],
    earlier: frozenset[str],
) -> None:
    once = weigh(given_list(before), wanted_list(after), held, earlier)
    assert weigh(once.entries or (), wanted_list(after), once.held, earlier) == once


@given(lists, lists, sets, sets, sets, st.integers(0, 12))
def test_the_lost_are_never_in_a_list_whatever_else_is_held_or_has_no_room(
    before: dict[str, tuple[bool, bool]],
    after: dict[str, tuple[bool, bool]],
    held: frozenset[str],
    earlier: frozenset[str],
    lost: frozenset[str],
    most: int,
) -> None:
    wanted = wanted_list(after)
    lost -= wanted.admitted
    weighed = weigh(given_list(before), replace(wanted, lost=lost), held, earlier, most)
    if weighed.entries is not None:
        assert not lost & admitted(weighed.entries)
        assert len(weighed.entries) <= most
    assert not lost & weighed.held


@given(lists, lists, sets)
def test_released_a_list_is_as_the_master_data_want_it(
    before: dict[str, tuple[bool, bool]], after: dict[str, tuple[bool, bool]], held: frozenset[str]
) -> None:
    wanted = wanted_list(after)
    weighed = weigh((), wanted, held)
    assert weighed.entries == tuple(listed(each) for each in wanted.entries)
    assert weighed.held == frozenset()


@given(lists, st.data())
def test_one_alone_goes_at_once_also_while_others_are_held(
    before: dict[str, tuple[bool, bool]], data: st.DataObject
) -> None:
    given_before = given_list(before)
    inside = sorted(admitted(given_before))
    if len(inside) < 2:
        return
    lost = data.draw(st.sampled_from(inside))
    held = data.draw(st.frozensets(st.sampled_from(inside), max_size=len(inside) - 2)) - {lost}
    after = {
        name: (service, blocked or name == lost or name in held)
        for name, (service, blocked) in before.items()
    }
    weighed = weigh(given_before, wanted_list(after), held)
    assert lost not in admitted(weighed.entries)
    assert weighed.held == held


def test_more_than_a_third_at_once_is_held() -> None:
    before = given_list(house(*range(9)))
    third = weigh(before, wanted_list(house(*range(6), blocked=(6, 7, 8))), frozenset())
    assert third.held == frozenset()
    more = weigh(before, wanted_list(house(*range(5), blocked=(5, 6, 7, 8))), frozenset())
    assert more.held == {"05", "06", "07", "08"}


def test_an_empty_list_is_held_and_who_moves_in_meanwhile_is_let_in() -> None:
    before = given_list(house(0, 1, 2))
    nobody = weigh(before, wanted_list({}), frozenset())
    assert admitted(nobody.entries) == {"00", "01", "02"} == nobody.held
    newcomer = weigh(nobody.entries or (), wanted_list(house(7)), nobody.held)
    assert admitted(newcomer.entries) == {"00", "01", "02", "07"}


def test_what_was_held_and_is_wanted_again_is_held_no_more() -> None:
    before = given_list(house(0, 1, 2))
    held = weigh(before, wanted_list({}), frozenset()).held
    mended = weigh(before, wanted_list(house(0, 1, 2)), held)
    assert mended.held == frozenset()
    assert mended.entries == tuple(before)


def test_the_only_transponder_is_held_unless_it_was_marked_lost() -> None:
    before = given_list(house(0))
    assert weigh(before, wanted_list({})).held == {"00"}
    assert weigh(before, wanted_list(house(blocked=(0,)))).held == {"00"}
    lost = weigh(before, wanted_list(house(blocked=(0,)), lost=frozenset({"00"})))
    assert lost.held == frozenset()
    assert admitted(lost.entries) == set()


def test_a_house_that_is_dropped_one_by_one_within_an_hour_is_held_at_a_third() -> None:
    earlier = frozenset(house(*range(9)))
    entries: Sequence[ListedTransponder] = given_list(house(*range(9)))
    held: frozenset[str] = frozenset()
    for gone in range(1, 10):
        weighed = weigh(entries, wanted_list(house(*range(gone, 9))), held, earlier)
        assert weighed.entries is not None
        entries, held = weighed.entries, weighed.held
    assert admitted(entries) == {"03", "04", "05", "06", "07", "08"} == held


def test_blocked_ones_give_way_where_the_lock_is_short_of_room_also_to_those_held() -> None:
    before = given_list(house(0, 1, 2, 3))
    wanted = WantedList(
        tuple(WantedEntry(f"{n:02}", False, None if n < 2 else ENDED + timedelta(days=n)) for n in range(6))
    )
    weighed = weigh(before, wanted, most=5)
    assert admitted(weighed.entries) == {"00", "01", "02", "03"}
    assert weighed.entries is not None
    assert [each.credential for each in weighed.entries] == ["00", "01", "02", "03", "05"]
    assert weighed.held == {"02", "03"}
    assert weighed.left_out == 1


def test_what_has_no_room_leaves_the_list_as_it_is_but_for_the_lost() -> None:
    before = given_list(house(0, 1, 2, blocked=(3,)))
    wanted = wanted_list(house(0, 2, 4, 5, 6, blocked=(1, 3)), lost=frozenset({"01"}))
    weighed = weigh(before, wanted, most=4)
    assert weighed.entries is not None
    assert [(each.credential, each.blocked) for each in weighed.entries] == [
        ("00", False), ("01", True), ("02", False), ("03", True)
    ]  # fmt: skip
    assert weigh((), wanted, most=4).entries is None


def test_numbers_lack_where_nobody_or_far_fewer_would_be_admitted_without_them() -> None:
    assert lacks_numbers(known=0, unknown=1, has=None)
    assert lacks_numbers(known=1, unknown=2, has=None)
    assert lacks_numbers(known=2, unknown=28, has=30)
    assert not lacks_numbers(known=2, unknown=1, has=None)
    assert not lacks_numbers(known=2, unknown=28, has=3)  # newcomers whose numbers come later lock nobody out
    assert not lacks_numbers(known=0, unknown=0, has=30)
