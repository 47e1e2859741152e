"""An agent on a line of 32 unit ids with dead, wrongly set and doubled ones: what `watch` and `scan` say of it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_agent.commands import app
from tests.support import wired_cli
from tests.support.ports import free_port
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until
from tests.support.wired_bus import WiredBus, crowded_line
from tests.unit.edge_agent.installation import Installation
from wastelock.registers import lock_id

PROGRAM = [sys.executable, "-m", wired_cli.__name__]
SILENT = {3, 9, 14, 17, 21}
GARBLED = {12, 26}


@dataclass(frozen=True)
class Yard:
    """A gateway on the crowded line; `watch` is the command to look at it with."""

    installation: Installation
    bus: WiredBus

    @property
    def watch(self) -> list[str]:
        return [*PROGRAM, "watch", "--config", str(self.installation.config)]

    @property
    def scan(self) -> list[str]:
        return [*PROGRAM, "scan", "--config", str(self.installation.config)]


def configure(installation: Installation, device: Path) -> None:
    """All units but the legacy counter, each with the serial number that it should have."""
    locks = "".join(
        f'[[locks]]\nserial = "{0x1F0100 + unit:x}"\nbus = "yard"\nunit = {unit}\npoll_interval_s = 0.5\n'
        for unit in range(1, 33)
        if unit != 30
    )
    installation.config.write_text(
        f"""
        gateway = {{ id = "gw-0001", site = "site-1", signing_key = "gateway.pem" }}
        spool = {{ path = "spool.db", reserve_mib = 1 }}
        mqtt = {{ host = "127.0.0.1", port = {free_port()} }}
        [[buses]]
        name = "yard"
        kind = "rtu"
        device = "{device}"
        answer_timeout_ms = 50
        """
        + locks
    )


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    directory = tmp_path_factory.mktemp("yard")
    installation = Installation(directory, free_port())
    configure(installation, directory / "rs485")
    with WiredBus(directory / "rs485", crowded_line()) as bus, installation.log.open("wb") as log:
        agent = subprocess.Popen([*PROGRAM, "run", "--config", str(installation.config)], stderr=log)
        try:
            wait_until(lambda: "the local door is open" in installation.log.read_text(), 20, "the door")
            wait_until(
                lambda: all(bus.requests.get(unit, 0) > 2 for unit in SILENT | GARBLED),
                60,
                "all locks visited",
            )
            yield Yard(installation, bus)
        finally:
            agent.terminate()
            assert agent.wait(20) == 0


def rows_on(screen: str) -> dict[int, str]:
    """Return what the screen says of each unit: its cell, be it in one column of locks or in several."""
    cells = {}
    for line in screen.splitlines():
        for cell in (line[:39], line[40:79]):
            mark, _, rest = cell.partition(" 1f01")
            if rest and len(mark) <= 1:
                cells[int(rest[:2], 16)] = f"{mark.strip()}{rest[2:]}"
    return cells


def test_32_locks_fit_a_small_terminal_each_with_the_right_verdict(yard: Yard) -> None:
    with Terminal(yard.watch, 80, 24) as terminal:
        rows = rows_on(terminal.wait_for("31 locks, 7 in trouble"))
        assert set(rows) == set(range(1, 33)) - {30}
        assert {unit for unit, row in rows.items() if "silent" in row} == SILENT
        assert {unit for unit, row in rows.items() if "garbled" in row} == GARBLED
        assert all(row.startswith("X") == (unit in SILENT | GARBLED) for unit, row in rows.items())
        assert all("locked" in row for unit, row in rows.items() if unit not in SILENT | GARBLED)


def test_keys_sort_scroll_and_end_it_and_the_terminal_is_as_before(yard: Yard) -> None:
    with Terminal(yard.watch, 78, 12) as terminal:
        terminal.wait_for("s sort: place")
        assert min(rows_on(terminal.text)) == 1
        terminal.press("s")
        screen = terminal.wait_for("s sort: trouble")
        assert set(rows_on(screen)) == set(sorted(SILENT | GARBLED)[:6])  # as many as there is room for
        terminal.press("ss\x1b[B\x1b[B\x1b[6~")
        terminal.wait_for("s sort: custody")
        terminal.wait_gone("1f0101")
        terminal.press("q")
        assert terminal.exit_code() == 0
        assert terminal.settings == terminal.settings_before


def test_it_follows_the_terminals_size(yard: Yard) -> None:
    with Terminal(yard.watch, 80, 24) as terminal:
        terminal.wait_for("in trouble")
        assert "bus, unit" not in terminal.text
        terminal.resize(120, 45)
        screen = terminal.wait_for("1f010c: its answers are broken: two controllers with its unit id")
        assert "bus, unit" in screen and "ledger" in screen and "yard 32" in screen
        terminal.resize(45, 12)
        terminal.wait_gone("bus, unit")
        terminal.wait_for("s sort")
        terminal.press("\x03")
        assert terminal.exit_code() == 0
        assert terminal.settings == terminal.settings_before


def test_once_as_json_tells_what_happened_on_the_wire(yard: Yard) -> None:
    config = ["--config", str(yard.installation.config)]
    done = CliRunner().invoke(app, ["watch", "--once", "--json", *config])
    assert (done.exit_code, done.stderr) == (1, "")  # something is in trouble
    seen = json.loads(done.stdout)
    units = {unit["unit"]: unit for unit in seen["buses"][0]["units"]}
    for unit in SILENT:
        assert units[unit]["answered"] == 0
        assert units[unit]["timeouts"] == units[unit]["requests"] > 1  # the third may be under way
    for unit in GARBLED:
        assert units[unit]["broken"] > units[unit]["timeouts"]
        assert units[unit]["broken_crc"] + units[unit]["late_or_foreign"] > 0
    good = [counts for unit, counts in units.items() if unit not in SILENT | GARBLED]
    assert sum(counts["answered"] for counts in good) > 0.95 * sum(counts["requests"] for counts in good)


def test_read_beside_the_agent_tells_of_one_lock_or_why_it_cant(yard: Yard) -> None:
    read = ["read", "--config", str(yard.installation.config)]
    with Terminal([*PROGRAM, *read, "1f0101"], 100, 30) as terminal:
        assert terminal.exit_code() == 0
        screen = terminal.wait_for("pour complete: chamber 1, 5,000 ml")
        assert "through the agent" in screen and "records 1..1 of epoch 7, 0 of them only here" in screen
    silent = CliRunner().invoke(app, [*read, "1f0103"])
    assert silent.exit_code == 1
    assert all(words in silent.stderr for words in ("no answer", "remedy:", "edge-agent doctor"))


def test_scan_beside_the_agent_finds_each_trouble_and_gives_the_line_back(yard: Yard) -> None:
    done = subprocess.run([*yard.scan, "--json"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "32 unit ids: at most" in done.stderr
    lock = next(unit.controller for unit in yard.bus.units if unit.unit == 2)
    seq = lock.pour()
    wait_until(lambda: lock.confirmed == seq, 30, "the line in the agent's hands again")
    line = json.loads(done.stdout)["lines"][0]
    assert line["at"] == "19200 8E1"
    verdicts = {unit["unit"]: unit for unit in line["units"]}
    assert {n: unit["verdict"] for n, unit in verdicts.items() if unit["verdict"] != "good"} == {
        3: "silent", 9: "other settings", 12: "two answer", 14: "other settings", 17: "silent",
        21: "other settings", 26: "two answer", 30: "not a waste lock",
    }  # fmt: skip
    assert [verdicts[n]["at"] for n in (9, 14, 21)] == ["19200 8N1", "9600 8E1", "19200 8N1"]
    assert verdicts[12]["locks"] == ["1f010c", "1f020c"]
    good = [n for n, unit in verdicts.items() if unit["verdict"] == "good"]
    assert [verdicts[n]["locks"] for n in good] == [[lock_id(0x1F0100 + n)] for n in good]
    assert len(good) == 24
    assert "its locks aren't read meanwhile" in yard.installation.log.read_text()
