"""What is asked of the ledger and how often; what is told of projections that fail, wait or are stuck."""

import json
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from cloud_sink.following import Lag, Standing
from cloud_sink.ledger.database import Database
from cloud_sink.metrics import STUCK_AFTER_S, ProjectionsMonitor
from cloud_sink.metrics_ledger import LedgerWatch, read_delays
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.scraping import Figures, parse
from wastelock.record import Kind


class Steps:
    """A clock that goes on by `took_s` each time it is asked."""

    def __init__(self, took_s: float) -> None:
        self._now_s, self._took_s = 0.0, took_s

    def __call__(self) -> float:
        self._now_s += self._took_s
        return self._now_s


class Stop(threading.Event):
    """Notes how long it is waited for, and is set after so many waits."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.waits_s: list[float] = []
        self._after = after

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits_s.append(timeout)
        if len(self.waits_s) == self._after:
            self.set()
        return self.is_set()


def figures_of(watch: LedgerWatch) -> Figures:
    registry = CollectorRegistry()
    registry.register(watch)
    return parse(generate_latest(registry).decode())


def test_asking_a_slow_ledger_takes_a_twentieth_of_the_time_at_most(ledger: Ledger) -> None:
    stop = Stop(after=2)
    LedgerWatch(ledger.url, 15, Steps(took_s=10.0)).run(stop)
    assert all(wait_s / 20 >= 9.5 for wait_s in stop.waits_s)


def test_a_quick_ledger_is_asked_at_the_interval_and_one_that_is_away_soon_again(
    ledger: Ledger, tmp_path: Any
) -> None:
    there, away = Stop(after=1), Stop(after=1)
    LedgerWatch(ledger.url, 15, lambda: 0.0).run(there)
    watch = LedgerWatch(f"sqlite:///{tmp_path}/nothing.sqlite", 15, lambda: 0.0)
    watch.run(away)
    assert (there.waits_s, away.waits_s) == ([15], [2])
    assert figures_of(watch).value("wastelock_sink_ledger_available") == 0


def test_figures_stay_and_grow_old_while_the_ledger_is_away(ledger: Ledger) -> None:
    now_s = [100.0]
    ledger.take(FakeGateway().seal(FakeLock().pours(3)))
    with closing(LedgerWatch(ledger.url, 15, lambda: now_s[0])) as watch:
        watch.look()
        watch.close()
        watch._database = Database("sqlite:////nowhere/ledger.sqlite", read_only=True)
        now_s[0] = 400.0
        watch.look()
        found = figures_of(watch)
    assert found.value("wastelock_sink_ledger_available") == 0
    assert found.value("wastelock_sink_ledger_position") == 3
    assert found.value("wastelock_sink_ledger_figures_age_seconds") == 300


def test_missing_records_are_those_between_others_of_their_epoch(ledger: Ledger) -> None:
    gateway, lock = FakeGateway(), FakeLock()
    records = lock.pours(10)
    ledger.take(gateway.seal(records[2:4]), gateway.seal(records[6:7]), gateway.seal(records[9:]))
    other = FakeLock(epoch=2)
    ledger.take(gateway.seal(other.pours(2)))
    with closing(LedgerWatch(ledger.url, 15)) as watch:
        watch.look()
        found = figures_of(watch)
    assert found.value("wastelock_sink_missing_records") == 4  # 5, 6, 8, 9; who knows of 1 and 2?
    assert found.value("wastelock_sink_missing_pages") == 0


def test_delays_are_those_of_complete_pours_whose_time_is_known(ledger: Ledger) -> None:
    gateway, lock = FakeGateway(), FakeLock()
    pour, denied = lock.record(), lock.record(kind=Kind.ACCESS_DENIED)
    ledger.take(gateway.seal([lock.page_record(pour), lock.page_record(denied)]))
    with ledger.database.reading() as connection:
        [delay_s] = read_delays(connection, 0)
        assert read_delays(connection, 2) == []
    committed_s = ledger.entries()[0].committed_at.timestamp()
    assert delay_s == pytest.approx(max(0.0, committed_s - (pour.began_clock_s + 2)))


def follower(
    name: str,
    lag: Lag | None = Lag(10, 10),  # noqa: B008 - frozen
    problem: str | None = None,
    waiting_since: float | None = None,
    progressed_at: float = 1000.0,
) -> Any:
    standing = Standing(name, lag, taken=10, failures=1 if problem else 0, problem=problem)
    return SimpleNamespace(standing=standing, waiting_since=waiting_since, progressed_at=progressed_at)


def test_each_projection_is_told_of_by_itself() -> None:
    since = datetime.now(UTC) - timedelta(seconds=90)
    monitor = ProjectionsMonitor(
        [
            follower("usage"),
            follower("twins", Lag(4, 10, since)),
            follower("feed", problem="ZeroDivisionError"),
            follower("timeseries", waiting_since=940.0),
        ],
        now_s=lambda: 1000.0,
    )
    found = parse(monitor.respond("/metrics", "").body.decode())

    def of(figure: str) -> dict[str, float | None]:
        names = ("usage", "twins", "feed", "timeseries")
        return {name: found.value(f"wastelock_projection_{figure}", projection=name) for name in names}

    assert of("waiting_entries") == {"usage": 0, "twins": 6, "feed": 0, "timeseries": 0}
    assert of("waiting_seconds") == {"usage": 0, "twins": 0, "feed": 0, "timeseries": 60}
    assert of("failing") == {"usage": 0, "twins": 0, "feed": 1, "timeseries": 0}
    assert 89 < (of("lag_seconds")["twins"] or 0) < 120
    ready = monitor.respond("/readyz", "")
    assert (ready.status, json.loads(ready.body)["reasons"]) == (
        503,
        ["feed: fails: ZeroDivisionError", "timeseries: what it needs is away: the log says what"],
    )
    assert monitor.respond("/healthz", "").status == 200


def test_projections_that_keep_up_are_ready_and_one_that_is_stuck_is_not_alive() -> None:
    assert ProjectionsMonitor([follower("usage")], lambda: 1001.0).respond("/readyz", "").status == 200
    stuck = ProjectionsMonitor(
        [follower("usage"), follower("twins", progressed_at=0.0)], lambda: STUCK_AFTER_S + 1
    )
    answer = stuck.respond("/healthz", "")
    assert (answer.status, json.loads(answer.body)["reasons"]) == (503, ["no progress: twins"])


def test_a_projection_that_has_not_begun_is_not_ready() -> None:
    assert (
        ProjectionsMonitor([follower("usage", lag=None)], lambda: 1001.0).respond("/readyz", "").status == 503
    )
