"""How good a lock's data are: completeness by numbers and registers, gaps, mass balance at each emptying."""

from datetime import datetime, timedelta

import pytest

from cloud_sink.projections.twins.judging import (
    RegisterSums,
    SpanSums,
    balance_verdict,
    completeness_of,
    days_until_full,
)
from cloud_sink.projections.twins.thresholds import Thresholds
from tests.support.fake_gateway import START, FakeGateway, FakeLock
from tests.support.twins import TECHNICIAN, TwinRig
from wastelock.page import PageRecord
from wastelock.record import Kind

DAY = timedelta(days=1)


def emptying(lock: FakeLock, kind: Kind = Kind.EMPTYING) -> PageRecord:
    return lock.page_record(lock.record(kind=kind, chamber=0))


def skip(lock: FakeLock, pours: int) -> None:
    """The lock goes on, and nobody gets these records."""
    for _ in range(pours):
        lock.record()


def test_records_that_are_missing_between_others_lower_completeness_until_they_come(
    any_rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig = any_rig
    first, late = gateway.seal(lock.pours(7)), gateway.seal(lock.pours(2))
    rig.ledger.take(first, gateway.seal(lock.pours(1)))
    quality = rig.twin(lock).quality
    assert (quality.records_present, quality.records_known, quality.completeness_permille) == (8, 10, 800)
    assert [(gap.epoch, gap.first, gap.last, gap.lost) for gap in quality.gaps] == [(1, 8, 9, False)]
    assert quality.lost_pours == 0, "the two may be in the records that are missing"
    rig.ledger.take(late)
    assert rig.twin(lock).quality.completeness_permille == 1000


def test_pours_that_only_the_register_tells_of_are_lost(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.ledger.take(gateway.seal(lock.pours(5)))
    lock.register += 3
    rig.ledger.take(gateway.seal(lock.pours(1)))
    quality = rig.twin(lock).quality
    assert (quality.lost_pours, quality.records_known) == (3, 9)
    assert rig.twin(lock).summary.impact.value == "lost"


def test_pours_at_the_end_of_an_epoch_that_never_came_are_known_by_the_register_of_the_next(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.ledger.take(gateway.seal(lock.pours(5)))
    skip(lock, 2)
    lock.epoch, lock.seq = 2, 0
    begin = lock.record(kind=Kind.REGISTER_REPORT, uid=0, volume_ml=5000)
    rig.ledger.take(gateway.seal([lock.page_record(begin), *lock.pours(4)]))
    quality = rig.twin(lock).quality
    assert (quality.records_present, quality.records_known, quality.lost_pours) == (10, 12, 2)


def test_what_was_poured_before_the_first_record_that_came_is_not_held_against_a_lock(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    skip(lock, 1000)
    rig.ledger.take(gateway.seal(lock.pours(4)))
    quality = rig.twin(lock).quality
    assert (quality.completeness_permille, quality.gaps) == (1000, ())
    skip(lock, 2)
    rig.ledger.take(gateway.seal(lock.pours(1)))
    assert [(gap.first, gap.last) for gap in rig.twin(lock).quality.gaps] == [(1005, 1006)]


def test_a_record_that_cannot_be_read_is_missing_until_a_readable_copy_comes(
    any_rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig = any_rig
    pour = lock.record()
    rig.ledger.take(gateway.seal([lock.page_record(pour, unverified=True), *lock.pours(3)]))
    quality = rig.twin(lock).quality
    assert (quality.records_present, quality.records_known, quality.lost_pours) == (3, 4, 0)
    rig.ledger.take(gateway.seal([lock.page_record(pour)]))
    assert rig.twin(lock).quality.completeness_permille == 1000


def test_records_that_a_lock_said_it_has_count_once_they_should_be_here(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.ledger.take(gateway.seal(lock.pours(4)))
    rig.hear_lock(lock, gateway, newest_seq=8)
    assert rig.twin(lock).quality.records_known == 4, "they are on their way"
    rig.clock.go_on(seconds=rig.thresholds.missing_after_s)
    assert rig.twin(lock).quality.records_known == 8


def test_a_register_that_went_backwards_proves_nothing() -> None:
    spans = [SpanSums(1, 1, 10, 10)]
    assert completeness_of(spans, [RegisterSums(1, 1, 500, 3, 10)], None).lost_pours == 0
    assert completeness_of(spans, [RegisterSums(1, 1, 2**32 - 4, 6, 10)], None).lost_pours == 0
    assert completeness_of(spans, [RegisterSums(1, 1, 2**32 - 4, 8, 10)], None).lost_pours == 2
    assert completeness_of([], [], None).permille is None


@pytest.mark.parametrize(("start", "lost"), [(100, 0), (103, 3), (2147, 2047), (2148, 0), (0, 0)])
def test_a_register_that_is_another_one_in_the_next_epoch_proves_nothing(start: int, lost: int) -> None:
    """A ring holds 2,047 records at most, and overwrites none that wasn't confirmed."""
    spans = [SpanSums(1, 1, 100, 100), SpanSums(2, 1, 10, 10)]
    registers = [RegisterSums(1, 1, 0, 100, 100), RegisterSums(2, 1, start, start + 10, 10)]
    assert completeness_of(spans, registers, None).lost_pours == lost


def test_each_emptying_has_the_pours_since_the_one_before_against_the_container(
    any_rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig = any_rig
    rig.operations.describe_lock(lock.name, {"site": "estate-1", "container_ml": 100_000}, TECHNICIAN)
    rig.hear_lock(lock, gateway, heard_at=START, fill_permille=350)
    rig.ledger.take(gateway.seal([*lock.pours(3), emptying(lock), *lock.pours(8), emptying(lock)]))
    jammed = lock.page_record(lock.record(result=2))
    rig.ledger.take(gateway.seal([*lock.pours(2), jammed, emptying(lock, Kind.CONTAINER_SWAP)]))
    rig.clock.go_on(hours=1)
    balances = rig.twin(lock).balances
    assert [(b.kind, b.pours, b.volume_ml, b.ratio_permille, b.verdict) for b in balances] == [
        ("container_swap", 2, 10_000, 100, "plausible"),
        ("emptying", 8, 40_000, 400, "plausible"),
        ("emptying", 3, 15_000, 150, "unknown"),
    ]
    assert {b.fill_permille for b in balances} == {350}


def test_late_pours_and_late_emptyings_end_in_the_right_sums(
    any_rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    """Across an epoch, too: what is summed is what lies between two emptyings, however it came."""
    rig = any_rig
    pages = [gateway.seal([*lock.pours(1), emptying(lock)])]
    pages += [gateway.seal(lock.pours(4)), gateway.seal([emptying(lock)]), gateway.seal(lock.pours(5))]
    lock.epoch, lock.seq = 2, 0
    pages += [gateway.seal(lock.pours(3)), gateway.seal([emptying(lock)])]
    for number in (5, 0, 4, 3, 1, 2):
        rig.ledger.take(pages[number])
        rig.catch_up()
    rig.clock.go_on(hours=1)
    found = {(b.epoch, b.seq): b.pours for b in rig.twin(lock).balances}
    assert found == {(1, 2): 1, (1, 7): 4, (2, 4): 8}


@pytest.mark.parametrize(
    ("ratio", "fill", "verdict"),
    [
        (900, 800, "plausible"),
        (900, None, "plausible"),
        (2600, 999, "too_much"),
        (100, 350, "plausible"),
        (100, 500, "too_little"),
    ],
)
def test_a_container_that_is_fuller_than_all_pours_was_filled_by_another_way(
    ratio: int, fill: int | None, verdict: str
) -> None:
    assert balance_verdict(ratio, fill, True, Thresholds()) == verdict
    assert balance_verdict(ratio, fill, False, Thresholds()) == "unknown"


@pytest.mark.parametrize(
    ("fill", "since", "daily_ml", "days"),
    [
        (500, 5 * DAY, 1, 5),
        (900, 9 * DAY, 1, 1),
        (0, None, 100_000, 11),
        (500, timedelta(hours=5), 100_000, 5),
        (1000, None, 100_000, 0),
        (500, None, 0, None),
        (None, 5 * DAY, 100_000, None),
    ],
)
def test_days_until_full_follow_the_sensor_since_the_emptying_else_the_pours(
    fill: int | None, since: timedelta | None, daily_ml: int, days: int | None
) -> None:
    assert days_until_full(fill, since, daily_ml, 1_100_000) == days


def test_latency_is_from_the_pour_to_its_commit(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    def page(at: datetime) -> None:
        rig.clock.at = at
        pour = lock.record(began_clock_s=int(at.timestamp()) - 2 - 3)
        rig.ledger.take(gateway.seal([lock.page_record(pour, read_at=at)]))

    for minute in range(19):
        page(START + timedelta(minutes=minute))
    rig.clock.at = START + timedelta(minutes=30)
    late = lock.record(began_clock_s=int(START.timestamp()) - 2)
    rig.ledger.take(gateway.seal([lock.page_record(late)]))
    quality = rig.twin(lock).quality
    assert (quality.latency_p50_ms, quality.latency_p95_ms) == (3_000, 1_800_000)
