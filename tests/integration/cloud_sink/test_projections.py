"""`cloud-sink project` as processes: killed at any instant and two at once, they end where a rebuild ends."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random

import pytest

from cloud_sink.config import Config, ObservationsSection, load_config
from cloud_sink.following import Lag, catch_up
from cloud_sink.ledger import keeping
from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.observations import ReportKind
from cloud_sink.operating import Author, Operations
from cloud_sink.projecting import PROJECTIONS, wanted_projections
from cloud_sink.reports import Report
from tests.support.fake_gateway import START, FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.waiting import wait_until
from wastelock.messages import GatewayState, LockState

_PROJECT = (sys.executable, "-c", "from cloud_sink.cli import main; main()", "project", "--config")
_STATES = ("ready", "locked", "service")


class GrowingLedger:
    """A ledger of which all three sources grow by `grow`."""

    def __init__(self, ledger: Ledger, gateway: FakeGateway, locks: list[FakeLock], random: Random) -> None:
        self.ledger = ledger
        self._gateway = gateway
        self._locks = locks
        self._random = random
        self._operations = Operations(ledger.url, ledger.clock)
        self._heard_at = START

    def grow(self) -> None:
        """Some pages, some reports, a decision."""
        random = self._random
        for lock in self._locks:
            self.ledger.take(self._gateway.seal(lock.pours(random.randint(1, 40))))
        self._report(*(self._lock_state(lock) for lock in self._locks))
        self._report(
            GatewayState(gateway="gw-0001", online=random.random() < 0.7, incarnation=1, at=self._heard_at)
        )
        lock = random.choice(self._locks)
        self._operations.describe_lock(
            lock.name, {"site": "estate-1", "label": str(random.random())}, Author("anna")
        )

    def close(self) -> None:
        self._operations.close()

    def _lock_state(self, lock: FakeLock) -> LockState:
        random = self._random
        self._heard_at += timedelta(seconds=random.randint(1, 3000))
        return LockState(
            lock=lock.name, driver="wlc-1", at=self._heard_at, reachable=random.random() < 0.8, epoch=lock.epoch,
            state=random.choice(_STATES), fill_permille=random.randint(0, 1000), newest_seq=lock.seq,
            faults=tuple(random.sample(["tamper", "container_full", "battery_low"], random.randint(0, 2))),
        )  # fmt: skip

    def _report(self, *states: GatewayState | LockState) -> None:
        reports = [
            Report(
                ReportKind.LOCK if isinstance(state, LockState) else ReportKind.GATEWAY,
                "estate-1", "gw-0001", getattr(state, "lock", None), state, self._heard_at,
            )
            for state in states
        ]  # fmt: skip
        with self.ledger.database.writing() as connection:
            keeping.keep(connection, reports, to_ms(self._heard_at), ObservationsSection(), shared=False)


@pytest.fixture
def growing(ledger_url: str, tmp_path: Path, gateway: FakeGateway) -> Iterator[GrowingLedger]:
    locks = [FakeLock(0x1F00C0 + n) for n in range(3)]
    with (
        closing(Ledger(ledger_url, tmp_path, [gateway])) as ledger,
        closing(GrowingLedger(ledger, gateway, locks, Random(7))) as found,
    ):
        yield found


def lags(config: Config) -> list[Lag]:
    """Return how far each projection has come."""
    found = []
    for name in wanted_projections(config):
        projection = PROJECTIONS[name](config)
        found.append(projection.lag())
        projection.close()
    return found


def come(config: Config) -> int:
    return sum(lag.position for lag in lags(config))


def has_come_beyond(config: Config, position: int) -> bool:
    return come(config) > position


def digests(config: Config, anew: bool = False) -> dict[str, str]:
    found = {}
    for name in wanted_projections(config):
        projection = PROJECTIONS[name](config)
        projection.prepare(anew)
        catch_up(projection, threading.Event(), lambda position, end: None)
        found[name] = projection.digest()
        projection.close()
    return found


def test_killed_at_any_instant_and_two_at_once_they_end_where_a_rebuild_ends(
    growing: GrowingLedger, tmp_path: Path
) -> None:
    path = tmp_path / "cloud-sink.toml"
    path.write_text(
        f'[ledger]\nurl = "{growing.ledger.url}"\n[projections]\nbatch_entries = 13\nidle_s = 0.01\n'
        "[feed]\npublish = false\n"
    )
    config = load_config(path)
    assert {"usage", "twins", "feed"} <= set(wanted_projections(config))
    random = Random(11)
    before, interrupted = 0, 0
    for _ in range(2):
        growing.grow()
        both = [subprocess.Popen([*_PROJECT, str(path)], stderr=subprocess.DEVNULL) for _ in range(2)]
        try:
            wait_until(partial(has_come_beyond, config, before), 60, "the projections to get on", poll_s=0.03)
            for _ in range(random.randint(1, 5)):
                growing.grow()
        finally:
            for process in both:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
        before = come(config)
        interrupted += sum(lag.position < lag.end for lag in lags(config))
    assert interrupted > 2, "they were killed in the midst of it"
    kept = digests(config)
    in_large_batches = config.projections.model_copy(update={"batch_entries": 1000})
    running = subprocess.Popen([*_PROJECT, str(path)], stderr=subprocess.DEVNULL)
    try:
        rebuilt = digests(config.model_copy(update={"projections": in_large_batches}), anew=True)
    finally:
        running.kill()
        running.wait()
    assert kept == rebuilt, "also beside one that runs"
