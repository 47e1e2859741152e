"""The quality of data by intervals: what is counted, when points are made, and that batches don't matter."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cloud_sink.projections.timeseries_points import QualityPoint
from cloud_sink.projections.timeseries_quality import DisputeSpan, Intervals, LockQuality
from cloud_sink.reading import Entry
from tests.support.fake_gateway import START
from tests.unit.cloud_sink.test_timeseries_points import BEGAN_S, POUR

EVERY_S = 60
FIRST_MS = BEGAN_S * 1000  # a whole minute


class Memory:
    """What a store would hold between batches."""

    def __init__(self, disputes: Iterable[DisputeSpan] = ()) -> None:
        self.kept: dict[str, LockQuality] = {}
        self.spans = list(disputes)
        self.interval_no = -1

    def locks(self, names: Iterable[str]) -> dict[str, LockQuality]:
        return {name: self.kept[name] for name in names if name in self.kept}

    def disputes(self, since_ms: int) -> list[DisputeSpan]:
        return [s for s in self.spans if s.resolved_ms is None or s.resolved_ms >= since_ms]

    def take(self, entries: list[Entry], again: frozenset[int] = frozenset()) -> list[QualityPoint]:
        open_locks = {name: lock for name, lock in self.kept.items() if lock.interval_no == self.interval_no}
        intervals = Intervals(EVERY_S, self.interval_no, open_locks, self)
        intervals.take(entries, again)
        self.interval_no = intervals.interval_no
        self.kept |= {entry.lock: intervals.locks[entry.lock] for entry in entries}
        return intervals.points


def entry(position: int, seq: int, committed_s: int, **changes: object) -> Entry:
    committed_at = START + timedelta(seconds=committed_s)
    return replace(POUR, position=position, seq=seq, committed_at=committed_at, **changes)  # type: ignore[arg-type]


def point(minute: int, records: int, expected: int, disputes: int = 0, pours: int = 0) -> tuple[int, ...]:
    return (FIRST_MS + minute * 60_000, records, expected, disputes, pours)


def told(points: Iterable[QualityPoint]) -> list[tuple[int, ...]]:
    return [(each.at_ms, each.records, each.expected, each.disputes, each.pours) for each in points]


def test_an_interval_is_told_once_something_is_committed_after_it() -> None:
    memory = Memory()
    assert memory.take([entry(1, 1, 0), entry(2, 2, 59)]) == []
    assert told(memory.take([entry(3, 3, 60)])) == [point(1, 2, 2, pours=2)]
    assert told(memory.take([entry(4, 4, 600)])) == [point(2, 3, 3, pours=1)]


def test_what_is_missing_is_told_until_it_comes() -> None:
    memory = Memory()
    memory.take([entry(1, 1, 0), entry(2, 5, 1)])
    assert told(memory.take([entry(3, 3, 61)])) == [point(1, 2, 5, pours=2)]
    assert told(memory.take([entry(4, 2, 121), entry(5, 4, 122)])) == [point(2, 3, 5, pours=1)]
    assert told(memory.take([entry(6, 6, 181)])) == [point(3, 5, 5, pours=2)]


def test_epochs_are_counted_each_for_itself() -> None:
    memory = Memory()
    memory.take([entry(1, 900, 0, epoch=1), entry(2, 1, 1, epoch=2), entry(3, 2, 2, epoch=2)])
    assert told(memory.take([entry(4, 3, 61, epoch=2)])) == [point(1, 3, 3, pours=3)]


def test_two_copies_of_a_record_are_one_record_and_one_pour() -> None:
    memory = Memory()
    memory.take([entry(1, 1, 0, unverified=True), entry(2, 1, 1)], again=frozenset({2}))
    assert told(memory.take([entry(3, 2, 61)])) == [point(1, 1, 1, pours=1)]


def test_latency_is_told_of_pours_with_good_clocks_only() -> None:
    memory = Memory()
    memory.take([entry(1, 1, 2), entry(2, 2, 8), entry(3, 3, 9, clock_offset_s=None)])
    [made] = memory.take([entry(4, 4, 61)])
    assert (made.pours, made.timed, made.latency_sum_ms, made.latency_max_ms, made.doubtful) == (
        3,
        2,
        10_000,
        8_000,
        1,
    )


def test_a_dispute_is_told_when_it_is_noticed_and_when_it_is_resolved_even_of_a_silent_lock() -> None:
    quiet = DisputeSpan("1f00b2", FIRST_MS + 70_000, FIRST_MS + 250_000)
    memory = Memory([quiet])
    memory.take([entry(1, 1, 0), entry(2, 1, 1, lock="1f00b2")])
    points = memory.take([entry(3, 2, 600)])
    by_lock = {name: told(p for p in points if p.lock == name) for name in ("1f00a1", "1f00b2")}
    assert by_lock == {
        "1f00a1": [point(1, 1, 1, pours=1)],
        "1f00b2": [point(1, 1, 1, pours=1), point(2, 1, 1, disputes=1), point(5, 1, 1)],
    }


def test_a_clock_that_was_set_back_opens_no_interval_again() -> None:
    memory = Memory()
    memory.take([entry(1, 1, 125)])
    assert memory.take([entry(2, 2, 3)]) == []
    assert told(memory.take([entry(3, 3, 200)])) == [point(3, 2, 2, pours=2)]


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 90), st.integers(1, 3), st.sampled_from(["1f00a1", "1f00b2", "1f00c3"])),
        min_size=1, max_size=40,
    ),
    cuts=st.lists(st.integers(0, 40)),
    disputed=st.lists(
        st.tuples(st.sampled_from(["1f00a1", "1f00b2", "1f00c3"]), st.integers(0, 3000), st.integers(0, 600)),
        max_size=4,
    ),
)  # fmt: skip
def test_points_are_the_same_however_entries_are_cut_into_batches(
    steps: list[tuple[int, int, str]], cuts: list[int], disputed: list[tuple[str, int, int]]
) -> None:
    entries, at_s, seq = [], 0, 0
    for position, (later_s, further, lock) in enumerate(steps, 1):
        at_s, seq = at_s + later_s, seq + further
        entries.append(entry(position, seq, at_s, lock=lock))
    disputes = [
        DisputeSpan(lock, FIRST_MS + noticed * 1000, FIRST_MS + (noticed + lasted) * 1000)
        for lock, noticed, lasted in disputed
    ]
    whole = Memory(disputes)
    expected = whole.take(entries)
    pieces, found = Memory(disputes), []
    for start, end in pairwise([0, *sorted(cut for cut in cuts if cut < len(entries)), len(entries)]):
        found += pieces.take(entries[start:end])
    assert found == expected
    assert pieces.kept == whole.kept
