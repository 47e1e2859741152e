"""Pours whose record is disputed: billed as they stand, and asked about; both ways of reading see the same."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from billing_aggregator.model import PropertyUsage, ReviewKind
from tests.unit.billing_aggregator.pour_estates import LONG_AGO, PourEstate, decide
from wastelock.record import Record

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def estate(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PourEstate]:
    made = PourEstate(tmp_path, request.getfixturevalue(request.param))
    yield made
    made.close()


def claim_again(estate: PourEstate, record: Record) -> None:
    """Take another record with this one's number, its CRC good, and somebody else's transponder."""
    other = estate.lock.page_record(replace(record, uid=2))
    estate.commit([msgspec.structs.replace(other, clock_offset_s=-2)])


def quiet_year(estate: PourEstate) -> Record:
    for month in range(1, 13):
        estate.pour(f"2025-{month:02d}-10 08:00")
    record = estate.pour("2025-06-15 12:00")
    estate.commit()
    estate.change(known_at=NOW)
    return record


def metered(usage: PropertyUsage) -> dict[str, int]:
    return {row.row: row.metered_ml for row in usage.rows}


def test_a_pour_that_two_records_claim_to_be_is_billed_as_it_stands_and_somebody_is_asked(
    estate: PourEstate,
) -> None:
    record = quiet_year(estate)
    claim_again(estate, record)
    usage = estate.usage()
    (review,) = usage.reviews
    assert (review.kind, review.pours, review.volume_ml) == (ReviewKind.DISPUTED, 1, 5000)
    assert (review.nominal, review.choices) == ("WE1/T1", ("WE1/T1", "not_billed"))
    assert metered(usage) == {"WE1/T1": 65_000}


def test_a_disputed_pour_isnt_billed_once_somebody_has_said_so(estate: PourEstate) -> None:
    record = quiet_year(estate)
    claim_again(estate, record)
    (review,) = estate.usage().reviews
    assert metered(estate.usage([decide(review.review, "not_billed")])) == {"WE1/T1": 60_000}
    assert metered(estate.usage([decide(review.group, "not_billed")])) == {"WE1/T1": 60_000}


def test_a_run_of_before_the_dispute_is_repeated_without_it(estate: PourEstate) -> None:
    record = quiet_year(estate)
    before = estate.usage()
    claim_again(estate, record)
    estate.change(known_at=LONG_AGO)
    assert estate.usage() == before
    assert before.reviews == ()


def test_a_dispute_outside_the_period_asks_nobody(estate: PourEstate) -> None:
    quiet_year(estate)
    record = estate.pour("2026-02-01 12:00")
    estate.commit()
    claim_again(estate, record)
    assert estate.usage().reviews == ()
