"""The feed on a real broker: all at least once, in order, whatever happens to the broker and to the publisher."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from random import Random

import msgspec
import pytest

from cloud_sink.config import MqttSection
from cloud_sink.feed_reading import CONTENT_TYPE, FeedEvents, FeedReader
from cloud_sink.ledger.database import Database
from cloud_sink.projections.feed import Feed
from cloud_sink.projections.feed_link import FeedLink
from cloud_sink.projections.feed_publishing import FeedPublisher
from cloud_sink.projections.feed_store import FeedStore
from cloud_sink.reading import default_url
from tests.support.broker import Broker
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.mqtt import TestClient
from tests.support.server import ServerProcess
from tests.support.waiting import wait_until

SITE, TOPIC = "estate-1", "wl/1/feed/estate-1"


@pytest.fixture
def ledger_url(request: pytest.FixtureRequest) -> str:
    """On SQLite, where a test doesn't ask for both: what is on PostgreSQL here is asked for by the first test."""
    kind = getattr(request, "param", "sqlite")
    url: str = request.getfixturevalue("sqlite_url" if kind == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def ledger(ledger_url: str, tmp_path: Path, gateway: FakeGateway, lock: FakeLock) -> Iterator[Ledger]:
    opened = Ledger(ledger_url, tmp_path, [gateway], [lock])
    yield opened
    opened.close()


@pytest.fixture
def reader(ledger: Ledger) -> Iterator[FeedReader]:
    opened = FeedReader(ledger.url, default_url(ledger.url))
    yield opened
    opened.close()


@contextmanager
def feeding(ledger: Ledger, broker: Broker) -> Iterator[Feed]:
    feed = Feed(ledger.url, default_url(ledger.url), 1000, MqttSection(port=broker.port), Random(1))
    try:
        yield feed
    finally:
        feed.close()


@contextmanager
def subscribed(broker: Broker) -> Iterator[TestClient]:
    """Somebody who gets the feed; a message goes round once, so that the subscription surely is in force."""
    with TestClient(broker.port, "billing", session_expiry_s=600) as client:
        client.subscribe(TOPIC)
        client.subscribe("wl/1/feed/ready")
        client.puback(client.publish("wl/1/feed/ready", b"{}"))
        wait_until(lambda: client.received, 10, "the subscription")
        client.received.clear()
        yield client


def step_until(feed: Feed, published: int) -> None:
    wait_until(lambda: [feed.step(), feed.lag().position][1] >= published, 30, f"{published} published")


def sequences(client: TestClient) -> list[int]:
    return [int(msgspec.json.decode(message.payload)["sequence"]) for message in list(client.received)]


@pytest.mark.parametrize("ledger_url", ["sqlite", "postgresql"], indirect=True)
def test_each_pour_is_published_once_in_order_as_it_is_read_again_later(
    ledger: Ledger, broker: Broker, gateway: FakeGateway, lock: FakeLock, reader: FeedReader
) -> None:
    with subscribed(broker) as client, feeding(ledger, broker) as feed:
        for count in (250, 1, 300):
            ledger.take(gateway.seal(lock.pours(count)))
            step_until(feed, ledger.reader.last_position())
        wait_until(lambda: len(client.received) >= 551, 10, "all events")
        assert [message.payload for message in client.received] == [
            event.to_json() for event in reader.after(SITE, 0, 1000)
        ]
        assert {(m.topic, m.qos, m.retain) for m in client.received} == {(TOPIC, 1, False)}
        assert {m.properties.ContentType for m in client.received} == {CONTENT_TYPE}  # type: ignore[union-attr]
    assert [site.published_through for site in reader.sites()] == [551]


def test_nobody_listening_is_no_reason_to_wait(
    ledger: Ledger, broker: Broker, gateway: FakeGateway, lock: FakeLock, reader: FeedReader
) -> None:
    ledger.take(gateway.seal(lock.pours(3)))
    with feeding(ledger, broker) as feed:
        step_until(feed, 3)
    assert [site.published_through for site in reader.sites()] == [3]


def test_numbering_goes_on_while_the_broker_is_away_and_all_is_published_when_it_is_back(
    ledger: Ledger, broker: Broker, gateway: FakeGateway, lock: FakeLock, reader: FeedReader
) -> None:
    with feeding(ledger, broker) as feed:
        ledger.take(gateway.seal(lock.pours(2)))
        step_until(feed, 2)
        broker.stop()
        ledger.take(gateway.seal(lock.pours(5)))
        wait_until(lambda: [feed.step(), reader.last_sequence(SITE)][1] == 7, 10, "the numbers")
        feed.step()
        assert feed.lag().position == 2
        broker.start()
        with subscribed(broker) as client:
            step_until(feed, 7)
            wait_until(lambda: sequences(client) == [3, 4, 5, 6, 7], 10, lambda: f"{sequences(client)}")


def test_a_publisher_that_is_killed_leaves_out_nothing_and_keeps_the_order(
    ledger: Ledger, broker: Broker, gateway: FakeGateway, lock: FakeLock, tmp_path: Path
) -> None:
    pours = 4000
    for _ in range(pours // 500):
        ledger.take(gateway.seal(lock.pours(500)))
    config = tmp_path / "cloud-sink.toml"
    config.write_text(f'[ledger]\nurl = "{ledger.url}"\n[mqtt]\nport = {broker.port}\n')
    command = [sys.executable, "-c", "from cloud_sink.cli import main; main()", "project", "--only", "feed"]
    process = ServerProcess("cloud-sink project", tmp_path / "project.log")
    with subscribed(broker) as client:
        for kills in range(3):
            since = len(client.received)
            process.start([*command, "--config", str(config)], lambda: True)
            wait_until(lambda: len(client.received) > since + 200, 30, f"events after kill {kills}")  # noqa: B023
            process.kill()
        process.start([*command, "--config", str(config)], lambda: True)
        wait_until(lambda: pours in sequences(client)[-1:], 60, lambda: f"{sequences(client)[-3:]}")
        process.stop()
        got = sequences(client)
    assert sorted(set(got)) == list(range(1, pours + 1)), "nothing is missing"
    newest = 0
    for number in got:
        assert number <= newest + 1, "what comes again comes from its beginning: no number is skipped"
        newest = max(newest, number)


def test_what_the_broker_refuses_is_not_taken_for_published(
    ledger: Ledger, tmp_path: Path, gateway: FakeGateway, lock: FakeLock
) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic read wl/1/feed/#\n")
    with Broker(tmp_path / "strict", [f"acl_file {rules}"]) as broker, feeding(ledger, broker) as feed:
        ledger.take(gateway.seal(lock.pours(2)))
        feed.step()
        assert feed.step() == 0
        assert feed.lag().position == 0
        rules.write_text("topic readwrite wl/1/feed/#\n")
        broker.restart()
        step_until(feed, 2)


def test_a_broker_that_is_away_is_named_in_the_log(
    ledger: Ledger, broker: Broker, gateway: FakeGateway, lock: FakeLock, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.take(gateway.seal(lock.pours(2)))
    broker.stop()
    with feeding(ledger, broker) as feed:
        feed.step()
    assert f"{broker.host}:{broker.port}" in capsys.readouterr().out


def test_a_publisher_that_waits_tries_again_less_and_less_often(
    ledger: Ledger, broker: Broker, gateway: FakeGateway, lock: FakeLock
) -> None:
    broker.stop()
    ledger.take(gateway.seal(lock.pours(2)))
    with feeding(ledger, broker) as feed:
        feed.prepare()
    now, tried = 0.0, []
    database = Database(ledger.url, read_only=True)
    store = FeedStore(default_url(ledger.url), ledger.reader.fingerprint())
    link = FeedLink(MqttSection(port=broker.port), CONTENT_TYPE)
    with feeding(ledger, broker) as feed:
        feed.step()
    publisher = FeedPublisher(store, FeedEvents(database), link, Random(1), lambda: now)
    connect = link.publish

    def note(messages: list[tuple[str, bytes]]) -> None:
        tried.append(now)
        connect(messages)

    link.publish = note  # type: ignore[method-assign,assignment]
    while now < 300:
        publisher.publish_next(2)
        now += 0.25
    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert waits[0] < 1 and max(waits) <= 38
    assert len(tried) < 20
    publisher.close()
    store.close()
    database.close()
