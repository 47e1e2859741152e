"""Orders go before polls; polls get every second turn at least, and nearly all of a visit that records."""

import threading
from collections.abc import Callable

from edge_agent.arbiter import RECORDING_POLLS, Arbiter
from tests.support.waiting import wait_until


class Crowd:
    """Threads that want the turn, in the order in which they were started."""

    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter
        self._threads: list[threading.Thread] = []
        self.served: list[str] = []

    def want(self, name: str, urgent: bool) -> None:
        thread = threading.Thread(target=self._take_turn, args=(name, urgent))
        self._threads.append(thread)
        waiting = self._waiting()
        thread.start()
        wait_until(lambda: self._waiting() > waiting, what=f"{name} to wait for its turn")

    def join(self) -> None:
        for thread in self._threads:
            thread.join(10)

    def _waiting(self) -> int:
        polls, orders = self._arbiter._waiting
        return len(polls) + len(orders)

    def _take_turn(self, name: str, urgent: bool) -> None:
        self._arbiter.acquire(urgent)
        self.served.append(name)
        self._arbiter.release()


def serve(first_is_urgent: bool, wanted: Callable[[Crowd], None]) -> list[str]:
    """Return who was served in which order after a first transaction, during which the others came."""
    arbiter = Arbiter()
    crowd = Crowd(arbiter)
    arbiter.acquire(first_is_urgent)
    wanted(crowd)
    arbiter.release()
    crowd.join()
    return crowd.served


def test_order_goes_before_polls_that_came_earlier() -> None:
    def wanted(crowd: Crowd) -> None:
        crowd.want("poll 1", urgent=False)
        crowd.want("poll 2", urgent=False)
        crowd.want("order", urgent=True)

    assert serve(False, wanted) == ["order", "poll 1", "poll 2"]


def test_row_of_orders_leaves_every_second_turn_to_polls() -> None:
    def wanted(crowd: Crowd) -> None:
        for number in (1, 2, 3):
            crowd.want(f"order {number}", urgent=True)
        crowd.want("poll 1", urgent=False)
        crowd.want("poll 2", urgent=False)

    assert serve(False, wanted) == ["order 1", "poll 1", "order 2", "poll 2", "order 3"]


def test_poll_that_waits_goes_next_after_an_order() -> None:
    def wanted(crowd: Crowd) -> None:
        crowd.want("order", urgent=True)
        crowd.want("poll", urgent=False)

    assert serve(True, wanted) == ["poll", "order"]


def test_one_order_at_most_goes_while_a_visit_records_what_it_finds() -> None:
    arbiter = Arbiter()
    crowd = Crowd(arbiter)
    arbiter.begin_visit()
    arbiter.acquire(urgent=False)  # the visit's first look
    for number in (1, 2, 3):
        crowd.want(f"order {number}", urgent=True)
    arbiter.release()
    wait_until(lambda: crowd.served == ["order 1"], what="the one order that may go")
    for _ in range(3):  # more looks of the same visit
        arbiter.acquire(urgent=False)
        arbiter.release()
    assert crowd.served == ["order 1"]
    arbiter.end_visit()
    crowd.join()
    assert crowd.served == ["order 1", "order 2", "order 3"]


def test_an_order_that_was_under_way_when_a_visit_began_was_the_one_that_may_go() -> None:
    arbiter = Arbiter()
    crowd = Crowd(arbiter)
    arbiter.acquire(urgent=True)
    arbiter.begin_visit()
    crowd.want("order", urgent=True)
    crowd.want("poll", urgent=False)
    arbiter.release()
    wait_until(lambda: crowd.served == ["poll"], what="the poll")
    arbiter.end_visit()
    crowd.join()
    assert crowd.served == ["poll", "order"]


def test_while_a_backlog_is_drained_every_second_turn_is_an_orders_again() -> None:
    arbiter = Arbiter()
    crowd = Crowd(arbiter)
    arbiter.begin_visit()
    arbiter.acquire(urgent=False)
    for number in (1, 2, 3):
        crowd.want(f"order {number}", urgent=True)
    for poll in range(RECORDING_POLLS + 1):
        crowd.want(f"poll {poll}", urgent=False)
    arbiter.release()
    crowd.join()
    assert crowd.served[:2] == ["order 1", "poll 0"]
    assert crowd.served[RECORDING_POLLS:] == ["order 2", "poll 7", "order 3", "poll 8"]


def test_only_one_has_the_turn_at_a_time() -> None:
    arbiter, inside, most = Arbiter(), [], []

    def work(urgent: bool) -> None:
        for _ in range(200):
            arbiter.acquire(urgent)
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            arbiter.release()

    threads = [threading.Thread(target=work, args=(number % 2 == 0,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(most) == 800
    assert max(most) == 1
