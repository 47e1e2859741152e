"""Chambers that commands switch off: on again as they were, whatever ends them; and `edge-agent chambers`."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_agent.commands import app
from edge_agent.config_rules import load_config
from edge_agent.drivers.wlc_1 import Wlc1Driver
from edge_agent.errors import AgentOutOfReach, NotReady
from edge_agent.orders.wishes import keep_newer
from edge_agent.technician.chamber_switching import refuse_against_wish
from edge_agent.technician.custody_waiting import Waiting
from edge_agent.technician.decommissioning import Decommissioning
from tests.support.controller import Controller
from tests.support.lock_rig import DirectRegisters, HandClock
from tests.support.modbus_peers import TcpPeer
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import TOPICS, keep_all, make_spool, opened
from tests.unit.edge_agent.technician.two_locks import Site
from wastelock.registers import ENABLE_MASK_ADDRESS, State


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The agent doesn't run."""
    port = free_port()
    site = Site(tmp_path, free_port(), port)
    with TcpPeer(site.units, port):
        yield site


class _Breaking:
    """A line with an end: one write of the chamber mask still arrives, unanswered, some further ones don't."""

    exchanged_at = 0.0

    def __init__(self, registers: DirectRegisters, lost: int) -> None:
        self._registers = registers
        self._lost = lost
        self._arrives = True

    def read(self, function: int, address: int, count: int) -> bytes:
        return self._registers.read(function, address, count)

    def write(self, address: int, words: Sequence[int]) -> None:
        is_lost = address == ENABLE_MASK_ADDRESS and self._lost > 0
        if not is_lost or self._arrives:
            self._registers.write(address, words)
        if is_lost:
            self._lost, self._arrives = self._lost - 1, False
            raise AgentOutOfReach("the agent has ended")


class Bench:
    """A controller with one pour that is on disk, and its decommissioning by hand; the clock is moved by waiting."""

    def __init__(self, directory: Path, lost: int = 0) -> None:
        self.clock, self.controller, self.spool = HandClock(), Controller(), directory / "spool.db"
        self.controller.wall = self.clock.unix_s
        self.controller.pour()
        keep_all(self.spool, self.controller)
        self.line = _Breaking(DirectRegisters(self.controller, self.clock), lost)

    def work(self) -> Decommissioning:
        driver = Wlc1Driver(self.line, self.controller.serial, self.clock.monotonic, self.clock.sleep)
        driver.identify()
        waiting = Waiting(0.0, self.clock.monotonic, self.clock.sleep)
        return Decommissioning(driver, self.spool, self.clock.utc, waiting)


@pytest.mark.parametrize("lost", [1, 4])
def test_chambers_are_on_again_although_answers_to_the_switch_were_lost(tmp_path: Path, lost: int) -> None:
    bench = Bench(tmp_path, lost)
    with pytest.raises(AgentOutOfReach), bench.work().locked():
        pass
    assert bench.controller.enable_mask == 0b11


def test_who_cannot_switch_chambers_on_again_says_so_and_the_next_command_can(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lost=100)
    with (
        pytest.raises(NotReady, match=r"STAY SWITCHED OFF.*edge-agent chambers 1f00a1 on"),
        bench.work().locked(),
    ):
        pass
    assert bench.controller.enable_mask == 0
    bench.line = _Breaking(DirectRegisters(bench.controller, bench.clock), 0)
    with pytest.raises(KeyboardInterrupt), bench.work().locked():
        raise KeyboardInterrupt
    assert bench.controller.enable_mask == 0b11, "as they were before the first of the two"


def test_chambers_that_are_on_again_meanwhile_keep_a_lock_from_being_taken_out(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    work = bench.work()
    with pytest.raises(NotReady, match=r"are on again.*lock desire 1f00a1 enable_mask 0"), work.locked():
        bench.controller.enable_mask = 0b10  # as an agent does whose cloud wishes so
        work.drain()


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGTERM])
def test_a_connection_that_is_lost_leaves_the_chambers_as_they_were(site: Site, how: signal.Signals) -> None:
    site.first.state = State.OPEN  # a pour is under way: its end is waited for
    words = ["decommission", "1f00a1", "--out", str(site.out), "--config", str(site.config)]
    command = subprocess.Popen(
        [sys.executable, "-m", "edge_agent.cli", *words], stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: site.first.enable_mask == 0, 20, "the chambers off")
        command.send_signal(how)
        told = command.communicate(timeout=20)[1]
    finally:
        command.kill()
        command.wait()
    assert (command.returncode, site.first.enable_mask) == (1, 0b11)
    assert "the chambers are as they were" in told


def test_chambers_that_a_killed_command_left_off_are_switched_on_by_hand(site: Site) -> None:
    site.first.enable_mask = 0b10
    kept = site.installation.spool.parent / ".chambers-1f00a1.json"

    def switch(what: str, *more: str) -> Result:
        return CliRunner().invoke(app, ["chambers", "1f00a1", what, *more, "--config", str(site.config)])

    assert switch("off").exit_code == 0
    kept.write_text('{"enable_mask": 2}')
    assert site.first.enable_mask == 0
    on = switch("on")
    assert (on.exit_code, site.first.enable_mask, kept.exists()) == (0, 0b10, False), on.output
    assert json.loads(switch("on", "--json").output) == {
        "lock": "1f00a1",
        "before": 2,
        "after": 3,
        "wished": None,
    }
    assert switch("4").exit_code == 1, "it has two chambers"
    assert switch("many").exit_code == 2


def test_what_the_cloud_wishes_of_chambers_is_said_to_who_switches_them(site: Site) -> None:
    with opened(make_spool(site.installation.spool)):
        pass
    desired = '{"v":1,"revision":7,"at":"2026-11-22T09:00:00Z","locks":{"1f00a1":{"enable_mask":3}}}'
    with sqlite3.connect(site.installation.spool) as spool:
        keep_newer(spool, TOPICS.desired, 7, desired.encode())
    spool.close()
    result = CliRunner().invoke(app, ["chambers", "1f00a1", "1", "--config", str(site.config)])
    assert (result.exit_code, site.first.enable_mask) == (1, 0b01)
    assert "the cloud wishes for 1, 2: the agent brings that back" in result.output
    with pytest.raises(NotReady, match="enable_mask 0"):
        refuse_against_wish(load_config(site.config, check_files=False), "1f00a1")
