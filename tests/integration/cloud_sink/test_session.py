"""What the sink says of its connection to the broker."""

from datetime import UTC, datetime
from pathlib import Path

from cloud_sink.config import MqttSection
from cloud_sink.session import Envelope, Handlers, Session
from tests.support.broker import Broker
from tests.support.deaf_link import DeafLink
from tests.support.fake_gateway import FakeGateway
from tests.support.mqtt import TestClient
from tests.support.ports import free_port
from tests.support.sink import SinkProcess
from tests.support.waiting import wait_until


def test_a_broker_that_cannot_be_reached_is_told_once_with_a_remedy(
    tmp_path: Path, sqlite_url: str, gateway: FakeGateway
) -> None:
    sink = SinkProcess(tmp_path, sqlite_url, free_port(), [gateway])
    sink.start(connected=False)
    try:
        wait_until(lambda: "broker can't be reached" in sink.log, 15, "the warning")
        assert sink.running
        assert "is it running, is this its address" in sink.log
        assert sink.log.count("broker can't be reached") == 1
    finally:
        sink.kill()


def test_an_order_reaches_its_gateway_once_though_the_broker_was_never_heard_to_have_it(
    broker: Broker, gateway: FakeGateway
) -> None:
    failed: list[Exception] = []
    handlers = Handlers(lambda _page: None, lambda: None, lambda *_report: None, failed.append)
    with DeafLink(broker.port) as link, TestClient(broker.port, "gw-0001") as there:
        there.subscribe(gateway.topics.all_down)
        session = Session(MqttSection(port=link.port), 100, "test", handlers, lambda: datetime.now(UTC))
        session.start()
        try:
            wait_until(lambda: session.connected, 10, "the session")
            link.deaf = True
            assert session.publish_order(gateway.topics.command, b"once", Envelope("kid", "sig", expiry_s=60))
            wait_until(lambda: link.swallowed, 10, "the broker to say that it has it")
            link.cut()
            link.deaf = False
            before = session.connection
            wait_until(lambda: session.connected and session.connection > before, 10, "the session again")
            assert session.publish(gateway.topics.receipt, b"later")
            wait_until(
                lambda: there.received and there.received[-1].payload == b"later", 60, "what came later"
            )
            assert [message.payload for message in there.received] == [b"once", b"later"]
        finally:
            session.stop()
    assert failed == []
