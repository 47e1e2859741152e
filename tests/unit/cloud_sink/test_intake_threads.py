"""The intake's threads when something goes wrong that nobody foresaw: the process ends, or one page is set aside."""

import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from random import Random
from typing import Any

import pytest

from cloud_sink import intake
from cloud_sink.checking import CheckedPage, Rejected, check_message
from cloud_sink.config import load_config
from cloud_sink.errors import LedgerRefused, LedgerUnavailable, ThreadDied
from cloud_sink.intake import Checking, Writing
from cloud_sink.ledger.book import Outcome
from cloud_sink.metrics_intake import IntakeFigures
from cloud_sink.patience import Patience
from cloud_sink.resending import Resending
from cloud_sink.session import Incoming
from cloud_sink.sink import Sink
from tests.support.broker import Broker
from tests.support.fake_gateway import START, FakeGateway, FakeLock
from tests.support.ledger import Ledger, message, write_keys
from tests.support.mqtt import TestClient
from tests.support.waiting import wait_until


class FakeSession:
    """Stands in for the MQTT session: notes what would be sent and acknowledged."""

    connected = True

    def __init__(self, stop_after: int, stop: threading.Event) -> None:
        self.acknowledged: list[int] = []
        self.published: list[str] = []
        self._stop_after, self._stop = stop_after, stop

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> bool:
        self.published.append(topic)
        return True

    def acknowledge(self, incoming: Incoming) -> None:
        self.acknowledged.append(incoming.packet_id)
        if len(self.acknowledged) == self._stop_after:
            self._stop.set()


class Troubled:
    """A book that fails as told before it commits."""

    def __init__(self, ledger: Ledger, trouble: Callable[[list[CheckedPage]], Exception | None]) -> None:
        self._ledger, self._trouble = ledger, trouble

    def standings_with_holes(self) -> list[Any]:
        return []

    def commit(self, pages: list[CheckedPage], rejected: list[Rejected]) -> Outcome:
        error = self._trouble(pages)
        if error is not None:
            raise error
        return self._ledger.book.commit(pages, rejected)


def write(
    ledger: Ledger, pages: list[Any], trouble: Callable[[list[CheckedPage]], Exception | None]
) -> FakeSession:
    """Let the writing loop work off these pages and return what it told the session."""
    stop = threading.Event()
    queue: intake.CheckedQueue = SimpleQueue()
    for number, page in enumerate(pages, 1):
        queue.put((Incoming(message(page), number, 1, 1), check_message(message(page), ledger.keys)))
    session: Any = FakeSession(len(pages), stop)
    book: Any = Troubled(ledger, trouble)
    resending = Resending(10, 60, Random(1))
    Writing(queue, book, session, resending, 10, lambda: START, Patience(Random(1)), IntakeFigures()).run(
        stop
    )
    return session  # type: ignore[no-any-return]


def test_a_page_that_the_database_refuses_is_set_aside_and_the_others_are_taken(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    pages = [gateway.seal(lock.pours(1)) for _ in range(4)]

    def refuse(batch: list[CheckedPage]) -> Exception | None:
        return LedgerRefused("value too odd") if any(page.page == 3 for page in batch) else None

    session = write(ledger, pages, refuse)
    assert session.acknowledged == [1, 2, 3, 4]
    assert [(line.reason, line.detail) for line in ledger.reader.quarantine()] == [
        ("refused by the database", "value too odd")
    ]
    [journal] = ledger.reader.journals()
    assert (journal.committed_through, journal.missing) == (2, [(3, 3)])


def test_nothing_is_acknowledged_before_the_database_has_it(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    tries = []

    def away_three_times(batch: list[CheckedPage]) -> Exception | None:
        tries.append(len(batch))
        return LedgerUnavailable("gone for a walk") if len(tries) <= 3 else None

    session = write(ledger, [gateway.seal(lock.pours(1)) for _ in range(2)], away_three_times)
    assert tries == [2, 2, 2, 2]
    assert session.acknowledged == [1, 2]
    assert len(session.published) == 1, "one receipt for the batch, after the commit"


def test_an_error_that_nobody_foresaw_ends_the_loop_without_acknowledging(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    with pytest.raises(ZeroDivisionError):
        write(ledger, [gateway.seal(lock.pours(1))], lambda _: ZeroDivisionError())


def test_messages_of_an_earlier_connection_are_left_to_come_again(
    gateway: FakeGateway, lock: FakeLock
) -> None:
    stop = threading.Event()
    asked = []

    def current_connection() -> int:
        asked.append(1)
        if len(asked) == 2:
            stop.set()
        return 7

    keys: Any = None
    checking = Checking(lambda: keys, current_connection)
    page = message(gateway.seal(lock.pours(1)))
    checking.put(Incoming(page, 1, 1, 6))
    checking.put(Incoming(page, 1, 1, 5))
    checking.run(stop)
    assert checking.checked.empty()


@pytest.fixture
def sink(tmp_path: Path, sqlite_url: str, broker: Broker, gateway: FakeGateway) -> Iterator[Sink]:
    write_keys(tmp_path, [gateway])
    path = tmp_path / "cloud-sink.toml"
    path.write_text(
        f'[ledger]\nurl = "{sqlite_url}"\n[mqtt]\nport = {broker.port}\n[limits]\nchecking_processes = 0\n'
    )
    yield Sink(load_config(path))


@pytest.mark.parametrize("where", ["cloud_sink.intake.check_message", "cloud_sink.session.Message"])
def test_a_thread_that_dies_takes_the_process_with_it(
    sink: Sink,
    broker: Broker,
    gateway: FakeGateway,
    lock: FakeLock,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("nobody foresaw this")

    monkeypatch.setattr(where, fail)
    stop, outcome = threading.Event(), []

    def run() -> None:
        try:
            sink.run(stop, threading.Event())
        except ThreadDied as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    with TestClient(broker.port, "gw-0001") as client:
        wait_until(lambda: sink.session.connected, 10, "the sink to connect")
        page = gateway.seal(lock.pours(1))
        client.publish(page.topic, page.payload, user=page.user)
        wait_until(lambda: outcome, 10, "the sink to end")
    thread.join(5)
    assert isinstance(outcome[0].__cause__, ZeroDivisionError)
    assert not thread.is_alive()


def test_patience_ends_at_once_when_asked_to_stop() -> None:
    stop = threading.Event()
    tries: list[datetime] = []

    def away() -> None:
        tries.append(START)
        stop.set()
        raise LedgerUnavailable("away")

    assert Patience(Random(1)).until_done(away, stop) is None
    assert len(tries) == 1
