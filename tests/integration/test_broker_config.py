"""The mosquitto.conf that we ship, run by the real mosquitto: as it is, and with its field settings switched on."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker import FIT_FOR_THE_JOB
from tests.support.certificates import Authority
from tests.support.mqtt import TestClient
from tests.support.shipped_broker import ACCESS_RULES, SHIPPED, ShippedBroker, with_field_settings
from tests.support.waiting import wait_until

OFFLINE_MESSAGES = 1500  # mosquitto's default would queue 1,000 and drop the rest


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[ShippedBroker]:
    broker = ShippedBroker(tmp_path, SHIPPED)
    broker.start()
    yield broker
    broker.server.kill()


def test_shipped_broker_starts_without_a_complaint_and_listens_on_this_machine_only(
    shipped: ShippedBroker,
) -> None:
    shipped.server.stop()  # saves its state
    log = shipped.server.log.read_text().replace(
        "Warning: Mosquitto should not be run as root/administrator.", ""
    )
    assert not re.search(r"error|warning|unrecognised|recommended|deprecated", log, re.IGNORECASE), log
    assert (shipped.directory / "wastelock-broker.db").exists()
    assert "listener 1883 127.0.0.1\n" in SHIPPED


def test_test_brokers_have_the_queue_settings_that_are_shipped() -> None:
    kept = set(SHIPPED.splitlines())
    assert [line for line in FIT_FOR_THE_JOB if line not in kept and "autosave_interval" not in line] == []


def test_shipped_broker_keeps_more_than_mosquittos_default_for_a_sink_that_is_away(
    shipped: ShippedBroker,
) -> None:
    topic = "wl/1/lindenhof/gw-0001/up/page"
    with TestClient(shipped.port, "sink", session_expiry_s=3600) as sink:
        sink.subscribe(topic)
        with TestClient(
            shipped.port, "probe"
        ) as probe:  # its own message comes back once the subscription holds
            wait_until(
                lambda: probe.publish(topic, b"") and sink.received, 10, "the subscription", poll_s=0.05
            )
        sink.received.clear()
    with TestClient(shipped.port, "gw-0001") as gateway:
        ids = [gateway.publish(topic, b"%d" % number) for number in range(OFFLINE_MESSAGES)]
        assert not any(gateway.puback(packet_id).is_failure for packet_id in ids)
    shipped.server.stop()  # saves its state
    shipped.start()
    with TestClient(shipped.port, "sink", session_expiry_s=3600) as sink:
        wait_until(
            lambda: len(_numbers(sink)) >= OFFLINE_MESSAGES,
            20,
            lambda: f"{len(_numbers(sink))} of {OFFLINE_MESSAGES}",
        )
        assert _numbers(sink) == list(range(OFFLINE_MESSAGES))


def test_field_settings_tie_client_id_and_topics_to_the_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("broker")
    shutil.copy(ACCESS_RULES, tmp_path / "wastelock-acl.conf")
    broker = ShippedBroker(tmp_path, with_field_settings(tmp_path))
    broker.start()
    try:
        tls_1, tls_sink = [(authority.certificate, authority.issue(name)) for name in ("gw-0001", "sink-1")]
        with (
            TestClient(broker.port, "sink-1", tls=tls_sink) as sink,
            TestClient(broker.port, "gw-0002", tls=tls_1) as gateway,  # says it is another: must not help
        ):
            sink.subscribe("wl/1/+/+/up/page")
            gateway.subscribe("wl/1/+/+/down/receipt")
            wait_until(
                lambda: gateway.publish("wl/1/lindenhof/gw-0001/up/page", b"own") and bool(sink.received),
                10,
                "own page",
            )
            for site, name in (("rosenhof", "gw-0002"), ("lindenhof", "gw-0001")):
                sink.publish(f"wl/1/{site}/{name}/down/receipt", name.encode())
            wait_until(lambda: gateway.received, 10, "the gateway's own receipt")
            assert [message.payload for message in gateway.received] == [b"gw-0001"]
            # Last, because mosquitto 2.0.11 ends the connection after it has refused a message.
            foreign = gateway.publish("wl/1/rosenhof/gw-0002/up/page", b"foreign")
            assert gateway.puback(foreign).getName() == "Not authorized"
            assert {message.payload for message in sink.received} == {b"own"}
    finally:
        broker.server.kill()
    assert "as gw-0001 (" in broker.server.log.read_text()  # the client id that mosquitto knows it by


def _numbers(client: TestClient) -> list[int]:
    return [int(message.payload) for message in client.received if message.payload]
