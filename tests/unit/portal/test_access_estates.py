"""Whoever looks only at what may have changed ends with the same lists as whoever works all of them out anew."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from billing_aggregator.access.lists import EstateAccess, Holder, Place, Right, Span, WantedList, make_list
from portal.access_estates import EstateBook

LOCKS = ("1f00a1", "1f00b2", "1f00c3")
NAMES = ("P1", "P2", "P3")
START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)

spans = st.builds(
    lambda first, lasts: Span(START + first * DAY, None if lasts is None else START + (first + lasts) * DAY),
    st.integers(-20, 40),
    st.none() | st.integers(1, 40),
)
dwellings = st.sampled_from(["WE1", "WE2"])


def estates(name: str) -> Any:
    return st.builds(
        EstateAccess,
        st.just(name),
        st.lists(st.builds(Holder, st.sampled_from("abcd"), st.none() | dwellings, spans), max_size=5).map(
            tuple
        ),
        st.lists(st.builds(Right, st.sampled_from(LOCKS), dwellings, spans), max_size=2).map(tuple),
        st.lists(st.builds(Place, st.sampled_from(LOCKS), spans), max_size=3).map(tuple),
    )


class LooksOnlyAtWhatChanged(RuleBasedStateMachine):
    """Facts are entered, descriptions change, time goes on; `lists` are made anew for those locks that are due."""

    def __init__(self) -> None:
        super().__init__()
        self.book = EstateBook()
        self.at = START
        self.known: dict[str, EstateAccess] = {}
        self.described: dict[str, str] = {}
        self.lists: dict[str, WantedList | None] = dict.fromkeys(LOCKS)

    @rule(data=st.data(), name=st.sampled_from(NAMES))
    def enter_facts(self, data: st.DataObject, name: str) -> None:
        self.known[name] = data.draw(estates(name))
        self._make(self.book.enter([name], [self.known[name]], self.at))

    @rule(name=st.sampled_from(NAMES))
    def take_a_property_back(self, name: str) -> None:
        self.known.pop(name, None)
        self._make(self.book.enter([name], [], self.at))

    @rule(described=st.dictionaries(st.sampled_from(LOCKS), st.sampled_from(NAMES)))
    def describe(self, described: dict[str, str]) -> None:
        self.described = described
        self._make(self.book.describe(described))

    @rule(days=st.integers(0, 30))
    def go_on(self, days: int) -> None:
        self.at += days * DAY
        self._make(self.book.turn(self.at))

    @invariant()
    def lists_are_those_of_whoever_works_them_out_anew(self) -> None:
        assert self.lists == {lock: self._anew(lock) for lock in LOCKS}

    def _make(self, due: Iterable[str]) -> None:
        for lock in due:
            found = self.book.estates_of(lock)
            self.lists[lock] = make_list(lock, found, self.at) if found else None

    def _anew(self, lock: str) -> WantedList | None:
        mine = [each for _, each in sorted(self.known.items()) if lock in each.locks_at(self.at)]
        if not mine and self.described.get(lock) in self.known:
            mine = [self.known[self.described[lock]]]
        return make_list(lock, mine, self.at) if mine else None


TestLooksOnlyAtWhatChanged = LooksOnlyAtWhatChanged.TestCase
TestLooksOnlyAtWhatChanged.settings = settings(max_examples=20)
