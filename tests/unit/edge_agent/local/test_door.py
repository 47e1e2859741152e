"""The local door: who gets in, what is understood, what is bounded; a loan ends with its lease or its borrower."""

import json
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from edge_agent.alarms import Alarms
from edge_agent.bus import Bus
from edge_agent.config import AgentConfig
from edge_agent.config_rules import load_config
from edge_agent.errors import LineDown, TryLater, UnknownName
from edge_agent.line_tcp import TcpLine
from edge_agent.local import door as door_module
from edge_agent.local.address import connect, door_of, doors_of, short_address
from edge_agent.local.attendant import Attendant
from edge_agent.local.door import PLACES, Door
from edge_agent.local.loans import Loans
from edge_agent.local.protocol import MAX_REQUEST_BYTES, parse_request
from tests.support.controller import Controller
from tests.support.modbus_peers import TcpPeer
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.unit.edge_agent.configurations import GOOD, write


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to wait for the door to look whether it is to be shut."""
    monkeypatch.setattr(door_module, "_LOOK_S", 0.05)


@pytest.fixture
def config(tmp_path: Path) -> AgentConfig:
    return load_config(write(tmp_path, GOOD), check_files=False)


@pytest.fixture
def door(tmp_path: Path, config: AgentConfig) -> Iterator[Path]:
    """A door without a run behind it, whose guests may be silent for half a second."""
    path, stop = tmp_path / "agent.sock", threading.Event()
    thread = threading.Thread(target=Door(path, Attendant(config, Alarms()), idle_s=0.5).run, args=(stop,))
    thread.start()
    wait_until(path.exists, what="the door")
    yield path
    stop.set()
    thread.join(10)
    assert not path.exists()


def say(path: Path, *lines: bytes) -> list[dict[str, Any]]:
    """Say these lines; return the greeting and the answers."""
    with connect(path, 10) as connection, connection.makefile("rb") as answers:
        said = [json.loads(answers.readline())]
        for line in lines:
            connection.sendall(line)
            said.append(json.loads(answers.readline()))
        return said


def test_the_socket_is_open_to_owner_and_group_only(door: Path) -> None:
    assert stat.S_IMODE(door.stat().st_mode) == 0o660


def test_the_greeting_says_whose_agent_it_is(door: Path, config: AgentConfig) -> None:
    greeting = say(door)[0]
    assert (greeting["v"], greeting["gateway"], greeting["spool"]) == (1, "gw-0001", str(config.spool.path))
    assert greeting["pid"] == os.getpid()


@pytest.mark.parametrize(
    "line",
    [
        b"hello\n",
        b'{"v":2,"op":"snapshot"}\n',
        b'{"v":1,"op":"reboot"}\n',
        b'{"v":1,"op":"read","bus":"yard","unit":0,"function":4,"address":0,"count":1}\n',
        b'{"v":1,"op":"read","bus":"yard","unit":1,"function":6,"address":0,"count":1}\n',
        b'{"v":1,"op":"write","bus":"yard","unit":1,"address":0,"words":[]}\n',
        b'{"v":1,"op":"borrow","bus":"yard","lease_s":1e9}\n',
        b"[" * 4000 + b"\n",
    ],
)
def test_what_isnt_understood_is_refused_and_the_talk_goes_on(door: Path, line: bytes) -> None:
    _, refusal, after = say(door, line, b'{"v":1,"op":"snapshot"}\n')
    assert refusal["error"] == "NotAllowed"
    assert after["error"] == "TryLater"  # there is no run behind this door


@given(st.one_of(st.binary(max_size=300), st.text(max_size=200).map(str.encode)))
def test_no_line_is_more_than_a_request_or_a_refusal(line: bytes) -> None:
    with suppress(ValueError):  # pydantic's ValidationError is one
        parse_request(line)


def test_a_line_without_end_ends_the_talk(door: Path) -> None:
    with connect(door, 10) as connection, connection.makefile("rb") as answers:
        answers.readline()
        connection.sendall(b"x" * (MAX_REQUEST_BYTES + 1))
        assert "at most" in json.loads(answers.readline())["text"]
        assert answers.readline() == b""


def test_who_says_nothing_loses_the_place_and_there_are_only_so_many(door: Path) -> None:
    with ExitStack() as stack:
        for _ in range(PLACES):
            inside = stack.enter_context(connect(door, 10))
            assert b"gateway" in inside.recv(4096)
        assert "end one of them" in say(door)[0]["text"]
        assert inside.recv(4096) == b""  # its silence lasted too long
        wait_until(lambda: "gateway" in say(door)[0], what="a place that has become free")


def test_a_path_too_long_for_a_socket_is_reached_all_the_same(tmp_path: Path, config: AgentConfig) -> None:
    path = tmp_path / ("long" * 30) / "agent.sock"
    path.parent.mkdir()
    with short_address(path) as address:
        assert len(address) < 108 < len(str(path))
    stop = threading.Event()
    thread = threading.Thread(target=Door(path, Attendant(config, Alarms())).run, args=(stop,))
    thread.start()
    wait_until(path.exists, what="the door")
    assert say(path)[0]["gateway"] == "gw-0001"
    stop.set()
    thread.join(10)


def test_a_second_agent_doesnt_take_the_firsts_door(door: Path, config: AgentConfig) -> None:
    stop = threading.Event()
    with capture_logs() as logs:
        thread = threading.Thread(target=Door(door, Attendant(config, Alarms())).run, args=(stop,))
        thread.start()
        wait_until(
            lambda: any("another agent" in str(line.get("why")) for line in logs), what="the complaint"
        )
        stop.set()
        thread.join(10)
    assert "gateway" in say(door)[0]


def test_a_socket_of_another_user_in_the_way_is_told_with_the_remedy_and_is_tried_again(
    tmp_path: Path, config: AgentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, stop = tmp_path / "agent.sock", threading.Event()
    path.touch()

    def refuse_at_first(path: Path, timeout_s: float) -> Any:
        raise PermissionError(13, "Permission denied") if path.exists() else FileNotFoundError(2, "gone")

    monkeypatch.setattr(door_module, "connect", refuse_at_first)
    monkeypatch.setattr(door_module, "_AGAIN_S", 0.05)
    with capture_logs() as logs:
        thread = threading.Thread(target=Door(path, Attendant(config, Alarms())).run, args=(stop,))
        thread.start()
        wait_until(lambda: bool(logs), what="the complaint")
        path.unlink()  # as it is told to
        wait_until(lambda: len(logs) > 1, what="the door")
        stop.set()
        thread.join(10)
    assert f"a socket of user {Path(tmp_path).owner()}" in logs[0]["why"]
    assert f"remedy: end the agent that was started by hand, then delete it: sudo rm {path}" in logs[0]["why"]
    assert logs[1]["event"] == "the local door is open"


def test_the_door_is_where_systemd_or_the_configuration_says_else_beside_the_spool(
    config: AgentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    beside = config.spool.path.with_name("spool.db.sock")
    assert door_of(config) == beside
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/wastelock:/run/other")
    assert door_of(config) == Path("/run/wastelock/agent.sock")
    assert {door_of(config), beside} == set(doors_of(config))  # commands know both
    own = config.model_copy(update={"local": config.local.model_copy(update={"socket": Path("/x/own.sock")})})
    assert (door_of(own), doors_of(own)) == (Path("/x/own.sock"), (Path("/x/own.sock"),))


# ---- loans ----


class Guests:
    """Two borrowers and a bus on which a lock answers."""

    def __init__(self, bus: Bus) -> None:
        self.loans, self.bus, self.first, self.second = Loans(), bus, object(), object()
        self.loans.use([bus])

    def answers(self) -> bool:
        try:
            return bool(self.bus.guest(1).read(4, 0, 1))
        except LineDown:
            return False


@pytest.fixture
def guests() -> Iterator[Guests]:
    port = free_port()
    with TcpPeer({1: Controller()}, port):
        bus = Bus("yard", TcpLine("127.0.0.1", port, 1.0))
        yield Guests(bus)
        bus.close()


def test_a_lent_bus_is_nobody_elses_until_it_is_given_back(guests: Guests) -> None:
    assert guests.answers()
    assert guests.loans.lend("yard", guests.first, "lent to anna", 10, now_s=0)
    assert not guests.bus.is_open and not guests.answers()
    with pytest.raises(TryLater, match="lent to anna"):
        guests.loans.lend("yard", guests.second, "lent to bernd", 10, now_s=1)
    guests.loans.give_back("yard", guests.second)
    assert not guests.answers()
    guests.loans.give_back("yard", guests.first)
    assert guests.answers()


def test_a_loan_ends_when_nobody_renews_it_or_its_borrower_has_left(guests: Guests) -> None:
    guests.loans.lend("yard", guests.first, "lent to anna", 10, now_s=0)
    assert not guests.loans.lend("yard", guests.first, "lent to anna", 10, now_s=8)  # renewed
    assert guests.loans.end_expired(now_s=17) == ()
    assert guests.loans.end_expired(now_s=18.1) == ("yard",)
    assert guests.answers()
    guests.loans.lend("yard", guests.second, "lent to bernd", 10, now_s=20)
    assert guests.loans.end_all_of(guests.second) == ("yard",)
    assert guests.answers()


def test_a_loan_outlives_the_agents_run_and_unknown_buses_are_named(guests: Guests) -> None:
    guests.loans.lend("yard", guests.first, "lent to anna", 10, now_s=0)
    guests.loans.use([])
    with pytest.raises(TryLater, match="begins afresh"):
        guests.loans.bus("yard")
    guests.loans.use([guests.bus])
    assert guests.bus.lent_to == "lent to anna"
    with pytest.raises(UnknownName, match="yard"):
        guests.loans.bus("street")


def test_no_breaker_counts_what_couldnt_be_asked_while_the_bus_was_lent(guests: Guests) -> None:
    poller = guests.bus.unit(1)
    guests.loans.lend("yard", guests.first, "lent to anna", 10, now_s=0)
    for _ in range(10):
        with pytest.raises(LineDown, match="lent to anna"):
            poller.read(4, 0, 1)
    guests.loans.give_back("yard", guests.first)
    assert poller.read(4, 0, 1) == b"\x57\x4c"  # at once
    assert guests.bus.unit_counts()[1].requests == 1
