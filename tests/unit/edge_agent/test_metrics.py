"""What the agent tells Prometheus and whoever watches over it: a real process, lock, broker and spool."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_agent.alarms import Alarms
from edge_agent.metrics import Monitor
from edge_agent.watchdog import Beat, Watchdog
from tests.support.broker import Broker
from tests.support.controller import Controller
from tests.support.modbus_peers import TcpPeer
from tests.support.ports import free_port
from tests.support.scraping import Figures, fetch, figures_when, parse, promtool, scrape, served_at
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import TOPICS, active
from tests.unit.edge_agent.installation import Installation
from tests.unit.edge_agent.ledger import Ledger

METRICS = 'metrics = { listen = "127.0.0.1:0" }'
LOCK = "1f00a1"


def of_lock(found: Figures, name: str) -> float | None:
    return found.value(f"wastelock_agent_lock_{name}", lock=LOCK)


def records_in(ledger: Ledger, count: int) -> Callable[[], bool]:
    return lambda: len(ledger.record_ids()) == count


def test_the_figures_are_those_of_lock_bus_spool_and_session(tmp_path: Path, broker: Broker) -> None:
    controller = Controller(clock_offset_s=7.0)
    for _ in range(3):
        controller.pour()
    port = free_port()
    gateway = Installation(tmp_path, broker.port, port, METRICS)
    with TcpPeer({1: controller}, port), Ledger(broker.port) as ledger, gateway.running():
        url = served_at(gateway.log)
        found = figures_when(
            url,
            lambda f: (
                f.value("wastelock_agent_pages_received_total") == 1
                and of_lock(f, "unconfirmed_records") == 0
            ),
            "the receipt and the confirmation",
        )
        assert len(ledger.record_ids()) == 3
    value = found.value
    assert of_lock(found, "reachable") == 1
    assert of_lock(found, "unread_records") == 0
    assert of_lock(found, "has_problem") == 0
    assert of_lock(found, "clock_offset_seconds") in (6, 7, 8)
    answer_age_s = of_lock(found, "answer_age_seconds")
    assert answer_age_s is not None and answer_age_s < 20
    assert (of_lock(found, "battery_volts") or 0) > 1
    assert 0 <= (of_lock(found, "fill_ratio") or 0) <= 1
    assert (value("wastelock_agent_bus_requests_total", bus="street") or 0) >= 4
    assert value("wastelock_agent_bus_open", bus="street") == 1
    assert value("wastelock_agent_mqtt_connected") == value("wastelock_agent_mqtt_sessions_total") == 1
    assert value("wastelock_agent_spool_pages") == 1
    assert value("wastelock_agent_spool_unreceipted_pages") == 0
    assert value("wastelock_agent_spool_oldest_unreceipted_age_seconds") == 0
    assert value("wastelock_agent_receipts_total") == 1
    assert value("wastelock_agent_running") == 1
    assert all(f"{uid:x}" not in found.text for uid in (0xE004_0123_4567_89AB,))
    promtool("check", "metrics", stdin=found.text)


def test_only_receipts_count_as_success(tmp_path: Path, broker: Broker) -> None:
    gateway = Installation(tmp_path, broker.port, more=METRICS)
    gateway.seal(1, 4)
    with Ledger(broker.port, answers=False) as ledger, gateway.running():
        url = served_at(gateway.log)
        wait_until(lambda: len(ledger.record_ids()) == 4, 20, "the pages to be taken and acknowledged")
        found = figures_when(url, lambda f: f.value("wastelock_agent_running") == 1, "the run to be shown")
    assert (found.value("wastelock_agent_pages_sent_total") or 0) >= 4
    assert found.value("wastelock_agent_pages_received_total") == 0
    assert found.value("wastelock_agent_spool_unreceipted_pages") == 4
    assert (found.value("wastelock_agent_spool_oldest_unreceipted_age_seconds") or 0) > 0


def test_an_agent_without_broker_is_alive_but_not_ready_and_says_why(tmp_path: Path) -> None:
    gateway = Installation(tmp_path, free_port(), more=METRICS)
    with gateway.running():
        root = served_at(gateway.log).removesuffix("/metrics")
        wait_until(lambda: "agent runs" in gateway.log.read_text(), 20, "the agent")
        assert fetch(f"{root}/healthz")[0] == 200
        status, kind, text = fetch(f"{root}/readyz")
        told = json.loads(text)
        assert (status, kind, told["ready"]) == (503, "application/json", False)
        [reason] = told["reasons"]
        assert reason.startswith("broker: ")
        found = scrape(f"{root}/metrics")
        assert found.value("wastelock_agent_mqtt_connected") == 0
        assert of_lock(found, "reachable") == 0


def test_clients_that_hang_hold_up_neither_visits_nor_pages(tmp_path: Path, broker: Broker) -> None:
    controller = Controller()
    port = free_port()
    gateway = Installation(tmp_path, broker.port, port, METRICS)
    with TcpPeer({1: controller}, port), Ledger(broker.port) as ledger, gateway.running():
        address = served_at(gateway.log).removeprefix("http://").removesuffix("/metrics")
        host, _, at = address.rpartition(":")
        silent = [socket.create_connection((host, int(at)), timeout=10) for _ in range(8)]
        try:
            for number in range(1, 6):
                controller.pour()
                wait_until(records_in(ledger, number), 10, "the pour in the ledger")
        finally:
            for client in silent:
                client.close()


def test_between_two_runs_it_is_alive_but_not_ready() -> None:
    alarms = Alarms()
    alarms.raise_("spool full", "no room")
    alarms.raise_("quarantined 0d3c8f9e-93f5-4f3b-8f0e-0d5c1f8f2a11", "page 3: unknown key")
    monitor = Monitor(alarms)
    assert monitor.respond("/healthz", "").status == 200
    ready = monitor.respond("/readyz", "")
    assert ready.status == 503 and b"waits to begin again" in ready.body
    found = parse(monitor.respond("/metrics", "").body.decode())
    assert found.value("wastelock_agent_running") == 0
    assert found.value("wastelock_agent_alarms", alarm="spool full") == 1
    assert found.value("wastelock_agent_alarms", alarm="quarantined") == 1  # of whichever journal


def test_a_loop_that_is_stuck_makes_it_look_dead() -> None:
    beats = {"poller yard": Beat(lambda: 100.0, 60.0), "spool": Beat(lambda: 150.0, 60.0)}
    sight: Any = SimpleNamespace(watchdog=Watchdog(beats, lambda _text: None))
    monitor = Monitor(Alarms(), now_s=lambda: 161.0)
    monitor.show(sight)
    answer = monitor.respond("/healthz", "")
    assert (answer.status, json.loads(answer.body)) == (
        503,
        {"alive": False, "reasons": ["no progress: poller yard"]},
    )


def test_openmetrics_is_told_to_who_wants_it() -> None:
    answer = Monitor(Alarms()).respond(
        "/metrics", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    )
    assert answer.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert answer.body.endswith(b"# EOF\n")


def test_without_metrics_in_the_configuration_nothing_listens_and_nothing_is_loaded(
    tmp_path: Path, broker: Broker
) -> None:
    gateway = Installation(tmp_path, broker.port)
    code = (
        f"import sys, threading; from edge_agent import agent, cli; watch = agent.Agent._watch\n"
        f"def look(self, spool):\n"
        f"    print([m for m in sys.modules if m.startswith(('prometheus_client', 'edge_agent.metrics'))])\n"
        f"    self._stop.set()\n"
        f"agent.Agent._watch = look; sys.argv = ['edge-agent', 'run', '--config', {str(gateway.config)!r}]; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
    assert "metrics are served" not in done.stderr


@pytest.mark.parametrize("listen", ["9465", "localhost:9465", "127.0.0.1:99999"])
def test_a_wrong_address_is_a_mistake_of_the_configuration(tmp_path: Path, listen: str) -> None:
    gateway = Installation(tmp_path, 1, more=f'metrics = {{ listen = "{listen}" }}')
    process = gateway.start()
    assert process.wait(20) == 78
    assert "metrics.listen" in gateway.log.read_text()


@pytest.mark.parametrize(("log_format", "begins"), [("json", '{"timestamp": "'), ("logfmt", "timestamp=")])
def test_log_lines_have_the_format_that_is_asked_for(tmp_path: Path, log_format: str, begins: str) -> None:
    gateway = Installation(tmp_path, free_port())
    process = gateway.start("--log-format", log_format)
    try:
        wait_until(lambda: "agent runs" in gateway.log.read_text(), 20, "the agent")
    finally:
        process.terminate()
        assert process.wait(10) == 0
    lines = gateway.log.read_text().splitlines()
    assert all(line.startswith(begins) for line in lines), lines
    assert active(gateway.spool).gateway == TOPICS.gateway
