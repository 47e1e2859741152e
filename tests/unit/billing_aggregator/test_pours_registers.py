"""Reconciliation within a period, what is lost and what is on its way; both ways of reading agree."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from billing_aggregator.masterdata.facts import OpeningRegister
from billing_aggregator.model import RegisterRun, ReviewKind
from billing_aggregator.pours.usage import read_usage
from tests.unit.billing_aggregator.pour_estates import PourEstate, days, decide, local
from wastelock.record import Kind

MOD = 2**32


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[PourEstate]:
    made = PourEstate(tmp_path, f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield made
    made.close()


def report(estate: PourEstate, at: str, chamber: int = 1) -> None:
    estate.pour(at, uid=0, chamber=chamber, kind=Kind.REGISTER_REPORT)


def short(run: RegisterRun) -> tuple[int, ...]:
    return (
        run.chamber,
        run.register_start,
        run.register_end,
        run.pours,
        run.lost,
        run.buffered,
        run.unexplained,
    )


def test_a_run_goes_from_the_last_record_before_the_period_to_the_last_record_in_it(
    estate: PourEstate,
) -> None:
    for at in (
        "2024-12-30 12:00",
        "2024-12-31 12:00",
        "2025-01-01 12:00",
        "2025-12-31 12:00",
        "2026-01-01 12:00",
    ):
        estate.pour(at)
    estate.commit()
    [run] = estate.usage().registers
    assert (run.first_seq, run.last_seq, *short(run)) == (2, 4, 1, 2, 4, 2, 0, 0, 0)
    [before] = estate.usage(period=days("2024-01-01", "2025-01-01")).registers
    [after] = estate.usage(period=days("2026-01-01", "2027-01-01")).registers
    assert before.register_end == run.register_start, "periods adjoin: no pour lies between them"
    assert run.register_end == after.register_start


def test_registers_wrap_and_chambers_count_apart(estate: PourEstate) -> None:
    estate.registers = {1: MOD - 2, 2: 17}
    for month in range(1, 6):
        estate.pour(f"2025-0{month}-01 12:00", chamber=1)
        estate.pour(f"2025-0{month}-01 13:00", chamber=2)
    estate.commit()
    assert [short(run) for run in estate.usage().registers] == [
        (1, MOD - 2, 3, 5, 0, 0, 0), (2, 17, 22, 5, 0, 0, 0),
    ]  # fmt: skip


def test_a_chamber_that_was_never_seen_before_a_gap_begins_its_run_behind_it(estate: PourEstate) -> None:
    estate.pour("2025-03-01 12:00")
    for minute in range(3):
        estate.pour(f"2025-03-04 12:0{minute}", chamber=2)
    estate.pour("2025-03-04 12:04", kind=Kind.EMPTYING, chamber=0, uid=0)
    estate.lose_last(4)
    estate.pour("2025-03-06 12:00", chamber=1)
    estate.pour("2025-03-06 12:01", chamber=2)
    report(estate, "2025-03-07 12:00", 2)
    estate.commit()
    usage = estate.usage()
    assert [short(run) for run in usage.registers] == [(1, 0, 2, 2, 0, 0, 0), (2, 3, 4, 1, 0, 0, 0)]
    assert usage.lost == ()


def test_lost_volume_names_days_dwellings_and_chamber(estate: PourEstate) -> None:
    report(estate, "2025-02-28 12:00", 1)
    report(estate, "2025-02-28 12:00", 2)
    estate.pour("2025-03-01 12:00")
    for minute in range(3):
        estate.pour(f"2025-03-04 12:0{minute}", chamber=2)
    estate.pour("2025-03-04 12:05", chamber=1)
    estate.lose_last(4)
    estate.pour("2025-03-06 12:00", chamber=1)
    estate.pour("2025-03-07 12:01", chamber=2)
    estate.commit()
    usage = estate.usage()
    assert [short(run) for run in usage.registers] == [(1, 0, 3, 2, 1, 0, 0), (2, 0, 4, 1, 3, 0, 0)]
    assert [(x.chamber, x.pours, x.volume_ml, x.fraction, x.first_day, x.end_day, x.dwellings) for x in usage.lost] == [
        (1, 1, 5000, "residual", date(2025, 3, 1), date(2025, 3, 7), ("WE1", "WE2", "WE3")),
        (2, 3, 60_000, "residual", date(2025, 2, 28), date(2025, 3, 8), ("WE1", "WE2", "WE3")),
    ]  # fmt: skip
    assert [(gap.first_seq, gap.last_seq, gap.lost) for gap in usage.missing] == [(4, 7, True)]
    assert usage.buffered_pours == 0


def test_what_is_on_its_way_is_waited_for_and_then_counts_where_it_belongs(estate: PourEstate) -> None:
    estate.pour("2025-03-01 12:00")
    estate.commit()
    estate.pour("2025-03-02 12:00", uid=2)
    late = estate.gateway.seal(estate.pending)
    estate.pending = []
    estate.pour("2025-03-03 12:00")
    estate.commit()
    usage = estate.usage()
    assert [short(run) for run in usage.registers] == [(1, 0, 3, 2, 0, 1, 0)]
    assert (usage.lost, usage.buffered_pours) == ((), 1)
    estate.ledger.take(late)
    usage = estate.usage()
    assert [short(run) for run in usage.registers] == [(1, 0, 3, 3, 0, 0, 0)]
    assert {row.row: row.metered_ml for row in usage.rows} == {"WE1/T1": 10_000, "WE2/T2": 5000}


def test_records_before_the_first_that_came_are_waited_for_as_well(estate: PourEstate) -> None:
    for day in range(1, 6):
        estate.pour(f"2025-03-0{day} 12:00")
    first = estate.gateway.seal(estate.pending[:3])
    del estate.pending[:3]
    estate.commit()
    assert estate.usage().buffered_pours == 3
    assert estate.usage(period=days("2024-01-01", "2025-01-01")).buffered_pours == 3
    assert estate.usage(period=days("2026-01-01", "2027-01-01")).buffered_pours == 0, (
        "they are older than that"
    )
    estate.ledger.take(first)
    assert estate.usage().buffered_pours == 0


def test_a_register_that_moved_by_itself_is_unexplained_until_a_person_has_decided(
    estate: PourEstate,
) -> None:
    estate.pour("2025-03-01 12:00")
    estate.registers[1] += 2
    estate.pour("2025-03-05 12:00")
    estate.commit()
    usage = estate.usage()
    assert [short(run) for run in usage.registers] == [(1, 0, 4, 2, 0, 0, 2)]
    [review] = usage.reviews
    assert review.kind is ReviewKind.REGISTER_UNEXPLAINED
    assert (review.nominal, review.pours, review.volume_ml) == ("nothing_to_add", 2, 10_000)
    assert usage.lost == ()
    decided = estate.usage([decide(review.review, "as_lost")])
    assert [(x.pours, x.volume_ml, x.cause) for x in decided.lost] == [(2, 10_000, "unexplained")]
    assert decided.registers == usage.registers


def test_a_pour_that_no_register_counted_is_unexplained_too(estate: PourEstate) -> None:
    estate.pour("2025-03-01 12:00")
    estate.registers[1] -= 1
    estate.pour("2025-03-05 12:00")
    estate.commit()
    usage = estate.usage()
    assert [run.unexplained for run in usage.registers] == [-1]
    assert [review.choices for review in usage.reviews] == [("nothing_to_add",)]


def test_a_reset_begins_another_run(estate: PourEstate) -> None:
    estate.registers[1] = 500
    estate.pour("2025-03-01 12:00")
    estate.pour("2025-03-02 12:00")
    estate.registers[1] = 0
    report(estate, "2025-03-03 12:00")
    estate.pour("2025-03-04 12:00")
    estate.commit()
    usage = estate.usage()
    assert [short(run) for run in usage.registers] == [(1, 500, 502, 2, 0, 0, 0), (1, 0, 1, 1, 0, 0, 0)]
    assert usage.reviews == ()


def test_a_new_epoch_begins_another_run(estate: PourEstate) -> None:
    estate.pour("2025-03-01 12:00")
    estate.commit()
    estate.lock.epoch, estate.lock.seq = 2, 0
    estate.registers[1] = 77
    report(estate, "2025-03-03 12:00")
    estate.pour("2025-03-04 12:00")
    estate.commit()
    runs = estate.usage().registers
    assert [(run.epoch, *short(run)) for run in runs] == [
        (1, 1, 0, 1, 1, 0, 0, 0),
        (2, 1, 77, 78, 1, 0, 0, 0),
    ]


def test_one_lost_record_explains_a_pour_of_one_chamber_only(estate: PourEstate) -> None:
    report(estate, "2025-03-01 12:00", 1)
    report(estate, "2025-03-01 12:00", 2)
    estate.pour("2025-03-02 12:00", chamber=1)
    estate.lose_last()
    estate.registers[2] += 1
    estate.pour("2025-03-03 12:00", chamber=1)
    estate.pour("2025-03-03 12:01", chamber=2)
    estate.commit()
    usage = estate.usage()
    assert [(run.lost, run.unexplained) for run in usage.registers] == [(1, 0), (0, 1)]


def test_the_register_at_the_takeover_is_where_the_first_run_starts(estate: PourEstate) -> None:
    """Pours between the reading at the takeover and the first record are lost: the register says how many."""
    opening = OpeningRegister("P1", estate.lock.name, 1, 90, local("2025-01-15 10:00"))
    other = OpeningRegister("P1", estate.lock.name, 2, 5, local("2025-01-01 00:00"))
    older = OpeningRegister("P1", estate.lock.name, 1, 10, local("2024-01-01 00:00"))
    estate.change(opening_registers=(older, opening, other))
    estate.registers = {1: 100, 2: 4}
    estate.pour("2025-02-01 12:00", chamber=1)
    estate.pour("2025-02-01 12:01", chamber=2)
    estate.commit()
    usage = estate.usage()
    assert [short(run) for run in usage.registers] == [(1, 90, 101, 1, 10, 0, 0), (2, 4, 5, 1, 0, 0, 0)]
    assert [(x.pours, x.first_day, x.end_day) for x in usage.lost] == [
        (10, date(2025, 1, 15), date(2025, 2, 2))
    ]


def test_a_clock_that_jumped_breaks_no_run(estate: PourEstate) -> None:
    estate.pour("2025-03-01 12:00")
    estate.pour("2029-03-01 12:00", read_at=local("2025-03-01 12:30"))
    estate.pour("2025-03-02 12:00")
    estate.commit()
    usage = estate.usage()
    assert [short(run) for run in usage.registers] == [(1, 0, 3, 3, 0, 0, 0)]


def test_a_report_of_an_old_clock_in_the_midst_of_the_period_starts_no_run(estate: PourEstate) -> None:
    estate.pour("2024-12-31 12:00")
    report(estate, "2025-03-01 12:00")
    estate.pour("2024-12-01 12:00", kind=Kind.REGISTER_REPORT, uid=0, read_at=local("2025-03-01 12:30"))
    estate.pour("2025-03-02 12:00")
    estate.commit()
    [run] = estate.usage().registers
    assert (run.first_seq, run.last_seq, *short(run)) == (1, 4, 1, 1, 2, 1, 0, 0, 0)


def test_an_unverified_record_that_is_billed_though_no_register_counted_it_is_unexplained(
    estate: PourEstate,
) -> None:
    estate.pour("2025-03-01 12:00")
    estate.pour("2025-03-02 12:00", unverified=True)
    estate.registers[1] -= 1
    estate.pour("2025-03-03 12:00")
    estate.commit()
    [review] = estate.usage().reviews
    decided = estate.usage([decide(review.review, "WE1/T1")])
    assert [short(run) for run in decided.registers] == [(1, 0, 2, 3, 0, 0, -1)]


def test_a_replay_sees_only_what_was_there_and_says_the_same_of_what_was_missing(estate: PourEstate) -> None:
    estate.pour("2025-03-01 12:00")
    estate.commit()
    estate.pour("2025-03-02 12:00", uid=2)
    late = estate.gateway.seal(estate.pending)
    estate.pending = []
    estate.pour("2025-03-03 12:00")
    estate.commit()
    then = estate.usage()
    estate.ledger.take(late)
    estate.pour("2025-03-04 12:00")
    estate.commit()
    now = estate.usage()
    period = days("2025-01-01", "2026-01-01")
    assert now != then
    assert read_usage(estate.door(), estate.snapshot, period, [], pinned=then) == then
    assert read_usage(estate.door(), estate.snapshot, period, [], pinned=now) == now
