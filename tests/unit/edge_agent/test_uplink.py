"""The MQTT session against a real mosquitto: will, TLS, limits, coming back, and errors that must not be lost."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edge_agent.config import MqttSettings
from edge_agent.errors import BrokerUnavailable, ConfigError
from edge_agent.uplink import NO_MATCHING_SUBSCRIBERS, Session, Uplink
from tests.support.broker import Broker
from tests.support.certificates import Authority
from tests.support.mqtt import TestClient
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import TOPICS


def make_uplink(
    port: int, wake: threading.Event | None = None, max_in_hand: int = 20, **settings: object
) -> Uplink:
    session = Session(TOPICS.gateway, TOPICS, b'{"online":false}', lambda: b'{"online":false,"asked":true}')
    mqtt = MqttSettings(host="127.0.0.1", port=port, **settings)  # type: ignore[arg-type]
    return Uplink(mqtt, session, Random(1), wake or threading.Event(), max_in_hand=max_in_hand)


@contextmanager
def running(uplink: Uplink) -> Iterator[list[BaseException]]:
    stop, failures = threading.Event(), []

    def run() -> None:
        try:
            uplink.run(stop)
        except BaseException as error:  # noqa: BLE001 - a thread of a test: told to the test
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield failures
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def connected(uplink: Uplink) -> None:
    wait_until(lambda: uplink.is_connected, 15, lambda: f"the session: {uplink.last_error}")


def states(client: TestClient) -> list[dict[str, object]]:
    return [json.loads(m.payload) for m in client.received if m.topic == TOPICS.gateway_state]


def test_an_orderly_end_is_told_by_the_gateway_itself_and_not_by_its_will(broker: Broker) -> None:
    with TestClient(broker.port, "observer") as observer:
        observer.subscribe(TOPICS.gateway_state)
        uplink = make_uplink(broker.port)
        with running(uplink):
            connected(uplink)
        wait_until(lambda: states(observer) == [{"online": False, "asked": True}], what="the farewell")
    with TestClient(broker.port, "latecomer") as latecomer:
        latecomer.subscribe(TOPICS.gateway_state)
        wait_until(lambda: states(latecomer) == [{"online": False, "asked": True}], what="the retained state")


def test_nothing_is_handed_over_while_there_is_no_session(broker: Broker) -> None:
    uplink = make_uplink(broker.port)
    with pytest.raises(BrokerUnavailable):
        uplink.publish_page(b"page", "kid", "sig")
    with running(uplink):
        connected(uplink)
        broker.stop()
        wait_until(lambda: not uplink.is_connected, what="the loss to be noticed")
        with pytest.raises(BrokerUnavailable, match=r"session ended|no connection"):
            uplink.publish_page(b"page", "kid", "sig")


def test_the_session_comes_back_by_itself_and_orders_sent_meanwhile_arrive(broker: Broker) -> None:
    uplink = make_uplink(broker.port)
    with running(uplink):
        connected(uplink)
        broker.restart()
        wait_until(lambda: uplink.sessions == 2, 15, "the second session")
        with TestClient(broker.port, "sink") as sink:
            sink.puback(sink.publish(TOPICS.receipt, b"{}"))
        wait_until(lambda: uplink.take_messages() == [(TOPICS.receipt, b"{}")], what="the receipt")


def test_a_gateway_that_was_away_gets_what_was_sent_to_it_meanwhile(broker: Broker) -> None:
    uplink = make_uplink(broker.port)
    with running(uplink):
        connected(uplink)
        with TestClient(broker.port, "sink") as sink:  # so that the subscription surely stands
            sink.publish(TOPICS.resend, b"first")
            wait_until(lambda: uplink.take_messages() != [], what="the subscription")
    with TestClient(broker.port, "sink") as sink:
        sink.puback(sink.publish(TOPICS.resend, b"missed"))
    again = make_uplink(broker.port)
    with running(again):
        wait_until(lambda: (TOPICS.resend, b"missed") in again.take_messages(), what="what was missed")


def test_the_brokers_word_on_each_message_is_passed_on(broker: Broker) -> None:
    uplink = make_uplink(broker.port)
    with running(uplink):
        connected(uplink)
        mid = uplink.publish_page(b"page", "kid", "sig")
        acks = wait_until(uplink.take_acknowledgements, what="the acknowledgement")
        assert [(ack.mid, ack.code) for ack in acks] == [(mid, NO_MATCHING_SUBSCRIBERS)]


def test_a_broker_that_forbids_publishing_says_so_in_its_acknowledgement(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic read #\n")
    with Broker(tmp_path / "broker", [f"acl_file {acl}"]) as broker:
        uplink = make_uplink(broker.port)
        with running(uplink):
            connected(uplink)
            uplink.publish_page(b"page", "kid", "sig")
            (ack,) = wait_until(uplink.take_acknowledgements, what="the acknowledgement")
            assert (ack.code, ack.name) == (0x87, "Not authorized")


def test_the_brokers_limits_are_kept(tmp_path: Path) -> None:
    with Broker(
        tmp_path / "broker", ["max_packet_size 2000"], defaults=["max_inflight_messages 7"]
    ) as broker:
        uplink = make_uplink(broker.port)
        with running(uplink):
            connected(uplink)
            assert uplink.max_in_hand == 7
            assert uplink.max_packet_bytes == 2000


def test_signatures_travel_as_user_properties_and_telemetry_expires(broker: Broker) -> None:
    with TestClient(broker.port, "observer") as observer:
        observer.subscribe(f"{TOPICS.page}")
        observer.subscribe(TOPICS.telemetry)
        uplink = make_uplink(broker.port)
        with running(uplink):
            connected(uplink)
            uplink.publish_page(b"page", "the kid", "the sig")
            uplink.publish_passing(TOPICS.telemetry, b"t", 120)
            wait_until(lambda: len(observer.received) == 2, what="both messages")
    by_topic = {message.topic: message for message in observer.received}
    page, telemetry = by_topic[TOPICS.page], by_topic[TOPICS.telemetry]
    assert dict(getattr(page.properties, "UserProperty", ())) == {"kid": "the kid", "sig": "the sig"}
    assert (page.qos, page.retain) == (1, False)
    assert telemetry.qos == 0
    assert 0 < getattr(telemetry.properties, "MessageExpiryInterval", 0) <= 120


def test_many_threads_may_publish_at_once_and_the_stream_stays_whole(broker: Broker) -> None:
    with TestClient(broker.port, "observer") as observer:
        observer.subscribe(TOPICS.telemetry)
        uplink = make_uplink(broker.port)
        with running(uplink) as failures:
            connected(uplink)
            payloads = {bytes([65 + number]) * 20_000 for number in range(6)}

            def publish(payload: bytes) -> None:
                for _ in range(20):
                    uplink.publish_passing(TOPICS.telemetry, payload, 60)

            threads = [threading.Thread(target=publish, args=(payload,)) for payload in payloads]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
            wait_until(lambda: len(observer.received) == 120, 20, lambda: f"{len(observer.received)} of 120")
            assert {message.payload for message in observer.received} == payloads
            assert uplink.sessions == 1
            assert failures == []


def test_an_error_in_a_callback_ends_the_thread_loudly(broker: Broker) -> None:
    class BrokenEvent(threading.Event):
        def set(self) -> None:
            raise ZeroDivisionError("a mistake in a callback")

    with running(make_uplink(broker.port, BrokenEvent())) as failures:
        wait_until(lambda: failures, what="the error")
    assert isinstance(failures[0], ZeroDivisionError)


def test_a_broker_that_refuses_the_session_is_asked_again_with_growing_pauses(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    with Broker(tmp_path / "broker", ["allow_anonymous false", f"password_file {passwords}"]) as broker:
        uplink = make_uplink(broker.port)
        with running(uplink):
            wait_until(lambda: "Not authorized" in uplink.last_error, 15, lambda: uplink.last_error)
            assert not uplink.is_connected


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_gateway_and_broker_prove_to_each_other_who_they_are(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    server, gateway = authority.issue("broker"), authority.issue(TOPICS.gateway)
    lines = [
        f"cafile {authority.certificate}",
        f"certfile {server.certificate}",
        f"keyfile {server.key}",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
    ]
    with Broker(tmp_path / "broker", lines) as broker:
        trusted: dict[str, Any] = {
            "ca_file": authority.certificate,
            "cert_file": gateway.certificate,
            "key_file": gateway.key,
        }
        uplink = make_uplink(broker.port, **trusted)
        with running(uplink):
            connected(uplink)
        stranger = Authority(tmp_path / "other")
        suspicious = make_uplink(broker.port, **(trusted | {"ca_file": stranger.certificate}))
        with running(suspicious):
            wait_until(
                lambda: "certificate verify failed" in suspicious.last_error,
                15,
                lambda: suspicious.last_error,
            )
            assert not suspicious.is_connected


def test_a_certificate_that_cannot_be_used_is_a_matter_of_configuration(tmp_path: Path) -> None:
    rubbish = tmp_path / "ca.crt"
    rubbish.write_text("no certificate")
    with pytest.raises(ConfigError, match=r"mqtt: ca_file.*expected.*remedy"):
        make_uplink(1, ca_file=rubbish)


def test_a_broker_that_says_nothing_is_left_after_the_keepalive(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker") as broker:
        uplink = make_uplink(broker.port, keepalive_s=5)
        with running(uplink):
            connected(uplink)
            broker.suspend()
            wait_until(lambda: not uplink.is_connected, 20, "the silence to be noticed")
            assert uplink.progressed_at > 0
            broker.resume()
            connected(uplink)
