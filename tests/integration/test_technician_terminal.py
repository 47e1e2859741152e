"""The technician's commands that ask and wait, in a real terminal: what stands there, and what keys do."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.controller import Controller
from tests.support.modbus_peers import TcpPeer
from tests.support.ports import free_port
from tests.support.terminal import Terminal
from tests.unit.edge_agent.installation import Installation


class Site:
    def __init__(self, directory: Path, port: int) -> None:
        self.units = {1: Controller()}
        self.installation = Installation(directory, free_port(), port)
        self.out = directory / "out"

    @contextmanager
    def edge_agent(self, *words: str, columns: int = 240) -> Iterator[Terminal]:
        command = [sys.executable, "-m", "edge_agent.cli", *words, "--config", str(self.installation.config)]
        with Terminal(command, columns=columns, lines=40) as terminal:
            yield terminal


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    port = free_port()
    site = Site(tmp_path, port)
    for chamber in (1, 2):
        site.units[1].pour(chamber=chamber)
    with TcpPeer(site.units, port):
        yield site


def test_a_commissioning_is_interrupted_gone_on_with_and_asks_for_what_was_measured(site: Site) -> None:
    words = ("commission", "1f00a1", "--pours", "1", "--out", str(site.out))
    with site.edge_agent(*words) as terminal:
        terminal.wait_for("Make 1 pours with each of the chambers 1, 2")
        site.units[1].pour(chamber=2)
        terminal.wait_for("still 1 with chamber 1")
        terminal.press("\x03")
        terminal.wait_for("the same command goes on from here")
        assert terminal.exit_code() == 1
        assert terminal.settings == terminal.settings_before
    site.units[1].pour(chamber=2)
    with site.edge_agent(*words) as terminal:
        terminal.wait_for("The test was interrupted, and gone on with")
        site.units[1].pour(chamber=1)
        terminal.wait_for("Measured volume of chamber 1 in ml")
        terminal.press("4990\n")
        terminal.wait_for("Measured volume of chamber 2 in ml")
        terminal.press("\n")
        shown = terminal.wait_for("next, in the cloud")
        assert terminal.exit_code() == 0
    assert "chamber 2: register 1 -> 3, 2 pours: agrees" in shown, "what came before and meanwhile counts"
    assert "chamber 1: 5000 ml, measured 4990 ml (-0.2 %)" in shown
    assert "chamber 2: 20000 ml, not measured" in shown
    assert "passed" in shown
    assert {file.suffix for file in site.out.iterdir()} == {".wlprotocol", ".pdf", ".txt"}


def test_lines_are_broken_between_words_on_a_narrow_terminal(site: Site) -> None:
    with site.edge_agent("commission", "1f00a1", "--out", str(site.out), columns=60) as terminal:
        shown = terminal.wait_for("counts, too.")
        terminal.press("\x03")
        terminal.exit_code()
    assert "Make 2 pours with each of the chambers 1, 2, with the\nservice transponder or any other." in shown


def test_a_controller_is_swapped_while_the_command_waits_for_it(site: Site) -> None:
    del site.units[1]
    with site.edge_agent("replace", "controller", "1f00a1", "--out", str(site.out)) as terminal:
        terminal.wait_for("connect the new controller now")
        site.units[1] = Controller(serial=0x1F00B1)
        shown = terminal.wait_for("next, in the cloud")
        assert terminal.exit_code() == 0
    assert "lock 1f00a1 is 1f00b1 now" in shown.replace("\n", "")
    assert "Nothing is known of lock 1f00a1 before the swap" in shown


def test_the_spool_is_shown_and_carried_away(site: Site, tmp_path: Path) -> None:
    site.installation.seal(1, 3)
    stick = tmp_path / "stick"
    stick.mkdir()
    shown = {
        ("ls", "--unreceived"): "waits",
        ("show", "2"): "(withheld)",
        ("verify",): "3 signatures hold",
        ("export", "--to", str(stick)): "read back and good",
    }
    for words, said in shown.items():
        with site.edge_agent("spool", *words, columns=120) as terminal:
            terminal.wait_for(said)
            assert terminal.exit_code() == 0
            assert terminal.settings == terminal.settings_before
    assert len(list(stick.glob("*.wlpages"))) == 1


def test_ctrl_c_leaves_a_lock_and_the_configuration_as_they_were(site: Site) -> None:
    before = site.installation.config.read_text()
    site.units[1].state = 3  # a pour is under way and doesn't end
    with site.edge_agent("decommission", "1f00a1", "--out", str(site.out)) as terminal:
        terminal.wait_for("waiting for the end of a pour")
        terminal.press("\x03")
        terminal.wait_for("nothing was removed, the chambers are as they were")
        assert terminal.exit_code() == 1
    assert site.units[1].enable_mask == 0b11
    site.units[1].state = 0
    with site.edge_agent("replace", "controller", "1f00a9", "--out", str(site.out)) as terminal:
        terminal.wait_for("there is no lock '1f00a9'")
        assert terminal.exit_code() == 1
    site.units.clear()
    with site.edge_agent("decommission", "1f00a1", "--out", str(site.out)) as terminal:
        assert "`edge-agent scan`" in terminal.wait_for("remedy:")
        assert terminal.exit_code() == 1
    with site.edge_agent("spool", "ls") as terminal:
        terminal.wait_for("isn't there yet")
        assert terminal.exit_code() == 1
    assert site.installation.config.read_text() == before
