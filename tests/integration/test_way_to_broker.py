"""The doctor goes the way to real brokers: as far as it leads, and what stops it is named. Nothing is left behind."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edge_agent.config import AgentConfig
from edge_agent.config_rules import load_config
from edge_agent.local.snapshot import BrokerSight
from edge_agent.technician.doctor import broker_looking
from edge_agent.technician.doctor.broker_looking import look_at_broker
from edge_agent.technician.doctor.findings import Level
from edge_agent.technician.doctor.trust_verdicts import Step, judge_broker
from edge_agent.uplink import Session, Uplink
from tests.support.broker import Broker
from tests.support.mqtt import TestClient
from tests.support.ports import free_port
from tests.support.trusted_site import GATEWAY, TrustedSite
from tests.support.waiting import wait_until
from tests.unit.edge_agent.installation import Installation
from wastelock.topics import GatewayTopics


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker of this machine says at once what it thinks of a certificate."""
    monkeypatch.setattr(broker_looking, "_LISTEN_S", 0.5)


def config_for(directory: Path, port: int) -> AgentConfig:
    return load_config(Installation(directory, port).config, check_files=False)


def verdict(config: AgentConfig, sight: BrokerSight | None = None) -> str:
    finding = judge_broker(look_at_broker(config, sight))
    assert finding.level is Level.GOOD or (finding.evidence and finding.remedy)
    return finding.name


def test_a_broker_that_lets_the_gateway_in_is_good_and_one_that_isnt_there_is_told(
    tmp_path: Path, broker: Broker
) -> None:
    assert verdict(config_for(tmp_path, broker.port)) == "good"
    assert verdict(config_for(tmp_path, free_port())) == "broker_unreachable"


def test_a_name_that_nobody_can_know_is_told(tmp_path: Path) -> None:
    config = config_for(tmp_path, 1883)
    nowhere = config.mqtt.model_copy(update={"host": f"{'a' * 64}.example"})  # too long to be asked for
    assert verdict(config.model_copy(update={"mqtt": nowhere})) == "broker_name_unknown"


def test_what_the_agent_knows_of_its_session_counts_and_its_session_isnt_taken_from_it(
    tmp_path: Path, broker: Broker
) -> None:
    def sight(connected: bool, trouble: str | None) -> BrokerSight:
        return BrokerSight(
            host="127.0.0.1", port=broker.port, connected=connected, sessions=1, trouble=trouble,
            pages_sent=0, pages_received=0, pages_lost=0,
        )  # fmt: skip

    config = config_for(tmp_path, broker.port)
    assert look_at_broker(config, sight(True, None)).is_connected
    figures = look_at_broker(config, sight(False, "the broker refuses the session: Not authorized"))
    assert (figures.failed, figures.session_tried) == (Step.NONE, False)
    finding = judge_broker(figures)
    assert finding.name == "session_refused" and "Not authorized" in finding.evidence


def test_orders_that_wait_for_the_agent_still_wait_after_the_doctor_was_there(
    tmp_path: Path, broker: Broker
) -> None:
    config = config_for(tmp_path, broker.port)
    topics = GatewayTopics(config.gateway.site, config.gateway.id)
    came: list[Any] = []

    def run_agent(until: int) -> None:
        session = Session(
            config.gateway.id, topics, b"will", lambda: b"bye", listeners={topics.command: came.append}
        )
        uplink, stop = Uplink(config.mqtt, session, Random(1), threading.Event()), threading.Event()
        thread = threading.Thread(target=uplink.run, args=(stop,))
        thread.start()
        wait_until(
            lambda: uplink.is_connected and len(came) >= until, 10, "the session, and what waited in it"
        )
        stop.set()
        thread.join(10)

    run_agent(0)
    with TestClient(broker.port, "cloud") as client:
        for number in range(3):
            client.puback(client.publish(topics.command, f"order {number}".encode()))
    assert verdict(config) == "good"
    run_agent(3)
    assert [arrival.payload for arrival in came] == [b"order 0", b"order 1", b"order 2"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrustedSite]:
    """The shipped broker over TLS with an authority, and an enrolled gateway."""
    site = TrustedSite(tmp_path_factory.mktemp("site"))
    site.broker.start()
    try:
        site.enrol()
        yield site
    finally:
        site.broker.server.kill()


def test_over_tls_each_step_that_fails_is_named(site: TrustedSite, tmp_path: Path) -> None:
    config = load_config(site.field)
    assert verdict(config) == "good"
    stranger = TrustedSite(tmp_path)
    other_authority = config.mqtt.model_copy(update={"ca_file": stranger.directory / "ca" / "ca.crt"})
    assert verdict(config.model_copy(update={"mqtt": other_authority})) == "broker_not_trusted"
    other_name = config.mqtt.model_copy(update={"host": "localhost"})
    assert verdict(config.model_copy(update={"mqtt": other_name})) == "broker_not_trusted"
    foreign = config.mqtt.model_copy(
        update={"cert_file": stranger.directory / "sink-1.crt", "key_file": stranger.directory / "sink-1.key"}
    )
    assert verdict(config.model_copy(update={"mqtt": foreign})) == "certificate_refused"
    unreadable = config.mqtt.model_copy(update={"key_file": tmp_path / "nothing"})
    assert verdict(config.model_copy(update={"mqtt": unreadable})) == "broker_files"
    site.cloud_sink("revoke", GATEWAY, "--reason", "stolen")
    site.reload_broker()
    assert verdict(config) == "certificate_refused"


def test_a_session_that_is_refused_and_access_that_is_denied_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic read wl/1/site-1/gw-0001/down/#\n")
    with Broker(tmp_path / "open", [f"acl_file {tmp_path / 'acl'}"]) as broker:
        installation = Installation(tmp_path, broker.port)
        installation.seal(1, 1)  # an agent has run here: its goodbye is tried
        assert verdict(load_config(installation.config)) == "access_refused"
    known, given = tmp_path / "known", tmp_path / "given"
    known.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(known), "gw-0001", "the right one"], check=True, timeout=20)
    given.write_text("another\n")
    with Broker(tmp_path / "shut", [f"password_file {known}"]) as broker:
        config = config_for(tmp_path, broker.port)
        named = config.mqtt.model_copy(update={"username": "gw-0001", "password_file": given})
        assert verdict(config.model_copy(update={"mqtt": named})) == "session_refused"
