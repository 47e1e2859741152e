"""Whoever is wanted is let in at once; whoever goes alone, goes at once; many at once are asked about."""

from hypothesis import given
from hypothesis import strategies as st

from portal.access_weighing import listed, weigh
from portal.billing_door import WantedEntry, WantedList
from portal.sink_door import ListedTransponder

names = st.sampled_from([f"{n:02}" for n in range(12)])
lists = st.dictionaries(names, st.tuples(st.booleans(), st.booleans()), max_size=12)
sets = st.frozensets(names)


def given_list(entries: dict[str, tuple[bool, bool]]) -> list[ListedTransponder]:
    return [ListedTransponder(name, service, blocked) for name, (service, blocked) in sorted(entries.items())]


def wanted_list(entries: dict[str, tuple[bool, bool]]) -> WantedList:
    return WantedList(
        tuple(
            WantedEntry(name, service and not blocked, blocked)
            for name, (service, blocked) in sorted(entries.items())
        )
    )


def admitted(entries: tuple[ListedTransponder, ...] | list[ListedTransponder]) -> set[str]:
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
    assert [each.credential for each in weighed.entries] == sorted({e.credential for e in weighed.entries})


@given(lists, lists, sets)
def test_looking_again_changes_nothing(
    before: dict[str, tuple[bool, bool]], after: dict[str, tuple[bool, bool]], held: frozenset[str]
) -> None:
    once = weigh(given_list(before), wanted_list(after), held)
    assert weigh(once.entries, wanted_list(after), once.held) == once


@given(lists, lists, sets)
def test_released_a_list_is_as_the_master_data_want_it(
    before: dict[str, tuple[bool, bool]], after: dict[str, tuple[bool, bool]], held: frozenset[str]
) -> None:
    wanted = wanted_list(after)
    weighed = weigh(given_list(before), wanted, held, release=True)
    assert weighed.entries == tuple(listed(each) for each in wanted.entries)
    assert weighed.held == frozenset()


@given(lists, st.data())
def test_one_alone_goes_at_once_also_while_others_are_held(
    before: dict[str, tuple[bool, bool]], data: st.DataObject
) -> None:
    given_before = given_list(before)
    inside = sorted(admitted(given_before))
    if not inside:
        return
    lost = data.draw(st.sampled_from(inside))
    held = data.draw(st.frozensets(st.sampled_from(inside))) - {lost}
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
    newcomer = weigh(nobody.entries, wanted_list(house(7)), nobody.held)
    assert admitted(newcomer.entries) == {"00", "01", "02", "07"}


def test_what_was_held_and_is_wanted_again_is_held_no_more() -> None:
    before = given_list(house(0, 1, 2))
    held = weigh(before, wanted_list({}), frozenset()).held
    mended = weigh(before, wanted_list(house(0, 1, 2)), held)
    assert mended.held == frozenset()
    assert mended.entries == tuple(before)
