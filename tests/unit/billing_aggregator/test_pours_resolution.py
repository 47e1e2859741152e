"""Which pours count, whose they are, and what a person has to look at; the quick way and the exact one agree."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from billing_aggregator.masterdata.facts import LockAccess
from billing_aggregator.model import Decision, ReviewKind
from tests.unit.billing_aggregator.pour_estates import (
    SERVICE_UID,
    PourEstate,
    chamber,
    credential,
    days,
    decide,
    local,
    occupancy,
)
from wastelock.record import Flag, Kind


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[PourEstate]:
    made = PourEstate(tmp_path, f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield made
    made.close()


def metered(estate: PourEstate, *decisions: Decision) -> dict[str, int]:
    usage = estate.usage(decisions)
    return {row.row: row.metered_ml for row in usage.rows}


def test_two_complete_records_are_two_pours_and_a_jam_is_none(estate: PourEstate) -> None:
    estate.pour("2025-03-01 12:00", uid=1)
    estate.pour("2025-03-01 12:01", uid=1, result=2)
    estate.pour("2025-03-01 12:02", uid=1, flags=1 | Flag.RETRY_AFTER_JAM)
    estate.pour("2025-03-01 12:03", uid=2, result=1)
    estate.pour("2025-04-01 12:00", uid=2, chamber=2)
    estate.commit()
    usage = estate.usage()
    assert [(row.row, row.metered_ml, dict(row.months)) for row in usage.rows] == [
        ("WE1/T1", 10_000, {"2025-03": 10_000}), ("WE2/T2", 20_000, {"2025-04": 20_000}),
    ]  # fmt: skip
    assert usage.reviews == ()
    assert usage.unattributed == {}


def test_a_service_pour_is_not_billed_whoever_says_so(estate: PourEstate) -> None:
    estate.pour("2025-03-01 12:00", uid=SERVICE_UID)
    estate.pour("2025-03-01 13:00", uid=2, flags=1 | Flag.SERVICE)
    estate.commit()
    usage = estate.usage()
    assert (usage.rows, usage.unattributed, usage.reviews) == ((), {}, ())
    assert [run.unexplained for run in usage.registers] == [0], "but the register counted them"


def test_a_pour_without_a_credential_in_force_is_unattributed(estate: PourEstate) -> None:
    estate.pour("2025-03-01 12:00", uid=7)
    estate.pour("2025-03-01 12:00", uid=0, chamber=2)
    estate.commit()
    assert estate.usage().unattributed == {"residual": 25_000}


def test_degraded_pours_are_billed_at_the_smallest_volume_of_their_fraction(estate: PourEstate) -> None:
    small = chamber(estate.lock.name, 3, 1000, "organic")
    estate.change(chambers=(*estate.snapshot.chambers, small))
    estate.pour("2025-03-01 12:00", uid=1, chamber=2, flags=1 | Flag.DEGRADED)
    estate.commit()
    [row] = estate.usage().rows
    assert (row.metered_ml, row.chambers[0].degraded, row.chambers[0].chamber) == (5000, 1, 2)


def test_days_are_local_days_of_the_property(estate: PourEstate) -> None:
    for at in ("2024-12-31 23:30", "2025-01-01 00:30", "2025-12-31 23:30", "2026-01-01 00:30"):
        estate.pour(at)
    estate.commit()
    [row] = estate.usage().rows
    assert dict(row.months) == {"2025-01": 5000, "2025-12": 5000}


def test_a_pour_goes_to_the_holder_at_its_instant_also_in_the_hour_that_comes_twice(
    estate: PourEstate,
) -> None:
    # 26 October 2025: 02:30 summer time is 00:30 UTC, 02:30 winter time 01:30 UTC.
    change = datetime(2025, 10, 26, 1, 0, tzinfo=UTC)
    kept = [c for c in estate.snapshot.credentials if c.occupancy != "WE1-T1"]
    estate.change(
        credentials=(*kept, credential(1, "WE1-T1", ends_at=change), credential(1, "WE2-T2", change))
    )
    estate.pour(datetime(2025, 10, 26, 0, 30, tzinfo=UTC))
    estate.pour(datetime(2025, 10, 26, 1, 30, tzinfo=UTC), chamber=2)
    estate.commit()
    assert metered(estate) == {"WE1/T1": 5000, "WE2/T2": 20_000}


def test_near_a_change_of_holder_a_person_decides_and_until_then_the_nominal_instant_counts(
    estate: PourEstate,
) -> None:
    estate.change(
        occupancies=(
            occupancy("WE1", "T1", days("2020-01-01", "2025-06-01")),
            occupancy("WE1", "T5", days("2025-06-01")),
        ),
        credentials=(
            credential(1, "WE1-T1", ends_at=local("2025-06-01 00:00")),
            credential(1, "WE1-T5", local("2025-06-01 00:00")),
        ),
    )
    pour = estate.pour("2025-06-01 00:00", began_clock_s=int(local("2025-05-31 23:59:58").timestamp()))
    estate.pour("2025-06-01 00:05")
    estate.commit()
    [review] = estate.usage().reviews
    assert review.kind is ReviewKind.CLOCK_NEAR_CHANGE
    assert review.review == f"clock_near_change:{estate.lock.name}:1:{pour.seq}"
    assert (review.nominal, review.choices) == ("WE1/T1", ("WE1/T1", "WE1/T5"))
    assert metered(estate) == {"WE1/T1": 5000, "WE1/T5": 5000}
    assert metered(estate, decide(review.review, "WE1/T5")) == {"WE1/T5": 10_000}
    assert metered(estate, decide(review.group, "WE1/T5")) == {"WE1/T5": 10_000}


def test_near_a_change_that_alters_nothing_nobody_is_asked(estate: PourEstate) -> None:
    at = local("2025-06-01 12:00")
    first, second = estate.snapshot.chambers
    estate.change(chambers=(replace(first, ends_at=at), replace(first, begins_at=at), second))
    estate.pour("2025-06-01 12:00")
    estate.commit()
    usage = estate.usage()
    assert usage.reviews == ()
    assert usage.rows[0].metered_ml == 5000


@pytest.mark.parametrize("flags", [1, 2])
def test_near_the_periods_end_the_same_is_asked_in_both_periods_and_the_pour_counts_in_one(
    estate: PourEstate, flags: int
) -> None:
    estate.pour("2026-01-01 00:00:01", flags=flags)
    estate.commit()
    periods = (days("2025-01-01", "2026-01-01"), days("2026-01-01", "2027-01-01"))
    before, after = (estate.usage(period=period) for period in periods)
    assert (before.rows, [row.metered_ml for row in after.rows]) == ((), [5000])
    assert before.reviews == after.reviews
    [review] = before.reviews
    assert review.choices == ("from_2026-01-01:WE1/T1", "before_2026-01-01:WE1/T1")
    for choice, counted in zip(review.choices, ([0, 1], [1, 0]), strict=True):
        decided = [estate.usage([decide(review.review, choice)], period) for period in periods]
        assert [len(usage.rows) for usage in decided] == counted


def test_a_clock_never_set_is_reckoned_back_from_the_next_clock_set_of_that_boot(
    estate: PourEstate,
) -> None:
    estate.pour("2025-06-01 12:00", boot=5, began_clock_s=100, flags=0, read_at=local("2025-06-02 12:00"))
    set_at = int(local("2025-06-01 14:00").timestamp())
    estate.pour(
        "2025-06-01 14:00", kind=Kind.CLOCK_SET, boot=5, chamber=0, uid=0, began_clock_s=set_at,
        register_after=100 + 600, read_at=local("2025-06-02 12:00"),
    )  # fmt: skip
    estate.commit()
    usage = estate.usage()
    [review] = usage.reviews
    assert review.kind is ReviewKind.CLOCK_NEVER_SET
    assert review.at == local("2025-06-01 13:50")
    assert review.choices == ("WE1/T1", "not_billed")
    assert usage.rows[0].metered_ml == 5000
    assert metered(estate, decide(review.review, "not_billed")) == {}


def test_without_a_clock_set_in_its_boot_the_reading_counts(estate: PourEstate) -> None:
    estate.pour("2025-06-01 12:00", boot=5, began_clock_s=100, flags=0, read_at=local("2025-06-02 12:00"))
    estate.pour("2025-06-03 12:00", boot=6, kind=Kind.CLOCK_SET, chamber=0, uid=0, register_after=700)
    estate.commit()
    [review] = estate.usage().reviews
    assert review.at == local("2025-06-02 12:00")


def test_a_volume_that_disagrees_is_billed_by_the_master_data_until_somebody_says_otherwise(
    estate: PourEstate,
) -> None:
    for minute in range(3):
        estate.pour(f"2025-06-01 12:0{minute}", volume_ml=6000)
    estate.commit()
    reviews = estate.usage().reviews
    assert {review.kind for review in reviews} == {ReviewKind.VOLUME_DISAGREES}
    assert len({review.review for review in reviews}) == 3
    [group] = {review.group for review in reviews}
    assert metered(estate) == {"WE1/T1": 15_000}
    assert metered(estate, decide(group, "controller")) == {"WE1/T1": 18_000}
    single = decide(reviews[0].review, "master_data")
    assert metered(estate, decide(group, "controller"), single) == {"WE1/T1": 17_000}


def test_an_unknown_chamber_is_billed_to_nobody_until_somebody_names_its_fraction(estate: PourEstate) -> None:
    estate.pour("2025-06-01 12:00", chamber=3, volume_ml=7000)
    estate.commit()
    usage = estate.usage()
    [review] = usage.reviews
    assert (review.kind, review.choices) == (ReviewKind.UNKNOWN_CHAMBER, ("not_billed", "as:residual"))
    assert usage.rows == ()
    assert metered(estate, decide(review.review, "as:residual")) == {"WE1/T1": 7000}


def test_an_unverified_record_is_asked_about_unless_its_true_copy_came(estate: PourEstate) -> None:
    estate.pour("2025-06-01 12:00")
    estate.pour("2025-06-01 12:05", unverified=True)
    estate.pour("2025-06-01 12:10")
    estate.commit()
    usage = estate.usage()
    [review] = usage.reviews
    assert (review.kind, review.nominal) == (ReviewKind.UNVERIFIED, "not_billed")
    assert metered(estate) == {"WE1/T1": 10_000}
    [lost] = usage.lost
    assert (lost.pours, lost.volume_ml, lost.cause) == (1, 5000, "lost_records")
    decided = estate.usage([decide(review.review, "WE1/T1")])
    assert (decided.rows[0].metered_ml, decided.lost) == (15_000, ())
    assert [run.unexplained for run in decided.registers] == [0]


def test_pours_of_a_counter_without_a_reader_are_lost_by_stretches_of_access(estate: PourEstate) -> None:
    access = tuple(a for a in estate.snapshot.lock_access if a.dwelling != "WE2")
    estate.change(lock_access=(*access, LockAccess("P1", estate.lock.name, "WE2", days("2025-07-01"))))
    flags = 1 | Flag.DERIVED
    for at in ("2025-03-01 12:00", "2025-04-01 12:00", "2025-08-01 12:00"):
        estate.pour(at, uid=0, flags=flags)
    estate.commit()
    usage = estate.usage()
    assert usage.unattributed == {}
    assert [(lost.pours, lost.volume_ml, lost.dwellings, lost.cause) for lost in usage.lost] == [
        (2, 10_000, ("WE1", "WE3"), "no_reader"), (1, 5000, ("WE1", "WE2", "WE3"), "no_reader"),
    ]  # fmt: skip
    assert [(str(lost.first_day), str(lost.end_day)) for lost in usage.lost] == [
        ("2025-01-01", "2025-07-01"), ("2025-07-01", "2026-01-01"),
    ]  # fmt: skip


def test_each_time_that_flap_or_door_stood_open_and_each_grave_fault_is_looked_at(estate: PourEstate) -> None:
    estate.pour("2024-12-31 12:00", kind=Kind.FAULT_RAISED, duration_ds=3, chamber=0)
    estate.pour("2025-01-02 12:00", kind=Kind.FAULT_CLEARED, duration_ds=3, chamber=0)
    estate.pour("2025-03-01 12:00", kind=Kind.FAULT_RAISED, duration_ds=2, chamber=0)
    estate.pour("2025-03-01 13:00", kind=Kind.FAULT_CLEARED, duration_ds=2, chamber=0)
    estate.pour("2025-03-02 12:00", kind=Kind.FAULT_RAISED, duration_ds=7, chamber=0)
    estate.pour("2025-03-03 12:00", kind=Kind.FAULT_RAISED, duration_ds=0, chamber=1)
    estate.commit()
    reviews = estate.usage().reviews
    assert [(review.kind, review.detail) for review in reviews] == [
        (ReviewKind.BYPASS, "lock 1f00a1: the door stood open since before the period, until 2025-01-02T11:00:00Z"),
        (ReviewKind.BYPASS, "lock 1f00a1: the flap stood open from 2025-03-01T11:00:00Z, until 2025-03-01T12:00:00Z"),
        (ReviewKind.FAULT, "lock 1f00a1: somebody tampered with the lock from 2025-03-02T11:00:00Z, without an end in "
         "the period"),
    ]  # fmt: skip
