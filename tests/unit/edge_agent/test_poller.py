"""Who is visited when, and for how long; and what happens if the loop itself fails."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from edge_agent.journal_keeper import Outcome
from edge_agent.poller import SLICE_LEAST_S, SLICE_MOST_S, Poller
from tests.support.lock_rig import HandClock

VISIT_S = 0.06


class PlayedVisitor:
    """A lock on a clock turned by hand: a visit takes VISIT_S, and reads its backlog until its time is over."""

    def __init__(self, name: str, clock: HandClock, interval_s: float = 1.0, backlog_s: float = 0.0) -> None:
        self.lock = name
        self.poll_interval_s = interval_s
        self.backlog_s = backlog_s
        self.wait_s: float | None = None
        self.visits: list[float] = []
        self.slices: list[float] = []
        self._clock = clock

    def visit(self, is_over: Callable[[], bool]) -> Outcome:
        self.visits.append(self._clock.seconds)
        began = self._clock.seconds
        self._clock.seconds += VISIT_S
        while self.backlog_s > 0:
            self._clock.seconds += 0.14
            self.backlog_s -= 0.14
            if is_over():
                break
        self.slices.append(self._clock.seconds - began)
        return Outcome(self.backlog_s > 0, self.wait_s)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def poller_of(clock: HandClock, *visitors: Any) -> Poller:
    return Poller("yard", visitors, clock.monotonic, lambda error: None)


def run(poller: Poller, clock: HandClock, seconds: float) -> None:
    stop, end = threading.Event(), clock.seconds + seconds
    while clock.seconds < end:
        pause_s = poller.step(stop)  # the visit turns the clock, too
        clock.seconds += pause_s


def rate(visitor: PlayedVisitor, seconds: float) -> float:
    return len(visitor.visits) / seconds


def test_each_lock_is_visited_at_its_own_interval(clock: HandClock) -> None:
    fast, slow = PlayedVisitor("fast", clock, 1.0), PlayedVisitor("slow", clock, 10.0)
    run(poller_of(clock, fast, slow), clock, 100)
    assert len(fast.visits) == pytest.approx(100, abs=2)
    assert len(slow.visits) == pytest.approx(10, abs=2)


def test_months_of_backlog_of_one_lock_leave_the_others_their_rate(clock: HandClock) -> None:
    drained = PlayedVisitor("drained", clock, backlog_s=10_000)
    others = [PlayedVisitor(f"other {number}", clock) for number in range(5)]
    run(poller_of(clock, drained, *others), clock, 200)
    for other in others:
        assert rate(other, 200) > 0.9
    share = sum(drained.slices) / 200
    assert share > 0.6, "what the others leave of the bus is used"


def test_crowded_bus_still_drains(clock: HandClock) -> None:
    drained = PlayedVisitor("drained", clock, backlog_s=10_000)
    others = [PlayedVisitor(f"other {number}", clock) for number in range(30)]
    run(poller_of(clock, drained, *others), clock, 200)
    assert sum(drained.slices) / 200 > 0.05
    assert min(slice_s for slice_s in drained.slices) >= SLICE_LEAST_S
    assert min(rate(other, 200) for other in others) > 0.3


def test_locks_that_all_have_a_backlog_take_turns_in_long_slices(clock: HandClock) -> None:
    locks = [PlayedVisitor(f"lock {number}", clock, backlog_s=10_000) for number in range(3)]
    run(poller_of(clock, *locks), clock, 120)
    totals = [sum(lock.slices) for lock in locks]
    assert max(totals) - min(totals) < 10
    assert sum(len(lock.visits) for lock in locks) < 120


def test_lock_alone_on_its_bus_reads_for_long(clock: HandClock) -> None:
    lock = PlayedVisitor("alone", clock, backlog_s=100)
    run(poller_of(clock, lock), clock, 30)
    assert lock.slices[0] == pytest.approx(SLICE_MOST_S, abs=0.5)


def test_lock_that_asks_for_time_is_left_alone_for_it(clock: HandClock) -> None:
    resting, other = PlayedVisitor("resting", clock), PlayedVisitor("other", clock)
    resting.wait_s = 30.0
    run(poller_of(clock, resting, other), clock, 100)
    assert len(resting.visits) == 4
    assert len(other.visits) >= 95


def test_visit_ends_when_the_program_is_asked_to_stop(clock: HandClock) -> None:
    lock = PlayedVisitor("alone", clock, backlog_s=100)
    stop = threading.Event()
    stop.set()
    poller_of(clock, lock).step(stop)
    assert lock.slices == [pytest.approx(VISIT_S + 0.14)]


def test_progress_is_noted_within_a_long_visit(clock: HandClock) -> None:
    poller: Poller
    seen = []

    class Watched(PlayedVisitor):
        def visit(self, is_over: Callable[[], bool]) -> Outcome:
            clock.seconds += 5
            is_over()
            seen.append(poller.progressed_at)
            return Outcome()

    poller = poller_of(clock, Watched("watched", clock))
    began = clock.seconds
    poller.step(threading.Event())
    assert seen == [began + 5]


def test_bus_without_locks_is_no_trouble(clock: HandClock) -> None:
    poller = poller_of(clock)
    assert poller.step(threading.Event()) > 0
    assert poller.progressed_at == clock.seconds


def test_error_that_nobody_expected_ends_the_thread_noticed(clock: HandClock) -> None:
    class Broken(PlayedVisitor):
        def visit(self, is_over: Callable[[], bool]) -> Outcome:
            raise RuntimeError("a programming error")

    told: list[BaseException] = []
    Poller("yard", [Broken("broken", clock)], clock.monotonic, told.append).run(threading.Event())  # type: ignore[list-item]
    assert [str(error) for error in told] == ["a programming error"]


def test_stopped_poller_ends_at_once_and_in_silence() -> None:
    told: list[BaseException] = []
    stop = threading.Event()
    clock = HandClock()
    poller = Poller("yard", [PlayedVisitor("lock", clock, 3600)], clock.monotonic, told.append)  # type: ignore[list-item]
    thread = threading.Thread(target=poller.run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert told == []


def test_a_visit_that_is_asked_for_comes_before_it_is_due(clock: HandClock) -> None:
    seldom = PlayedVisitor("seldom", clock, 3600)
    poller = poller_of(clock, seldom)
    run(poller, clock, 10)
    assert len(seldom.visits) == 1
    poller.hasten("seldom")
    poller.hasten("nobody")
    run(poller, clock, 10)
    assert len(seldom.visits) == 2


def test_an_interval_that_is_shortened_counts_at_once_and_not_after_the_long_one(clock: HandClock) -> None:
    lock = PlayedVisitor("lock", clock, 3600)
    poller = poller_of(clock, lock)
    run(poller, clock, 10)
    lock.poll_interval_s = 2
    run(poller, clock, 20)
    assert 9 <= len(lock.visits) <= 12


def test_each_visit_is_announced_to_the_bus(clock: HandClock) -> None:
    told: list[str] = []

    @contextmanager
    def visiting() -> Iterator[None]:
        told.append("begins")
        yield
        told.append("ends")

    visitor = PlayedVisitor("lock", clock, 5)
    poller = Poller("yard", [visitor], clock.monotonic, lambda error: None, visiting)  # type: ignore[list-item]
    run(poller, clock, 1)
    assert told == ["begins", "ends"]
