"""The agent as a process: real broker, real signals, no lock that answers."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edge_agent.spool_opening import to_salvage
from tests.support.broker import Broker
from tests.support.mqtt import TestClient
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import (
    KEY,
    TOPICS,
    active,
    all_pages,
    receipt_for,
)
from tests.unit.edge_agent.installation import Installation
from tests.unit.edge_agent.ledger import Ledger


@pytest.fixture
def installation(tmp_path: Path, broker: Broker) -> Installation:
    return Installation(tmp_path, broker.port)


def messages(client: TestClient, topic: str) -> list[dict[str, Any]]:
    return [json.loads(message.payload) for message in client.received if message.topic == topic]


def test_the_agent_is_born_sends_its_pages_tells_of_locks_and_itself_and_says_goodbye(
    installation: Installation, broker: Broker
) -> None:
    installation.seal(1, 5)
    with TestClient(broker.port, "observer") as observer, Ledger(broker.port) as ledger:
        observer.subscribe("wl/1/#")
        with installation.running():
            wait_until(lambda: len(ledger.record_ids()) == 5, 20, "five records in the ledger")
            lock = wait_until(
                lambda: messages(observer, TOPICS.lock_state("1f00a1")), 20, "the lock's state"
            )[-1]
            telemetry = wait_until(lambda: messages(observer, TOPICS.telemetry), 20, "telemetry")[-1]
            birth = messages(observer, TOPICS.gateway_state)[0]
        wait_until(
            lambda: messages(observer, TOPICS.gateway_state)[-1]["online"] is False, what="the farewell"
        )
        farewell = messages(observer, TOPICS.gateway_state)[-1]
    assert birth["online"] is True
    assert birth["incarnation"] == 2  # the test's own was the first
    assert birth["locks"] == ["1f00a1"]
    assert (birth["journal"], birth["newest_page"], birth["kid"]) == (
        active(installation.spool).uuid,
        5,
        KEY.kid,
    )
    assert lock["reachable"] is False
    assert "unreachable_since" in lock
    assert telemetry["spool_pages"] == 5
    assert telemetry["buses"][0]["bus"] == "street"
    assert 0 < telemetry["memory_rss_bytes"] < 200 * 1024 * 1024
    assert farewell["incarnation"] == 2 and "at" in farewell


def test_a_killed_agent_is_told_offline_by_its_will_but_a_short_break_is_no_outage(
    installation: Installation, broker: Broker
) -> None:
    with TestClient(broker.port, "observer") as observer:
        observer.subscribe(TOPICS.gateway_state)
        process = installation.start()
        wait_until(lambda: messages(observer, TOPICS.gateway_state), 20, "the birth")
        process.kill()
        process.wait()
        with installation.running():
            wait_until(lambda: len(messages(observer, TOPICS.gateway_state)) == 2, 20, "the second birth")
        before = messages(observer, TOPICS.gateway_state)
        assert [(state["online"], state["incarnation"]) for state in before[:2]] == [(True, 1), (True, 2)]
        impatient = installation.start(will_delay_s=1)
        wait_until(
            lambda: messages(observer, TOPICS.gateway_state)[-1]["incarnation"] == 3, 20, "the third birth"
        )
        impatient.kill()
        impatient.wait()
        will = {"v": 1, "gateway": TOPICS.gateway, "online": False, "incarnation": 3}
        wait_until(
            lambda: will in [_bare(m) for m in messages(observer, TOPICS.gateway_state)], 20, "the will"
        )


def _bare(state: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in state.items() if value not in ([], None)}


def test_status_tells_the_same_whether_the_agent_runs_or_not(
    installation: Installation, broker: Broker
) -> None:
    installation.seal(1, 3)
    with Ledger(broker.port), installation.running() as process:
        wait_until(lambda: active(installation.spool).committed_through == 3, 20, "the receipt")
        while_running = installation.status()
        assert while_running["agent_pid"] == process.pid
    afterwards = installation.status()
    assert afterwards["agent_pid"] is None
    assert afterwards["journals"] == while_running["journals"]
    assert (
        afterwards["locks"]
        == while_running["locks"]
        == [
            {
                "lock": "1f00a1",
                "bus": "street",
                "unit": 1,
                "driver": "wlc-1",
                "epoch": 1,
                "spooled_seq": 3,
                "confirmed_seq": None,
            }
        ]
    )
    assert afterwards["unreceipted_pages"] == 0
    printed = subprocess.run(
        [sys.executable, "-m", "edge_agent.cli", "status", "--config", str(installation.config)],
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert "doesn't run" in printed and "1f00a1" in printed


def test_systemd_is_told_that_the_agent_is_ready_and_alive_even_with_the_broker_away(tmp_path: Path) -> None:
    installation = Installation(tmp_path, free_port())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        with installation.running(NOTIFY_SOCKET=str(tmp_path / "notify")):
            told = [systemd.recv(100) for _ in range(4)]
        assert told == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        while (last := systemd.recv(100)) == b"WATCHDOG=1":
            pass
        assert last == b"STOPPING=1"


def test_a_second_agent_on_the_same_spool_ends_with_an_error_that_says_why(
    installation: Installation,
) -> None:
    with installation.running() as process:
        wait_until(lambda: "agent runs" in installation.log.read_text(), 20, "the first agent")
        second = installation.start()
        assert second.wait(20) == 1
        assert f"in use by process {process.pid}" in installation.log.read_text()


def test_the_agent_ends_within_five_seconds_although_nobody_answers_it(tmp_path: Path) -> None:
    installation = Installation(tmp_path, free_port())
    process = installation.start()
    try:
        wait_until(lambda: "agent runs" in installation.log.read_text(), 20, "the agent")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert time.monotonic() - began < 5
    finally:
        process.kill()
        process.wait()


def test_a_forked_journal_is_sealed_anew_without_anybody_restarting_the_agent(
    installation: Installation, broker: Broker
) -> None:
    installation.seal(1, 4)
    old = active(installation.spool).uuid
    with Ledger(broker.port) as ledger, installation.running():
        wait_until(lambda: active(installation.spool).committed_through == 4, 20, "the receipt")
        ledger.send(receipt_for(installation.spool, 9, head="x" * 43))
        wait_until(lambda: active(installation.spool).uuid != old, 20, "the new journal")
        wait_until(lambda: "the agent starts afresh" in installation.log.read_text(), 20, "the new beginning")
        wait_until(
            lambda: installation.log.read_text().count("agent runs") == 2, 20, "the agent to run again"
        )


def test_a_page_damaged_under_a_running_agent_is_salvaged_around_without_anybody_restarting_it(
    installation: Installation, broker: Broker
) -> None:
    installation.seal(1, 40)
    with sqlite3.connect(installation.spool) as connection:
        connection.execute(
            "UPDATE page SET payload = CAST(replace(payload, 'ntp', 'rtc') AS BLOB) WHERE page = 7"
        )
    connection.close()
    with Ledger(broker.port) as ledger, installation.running():
        wait_until(lambda: len(set(ledger.record_ids())) == 39, 30, "all pages but the damaged one")
        wait_until(lambda: not to_salvage(installation.spool), 20, "the salvage")
        assert [page.page for page in all_pages(installation.spool, "retired")] == [
            n for n in range(1, 41) if n != 7
        ]


def test_garbage_written_over_the_file_of_a_running_agent_is_survived(
    installation: Installation, broker: Broker
) -> None:
    installation.seal(1, 40)
    with Ledger(broker.port) as ledger, installation.running():
        wait_until(lambda: len(set(ledger.record_ids())) == 40, 30, "all pages")
        with installation.spool.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(8 * 4096))
        ledger.send(ledger.receipt(active_journal_of(ledger)))
        wait_until(
            lambda: "the agent starts afresh" in installation.log.read_text(), 30, "the damage to be noticed"
        )
        wait_until(
            lambda: installation.log.read_text().count("agent runs") >= 2, 30, "the agent to run again"
        )


def active_journal_of(ledger: Ledger) -> str:
    return next(iter(ledger.pages))
