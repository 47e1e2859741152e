"""The fleet as lists and maps: pages join, orders hold, every lock has a place of its own."""

from dataclasses import fields
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.errors import Invalid
from portal.fleet_listing import Filter, Sort, draw_map, list_locks, map_fleet
from portal.paging import Page, cut, numbers_of
from portal.sink_door import (
    BillingImpact,
    Connectivity,
    FleetCounts,
    Health,
    Lifecycle,
    LockSummary,
    Overview,
    Severity,
    SiteSummary,
)

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)


def lock(name: str, **changes: object) -> LockSummary:
    known: dict[str, object] = dict.fromkeys(each.name for each in fields(LockSummary))
    known |= {
        "lock": name, "label": "", "site": "estate-1", "lifecycle": Lifecycle.IN_SERVICE, "impact": BillingImpact.NONE,
        "connectivity": Connectivity.ONLINE, "health": Health.GOOD, "last_seen_at": AT, "faults": (),
        "fill_permille": 100, "completeness_permille": 1000, "pours_today": 1, "pours_week": 2, "last_pour_at": AT,
        "open_alarms": 0, **changes,
    }  # fmt: skip
    return LockSummary(**known)  # type: ignore[arg-type]  # each of its own type


def site(name: str, locks: int) -> SiteSummary:
    known: dict[str, object] = dict.fromkeys(each.name for each in fields(SiteSummary))
    known |= {"site": name, "name": name, "locks": locks}
    return SiteSummary(**known)  # type: ignore[arg-type]  # each of its own type


def overview(sites: list[SiteSummary], locks: list[LockSummary]) -> Overview:
    return Overview(FleetCounts(len(locks), 1, 0, {}, {}, {}, {}, 0, 0, 0, 0), sites, locks)


permille = st.one_of(st.none(), st.integers(0, 1100))
fleets = st.lists(
    st.builds(
        lambda n, health, severity, fill, complete: (n, health, severity, fill, complete),
        st.integers(0x100000, 0xFFFFFF),
        st.sampled_from(Health),
        st.one_of(st.none(), st.sampled_from(Severity)),
        permille,
        permille.map(lambda value: None if value is None else min(value, 1000)),
    ),
    unique_by=lambda each: each[0],
    max_size=30,
).map(
    lambda found: sorted(
        (
            lock(
                f"{n:06x}",
                health=health,
                worst_severity=worst,
                fill_permille=fill,
                completeness_permille=complete,
            )
            for n, health, worst, fill, complete in found
        ),
        key=lambda each: each.lock,
    )
)


@given(fleets, st.sampled_from(Sort), st.integers(1, 7))
def test_pages_of_any_order_join_without_gap_or_overlap(
    locks: list[LockSummary], sort: Sort, limit: int
) -> None:
    whole = list_locks(locks, Filter(), sort, None, 1000)
    joined: list[LockSummary] = []
    after: str | None = None
    while True:
        page = list_locks(locks, Filter(), sort, after, limit)
        joined += page.items
        assert len(page.items) <= limit
        if page.next is None:
            break
        after = page.next
    assert joined == whole.items
    assert sorted(each.lock for each in joined) == [each.lock for each in locks]


def test_the_worst_come_first_by_health_then_alarms_then_completeness() -> None:
    locks = [
        lock("000001"),
        lock("000002", completeness_permille=990),
        lock("000003", health=Health.WARNING),
        lock("000004", health=Health.CRITICAL),
        lock("000005", health=Health.CRITICAL, worst_severity=Severity.CRITICAL),
    ]
    found = list_locks(locks, Filter(), Sort.WORST, None, 10).items
    assert [each.lock[-1] for each in found] == ["5", "4", "3", "2", "1"]


def test_what_nobody_knows_comes_last() -> None:
    locks = [
        lock("000001", fill_permille=None),
        lock("000002", fill_permille=0),
        lock("000003", fill_permille=900),
    ]
    assert [each.lock[-1] for each in list_locks(locks, Filter(), Sort.FILL, None, 10).items] == [
        "3",
        "2",
        "1",
    ]


def test_all_filters_must_hold() -> None:
    locks = [
        lock("000001", label="Yard left", health=Health.WARNING),
        lock("000002", label="Yard right"),
        lock("000003", site="other", label="yard", health=Health.WARNING),
    ]
    wanted = Filter(site="estate-1", health=Health.WARNING, text="YARD")
    assert [each.lock for each in list_locks(locks, wanted, Sort.NAME, None, 10).items] == ["000001"]
    planned = Filter(lifecycle=Lifecycle.PLANNED)
    assert list_locks(locks, planned, Sort.NAME, None, 10) == Page[LockSummary](items=[], next=None)
    silent = Filter(connectivity=Connectivity.OFFLINE)
    assert list_locks(locks, silent, Sort.NAME, None, 10).items == []


@pytest.mark.parametrize("cursor", ["", "x", "-1-a", "1e3-a", "99999999999-a", "²-a"])
def test_a_cursor_that_isnt_ours_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid):
        list_locks([lock("000001")], Filter(), Sort.WORST, cursor, 10)


@pytest.mark.parametrize(
    "cursor", ["", "1-2", "1-2-3-4", "1--2", "1-2-x", "1-2-9999999999999999999", "1-2-٣"]
)
def test_numbers_of_a_cursor_are_whole_and_as_many_as_there_should_be(cursor: str) -> None:
    assert numbers_of("7-905-0", 3) == (7, 905, 0)
    with pytest.raises(Invalid):
        numbers_of(cursor, 3)


def test_a_page_knows_whether_there_is_more() -> None:
    assert cut([1, 2, 3], 2, str) == Page[int](items=[1, 2], next="2")
    assert cut([1, 2], 2, str) == Page[int](items=[1, 2], next=None)


places = st.lists(st.one_of(st.none(), st.tuples(st.integers(1, 5), st.integers(1, 5))), max_size=30)


@given(places)
def test_each_lock_of_a_map_has_a_place_of_its_own(chosen: list[tuple[int, int] | None]) -> None:
    locks = [
        lock(f"{n:06x}", row=place[0] if place else None, column=place[1] if place else None)
        for n, place in enumerate(chosen)
    ]
    drawn = draw_map(site("estate-1", len(locks)), locks)
    taken = [(tile.row, tile.column) for tile in drawn.tiles]
    assert len(set(taken)) == len(taken) == len(locks)
    assert all(0 <= row < drawn.rows and 0 <= column < drawn.columns for row, column in taken)


def test_described_places_keep_their_distances_and_begin_in_the_corner() -> None:
    drawn = draw_map(
        site("s", 3), [lock("000001", row=4, column=3), lock("000002", row=5, column=7), lock("000003")]
    )
    found = {tile.lock.lock: (tile.row, tile.column) for tile in drawn.tiles}
    assert found == {"000001": (0, 0), "000002": (1, 4), "000003": (2, 0)}
    assert (drawn.rows, drawn.columns) == (3, 5)


def test_a_decommissioned_lock_is_on_no_map() -> None:
    assert draw_map(site("s", 0), [lock("000001", lifecycle=Lifecycle.DECOMMISSIONED)]).tiles == ()


def test_a_map_shows_whole_sites_up_to_a_bound_and_goes_on_after_the_last_one() -> None:
    sites = [site(f"site-{n}", 900) for n in range(5)]
    locks = [lock(f"{n * 1000 + m:06x}", site=f"site-{n}") for n in range(5) for m in range(900)]
    shown: list[str] = []
    after: str | None = None
    for _ in range(3):
        maps, after = map_fleet(overview(sites, locks), after)
        assert sum(len(each.tiles) for each in maps) <= 2000
        assert all(len(each.tiles) == 900 for each in maps)
        shown += [each.site.site for each in maps]
    assert (shown, after) == ([each.site for each in sites], None)


def test_a_site_larger_than_a_map_is_shown_alone() -> None:
    sites = [site("a", 3000), site("b", 1)]
    maps, after = map_fleet(overview(sites, [lock(f"{n:06x}", site="a") for n in range(3000)]))
    assert [each.site.site for each in maps] == ["a"]
    assert after == "a"
