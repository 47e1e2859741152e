"""Live and rebuilt twins are the same: whatever came first, however it was cut, wherever it was killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_sink.ledger.tables import commits, entries
from cloud_sink.operator_events import SubjectKind
from cloud_sink.projections.twins import tables as t
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.twins import TECHNICIAN, TwinRig
from tests.support.waiting import wait_until
from wastelock.page import PageRecord
from wastelock.record import Kind

Deed = Callable[[TwinRig], None]


class World:
    """Two locks behind one gateway; each of its `deeds` can be done at any time after the one before."""

    def __init__(self) -> None:
        self.gateway = FakeGateway()
        self.locks = [FakeLock(), FakeLock(0x1F00B1, epoch=4)]
        self._minute = count()

    def deeds(self, kinds: list[int]) -> Iterator[Deed]:
        """Yield deeds of these kinds, one for each number. Pages are sealed now, and taken when the deed is done."""
        makers = (self._pours, self._events, self._report, self._telemetry, self._decision, self._unreadable)
        for index, kind in enumerate(kinds):
            yield makers[kind % len(makers)](self.locks[index % 2], index)

    def _page(self, records: list[PageRecord]) -> Deed:
        page = self.gateway.seal(records)

        def do(rig: TwinRig) -> None:
            rig.ledger.take(page)

        return do

    def _pours(self, lock: FakeLock, index: int) -> Deed:
        return self._page(lock.pours(1 + index % 9))

    def _events(self, lock: FakeLock, index: int) -> Deed:
        kinds = (Kind.EMPTYING, Kind.FAULT_RAISED, Kind.CONTAINER_SWAP, Kind.FAULT_CLEARED, Kind.MAINTENANCE)
        records = [lock.record(kind=kinds[(index + i) % 5], chamber=0, duration_ds=3) for i in range(2)]
        return self._page([lock.page_record(record) for record in records])

    def _unreadable(self, lock: FakeLock, index: int) -> Deed:
        record = lock.record(uid=index)
        self.gateway.seal([lock.page_record(record, unverified=True)])
        copies = [lock.page_record(record, unverified=True), lock.page_record(record)]
        return self._page(copies[::-1] if index % 2 else copies)

    def _report(self, lock: FakeLock, index: int) -> Deed:
        faults = ("door_open",) if index % 3 else ()
        newest = lock.seq

        def do(rig: TwinRig) -> None:
            rig.clock.go_on(minutes=1)
            rig.hear_lock(lock, self.gateway, fill_permille=index * 11, faults=faults, newest_seq=newest)

        return do

    def _telemetry(self, lock: FakeLock, index: int) -> Deed:
        def do(rig: TwinRig) -> None:
            rig.clock.go_on(minutes=1)
            rig.hear_gateway(
                self.gateway, online=bool(index % 2), alarms=("spool full: x",) if index % 3 else ()
            )
            rig.hear_telemetry(self.gateway, unsent_pages=index)

        return do

    def _decision(self, lock: FakeLock, index: int) -> Deed:
        def do(rig: TwinRig) -> None:
            rig.clock.go_on(minutes=1)
            rig.operations.describe_lock(lock.name, {"site": "estate-1", "label": f"no. {index}"}, TECHNICIAN)
            fields = {"property": "access_list_version", "value": index}
            rig.operations.wish(SubjectKind.LOCK, lock.name, fields, TECHNICIAN)
            rig.operations.note(SubjectKind.LOCK, lock.name, f"note {index}", TECHNICIAN)

        return do


@given(
    kinds=st.lists(st.integers(0, 5), min_size=6, max_size=14),
    order=st.randoms(use_true_random=False),
    batches=st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_interleaving_of_sources_batches_and_restarts_ends_in_the_same_twins(
    kinds: list[int], order: Random, batches: list[int]
) -> None:
    with TemporaryDirectory() as directory:
        check(f"sqlite:///{directory}/ledger.sqlite", Path(directory), kinds, order, batches)


@pytest.mark.parametrize("seed", [1, 2])
def test_it_is_so_on_postgresql_too(postgres_url: str, tmp_path: Path, seed: int) -> None:
    check(postgres_url, tmp_path, [0, 1, 2, 3, 4, 5] * 2, Random(seed), [3, 8, 1])


def check(url: str, directory: Path, kinds: list[int], order: Random, batches: list[int]) -> None:
    """Live deeds of these kinds in some order, with restarts; assert that whatever is built anew is the same."""
    world = World()
    deeds = list(world.deeds(kinds))
    order.shuffle(deeds)
    ledger = Ledger(url, directory, [world.gateway])
    rig = TwinRig(ledger)
    projection = rig.project(5)
    for number, deed in enumerate(deeds):
        deed(rig)
        if number % 3 == 0:
            projection.close()
            projection = rig.project(batches[number % len(batches)])
        for _ in range(number % 4):
            projection.step()
    projection.close()
    rig.catch_up()
    live = rig.projection.digest()
    # All of each source at once, and little by little: other orders altogether.
    for batch in (1000, 3):
        anew = rig.project(batch)
        anew.prepare(anew=True)
        rig.catch_up(anew)
        assert anew.digest() == live
        anew.close()
    pours = sum(entry.is_complete_pour and not entry.unverified for entry in ledger.entries())
    assert sum(row[3] for row in rig.rows(t.days)) == pours
    rig.close()
    ledger.close()


def test_a_projection_killed_in_mid_batch_takes_nothing_twice_and_leaves_nothing_out(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock, tmp_path: Path
) -> None:
    for _ in range(4):
        mark = lock.page_record(lock.record(kind=Kind.EMPTYING, chamber=0))
        rig.ledger.take(gateway.seal([*lock.pours(99), mark]))
        rig.clock.go_on(minutes=1)
        rig.hear_lock(lock, gateway, fill_permille=lock.seq)
    config = tmp_path / "cloud-sink.toml"
    config.write_text(f'[ledger]\nurl = "{rig.ledger.url}"\n[projections]\nbatch_entries = 11\n')
    program = "from cloud_sink.cli import main; main()"
    command = [sys.executable, "-c", program, "project", "--only", "twins", "--config", str(config)]

    def position() -> int:
        return rig.projection.store.cursors().position

    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_until(lambda: position() > 40, 30, "the projection to get on")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = subprocess.run([*command, "--once"], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    interrupted = rig.projection.digest()
    assert sum(row[3] for row in rig.rows(t.days)) == 396
    rig.projection.prepare(anew=True)
    rig.catch_up()
    assert rig.projection.digest() == interrupted


def test_two_projections_take_turns_and_take_each_source_once(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.ledger.take(gateway.seal(lock.pours(100)))
    rig.hear_lock(lock, gateway)
    other = rig.project(9)
    for each in (rig.projection, other, other, rig.projection):
        each.step()
    rig.catch_up()
    assert other.step() == 0
    assert sum(row[3] for row in rig.rows(t.days)) == 100
    lag = other.lag()
    assert (lag.position, lag.end, lag.waiting_since) == (101, 101, None)
    other.close()


def test_what_waits_longest_is_told_whatever_source_it_comes_from(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.ledger.take(gateway.seal(lock.pours(1)))
    rig.catch_up()
    rig.hear_lock(lock, gateway)
    heard_at = rig.clock.at
    rig.clock.go_on(minutes=1)
    rig.ledger.take(gateway.seal(lock.pours(3)))
    lag = rig.projection.lag()
    assert (lag.end - lag.position, lag.waiting_since) == (4, heard_at)


def test_a_ledger_that_was_restored_to_an_earlier_state_is_followed_anew(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.ledger.take(gateway.seal(lock.pours(10)))
    rig.catch_up()
    with rig.ledger.database.writing() as connection:
        connection.execute(entries.delete().where(entries.c.position > 4))
        connection.execute(commits.update().values(last_position=4))
    rig.catch_up()
    assert sum(row[3] for row in rig.rows(t.days)) == 4


def test_another_zone_means_building_anew(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.ledger.take(gateway.seal(lock.pours(3)))
    rig.catch_up()
    before = rig.projection.digest()
    rig.projection.store._kind = (t.VERSION, "Asia/Tokyo", rig.projection.store._kind[2])
    rig.projection.prepare()
    assert rig.rows(t.days) == []
    rig.catch_up()
    assert rig.projection.digest() != before


def test_a_batch_that_fails_leaves_everything_as_it_was(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what is remembered of the tables: the emptying of the failed batch isn't taken for known."""
    mark = lock.page_record(lock.record(kind=Kind.EMPTYING, chamber=0))
    rig.ledger.take(gateway.seal([*lock.pours(2), mark]))

    def fail(*_: object) -> None:
        raise ArithmeticError

    with monkeypatch.context() as patched:
        patched.setattr(rig.projection.store, "_number", fail)
        with pytest.raises(ArithmeticError):
            rig.projection.step()
    assert rig.rows(t.emptyings) == []
    rig.catch_up()
    assert rig.projection.digest()
    assert len(rig.rows(t.emptyings)) == 1
    rig.clock.at += timedelta(hours=1)
