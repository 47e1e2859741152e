"""What technicians' commands still tell while the agent is there and can't begin: a full disk, a spool that is bad."""

import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from edge_agent.alarms import Alarms
from edge_agent.commands import app
from edge_agent.config_rules import load_config
from edge_agent.local.address import door_of
from edge_agent.local.attendant import Attendant
from edge_agent.local.door import Door
from tests.support.controller import Controller
from tests.support.modbus_peers import TcpPeer
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.unit.edge_agent.installation import Installation

WHY = "no room for another page on this disk"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Its agent's door is open, and there is no run behind it; its spool holds a page."""
    made = Installation(tmp_path_factory.mktemp("full"), free_port())
    made.seal(1, 1)
    config, stop = load_config(made.config, check_files=False), threading.Event()
    attendant = Attendant(config, Alarms())
    attendant.explain(WHY)
    thread = threading.Thread(target=Door(door_of(config), attendant).run, args=(stop,))
    thread.start()
    wait_until(door_of(config).exists, what="the door")
    yield made
    stop.set()
    thread.join(10)


def run(installation: Installation, *arguments: str) -> Result:
    with capture_logs():  # of the agent, which is in this process here
        return CliRunner().invoke(app, [*arguments, "--config", str(installation.config)])


def assert_whole(report: dict[str, Any]) -> None:
    findings = {finding["name"]: finding for finding in report["findings"]}
    assert WHY in findings["agent_not_ready"]["what"] and findings["agent_not_ready"]["remedy"]
    assert {"broker_unreachable", "no_order_keys"} <= set(findings), "the rest was looked at"
    areas = {finding["area"]: finding for finding in report["findings"]}
    assert areas["spool"]["what"].startswith("1 pages") and {"machine", "disk", "clock"} <= set(areas)


def test_doctor_says_why_the_agent_cant_begin_and_looks_at_all_the_rest(installation: Installation) -> None:
    done = run(installation, "doctor", "--json")
    assert done.exit_code == 1, done.output
    assert_whole(json.loads(done.stdout))


def test_a_bundle_has_the_doctors_report_all_the_same(installation: Installation, tmp_path: Path) -> None:
    done = run(installation, "bundle", "--json", "--out", str(tmp_path / "bundle.tar.gz"))
    assert WHY in json.loads(done.stdout)["missing"]["snapshot.json"]
    with tarfile.open(tmp_path / "bundle.tar.gz") as tar:
        name = next(name for name in tar.getnames() if name.endswith("doctor.json"))
        content = tar.extractfile(name)
        assert content is not None
        assert_whole(json.load(content))


def test_scan_says_of_the_agents_line_why_it_cant_be_had_and_looks_at_others(
    installation: Installation,
) -> None:
    configured = load_config(installation.config, check_files=False).buses[0]
    other = free_port()
    with TcpPeer({1: Controller()}, other):
        hosts = ["--host", f"127.0.0.1:{vars(configured)['port']}", "--host", f"127.0.0.1:{other}"]
        done = run(installation, "scan", *hosts, "--units", "1", "--json")
    first, second = json.loads(done.stdout)["lines"]
    assert WHY in first["trouble"] and first["units"] == []
    assert [unit["verdict"] for unit in second["units"]] == ["good"]
