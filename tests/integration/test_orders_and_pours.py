"""Orders never delay a pour's recording by more than one bus transaction: counted on a real broker and real Modbus.

A pour's recording is the visit that finds it, from its first transaction until its records are on the gateway's disk.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_agent.agent import Agent
from edge_agent.alarms import Alarms
from edge_agent.bus import Bus
from edge_agent.clock import GatewayClock
from edge_agent.config_rules import load_config
from edge_agent.machine.keeper import MachineKeeper
from edge_agent.machine.measuring import Machine
from edge_agent.spool import Spool
from tests.support.broker import Broker
from tests.support.controller import Controller
from tests.support.modbus_peers import TcpPeer
from tests.support.mqtt import TestClient
from tests.support.order_issuer import PUBLIC_ORDER_KEY, OrderIssuer, command, desired, entries
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import TOPICS
from tests.unit.edge_agent.installation import Installation

VISIT, SEALED, POLL, ORDER = "visit", "sealed", "poll", "order"
POURS = 8


class SlowController(Controller):
    """It takes its time to answer, so that the longest list keeps the bus busy from one visit to the next."""

    def read(self, function: int, address: int, count: int) -> list[int] | int:
        time.sleep(0.004)
        return super().read(function, address, count)

    def write(self, address: int, words: Sequence[int]) -> int | None:
        time.sleep(0.004)
        return super().write(address, words)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that happens on the bus, in the order of its turns: whose transaction, visits, seals."""
    seen: list[str] = []
    exchange, visit, seal = Bus._exchange, Bus.visit, Spool.seal

    def watched_exchange(bus: Bus, *arguments: Any) -> Any:
        try:
            return exchange(bus, *arguments)
        finally:  # noted at its end, so that one which was under way when a visit began counts as that visit's delay
            seen.append(ORDER if threading.current_thread().name.startswith("orders") else POLL)

    @contextmanager
    def watched_visit(bus: Bus) -> Iterator[None]:
        within: AbstractContextManager[None] = visit(bus)
        seen.append(VISIT)
        with within:
            yield

    def watched_seal(spool: Spool, *arguments: Any) -> None:
        seal(spool, *arguments)
        seen.append(SEALED)

    monkeypatch.setattr(Bus, "_exchange", watched_exchange)
    monkeypatch.setattr(Bus, "visit", watched_visit)
    monkeypatch.setattr(Spool, "seal", watched_seal)
    return seen


@contextmanager
def agent_in_this_process(installation: Installation) -> Iterator[None]:
    config, stop, alarms = load_config(installation.config), threading.Event(), Alarms()
    machine = MachineKeeper(
        Machine(config.spool.path.parent, GatewayClock("ntp")), alarms, lambda _quiet: None
    )
    failures: list[BaseException] = []

    def run() -> None:
        try:
            Agent(config, stop, alarms, machine).run()
        except BaseException as error:  # noqa: BLE001 - a thread of a test: told to the test
            failures.append(error)

    thread = threading.Thread(target=run, name="agent")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive() and failures == []


def recordings(turns: list[str]) -> list[list[str]]:
    """Return for each pour's recording whose transactions came between the visit's beginning and the seal."""
    found: list[list[str]] = []
    current: list[str] | None = None
    for turn in turns:
        if turn == VISIT:
            current = []
        elif turn == SEALED and current is not None:
            found.append(current)
            current = None
        elif current is not None:
            current.append(turn)
    return found


def test_a_flood_of_orders_delays_no_pours_recording_by_more_than_one_transaction(
    tmp_path: Path, turns: list[str]
) -> None:
    controller, port = SlowController(capacity=512, access_list_max=2048), free_port()
    with (
        Broker(tmp_path / "broker") as broker,
        TcpPeer({1: controller}, port),
        TestClient(broker.port, "cloud") as client,
    ):
        more = f'orders = {{ keys = ["{PUBLIC_ORDER_KEY}"] }}\nclock = {{ source = "ntp" }}'
        cloud = OrderIssuer(client, TOPICS)
        with agent_in_this_process(Installation(tmp_path, broker.port, port, more)):
            wait_until(lambda: cloud.lock_state().get("reachable"), 20, "the lock's state")
            begin = len(turns)
            for number in range(1, POURS + 1):
                # The longest list there is, again and again, and commands beside it: the bus is never free of orders.
                wanted = entries(*range(number, 2000 + number))
                cloud.desire(desired(number, access_list_version=number, access_list=wanted))
                cloud.send(command(f"order-{number}", "enable_chambers", enable_mask=number % 4))
                controller.pour()
                wait_until(lambda: controller.confirmed == controller.newest, 20, "the pour's confirmation")
            seen = turns[begin:]
            assert cloud.final(f"order-{POURS}").outcome == "done"
    found = recordings(seen)
    assert len(found) >= POURS - 1
    assert seen.count(ORDER) > 10 * POURS
    delays = [recording.count(ORDER) for recording in found]
    assert max(delays) == 1  # and it does happen: they weren't spared it by chance
