"""Followers: whatever happens to one projection, the others go on, and it goes on itself as soon as it can."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random

from cloud_sink.errors import ConfigError, LedgerUnavailable
from cloud_sink.following import Follower, Lag, Projection, catch_up, follow_all
from cloud_sink.projections.usage_store import default_url
from cloud_sink.projector import Projector
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.postgres import Postgres
from tests.support.waiting import wait_until

SINCE = datetime(2026, 11, 22, tzinfo=UTC)


class Counting:
    """A projection that does what `work` does at each step."""

    name, title, version = "counting", "counting", 1

    def __init__(self, work: Callable[[], int]) -> None:
        self.work = work
        self.steps = 0
        self.taken = 0
        self.closed = False

    def prepare(self, anew: bool = False) -> None:
        """There is nothing to prepare."""

    def step(self) -> int:
        self.steps += 1
        count = self.work()
        self.taken += count
        return count

    def lag(self) -> Lag:
        return Lag(self.taken, 100, SINCE)

    def digest(self) -> str:
        return str(self.taken)

    def close(self) -> None:
        self.closed = True


def usage(ledger: Ledger) -> Projector:
    return Projector(ledger.url, default_url(ledger.url), "Europe/Berlin", 1000)


@contextmanager
def following(*followers: Follower) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=follow_all, args=(followers, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive(), "it ends when it is asked to, whatever a projection waits for"


def follow(name: str, build: Callable[[], Projection]) -> Follower:
    return Follower(name, build, 0.01, Random(1))


def has_taken(follower: Follower, position: int) -> bool:
    lag = follower.standing.lag
    return lag is not None and lag.position == lag.end == position


def test_neither_one_that_fails_nor_one_that_is_stuck_holds_up_another(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    ledger.take(gateway.seal(lock.pours(10)))
    never = threading.Event()
    stuck = follow("stuck", lambda: Counting(lambda: int(never.wait(60))))
    failing = follow("failing", lambda: Counting(lambda: 1 // 0))
    good = follow("usage", partial(usage, ledger))
    with following(stuck, failing, good):
        wait_until(partial(has_taken, good, 10), 20, "usage to catch up")
        ledger.take(gateway.seal(lock.pours(5)))
        wait_until(partial(has_taken, good, 15), 20, "usage to follow")
        wait_until(lambda: failing.standing.failures > 0, 20, "the failure to be noticed")
        never.set()
    assert failing.standing.problem == "ZeroDivisionError"
    assert (good.standing.failures, good.standing.problem) == (0, None)
    assert good.standing.taken == 15


def test_one_that_fails_is_built_anew_and_goes_on() -> None:
    built: list[Counting] = []

    def build() -> Counting:
        built.append(Counting(lambda: 1 // 0 if len(built) == 1 else 0))
        return built[-1]

    follower = follow("x", build)
    with following(follower):
        wait_until(lambda: len(built) == 2 and built[1].steps > 3, 20, "the second one to step")
        wait_until(lambda: follower.standing.problem is None, 20, "all to be well")
    assert follower.standing.failures == 1
    assert [each.closed for each in built] == [True, True]


def test_what_is_away_is_waited_for_without_a_failure() -> None:
    tries: list[str] = []

    def away(what: str) -> None:
        tries.append(what)
        if tries.count(what) < 3:
            raise LedgerUnavailable("away")

    def step() -> int:
        away("step")
        return 1 if len(tries) == 6 else 0

    def build() -> Counting:
        away("build")
        return Counting(step)

    follower = follow("x", build)
    with following(follower):
        wait_until(lambda: follower.standing.taken == 1, 20, "the step that succeeds")
    assert follower.standing.failures == 0
    assert tries[:6] == ["build"] * 3 + ["step"] * 3


def test_one_that_cannot_be_built_says_why_and_is_tried_again() -> None:
    tries: list[int] = []

    def build() -> Counting:
        tries.append(1)
        if len(tries) == 1:
            raise ConfigError(["no ledger yet"])
        return Counting(lambda: 0)

    follower = follow("x", build)
    with following(follower):
        wait_until(lambda: follower.standing.lag is not None, 20, "it to be built")
    assert (len(tries), follower.standing.failures) == (2, 1)


def test_catching_up_ends_where_the_end_was_and_where_nothing_more_comes() -> None:
    told: list[tuple[int, int]] = []
    projection = Counting(lambda: 30)
    catch_up(projection, threading.Event(), lambda position, end: told.append((position, end)))
    assert told == [(0, 100), (30, 100), (60, 100), (90, 100), (100, 100)]
    ended = Counting(lambda: 0)
    catch_up(ended, threading.Event(), lambda position, end: None)
    assert ended.steps == 1
    stop = threading.Event()
    stop.set()
    stopped = Counting(lambda: 30)
    catch_up(stopped, stop, lambda position, end: None)
    assert stopped.steps == 0


def test_a_database_of_projections_that_is_away_holds_up_neither_the_intake_nor_others(
    sqlite_url: str, gateway: FakeGateway, lock: FakeLock, tmp_path: Path
) -> None:
    with Postgres(durable=True) as postgres, closing(Ledger(sqlite_url, tmp_path, [gateway])) as ledger:
        url = postgres.create_database()
        away = follow("away", lambda: Projector(ledger.url, url, "Europe/Berlin", 7))
        near = follow(
            "near", lambda: Projector(ledger.url, f"sqlite:///{tmp_path}/near.sqlite", "Europe/Berlin", 7)
        )
        with following(away, near):
            ledger.take(gateway.seal(lock.pours(20)))
            wait_until(lambda: has_taken(away, 20) and has_taken(near, 20), 30, "both to catch up")
            postgres.kill()
            for _ in range(10):
                ledger.take(gateway.seal(lock.pours(10)))
            wait_until(lambda: has_taken(near, 120), 20, "the near one to follow")
            assert ledger.reader.last_position() == 120, "the intake doesn't wait for it"
            assert not has_taken(away, 120)
            postgres.start()
            wait_until(lambda: has_taken(away, 120), 40, "the other one to come back")
        assert (away.standing.failures, near.standing.failures) == (0, 0)
        digests = []
        for build in (away._build, near._build):
            projection = build()
            digests.append(projection.digest())
            projection.close()
        assert digests[0] == digests[1]
