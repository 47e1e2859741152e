"""A fresh gateway and a row of locks become a running, trusted site: step by step as docs/operations.md tells it."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from demo.layout import HOST, Settings
from demo.process import program
from edge_agent.commands import app as edge_agent
from tests.acceptance.conftest import QUICK_SINK
from tests.acceptance.estates import small_estate
from tests.acceptance.ledger import export
from tests.acceptance.oracle import assert_ledger_is_truth
from tests.acceptance.trusted_chain import TrustedChain, TrustedLayout
from tests.support.calendar import QUIET_NIGHT
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from wastelock.protocol import PROTOCOL_SUFFIX


class FreshGateway(TrustedLayout):
    """The cloud is there; at the gateway nobody has written or made anything yet."""

    def write_agent_config(self, settings: Settings, broker_port: int | None = None) -> None:
        """Left to the technician."""

    def _enrol(self) -> None:
        """Left to the technician."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[TrustedChain]:
    layout = FreshGateway(tmp_path / "chain", small_estate(), free_port)
    settings = Settings(sink=QUICK_SINK)
    with TrustedChain(
        layout, settings, export=export, leave_out=("edge-agent",), calendar_at=QUIET_NIGHT
    ) as chain:
        yield chain


def test_a_fresh_gateway_and_a_row_of_locks_become_a_trusted_site_that_counts(site: TrustedChain) -> None:
    find_locks(site)
    enrol(site)
    assert "good: 3 locks on 2 buses" in site.layout.edge_agent("check-config")
    site.agent.start()
    wait_until(lambda: len(site.ledger()) >= 3, 60, site.story)
    assert_nothing_is_wrong(site.layout)
    for lock in site.layout.estate.locks:
        file = commission(site, lock.name)
        site.wait_equal(60)  # so that its registers can be compared with the ledger's
        site.layout.cloud_sink("lock", "describe", lock.name, "--site", site.layout.estate.site)
        assert "in_service; 4 registers agree with the ledger" in site.layout.cloud_sink("import", str(file))
    assert_ledger_is_truth(site, at_least=3 * 4)
    locks = json.loads(site.layout.cloud_sink("lock", "list", "--json"))
    assert [each["lifecycle"] for each in locks] == ["in_service"] * 3


def find_locks(site: TrustedChain) -> None:
    """Scan all lines into a new configuration, and fill in what only people know."""
    layout, settings = site.layout, Settings()
    lines = [
        option
        for bus in layout.estate.buses
        for option in (
            ("--port", str(layout.device(bus)))
            if bus.kind == "rtu"
            else ("--host", f"{HOST}:{layout.tcp_ports[bus.name]}")
        )
    ]
    found = CliRunner().invoke(
        edge_agent,
        [
            "scan",
            *lines,
            "--units",
            "1-8",
            "--baud",
            "115200",
            "--parity",
            "N",
            "--write",
            str(layout.agent_config),
        ],
    )
    assert found.exit_code == 0, found.output
    assert "3 good, 0 not" in found.output
    text = layout.agent_config.read_text()
    for empty, filled in (
        ('id = ""', f'id = "{layout.estate.gateway}"'),
        ('site = ""', f'site = "{layout.estate.site}"'),
        ('host = ""', f'host = "{HOST}"\nport = {layout.broker_port}'),
        ("/var/lib/wastelock/identity", str(layout.identity)),
        ("/var/lib/wastelock/spool.db", str(layout.spool)),
    ):
        assert empty in text
        text = text.replace(empty, filled)
    quick = re.sub(r"^unit = \d+$", rf"\g<0>\npoll_interval_s = {settings.poll_interval_s}", text, flags=re.M)
    layout.agent_config.write_text(quick + '\n[clock]\nsource = "ntp"\n')


def enrol(site: TrustedChain) -> None:
    """Carry two small files to the cloud and back."""
    layout = site.layout
    request, answer = layout.directory / "request", layout.directory / "answer"
    token = layout.cloud_sink(
        "enroll", "token", layout.estate.gateway, "--site", layout.estate.site
    ).splitlines()[0]
    layout.edge_agent("enroll", "--token", token, "--request", str(request))
    layout.cloud_sink("enroll", "sign", str(request), "--answer", str(answer))
    layout.edge_agent("enroll", "--accept", str(answer))
    os.kill(site.broker.pid, signal.SIGHUP)  # systemctl reload mosquitto


def assert_nothing_is_wrong(layout: TrustedLayout) -> None:
    """Everything that the site is made of is good; what this machine of ours is like isn't judged here."""
    done = CliRunner().invoke(
        edge_agent, ["doctor", "--seconds", "1", "--json", "--config", str(layout.agent_config)]
    )
    findings = json.loads(done.stdout)["findings"]
    wrong = [
        each for each in findings if each["level"] == "trouble" and each["area"] not in ("disk", "machine")
    ]
    assert not wrong, findings
    assert {"broker", "certificate", "orders", "receipts", "bus line-1", "bus line-2"} <= {
        each["area"] for each in findings
    }


def commission(site: TrustedChain, lock: str) -> Path:
    """Prove a lock by two pours with each chamber, while the agent reads it; return the signed protocol."""
    options = [
        "--config",
        str(site.layout.agent_config),
        "--planned",
        "1:5000",
        "--planned",
        "2:20000",
        "--no-ask",
    ]
    said: list[str] = []
    with subprocess.Popen(
        [*program("edge-agent"), "commission", lock, *options, "--wait", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as session:  # fmt: skip
        assert session.stdout is not None
        for line in session.stdout:
            said.append(line.rstrip())
            if line.startswith("Make 2 pours"):
                for chamber in (1, 1, 2, 2):
                    site.control.do("pour", lock=lock, chamber=chamber, instant=True)
    assert session.returncode == 0 and "passed" in said, said
    [file] = (Path(line) for line in said if line.endswith(PROTOCOL_SUFFIX))
    return file
