"""`edge-agent doctor` and `bundle` as programs: agent running, stopped, no broker; and nothing private gets out."""

import json
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge_agent.commands import app
from edge_agent.technician.bundle import contents
from edge_agent.technician.doctor import bus_looking
from tests.support.broker import Broker
from tests.support.controller import Controller
from tests.support.modbus_peers import PtyPeer
from tests.support.ports import free_port
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until
from tests.unit.edge_agent.installation import Installation
from tests.unit.edge_agent.ledger import Ledger

UIDS = (0xE004_0123_4567_89AB, 0x04A2_2C91_6F55_80, 0x9C3D_10F7)
BUS = 'buses = [{{ name = "yard", kind = "rtu", device = "yard", parity = "N", answer_timeout_ms = 150 }}]'


@dataclass
class Site:
    """A gateway with two locks on a pseudo-terminal, of which unit 2 is dead; residents have poured."""

    directory: Path
    installation: Installation
    broker_port: int
    peer: PtyPeer

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--config", str(self.installation.config)])

    @property
    def starts(self) -> int:
        """How often the agent's loops have begun."""
        log = self.installation.log
        return log.read_text().count('"agent runs"') if log.exists() else 0

    def doctor(self) -> tuple[int, dict[str, Any]]:
        done = self.run("doctor", "--json", "--seconds", "1")
        assert done.stdout, done.stderr
        return done.exit_code, json.loads(done.stdout)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers on this machine answer at once or never."""
    monkeypatch.setattr(bus_looking, "_LONG_TIMEOUT_MS", 400)
    monkeypatch.setattr(bus_looking, "_SETTINGS", ((9_600, "N"),))
    monkeypatch.setattr(contents, "_DOCTOR_S", 1.0)


def installation(directory: Path, broker_port: int) -> Installation:
    made = Installation(directory, broker_port, more='clock = { source = "ntp" }')
    lines = made.config.read_text().splitlines()
    locks = ", ".join(
        f'{{ serial = "1f00a{unit}", bus = "yard", unit = {unit}, poll_interval_s = 0.2 }}' for unit in (1, 2)
    )
    kept = [line for line in lines if not line.strip().startswith(("buses", "locks"))]
    made.config.write_text("\n".join([*kept, BUS.format(), f"locks = [{locks}]"]) + "\n")
    return made


def named(report: dict[str, Any], level: str = "trouble") -> set[str]:
    """Names of findings, without what is about the machine that the tests run on."""
    return {
        finding["name"]
        for finding in report["findings"]
        if finding["level"] == level and finding["area"] not in ("disk", "machine", "service")
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    controllers = {unit: Controller(serial=0x1F00A0 + unit) for unit in (1, 2)}
    for uid in UIDS:
        controllers[1].pour(uid=uid)
    with Broker(directory / "broker") as broker, PtyPeer(controllers, directory / "yard") as peer:
        peer.dead.add(2)
        yield Site(directory, installation(directory, broker.port), broker.port, peer)


def test_beside_a_running_agent_the_dead_unit_is_all_that_is_wrong_and_polls_go_on(site: Site) -> None:
    with Ledger(site.broker_port) as ledger, site.installation.running():
        wait_until(lambda: len(ledger.record_ids()) >= len(UIDS), 20, "the pours")
        code, report = site.doctor()
        assert (code, report["via"], named(report)) == (1, "agent", {"dead_unit"}), report
        site.peer.dead.clear()
        code, report = site.doctor()
        assert named(report) == set(), report


def test_with_the_agent_stopped_and_no_broker_both_are_told_and_the_bus_is_looked_at(tmp_path: Path) -> None:
    controllers = {unit: Controller(serial=0x1F00A0 + unit) for unit in (1, 2)}
    with PtyPeer(controllers, tmp_path / "yard") as peer:
        alone = Site(tmp_path, installation(tmp_path, free_port()), 0, peer)
        code, report = alone.doctor()
        assert (code, report["via"], named(report)) == (1, "direct", {"broker_unreachable"}), report
        assert {"agent_stopped", "no_spool", "no_order_keys"} <= named(report, "notice")
        told = alone.run("doctor", "--seconds", "1", "--no-borrow").stdout
    assert "✓ bus yard: 2 units answer at" in told
    assert "✗ broker: the broker can't be reached" in told and "→ " in told and told.endswith("wrong\n")


def test_on_a_terminal_it_says_what_it_does_and_ctrl_c_ends_it_with_what_is_known(tmp_path: Path) -> None:
    made = installation(tmp_path, free_port())
    with PtyPeer({1: Controller(serial=0x1F00A1), 2: Controller(serial=0x1F00A2)}, tmp_path / "yard"):
        command = [sys.executable, "-m", "edge_agent.cli", "doctor", "--config", str(made.config)]
        with Terminal([*command, "--seconds", "12"], columns=60, lines=60) as terminal:
            terminal.wait_for("round 2 of")
            terminal.press("\x03")
            shown = terminal.wait_for("it was interrupted: not everything was looked at")
            assert terminal.exit_code() == 1
            assert terminal.settings == terminal.settings_before
    assert "✗ broker: the broker can't be reached" in shown
    remedy = "    → see the network, a firewall, the broker itself; pages\n    wait, nothing is lost;"
    assert remedy in shown, "lines are broken between words, and indented"


def test_a_configuration_that_cant_be_read_ends_it_with_78_and_the_remedy(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text("gateway = 3")
    done = CliRunner().invoke(app, ["doctor", "--config", str(config)])
    assert done.exit_code == 78 and "gateway" in done.stderr


def spellings(uid: int) -> set[str]:
    """Every way in which somebody might write a transponder's number, made independently of the program."""
    digits = f"{uid:x}"
    even = digits if len(digits) % 2 == 0 else f"0{digits}"
    pairs = [even[at : at + 2] for at in range(0, len(even), 2)]
    padded = uid.to_bytes(8, "big").hex()
    written = {
        digits,
        even,
        padded,
        str(uid),
        "".join(reversed(pairs)),
        str(int("".join(reversed(pairs)), 16)),
    }
    for separator in (":", "-", " ", "."):
        written |= {separator.join(pairs), separator.join(reversed(pairs))}
    return written | {each.upper() for each in written}


def unpacked(file: Path) -> dict[str, str]:
    with tarfile.open(file) as tar:
        pieces = {}
        for member in tar.getmembers():
            content = tar.extractfile(member)
            assert content is not None
            pieces[member.name.partition("/")[2]] = content.read().decode()
        return pieces


def planted(uids: Sequence[int]) -> str:
    """A log in which somebody wrote each number in each way, and secrets."""
    lines = [json.dumps({"event": "alarm", "alarm": "spool full", "what": "no room"})]
    for uid in uids:
        lines += [
            json.dumps({"event": "seen", "text": f"card {text}, raw ff00{text}77."})
            for text in spellings(uid)
        ]
    lines += ["-----BEGIN PRIVATE KEY-----", "MC4CAQAwBQYDK2VwBCIEIPS", "-----END PRIVATE KEY-----"]
    lines += ['password = "hunter2"', "token wlt1.abc.def", "mqtt://gw:hunter2@broker:8883"]
    return "\n".join(lines) + "\n"


def test_a_bundle_has_everything_but_transponders_and_secrets(site: Site) -> None:
    if not site.starts:
        with site.installation.running():
            wait_until(lambda: site.starts > 0, 20, "the agent")
    log, out = site.directory / "planted.log", site.directory / "bundle.tar.gz"
    log.write_text(planted(UIDS))
    done = site.run("bundle", "--json", "--out", str(out), "--log", str(log))
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["bytes"] == out.stat().st_size < 200_000
    assert out.stat().st_mode & 0o077 == 0
    pieces = unpacked(out)
    wanted = {"README.txt", "agent.toml", "versions.json", "machine.json", "status.json", "spool.json",
              "snapshot.json", "doctor.json", "journal.jsonl", "alarms.jsonl", "missing.json"}  # fmt: skip
    assert wanted <= set(pieces) and set(told["pieces"]) == set(pieces)
    everything = "\n".join(pieces.values())
    found = [text for uid in UIDS for text in spellings(uid) if text in everything]
    assert found == []
    assert everything.count("(transponder)") > len(UIDS)
    for secret in ("hunter2", "MC4CAQAwBQYDK2VwBCIEIPS", "wlt1.abc"):
        assert secret not in everything
    assert json.loads(pieces["spool.json"])["rows"]["page"] >= 1
    assert json.loads(pieces["status.json"])["gateway"] == "gw-0001"
    assert json.loads(pieces["alarms.jsonl"])["alarm"] == "spool full"
    assert json.loads(pieces["snapshot.json"])["locks"][0]["lock"] == "1f00a1", "serials aren't transponders"
