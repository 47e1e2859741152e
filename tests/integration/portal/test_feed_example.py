"""The billing backend of docs/feed.md, as it stands there, against a real broker and the portal's replay."""

import json
import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from cloud_sink.config import load_config
from cloud_sink.feed_reading import FeedReader
from cloud_sink.projections.feed import Feed
from portal.roles import Role
from tests.support.broker import Broker
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.mqtt import TestClient
from tests.support.portal import Portal
from tests.support.server import ServerProcess
from tests.support.waiting import wait_until
from wastelock.messages import FeedEvent
from wastelock.topics import feed

PAGE = Path(__file__).parents[3] / "docs" / "feed.md"
MOST_LINES = 32
NO_MATCHING_SUBSCRIBERS = 0x10


class Backend:
    """The example as a process in a directory of its own."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        directory.mkdir()
        [text] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        assert sum(bool(line.strip()) for line in text.splitlines()) <= MOST_LINES
        self._program = directory / "backend.py"
        self._program.write_text(text)
        self._directory = directory
        self._environment = {**os.environ, **environment}
        self.process = ServerProcess("billing backend", directory / "backend.log")

    def start(self) -> None:
        command = ["env", "-C", str(self._directory), sys.executable, str(self._program)]
        self.process.start(command, lambda: True, env=self._environment)

    def events(self) -> list[str]:
        """Return what it has booked, by number."""
        path = self._directory / "pours.sqlite"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as book:
            try:
                rows = book.execute("SELECT event FROM pours ORDER BY site, sequence").fetchall()
            except sqlite3.OperationalError:
                return []  # it hasn't made its table yet
        return [row[0] for row in rows]


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def ledger(sqlite_url: str, tmp_path: Path, gateway: FakeGateway) -> Iterator[Ledger]:
    opened = Ledger(sqlite_url, tmp_path, [gateway])
    yield opened
    opened.close()


def publish(config: Path) -> None:
    settings = load_config(config)
    projection = Feed(settings.ledger.url, settings.projections_url, 1000, settings.feed_broker, Random(1))
    while projection.step():
        pass
    assert projection.lag().waiting_since is None
    projection.close()


def somebody_gets(broker: Broker, events: list[FeedEvent]) -> bool:
    """Publish events once more; return False if the broker says that nobody wants them."""
    with TestClient(broker.port, "once more") as client:
        packets = [client.publish(feed(event.data.site), event.to_json()) for event in events]
        return all(client.puback(packet).value != NO_MATCHING_SUBSCRIBERS for packet in packets)


def test_the_example_books_each_pour_once_whatever_it_missed(
    ledger: Ledger, broker: Broker, gateway: FakeGateway, tmp_path: Path
) -> None:
    lock = FakeLock()
    config = tmp_path / "cloud-sink.toml"
    config.write_text(f'[ledger]\nurl = "{ledger.url}"\n[mqtt]\nport = {broker.port}\n')
    ledger.take(gateway.seal(lock.pours(150)))
    publish(config)  # before anybody listens
    with Portal(tmp_path, config) as portal:
        environment = {
            "BROKER": broker.host, "PORT": str(broker.port), "PORTAL": portal.url, "TOKEN": portal.token(Role.OPERATOR),
        }  # fmt: skip
        backend = Backend(tmp_path / "backend", environment)
        reader = FeedReader(ledger.url, load_config(config).projections_url)

        def books(pours: int) -> None:
            wait_until(lambda: len(backend.events()) >= pours, 20, backend.process.log.read_text)
            booked = [json.loads(event) for event in backend.events()]
            assert booked == [json.loads(event.to_json()) for event in reader.after(gateway.site, 0, 1000)]
            assert len(booked) == pours

        try:
            backend.start()
            wait_until(
                lambda: somebody_gets(broker, reader.after(gateway.site, 0, 1)), 20, "its subscription"
            )
            ledger.take(gateway.seal(lock.pours(1)))
            publish(config)
            books(151)  # the first event that it hears is number 151: the gap is read
            backend.process.kill()
            ledger.take(gateway.seal(lock.pours(20)))
            publish(config)
            backend.start()
            books(171)  # read at its start
            assert somebody_gets(broker, reader.after(gateway.site, 165))
            ledger.take(gateway.seal(lock.pours(3)))
            publish(config)
            books(174)  # none twice
            assert backend.process.running
        finally:
            backend.process.kill()
            reader.close()
