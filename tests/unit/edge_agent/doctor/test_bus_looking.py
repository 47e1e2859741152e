"""The doctor at lines that are broken for real: pseudo-terminals on which baud rate and parity count, TCP servers."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_agent import line_rtu
from edge_agent.config_rules import load_config
from edge_agent.technician.access import FieldAccess, open_field
from edge_agent.technician.doctor import bus_looking
from edge_agent.technician.doctor.bus_looking import BusLook
from edge_agent.technician.doctor.bus_verdicts import judge_bus
from edge_agent.technician.doctor.findings import Finding, Level, Sure
from tests.support.controller import Controller
from tests.support.modbus_peers import PtyPeer
from tests.support.ports import free_port
from tests.support.scripted_tcp import ScriptedTcp
from tests.support.wired_bus import WiredBus, WiredUnit, set_port

CONFIG = """
gateway = {{ id = "gw-0001", site = "site-1", signing_key = "gateway.pem" }}
spool = {{ path = "spool.db" }}
mqtt = {{ host = "127.0.0.1" }}
buses = [{{ name = "yard", {bus} }}]
locks = [{locks}]
"""
RTU = 'kind = "rtu", device = "yard", answer_timeout_ms = 100'


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports carry their settings beside the terminal, and nobody is waited for longer than a test's peers need."""
    monkeypatch.setattr(line_rtu, "open_port", set_port)
    monkeypatch.setattr(line_rtu, "SILENCE_S", 0.05)
    monkeypatch.setattr(bus_looking, "_LONG_TIMEOUT_MS", 200)
    # However busy the machine is that the tests run on, each round is made: a share needs its number of questions.
    monkeypatch.setattr(bus_looking, "_LEAST", bus_looking.ROUNDS)
    monkeypatch.setattr(bus_looking, "_PATIENCE", 100)
    monkeypatch.setattr(bus_looking, "_SETTINGS", ((9_600, "E"),))


@contextmanager
def field(directory: Path, bus: str, units: Sequence[int]) -> Iterator[FieldAccess]:
    """The way to a bus; unit n is configured as lock 1f00a0 + n."""
    locks = ", ".join(
        f'{{ serial = "{0x1F00A0 + unit:06x}", bus = "yard", unit = {unit} }}' for unit in units
    )
    config = directory / "agent.toml"
    config.write_text(CONFIG.format(bus=bus, locks=locks))
    with open_field(load_config(config, check_files=False)) as access:
        yield access


def look(access: FieldAccess, seconds: float = 0.4, *, may_borrow: bool = True) -> list[Finding]:
    [settings] = access.config.buses
    told: list[str] = []
    found = BusLook(access, settings, seconds, threading.Event(), told.append).look(may_borrow)
    assert told, "whoever waits is told what for"
    return judge_bus(found)


def names(found: Sequence[Finding]) -> list[tuple[str, Sure]]:
    return [(finding.name, finding.sure) for finding in found]


def unit(number: int, serial: int | None = None, **how: Any) -> WiredUnit:
    return WiredUnit(number, Controller(serial=serial or 0x1F00A0 + number), **how)


def test_on_one_line_a_dead_a_doubled_and_a_wrongly_set_unit_have_each_their_verdict(tmp_path: Path) -> None:
    units = [
        unit(1),
        unit(2, answers=False),
        unit(3, port=(19_200, "N")),
        unit(4),
        unit(4, 0x1F00BB),
        unit(5),
    ]
    with WiredBus(tmp_path / "yard", units), field(tmp_path, RTU, (1, 2, 3, 4, 5)) as access:
        found = look(access)
        assert [finding.name for finding in found] == ["wrong_parity", "dead_unit", "duplicate_unit"]
        parity, dead, twice = found
        assert (parity.sure, dead.sure) == (Sure.CERTAIN, Sure.LIKELY)
        assert parity.what == "unit 3 (1f00a3) has another parity: 19200 8N1"
        assert "unit 2 (1f00a2)" in dead.what
        assert "1f00bb" in twice.evidence
        access.driver("1f00a1").read_status()  # the line is as it was: lent and taken back


def test_another_baud_rate_of_all_is_told_and_how_to_set_the_bus(tmp_path: Path) -> None:
    units = [unit(1, port=(9600, "E")), unit(2, port=(9600, "E"))]
    with WiredBus(tmp_path / "yard", units), field(tmp_path, RTU, (1, 2)) as access:
        [finding] = look(access)
        assert (finding.name, finding.sure) == ("wrong_baudrate", Sure.CERTAIN)
        assert finding.remedy.startswith("set the bus to 9600 8E1")


def test_where_nobody_answers_at_any_setting_the_wires_are_suspected(tmp_path: Path) -> None:
    with WiredBus(tmp_path / "yard", []), field(tmp_path, RTU, (1, 2)) as access:
        [finding] = look(access)
    assert (finding.name, finding.sure) == ("nobody_answers", Sure.LIKELY)
    assert "A and B swapped" in finding.what and "no other parity or baud rate helps" in finding.evidence


def test_answers_that_come_broken_from_everywhere_are_the_lines_fault_and_from_one_its_branch(
    tmp_path: Path,
) -> None:
    everywhere = [unit(1, noise=4), unit(2, noise=5), unit(3, noise=4)]
    with WiredBus(tmp_path / "yard", everywhere), field(tmp_path, RTU, (1, 2, 3)) as access:
        assert names(look(access)) == [("bad_line", Sure.LIKELY)]
    one = [unit(1), unit(2, noise=7), unit(3)]
    with WiredBus(tmp_path / "yard", one), field(tmp_path, RTU, (1, 2, 3)) as access:
        assert names(look(access)) == [("bad_branch", Sure.LIKELY)]


def test_a_lock_in_anothers_place_and_a_stranger_are_named(tmp_path: Path) -> None:
    units = [unit(1, 0x1F00A2), unit(2, 0x1F00A1), unit(3, is_counter=True)]
    with WiredBus(tmp_path / "yard", units), field(tmp_path, RTU, (1, 2, 3)) as access:
        found = look(access)
    assert names(found) == [
        ("wrong_lock", Sure.CERTAIN),
        ("wrong_lock", Sure.CERTAIN),
        ("not_this_map", Sure.CERTAIN),
    ]
    assert "it is configured as unit 2" in found[0].evidence


def test_an_adapter_that_comes_and_goes_is_told_from_units_that_do(tmp_path: Path) -> None:
    peer = PtyPeer({1: Controller(serial=0x1F00A1)}, tmp_path / "yard")
    with peer, field(tmp_path, RTU, (1,)) as access:
        access.snapshot()
        gone, stop = 0, threading.Event()

        def replug() -> None:
            nonlocal gone
            while not stop.wait(0.25):
                peer.vanish()
                gone += 1
                peer.start()

        thread = threading.Thread(target=replug)
        thread.start()
        try:
            found = look(access, 1.6)
        finally:
            stop.set()
            thread.join(10)
    assert gone > 1
    assert names(found)[0] == ("comes_and_goes", Sure.POSSIBLE), found


def test_a_missing_adapter_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    with field(tmp_path, RTU, (1,)) as access:
        [finding] = look(access)
    assert finding.name == "adapter_missing" and "serial devices here" in finding.evidence


def test_a_slow_serial_server_is_told_with_the_time_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_looking, "_LONG_TIMEOUT_MS", 1000)

    def slowly(_request: bytes, proper: bytes) -> bytes:
        time.sleep(0.15)
        return proper

    bus = f'kind = "tcp", host = "127.0.0.1", port = {free_port()}, answer_timeout_ms = 100'
    port = int(bus.partition("port = ")[2].partition(",")[0])
    with ScriptedTcp({1: Controller(serial=0x1F00A1)}, port) as peer, field(tmp_path, bus, (1,)) as access:
        peer.script.extend([slowly] * 200)
        [finding] = look(access)
    assert (finding.name, finding.sure) == ("slow_answers", Sure.CERTAIN)
    assert "set answer_timeout_ms = " in finding.remedy


def test_a_server_that_isnt_there_is_no_units_fault(tmp_path: Path) -> None:
    bus = f'kind = "tcp", host = "127.0.0.1", port = {free_port()}'
    with field(tmp_path, bus, (1, 2)) as access:
        [finding] = look(access)
    assert finding.name == "server_refuses"


def test_a_good_line_is_called_good_with_its_figures(tmp_path: Path) -> None:
    with WiredBus(tmp_path / "yard", [unit(1), unit(2)]), field(tmp_path, RTU, (1, 2)) as access:
        [finding] = look(access)
    assert finding.level is Level.GOOD and finding.what.startswith("2 units answer at ")
