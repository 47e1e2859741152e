"""Access lists by the master data: exactly those who hold a transponder now and may use the lock, and nobody else."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_aggregator.access.lists import (
    BLOCKED_FOR,
    EstateAccess,
    Holder,
    Place,
    Right,
    Span,
    WantedList,
    make_list,
)
from billing_aggregator.access.reading import read_access
from billing_aggregator.masterdata.importing import import_files, load_facts
from billing_aggregator.masterdata.store import MasterData
from billing_aggregator.masterdata.transponders import block_transponder, restore_transponder
from tests.unit.billing_aggregator.masterdata_files import open_masterdata
from tests.unit.billing_aggregator.pour_estates import LONG_AGO, local, pseudonym
from tests.unit.billing_aggregator.run_books import worked_facts

LOCK, OTHER = "1f00a1", "1f00b2"
ZERO = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
instants = st.integers(0, 30).map(lambda n: ZERO + n * timedelta(days=40))


@st.composite
def spans(draw: st.DrawFn) -> Span:
    begins_at = draw(instants)
    lasts = draw(st.none() | st.integers(1, 600))
    return Span(begins_at, None if lasts is None else begins_at + timedelta(days=lasts))


dwellings = st.sampled_from(["WE1", "WE2", "WE3"])
holders = st.builds(Holder, st.sampled_from("abcdefgh"), st.none() | dwellings, spans())
rights = st.builds(Right, st.sampled_from([LOCK, OTHER]), dwellings, spans())
places = st.builds(Place, st.just(LOCK), spans())
estates = st.builds(
    EstateAccess,
    st.sampled_from(["P1", "P2"]),
    st.lists(holders, max_size=12).map(tuple),
    st.lists(rights, max_size=5).map(tuple),
    st.lists(places, max_size=2).map(tuple),
)
some_estates = st.lists(estates, min_size=1, max_size=2)


def may_open(found: list[EstateAccess], credential: str, at: datetime) -> bool:
    """The rule once more, as one would tell it somebody: is there anybody who holds it now and may use the lock?"""
    for estate in found:
        of_lock = [right for right in estate.rights if right.lock == LOCK]
        for holder in estate.holders:
            mine = [r for r in of_lock if r.dwelling == holder.dwelling and r.span.holds_at(at)]
            allowed = holder.service or not of_lock or mine
            if holder.credential == credential and holder.span.holds_at(at) and allowed:
                return True
    return False


@given(some_estates, instants)
def test_exactly_those_who_hold_one_now_and_may_use_the_lock_are_admitted(
    found: list[EstateAccess], at: datetime
) -> None:
    wanted = make_list(LOCK, found, at)
    everybody = {holder.credential for estate in found for holder in estate.holders}
    assert wanted.admitted == {each for each in everybody if may_open(found, each, at)}


@given(some_estates, instants)
def test_each_transponder_stands_in_a_list_once_and_whatever_the_order_of_facts(
    found: list[EstateAccess], at: datetime
) -> None:
    wanted = make_list(LOCK, found, at)
    names = [each.credential for each in wanted.entries]
    assert names == sorted(set(names))
    turned = [
        EstateAccess(each.property, each.holders[::-1], each.rights[::-1], each.places)
        for each in found[::-1]
    ]
    assert make_list(LOCK, turned, at) == wanted


@given(some_estates, instants)
def test_only_what_nobody_holds_and_ended_within_a_year_is_blocked(
    found: list[EstateAccess], at: datetime
) -> None:
    held = [holder for estate in found for holder in estate.holders]
    for entry in make_list(LOCK, found, at).entries:
        mine = [holder for holder in held if holder.credential == entry.credential]
        if entry.blocked:
            assert not any(holder.span.holds_at(at) for holder in mine)
            assert any(
                holder.span.ends_at and at - BLOCKED_FOR < holder.span.ends_at <= at for holder in mine
            )
            assert not entry.service


@given(estates, instants, st.integers(0, 100))
def test_a_list_stays_as_it_is_until_the_next_change(estate: EstateAccess, at: datetime, share: int) -> None:
    changes_at = estate.changes_after(at)
    until = changes_at or at + timedelta(days=3650)
    assert until > at
    between = at + (until - at) * share // 100
    if between < until:
        assert make_list(LOCK, [estate], between) == make_list(LOCK, [estate], at)
        assert estate.locks_at(between) == estate.locks_at(at)


@given(some_estates, instants, st.integers(0, 8))
def test_a_list_holds_no_more_than_the_lock_takes_and_those_admitted_come_first(
    found: list[EstateAccess], at: datetime, most: int
) -> None:
    whole, short = make_list(LOCK, found, at), make_list(LOCK, found, at, most)
    assert short.admitted == whole.admitted
    assert short.too_many == max(0, len(whole.admitted) - most)
    assert len(short.entries) <= max(most, len(whole.admitted))
    assert len(whole.entries) == len(short.entries) + short.left_out


def test_what_was_blocked_longest_is_left_out_first() -> None:
    ended = [Holder(name, "WE1", Span(ZERO, ZERO + n * HOUR)) for n, name in enumerate("abc", start=1)]
    found = EstateAccess("P1", tuple(ended), (), ())
    short = make_list(LOCK, [found], ZERO + 5 * HOUR, most=2)
    assert [each.credential for each in short.entries] == ["b", "c"]
    assert short.left_out == 1


def test_an_end_that_stands_for_never_is_no_instant_to_wait_for() -> None:
    for_ever = datetime(9999, 12, 31, tzinfo=UTC)
    found = EstateAccess("P1", (Holder("a", "WE1", Span(ZERO, for_ever)),), (), ())
    assert found.changes_after(ZERO) == for_ever
    assert make_list(LOCK, [found], ZERO).admitted == {"a"}


# From the facts


@pytest.fixture(params=["sqlite", "postgresql"])
def masterdata(request: pytest.FixtureRequest) -> Iterator[MasterData]:
    url = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    opened = open_masterdata(url, lambda: local("2025-06-15 12:00"))
    load_facts(opened, worked_facts(LOCK), "import")
    yield opened
    opened.close()


def wanted(masterdata: MasterData, at: str) -> dict[str, str]:
    """Return what the list says of transponders 1 to 4 at a local time."""
    (estate,) = read_access(masterdata, ["P1", "nothing"])
    assert estate.locks_at(local(at)) == {LOCK}
    found: WantedList = make_list(LOCK, [estate], local(at))
    said = {each.credential: "blocked" if each.blocked else "admitted" for each in found.entries}
    return {str(uid): said[pseudonym(uid)] for uid in range(1, 5) if pseudonym(uid) in said}


def test_a_move_takes_effect_at_its_local_midnight(masterdata: MasterData) -> None:
    assert wanted(masterdata, "2025-04-30 23:59") == {"1": "admitted", "2": "admitted", "4": "admitted"}
    assert wanted(masterdata, "2025-05-01 00:00") == {
        "1": "admitted", "2": "blocked", "3": "admitted", "4": "admitted"
    }  # fmt: skip
    assert wanted(masterdata, "2026-05-01 00:00") == {"1": "admitted", "3": "admitted", "4": "admitted"}


def test_a_lost_transponder_is_blocked_at_once(masterdata: MasterData) -> None:
    block_transponder(masterdata, pseudonym(4), "c.lerk", "lost")
    assert wanted(masterdata, "2025-06-15 11:59")["4"] == "admitted"
    assert wanted(masterdata, "2025-06-15 12:00")["4"] == "blocked"


def test_only_what_somebody_ended_by_hand_is_lost(masterdata: MasterData, tmp_path: Path) -> None:
    path = tmp_path / "credential.csv"
    path.write_text(
        "property,credential,occupancy,service,from,to_exclusive\n"
        f"P1,{pseudonym(1)},WE1-T1,no,{LONG_AGO.isoformat()},2025-06-15T12:00:00+02:00\n"
    )
    import_files(masterdata, [path], "import", "not in the list")
    block_transponder(masterdata, pseudonym(4), "c.lerk", "lost")
    at = local("2025-06-15 12:00")
    (estate,) = read_access(masterdata, ["P1"])
    assert make_list(LOCK, [estate], at).lost == {pseudonym(4)}
    # He found it, and loses it to a file after that.
    restore_transponder(masterdata, "P1", pseudonym(4), "c.lerk", "found")
    (estate,) = read_access(masterdata, ["P1"])
    assert make_list(LOCK, [estate], at + HOUR).lost == frozenset()


def test_whoever_keeps_the_newest_fact_learns_which_properties_changed(masterdata: MasterData) -> None:
    newest, changed = masterdata.changed_after(0)
    assert changed == ("P1",)
    assert masterdata.changed_after(newest) == (newest, ())
    block_transponder(masterdata, pseudonym(4), "c.lerk", "lost")
    later, changed = masterdata.changed_after(newest)
    assert (later, changed) == (newest + 2, ("P1",))
