"""Usage per day and the recount from raw entries give the same, whatever happens on an estate."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing_aggregator.ledger_door import LedgerDoor
from billing_aggregator.masterdata.facts import LockAccess
from billing_aggregator.model import DayRange, PropertyUsage
from billing_aggregator.pours.annex import read_own_pours
from billing_aggregator.pours.usage import read_daily_usage, read_usage
from tests.support.postgres import Postgres
from tests.unit.billing_aggregator.pour_estates import (
    PourEstate,
    chamber,
    credential,
    days,
    decide,
    local,
    occupancy,
)
from wastelock.record import Flag, Kind

# The clocks change on 30 March 2025; the period begins in the middle of a month and ends on a day of its own.
PERIOD = days("2025-03-10", "2025-04-21")
BEGIN = local("2025-03-08 00:00")
_HOURS = 24 * 46


@dataclass(frozen=True)
class Event:
    """One record, and what is odd about it."""

    minute: int
    uid: int
    chamber: int
    oddity: str


ODDITIES = (
    "none", "none", "none", "none", "none", "none", "service", "degraded", "derived", "jam", "lost clock", "never set",
    "far off", "no offset", "volume", "unknown chamber", "unverified", "gone", "late", "door", "report", "clock set",
)  # fmt: skip
EVENTS = st.lists(
    st.builds(
        Event, st.integers(0, _HOURS * 60), st.sampled_from([0, 1, 2, 3, 99]), st.sampled_from([1, 1, 2]),
        st.sampled_from(ODDITIES),
    ),
    min_size=5,
    max_size=45,
)  # fmt: skip
INSTANTS = st.integers(0, _HOURS * 60).map(lambda minute: BEGIN + timedelta(minutes=minute))
DAYS = st.integers(0, 45).map(lambda day: (BEGIN + timedelta(days=day)).date())


def values_of(event: Event) -> dict[str, Any]:
    at = BEGIN + timedelta(minutes=event.minute)
    match event.oddity:
        case "service":
            return {"flags": 1 | Flag.SERVICE}
        case "degraded":
            return {"flags": 1 | Flag.DEGRADED}
        case "derived":
            return {"flags": 1 | Flag.DERIVED, "uid": 0}
        case "jam":
            return {"result": 2}
        case "lost clock":
            return {"flags": 2}
        case "never set":
            return {"flags": 0, "began_clock_s": event.minute % 5000, "boot": event.minute % 3}
        case "far off":
            return {"read_at": at + timedelta(days=300)}
        case "no offset":
            return {"offset_s": None}
        case "volume":
            return {"volume_ml": 6000}
        case "unknown chamber":
            return {"chamber": 3, "volume_ml": 7000}
        case "unverified":
            return {"unverified": True}
        case "door":
            kind = Kind.FAULT_RAISED if event.minute % 2 else Kind.FAULT_CLEARED
            return {"kind": kind, "duration_ds": 3, "chamber": 0, "uid": 0}
        case "report":
            return {"kind": Kind.REGISTER_REPORT, "uid": 0}
        case "clock set":
            return {
                "kind": Kind.CLOCK_SET,
                "uid": 0,
                "chamber": 0,
                "boot": event.minute % 3,
                "register_after": 6000,
            }
    return {}


def play(
    estate: PourEstate, events: list[Event], change_at: datetime, moved_on: Any, resized_at: datetime
) -> None:
    """Move T1 out, hand transponder 1 on in mid-day, exchange chamber 2, and let all of this happen."""
    estate.change(
        occupancies=(
            occupancy("WE1", "T1", DayRange(days("2020-01-01").first, moved_on)),
            occupancy("WE1", "T9", DayRange(moved_on, None)),
            occupancy("WE2", "T2", days("2020-01-01")),
        ),
        credentials=(
            credential(1, "WE1-T1", ends_at=min(change_at, local(f"{moved_on} 00:00"))),
            credential(1, "WE1-T9", begins_at=max(change_at, local(f"{moved_on} 00:00"))),
            credential(2, "WE2-T2"),
            credential(99, None),
        ),
        chambers=(
            chamber(estate.lock.name, 1, 5000),
            chamber(estate.lock.name, 2, 20_000, ends_at=resized_at),
            chamber(estate.lock.name, 2, 6000, "organic", begins_at=resized_at),
        ),
        lock_access=(
            LockAccess("P1", estate.lock.name, "WE1", days("2020-01-01")),
            LockAccess("P1", estate.lock.name, "WE2", DayRange(moved_on, None)),
        ),
    )
    late = []
    for event in sorted(events, key=lambda event: event.minute):
        fields = {"uid": event.uid, "chamber": event.chamber, **values_of(event)}
        estate.pour(BEGIN + timedelta(minutes=event.minute), **fields)
        if event.oddity == "gone":
            estate.lose_last()
        elif event.oddity == "late":
            late.append(estate.pending.pop())
    estate.commit()
    estate.late = late


def check(estate: PourEstate) -> PropertyUsage:
    """Both ways agree, open and decided; a replay gives the same; the annex adds up to what is metered."""
    usage = estate.usage(period=PERIOD)
    groups = {(review.group, review.choices[-1]) for review in usage.reviews}
    decisions = [decide(group, choice) for group, choice in sorted(groups)]
    decided = estate.usage(decisions, PERIOD)
    assert [review.review for review in decided.reviews] == sorted(
        {review.review for review in decided.reviews}
    )
    own = read_own_pours(estate.door(), estate.snapshot, PERIOD, decisions)
    billed: dict[str, int] = {}
    for row in decided.rows:
        billed[row.row] = billed.get(row.row, 0) + row.metered_ml
        assert row.metered_ml == sum(part.volume_ml for part in row.chambers) == sum(row.months.values())
    assert {row: sum(pour.volume_ml for pour in pours) for row, pours in own.items()} == billed
    for name, pours in own.items():
        alone = read_own_pours(estate.door(), estate.snapshot, PERIOD, decisions, row=name)
        assert alone == {name: pours}
    assert read_usage(estate.door(), estate.snapshot, PERIOD, decisions, pinned=decided) == decided
    for run in decided.registers:
        moved = (run.register_end - run.register_start) % 2**32
        assert moved == run.pours + run.lost + run.buffered + run.unexplained
    return usage


@given(EVENTS, INSTANTS, DAYS, INSTANTS)
@settings(max_examples=10)
def test_both_ways_agree_whatever_happens(
    events: list[Event], change_at: datetime, moved_on: Any, resized_at: datetime
) -> None:
    with TemporaryDirectory() as directory:
        run_case(
            f"sqlite:///{directory}/ledger.sqlite", Path(directory), events, change_at, moved_on, resized_at
        )


@given(EVENTS, INSTANTS, DAYS, INSTANTS)
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_ways_agree_on_postgresql(
    postgres: Postgres, events: list[Event], change_at: datetime, moved_on: Any, resized_at: datetime
) -> None:
    url = postgres.create_database()
    try:
        with TemporaryDirectory() as directory:
            run_case(url, Path(directory), events, change_at, moved_on, resized_at)
    finally:
        postgres.drop_database(url)


def run_case(
    url: str, directory: Path, events: list[Event], change_at: datetime, moved_on: Any, resized_at: datetime
) -> None:
    estate = PourEstate(directory, url)
    try:
        play(estate, events, change_at, moved_on, resized_at)
        then = check(estate)
        estate.commit(estate.late)
        check(estate)
        replayed = read_usage(estate.door(), estate.snapshot, PERIOD, [], pinned=then)
        assert replayed == then, "late records change nothing of what was pinned"
    finally:
        estate.close()


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[PourEstate]:
    made = PourEstate(tmp_path, f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield made
    made.close()


def test_where_days_of_another_zone_are_kept_the_recount_answers(estate: PourEstate) -> None:
    estate.pour("2025-03-20 12:00")
    estate.commit()
    exact = estate.usage()
    other = replace(estate.snapshot.property, time_zone="Europe/Lisbon")
    elsewhere = replace(estate.snapshot, property=other)
    found = read_daily_usage(estate.door(), elsewhere, PERIOD, [])
    assert found.entries_hash == exact.entries_hash
    assert found == read_usage(estate.door(), elsewhere, PERIOD, [])


def test_where_none_is_kept_or_not_of_this_ledger_the_recount_answers(
    estate: PourEstate, tmp_path: Path
) -> None:
    estate.pour("2025-03-20 12:00")
    estate.commit()
    estate.door()
    exact = estate.usage(period=PERIOD)
    kept = tmp_path / "ledger-projections.sqlite"
    for name, change in (("other.sqlite", "ledger = 'another'"), ("ahead.sqlite", "position = position + 1")):
        with closing(sqlite3.connect(kept)) as source, closing(sqlite3.connect(tmp_path / name)) as copy:
            source.backup(copy)
            copy.execute(f"UPDATE usage_state SET {change}")
            copy.commit()
    for name in ("nowhere.sqlite", "other.sqlite", "ahead.sqlite"):
        door = LedgerDoor(estate.url, f"sqlite:///{tmp_path / name}")
        assert read_daily_usage(door, estate.snapshot, PERIOD, []) == exact
        door.close()


def test_usage_per_day_answers_as_of_the_position_that_it_goes_up_to(estate: PourEstate) -> None:
    estate.pour("2025-03-20 12:00")
    estate.commit()
    door = estate.door()
    estate.pour("2025-03-21 12:00")
    estate.commit()
    behind = read_daily_usage(door, estate.snapshot, PERIOD, [])
    assert (behind.position, behind.rows[0].metered_ml, behind.buffered_pours) == (1, 5000, 1)
    assert read_usage(door, estate.snapshot, PERIOD, []).rows[0].metered_ml == 10_000
    exact = read_usage(door, estate.snapshot, PERIOD, [], pinned=behind)
    assert replace(exact, entries_hash="") == replace(behind, entries_hash="")


def test_jams_within_120_s_of_the_next_attempt_are_shown_with_the_pour(estate: PourEstate) -> None:
    for at, uid, result in (
        ("12:00:00", 1, 2), ("12:03:00", 1, 2), ("12:03:30", 2, 2), ("12:05:00", 1, 2), ("12:06:00", 1, 0),
        ("12:06:10", 1, 0), ("12:10:00", 2, 0),
    ):  # fmt: skip
        estate.pour(f"2025-03-20 {at}", uid=uid, result=result)
    estate.commit()
    own = read_own_pours(estate.door(), estate.snapshot, PERIOD, [])
    first, second = own["WE1/T1"]
    assert [f"{at:%H:%M:%S}" for at in first.jams] == ["12:03:00", "12:05:00"]
    assert (second.jams, own["WE2/T2"][0].jams) == ((), ())
    assert (first.at, first.at.isoformat()) == (local("2025-03-20 12:06"), "2025-03-20T12:06:00+01:00")
    assert (first.clock, first.uncertainty_s, first.volume_ml) == ("ntp", 4, 5000)


def test_an_instant_is_reckoned_in_utc_whatever_offset_it_is_given_in(estate: PourEstate) -> None:
    estate.pour(datetime(2025, 3, 20, 11, tzinfo=UTC))
    estate.commit()
    own = read_own_pours(estate.door(), estate.snapshot, PERIOD, [])
    assert own["WE1/T1"][0].at.isoformat() == "2025-03-20T12:00:00+01:00"
