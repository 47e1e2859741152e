"""Checking processes: real ones, asked and heard by threads as the sink does it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty

import pytest

from cloud_sink import checkers
from cloud_sink.checkers import Checkers
from cloud_sink.checking import CheckedPage, Reason, Rejected, check_message
from cloud_sink.errors import ThreadDied
from cloud_sink.keys import KeyRing
from cloud_sink.session import Incoming
from tests.support.fake_gateway import FakeGateway, FakeLock, SealedPage
from tests.support.ledger import load_keys, message, write_keys
from tests.support.waiting import wait_until

CONNECTION = 7


class Crew:
    """Checkers with their threads; `errors` holds what ended a thread."""

    def __init__(self, keys: KeyRing, processes: int = 1) -> None:
        self.keys = keys
        self.stop = threading.Event()
        self.errors: list[Exception] = []
        self.checkers = Checkers(processes, lambda: self.keys, lambda: CONNECTION)
        self.checkers.start()
        self._threads = [
            threading.Thread(target=self._run, args=(loop,)) for loop in self.checkers.loops.values()
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, loop: Callable[[threading.Event], None]) -> None:
        try:
            loop(self.stop)
        except ThreadDied as error:
            self.errors.append(error)

    @property
    def pids(self) -> list[int]:
        return [each._process.pid for each in self.checkers._checkers if each._process is not None]

    def put(self, *pages: SealedPage, connection: int = CONNECTION) -> None:
        for number, page in enumerate(pages, 1):
            self.checkers.put(Incoming(message(page), number, 1, connection))

    def take(self, count: int) -> list[CheckedPage | Rejected]:
        """Return the next results, in the order in which they came."""
        try:
            return [self.checkers.checked.get(timeout=10)[1] for _ in range(count)]
        except Empty:
            raise AssertionError(f"no answers; {self.errors}") from None

    def end(self) -> None:
        self.stop.set()
        self.checkers.close()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()


@pytest.fixture
def keys(tmp_path: Path, gateway: FakeGateway, keyed_lock: FakeLock) -> KeyRing:
    write_keys(tmp_path, [gateway], [keyed_lock])
    return load_keys(tmp_path)


@pytest.fixture
def crew(keys: KeyRing) -> Iterator[Crew]:
    running = Crew(keys)
    yield running
    running.end()


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_pages_come_back_checked_and_in_their_order(
    crew: Crew, gateway: FakeGateway, lock: FakeLock, keyed_lock: FakeLock
) -> None:
    pages = [gateway.seal([*lock.pours(2), *keyed_lock.pours(1)]) for _ in range(40)]
    crew.put(*pages)
    assert crew.take(40) == [check_message(message(page), crew.keys) for page in pages]
    assert crew.checkers.waiting == 0


def test_the_pages_of_a_topic_keep_their_order_however_many_processes_there_are(
    tmp_path: Path, lock: FakeLock
) -> None:
    gateways = [FakeGateway(f"gw-{number:04d}", seed=number) for number in range(1, 9)]
    write_keys(tmp_path, gateways)
    crew = Crew(load_keys(tmp_path), processes=3)
    try:
        crew.put(*[gateway.seal(lock.pours(1)) for _ in range(10) for gateway in gateways])
        order: dict[str, list[int]] = {}
        for result in crew.take(80):
            assert isinstance(result, CheckedPage)
            order.setdefault(result.key.gateway, []).append(result.page)
        assert order == {gateway.gateway: list(range(1, 11)) for gateway in gateways}
        assert len(set(crew.pids)) == 3
    finally:
        crew.end()


def test_new_keys_are_in_force_for_whatever_is_asked_after_them(
    crew: Crew, tmp_path: Path, gateway: FakeGateway, lock: FakeLock
) -> None:
    stranger = FakeGateway("gw-0002", seed=2)
    page = stranger.seal(lock.pours(1))
    crew.put(page)
    [before] = crew.take(1)
    assert isinstance(before, Rejected) and before.reason is Reason.UNKNOWN_GATEWAY
    write_keys(tmp_path, [gateway, stranger])
    crew.keys = load_keys(tmp_path)
    crew.put(page)
    assert isinstance(crew.take(1)[0], CheckedPage)


def test_messages_of_an_earlier_connection_are_left_to_come_again(
    crew: Crew, gateway: FakeGateway, lock: FakeLock
) -> None:
    first, second = gateway.seal(lock.pours(1)), gateway.seal(lock.pours(1))
    crew.put(first, connection=CONNECTION - 1)
    crew.put(second)
    [result] = crew.take(1)
    assert result.page == second.page


def test_a_killed_process_is_told_of_and_answers_nothing_more(
    crew: Crew, gateway: FakeGateway, lock: FakeLock
) -> None:
    crew.put(gateway.seal(lock.pours(1)))
    crew.take(1)
    os.kill(crew.pids[0], signal.SIGKILL)
    wait_until(lambda: crew.errors, 10, "the death to be noticed")
    assert "exit code -9" in str(crew.errors[0])
    crew.put(gateway.seal(lock.pours(1)))
    assert crew.checkers.checked.empty()


def test_what_nobody_foresaw_is_told_by_its_kind_and_place(
    crew: Crew, capfd: pytest.CaptureFixture[str]
) -> None:
    crew.checkers._checkers[0]._ours.send_bytes(b"\x93\xa6secret")
    wait_until(lambda: crew.errors, 10, "the death to be noticed")
    told = "".join(capfd.readouterr())
    assert "serve" in told
    assert "secret" not in told
    assert "Traceback" not in told


def test_signals_that_are_meant_for_the_sink_leave_it_at_work(
    crew: Crew, gateway: FakeGateway, lock: FakeLock
) -> None:
    crew.put(gateway.seal(lock.pours(1)))
    crew.take(1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(crew.pids[0], number)
    crew.put(gateway.seal(lock.pours(1)))
    crew.take(1)
    assert crew.errors == []


def test_a_process_that_hangs_is_seen_to_hang_and_ended_all_the_same(
    keys: KeyRing, gateway: FakeGateway, lock: FakeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkers, "_FAREWELL_S", 0.1)
    crew = Crew(keys)
    [pid] = crew.pids
    crew.put(gateway.seal(lock.pours(1)))
    crew.take(1)
    os.kill(pid, signal.SIGSTOP)
    crew.put(*[gateway.seal(lock.pours(500)) for _ in range(30)])  # more than the socket holds
    wait_until(lambda: crew.checkers.waiting >= 30, 10, "the pages to wait")
    seen = [crew.checkers.progressed_at]

    def stands_still() -> bool:
        seen.append(crew.checkers.progressed_at)
        return seen[-1] == seen[-2]

    wait_until(stands_still, 10, "no progress")
    crew.end()
    assert gone(pid)
    assert crew.errors == []
