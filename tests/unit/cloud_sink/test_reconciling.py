"""Reconciliation: pours against registers, along unbroken runs."""

from hypothesis import given
from hypothesis import strategies as st

from cloud_sink.reconciling import Reading, Run, runs_of_epoch
from wastelock.record import Kind

MOD = 2**32


def pour(seq: int, register: int, chamber: int = 1, result: int = 0, unverified: int = 0) -> Reading:
    return Reading(seq, unverified, Kind.POUR, result, chamber, register % MOD)


def report(seq: int, register: int, chamber: int = 1) -> Reading:
    return Reading(seq, 0, Kind.REGISTER_REPORT, 0, chamber, register % MOD)


def only(readings: list[Reading]) -> Run:
    [run] = runs_of_epoch("1f00a1", 1, readings, newest_epoch=True)
    return run


@given(
    st.integers(0, MOD - 1),
    st.lists(st.tuples(st.sampled_from([1, 2]), st.sampled_from([0, 1, 2])), max_size=40),
)
def test_a_complete_journal_is_proven_across_the_wrap(start: int, cycles: list[tuple[int, int]]) -> None:
    registers = {1: start, 2: (start * 7) % MOD}
    readings = [report(1, registers[1], 1), report(2, registers[2], 2)]
    for chamber, result in cycles:
        registers[chamber] += 1 if result == 0 else 0
        readings.append(pour(len(readings) + 1, registers[chamber], chamber, result))
    runs = runs_of_epoch("1f00a1", 1, readings, newest_epoch=True)
    assert [run.verdict for run in runs] == ["proven", "proven"]
    assert sum(run.pours for run in runs) == sum(result == 0 for _, result in cycles)
    assert all(run.register_pours == run.pours for run in runs)


@given(st.integers(0, MOD - 1), st.integers(3, 30), st.data())
def test_pours_that_are_missing_with_their_records_are_explained(
    start: int, count: int, data: st.DataObject
) -> None:
    readings = [pour(n, start + n) for n in range(1, count + 1)]
    gone = data.draw(st.sets(st.integers(2, count - 1)))
    run = only([reading for reading in readings if reading.seq not in gone])
    assert (run.explained, run.unexplained) == (len(gone), 0)
    assert run.verdict == ("explained" if gone else "proven")
    assert run.register_pours == run.pours + run.explained


def test_a_register_that_moved_without_any_missing_record_is_unexplained() -> None:
    run = only([pour(1, 10), pour(2, 13)])
    assert (run.verdict, run.explained, run.unexplained) == ("unexplained", 0, 2)
    assert [(step.after_seq, step.before_seq, step.pours, step.explained) for step in run.steps] == [
        (1, 2, 2, False)
    ]


def test_a_pour_that_the_register_did_not_count_is_unexplained_and_nothing_cancels_it_out() -> None:
    run = only([pour(1, 10), pour(2, 10), pour(3, 12)])
    assert (run.verdict, run.unexplained) == ("unexplained", 2)


def test_more_missing_pours_than_missing_records_are_unexplained() -> None:
    run = only([pour(1, 10), pour(4, 15)])
    assert (run.explained, run.unexplained) == (2, 2)


def test_an_unverified_record_explains_but_is_not_counted() -> None:
    run = only([pour(1, 10), pour(2, 99, unverified=1), pour(3, 12)])
    assert (run.pours, run.explained, run.unexplained) == (2, 1, 0)


def test_the_verified_copy_of_an_unverified_record_counts() -> None:
    run = only([pour(1, 10), pour(2, 11), pour(2, 99, unverified=1), pour(3, 12)])
    assert (run.verdict, run.pours) == ("proven", 3)


def test_a_register_that_goes_backwards_begins_another_run() -> None:
    runs = runs_of_epoch(
        "1f00a1", 1, [pour(1, 500), pour(2, 501), report(3, 0), pour(4, 1)], newest_epoch=False
    )
    assert [(run.start_register, run.end_register, run.pours, run.ended_by) for run in runs] == [
        (499, 501, 2, "reset"), (0, 1, 1, "new epoch"),
    ]  # fmt: skip
    assert [run.verdict for run in runs] == ["proven", "proven"]


def test_one_missing_record_does_not_explain_a_pour_of_each_chamber() -> None:
    readings = [report(1, 0, 1), report(2, 0, 2), pour(4, 2, 1), pour(5, 2, 2)]
    runs = runs_of_epoch("1f00a1", 1, readings, newest_epoch=True)
    assert sum(run.explained for run in runs) == 1
    assert sum(run.unexplained for run in runs) == 1


def test_a_run_lists_only_some_of_its_steps_but_counts_all() -> None:
    run = only([pour(2 * n + 1, 2 * n) for n in range(100)])
    assert run.explained == 99
    assert len(run.steps) == 20


def test_records_without_a_register_are_passed_over() -> None:
    run = only(
        [
            pour(1, 5),
            Reading(2, 0, Kind.EMPTYING, 0, 0, 0),
            Reading(3, 0, Kind.FAULT_RAISED, 0, 1, 0),
            pour(4, 6),
        ]
    )
    assert (run.verdict, run.pours) == ("proven", 2)
