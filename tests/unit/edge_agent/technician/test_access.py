"""The technician's way to locks and buses: through the running agent's door, or on own lines; a bus has one master."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_agent.config import AgentConfig, TcpBus
from edge_agent.config_rules import load_config
from edge_agent.drivers.base import Confirmation
from edge_agent.errors import (
    AgentOutOfReach,
    NoAnswer,
    NotAllowed,
    Refused,
    SpoolLent,
    SpoolUnavailable,
    TryLater,
    UnknownName,
    WrongController,
)
from edge_agent.spool_lock import Holder, SpoolLock, holder_of
from edge_agent.technician.access import FieldAccess, open_field
from tests.support.broker import Broker
from tests.support.controller import Controller
from tests.support.modbus_peers import TcpPeer
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.unit.edge_agent.installation import Installation


@dataclass
class Site:
    """A gateway with one lock that answers, and a neighbour that is not configured."""

    installation: Installation
    lock: Controller
    neighbour: Controller

    @property
    def config(self) -> AgentConfig:
        return load_config(self.installation.config, check_files=False)


@contextlib.contextmanager
def a_site(directory: Path, broker_port: int) -> Iterator[Site]:
    port, lock, neighbour = free_port(), Controller(), Controller(serial=0x1F00A2)
    with TcpPeer({1: lock, 2: neighbour}, port):
        yield Site(Installation(directory, broker_port, port), lock, neighbour)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose agent runs, with a pour of its lock in the spool."""
    directory = tmp_path_factory.mktemp("running")
    with Broker(directory / "broker") as broker, a_site(directory, broker.port) as site:
        site.lock.pour(chamber=2)
        with site.installation.running():
            wait_until(lambda: site.lock.confirmed == 1, 20, "the pour confirmed")
            wait_until(lambda: "the local door is open" in site.installation.log.read_text(), 10, "the door")
            yield site


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[Site]:
    """A site whose agent doesn't run."""
    with a_site(tmp_path, free_port()) as site:
        site.lock.pour()
        yield site


def test_a_running_agent_lets_a_command_use_its_bus(running: Site) -> None:
    with open_field(running.config) as field:
        assert field.via == "agent"
        driver = field.driver("1F00A1")
        assert driver.identify().serial == 0x1F00A1
        before = time.monotonic()
        assert driver.read_status().newest_seq == running.lock.newest
        assert before <= driver.status_at <= time.monotonic()
        assert field.registers("street", 2).read(4, 2, 4).hex() == "00000000001f00a2"
        driver.enable_chambers(0b01)
        assert running.lock.enable_mask == 0b01


def test_errors_of_the_bus_are_the_same_on_either_side_of_the_door(running: Site, stopped: Site) -> None:
    for site in (running, stopped):
        with open_field(site.config) as field:
            with pytest.raises(Refused) as refused:
                field.registers("street", 1).read(4, 0x3000, 1)
            assert refused.value.code == 2
            assert "0x3000" in str(refused.value) and str(refused.value).count("exception") == 1
            with pytest.raises(NoAnswer, match="unit 9"):
                field.registers("street", 9).read(4, 0, 1)
            with pytest.raises(UnknownName, match="street"):
                field.registers("yard", 1)
            with pytest.raises(UnknownName, match="1f00a1"):
                field.driver("1f00ff")


def test_nobody_confirms_records_by_hand(running: Site, stopped: Site) -> None:
    for site in (running, stopped):
        confirmed = site.lock.confirmed
        with open_field(site.config) as field:
            driver = field.driver("1f00a1")
            crc = int.from_bytes(site.lock.raw(1)[40:], "big")
            with pytest.raises(NotAllowed, match="only the agent"):
                driver.acknowledge(Confirmation(7, 1, crc))
            for address, words in ((0xFF, [0, 0]), (0x105, [0]), (0x100, [0] * 6)):
                with pytest.raises(NotAllowed):
                    field.registers("street", 1).write(address, words)
        assert site.lock.confirmed == confirmed


def test_a_snapshot_tells_state_custody_last_pour_and_the_bus(running: Site) -> None:
    with open_field(running.config) as field:
        seen = field.snapshot()
    assert (seen.gateway.via, seen.gateway.gateway, seen.gateway.incarnation) == ("agent", "gw-0001", 1)
    assert seen.broker is not None and seen.broker.connected and seen.broker.trouble is None
    lock = seen.locks[0]
    assert lock.state is not None and lock.state.reachable
    assert lock.last_pour is not None
    assert (lock.last_pour.chamber, lock.last_pour.volume_ml) == (2, 20000)
    assert (lock.custody.newest_seq, lock.custody.spooled_seq, lock.custody.ring) == (1, 1, 0)
    bus = seen.buses[0]
    assert (bus.is_open, bus.trouble, bus.lent_to) == (True, None, None)
    unit = next(unit for unit in bus.units if unit.lock == "1f00a1")
    assert unit.answered > 3 and unit.requests == unit.answered + unit.exceptions
    assert unit.round_trip_ms is not None and unit.slowest_ms is not None
    assert unit.round_trip_ms <= unit.slowest_ms


def test_a_snapshot_without_an_agent_looks_at_the_locks_itself(stopped: Site) -> None:
    stopped.installation.seal(1, 1)
    with open_field(stopped.config) as field:
        assert field.via == "direct"
        seen = field.snapshot()
    assert seen.broker is None
    lock = seen.locks[0]
    assert lock.state is not None and lock.state.reachable
    assert lock.custody.newest_seq == 1
    assert seen.spool.unreceipted_pages == 1
    assert lock.last_pour is not None  # from the spool: nobody reads a journal without an agent


def test_a_borrowed_bus_is_free_for_its_borrower_and_the_agents_again_afterwards(running: Site) -> None:
    with open_field(running.config) as field:
        with field.borrow("street") as settings:
            assert isinstance(settings, TcpBus)
            seen = field.snapshot()
            assert seen.buses[0].lent_to is not None and "a technician" in seen.buses[0].lent_to
            assert not seen.buses[0].is_open
            lent = pytest.raises(TryLater, match="lent to a technician")
            with open_field(running.config) as other, lent, other.borrow("street"):
                pass
            wait_until(lambda: not _is_reachable(field), what="the lock told to be out of reach")
        pour = running.lock.pour()
        wait_until(lambda: running.lock.confirmed == pour, 10, "the pour confirmed after the loan")
        assert field.snapshot().buses[0].lent_to is None
        assert all(not unit.resting for unit in field.snapshot().buses[0].units)


def _is_reachable(field: FieldAccess) -> bool:
    state = field.snapshot().locks[0].state
    return state is not None and state.reachable


def test_another_controller_at_the_lock_s_unit_is_told(stopped: Site) -> None:
    stopped.lock.serial = 0x1F00FF
    with open_field(stopped.config) as field, pytest.raises(WrongController, match="1f00ff"):
        field.driver("1f00a1")


def test_an_agent_that_is_started_meanwhile_waits_for_a_command_that_has_the_lines_and_then_begins(
    stopped: Site, tmp_path: Path
) -> None:
    log = stopped.installation.log
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, ExitStack() as lines:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        lines.enter_context(open_field(stopped.config))
        with stopped.installation.running(NOTIFY_SOCKET=str(tmp_path / "notify")) as agent:
            assert systemd.recv(100) == b"READY=1"
            assert f"STATUS=waits for process {os.getpid()}, the command " in systemd.recv(100).decode()
            assert [systemd.recv(100) for _ in range(2)] == [b"WATCHDOG=1"] * 2
            assert "the agent waits for a command that has the lines" in log.read_text()
            assert "agent runs" not in log.read_text()
            lines.close()
            wait_until(lambda: "agent runs" in log.read_text(), 10, "the agent's turn")
            assert holder_of(stopped.config.spool.path) == Holder(agent.pid)


def test_a_second_command_is_told_which_one_has_the_lines(stopped: Site) -> None:
    lent = pytest.raises(SpoolLent, match=f"process {os.getpid()}, the command edge-agent .*remedy: end it")
    with open_field(stopped.config), lent, open_field(stopped.config):
        pass


def test_who_has_a_spool_is_noted_whole_over_a_longer_note_of_another(tmp_path: Path) -> None:
    first, second = SpoolLock(tmp_path / "spool.db", "decommission"), SpoolLock(tmp_path / "spool.db")
    first.acquire()
    assert holder_of(tmp_path / "spool.db") == Holder(os.getpid(), "decommission")
    with pytest.raises(SpoolLent):
        second.acquire()
    first.release()
    second.acquire()
    assert holder_of(tmp_path / "spool.db") == Holder(os.getpid())
    with pytest.raises(SpoolUnavailable, match="only one agent"):
        first.acquire()
    second.release()


def test_an_agent_whose_door_is_missing_is_told_with_the_remedy(running: Site) -> None:
    door = Path(f"{running.installation.spool}.sock")
    aside = door.rename(f"{door}.aside")
    try:
        with pytest.raises(AgentOutOfReach, match="stop it meanwhile"), open_field(running.config):
            pass
    finally:
        aside.rename(door)


def test_a_door_that_a_killed_agent_left_is_no_door(stopped: Site) -> None:
    agent = stopped.installation.start()
    door = Path(f"{stopped.installation.spool}.sock")
    wait_until(door.exists, 20, "the door")
    agent.kill()
    agent.wait()
    assert door.exists()
    with open_field(stopped.config) as field:
        assert field.via == "direct"
    with stopped.installation.running():
        log = stopped.installation.log
        wait_until(lambda: log.read_text().count("the local door is open") == 2, 20, "the new door")
        with open_field(stopped.config) as field:
            assert field.via == "agent"


def test_a_user_outside_the_group_is_told_how_to_get_in(
    stopped: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, timeout_s: float) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("edge_agent.technician.by_agent.connect", refuse)
    lock = SpoolLock(stopped.config.spool.path)
    lock.acquire()  # as a running agent has it
    try:
        with pytest.raises(AgentOutOfReach, match=r"sudo adduser .* wastelock"), open_field(stopped.config):
            pass
    finally:
        lock.release()


def test_a_spool_directory_that_this_user_may_not_write_to_is_told_with_the_remedy(
    stopped: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(SpoolUnavailable, match="sudo -u wastelock"), open_field(stopped.config):
        pass
