"""`edge-agent scan`: verdicts as a table; what it writes, and how, in a real terminal."""

import itertools
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_agent import line_rtu, line_tcp
from edge_agent.commands import app
from edge_agent.config_rules import load_config
from edge_agent.errors import ConfigError
from edge_agent.technician import scan_plan, scanning
from edge_agent.technician.scan_plan import Plan, Target
from edge_agent.technician.scan_probe import LOOKS, Heard, Look
from edge_agent.technician.scan_verdicts import Verdict, judge
from tests.support import wired_cli
from tests.support.controller import Controller
from tests.support.modbus_peers import TcpPeer
from tests.support.ports import free_port
from tests.support.scripted_tcp import ScriptedTcp
from tests.support.terminal import Terminal
from tests.support.wired_bus import WiredBus, WiredUnit, set_port
from wastelock.registers import decode_identity

PROGRAM = [sys.executable, "-m", wired_cli.__name__, "scan"]
E, N = "19200 8E1", "19200 8N1"
NOTHING, BROKEN = Look(Heard.NOTHING), Look(Heard.BROKEN, why="the answer's CRC is wrong")
OTHER = Look(Heard.OTHER_MAP, took_ms=5.0, why="Modbus exception 2")


def says(serial: int) -> Look:
    words = Controller(serial=serial).read(4, 0, 32)
    assert isinstance(words, list)
    return Look(Heard.IDENTITY, decode_identity(words), 5.0)


def mixed(*looks: Look) -> tuple[Look, ...]:
    return tuple(itertools.islice(itertools.cycle(looks), LOOKS))


SOUND: dict[int, Mapping[str, tuple[Look, ...]]] = {
    unit: {E: mixed(says(0x1F0100 + unit))} for unit in range(20, 30)
}


@pytest.mark.parametrize(
    ("heard", "verdict"),
    [
        ({E: mixed(says(0x1F0101))}, Verdict.GOOD),
        ({E: (*mixed(says(0x1F0101))[:-1], BROKEN)}, Verdict.GOOD),  # one spoilt answer is life
        ({E: (NOTHING,), N: (NOTHING,)}, Verdict.SILENT),
        ({E: (NOTHING,), N: mixed(says(0x1F0101))}, Verdict.OTHER_SETTINGS),
        ({E: mixed(says(0x1F0101), says(0x1F0201))}, Verdict.TWO_ANSWER),
        ({E: mixed(BROKEN, says(0x1F0101), BROKEN)}, Verdict.TWO_ANSWER),
        ({E: mixed(BROKEN)}, Verdict.TWO_ANSWER),
        ({E: mixed(says(0x1F0199))}, Verdict.OTHER_LOCK),
        ({E: mixed(OTHER)}, Verdict.NOT_A_LOCK),
    ],
)
def test_what_is_heard_of_a_unit_on_a_sound_line_is_its_verdict(
    heard: Mapping[str, tuple[Look, ...]], verdict: Verdict
) -> None:
    verdicts = judge(SOUND | {1: heard}, E, {1: "1f0101"})
    assert [each.verdict for each in verdicts if each.unit == 1] == [verdict]
    assert all(each.is_good for each in verdicts if each.unit != 1)
    assert all(each.remedy for each in verdicts if not each.is_good)


def test_broken_answers_of_many_are_the_lines_fault_not_doubled_ids() -> None:
    noisy = {unit: {E: mixed(says(0x1F0100 + unit), BROKEN)} for unit in range(1, 9)}
    assert {each.verdict for each in judge(noisy, None, {})} == {Verdict.NOISY}


def test_doubled_ids_that_show_two_serial_numbers_dont_make_a_line_noisy() -> None:
    doubled = {unit: {E: mixed(says(unit), BROKEN, says(100 + unit))} for unit in range(1, 7)}
    heard = {**doubled, 9: {E: mixed(says(9))}, 10: {E: mixed(BROKEN)}}
    verdicts = {each.unit: each.verdict for each in judge(heard, None, {})}
    assert verdicts == {
        **dict.fromkeys(range(1, 7), Verdict.TWO_ANSWER),
        9: Verdict.GOOD,
        10: Verdict.TWO_ANSWER,
    }


def test_a_lock_that_answers_as_another_unit_than_configured_is_told_once() -> None:
    heard: dict[int, Mapping[str, tuple[Look, ...]]] = {
        **SOUND,
        4: {E: mixed(says(0x1F0104))},
        7: {E: (NOTHING,)},
    }
    verdicts = judge(heard, E, {7: "1f0104"})
    assert [(each.unit, each.verdict) for each in verdicts if not each.is_good] == [(4, Verdict.OTHER_UNIT)]


def test_a_counter_is_no_waste_lock_unless_it_is_configured_as_one() -> None:
    assert judge({1: {E: mixed(OTHER)}}, E, {1: "1f00b1"}, frozenset({1}))[0].verdict is Verdict.GOOD
    assert judge({1: {E: mixed(OTHER)}}, E, {1: "1f00b1"})[0].verdict is Verdict.NOT_A_LOCK


GATEWAY = """\
# The gateway of the yard.
gateway = {{ id = "gw-0001", site = "site-1", signing_key = "gateway.pem" }}  # ours
spool = {{ path = "spool.db" }}
mqtt = {{ host = "broker.example.org" }}

# Along the wall.
[[buses]]
name = "wall"
kind = "rtu"
device = "{device}"
baudrate = 9600

# By the gate.
[[locks]]
serial = "1f0101"
bus = "wall"
unit = 1

# Was moved.
[[locks]]
serial = "1f0102"
bus = "wall"
unit = 40
"""


def test_in_a_terminal_it_shows_progress_and_writes_what_is_new_and_corrects_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_rtu, "open_port", set_port)
    for module, name in ((line_rtu, "SILENCE_S"), (scan_plan, "SERIAL_ANSWER_S")):
        monkeypatch.setattr(module, name, wired_cli.SILENCE_S)
    device, config = tmp_path / "rs485", tmp_path / "edge-agent.toml"
    config.write_text(GATEWAY.format(device=device))
    options = [
        "--config",
        str(config),
        "--write",
        str(config),
        "--units",
        "1-4",
        "--baud",
        "19200",
        "--parity",
        "E",
    ]
    units = [WiredUnit(n, Controller(serial=0x1F0100 + n)) for n in (1, 2, 3)]
    with WiredBus(device, units):
        with Terminal([*PROGRAM, *options], 200, 40) as terminal:
            screen = terminal.wait_for("not written: lock 1f0102")
            assert terminal.exit_code() == 1
        assert "configured 9600 8E1, but its locks answer at 19200 8E1" in screen
        assert "configured as unit 40" in screen
        assert "written: lock 1f0103: wall 3" in screen
        added = '\n[[locks]]\nserial = "1f0103"\nbus = "wall"\nunit = 3\n'
        assert config.read_text() == GATEWAY.format(device=device) + added
        corrected_now = CliRunner().invoke(app, ["scan", *options, "--correct"])
        assert "written: lock 1f0102: wall 2 instead of wall 40" in corrected_now.stdout
        assert corrected_now.exit_code == 1  # what was found was wrong
        corrected = (
            GATEWAY.replace("9600", "19200").replace("unit = 40", "unit = 2").format(device=device) + added
        )
        assert config.read_text() == corrected
        again = CliRunner().invoke(app, ["scan", *options])
        assert "nothing to add" in again.stdout and again.exit_code == 0
    kept = sorted(tmp_path.glob("edge-agent.toml.before-*"))
    assert kept and kept[0].read_text() == GATEWAY.format(device=device)


def test_tcp_servers_are_found_and_a_new_configuration_is_begun(tmp_path: Path) -> None:
    port, fresh = free_port(), tmp_path / "new.toml"
    with TcpPeer({1: Controller(serial=0x1F0101), 7: Controller(serial=0x1F0107)}, port):
        done = CliRunner().invoke(
            app, ["scan", "--host", f"127.0.0.1:{port}", "--units", "1-8", "--write", str(fresh)]
        )
    assert done.exit_code == 0, done.stderr
    assert "2 good, 0 not" in done.stdout
    assert fresh.read_text().endswith(
        f'\n\n[[buses]]\nname = "line-1"\nkind = "tcp"\nhost = "127.0.0.1"\nport = {port}\n'
        '\n[[locks]]\nserial = "1f0101"\nbus = "line-1"\nunit = 1\n'
        '\n[[locks]]\nserial = "1f0107"\nbus = "line-1"\nunit = 7\n'
    )
    with pytest.raises(ConfigError) as missing:
        load_config(fresh, check_files=False)
    empty = [line.split(": ")[1] for line in str(missing.value).splitlines()]
    assert empty == ["gateway.id", "gateway.site", "mqtt.host"]
    filled = fresh.read_text().replace('id = ""', 'id = "gw-1"').replace('site = ""', 'site = "s"')
    fresh.write_text(filled.replace('host = ""', 'host = "broker"'))
    assert len(load_config(fresh, check_files=False).locks) == 2


def test_behind_a_server_that_is_silent_for_absent_units_the_others_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scanning, "TCP_ANSWER_S", 0.03)
    monkeypatch.setattr(line_tcp, "SILENCE_S", 0.03)
    port = free_port()
    with ScriptedTcp({6: Controller(serial=0x1F0106)}, port) as server:
        server.script.extend([lambda _request, _answer: b""] * 5)
        target = Target("server", host="127.0.0.1", port=port)
        reports = scanning.scan(
            Plan((target,), tuple(range(1, 7)), 0.1), nullcontext, lambda _done, _of: None
        )
    assert [(unit.unit, unit.verdict) for unit in reports[0].units] == [(6, Verdict.GOOD)]
    assert server.connections > 1  # it was connected to anew, since silence may be a dead connection


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--host", "127.0.0.1:1"], "can't be reached"),
        (["--port", "/dev/nothing-here"], "can't be opened"),
        (["--network", "10.0.0.0/8"], "at most 1024"),
        (["--units", "0-300"], "1 to 247"),
        (["--config", "/nowhere.toml"], "isn't there"),
    ],
)
def test_what_cant_be_looked_at_is_said_with_what_to_do(options: list[str], says: str) -> None:
    units = [] if "--units" in options else ["--units", "1"]
    done = CliRunner().invoke(app, ["scan", *options, *units])
    assert done.exit_code in (1, 78)
    assert says in done.output
