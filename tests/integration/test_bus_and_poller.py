"""Poller and bus against peers that aren't our simulator: pymodbus's TCP server, and a bare RTU slave on a pty."""

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.drivers.base import ListEntry
from edge_agent.drivers.wlc_1 import Wlc1Driver
from edge_agent.line_rtu import RtuLine, SerialSettings
from edge_agent.line_tcp import TcpLine
from tests.support.controller import Controller
from tests.support.lock_rig import MemorySpool
from tests.support.modbus_peers import PtyPeer, TcpPeer, with_crc
from tests.support.ports import free_port
from tests.support.running_bus import RunningBus, Wlc1Lock
from tests.support.scripted_tcp import ScriptedTcp
from tests.support.waiting import wait_until
from wastelock.registers import CommandCode, CommandResult, lock_id

A, B, C = 0x1F00A1, 0x1F00A2, 0x1F00A3


def controllers(pours: int, capacity: int = 100) -> dict[int, Controller]:
    made = {unit: Controller(serial=serial, capacity=capacity) for unit, serial in ((1, A), (2, B), (3, C))}
    for controller in made.values():
        for _ in range(pours):
            controller.pour()
    return made


LOCKS = [Wlc1Lock(A, 1), Wlc1Lock(B, 2), Wlc1Lock(C, 3)]


def kept(spool: MemorySpool, controller: Controller) -> list[int]:
    """Sequence numbers on disk of this controller, checked byte for byte where its ring still has them."""
    lock = lock_id(controller.serial)
    records = [record for visit in list(spool.visits) if visit.lock == lock for record in visit.records]
    assert all(
        record.raw == controller.raw(record.seq) for record in records if record.seq >= controller.oldest > 0
    )
    assert all(record.verified for record in records)
    return [record.seq for record in records]


def is_drained(controller: Controller) -> bool:
    return controller.confirmed == controller.newest > 0


def wait_drained(units: dict[int, Controller], timeout_s: float = 30.0) -> None:
    def lacking() -> str:
        return f"all journals to be confirmed: {[(u, c.confirmed, c.newest) for u, c in units.items()]}"

    wait_until(lambda: all(is_drained(c) for c in units.values()), timeout_s, lacking)


def tcp_line(peer: TcpPeer | ScriptedTcp) -> TcpLine:
    return TcpLine(peer.host, peer.port, answer_timeout_s=0.5)


def rtu_line(peer: PtyPeer) -> RtuLine:
    return RtuLine(SerialSettings(str(peer.device), 115200, parity="N"), answer_timeout_s=0.2)


@pytest.fixture
def spool() -> MemorySpool:
    return MemorySpool()


@pytest.fixture
def units() -> dict[int, Controller]:
    return controllers(60)


@pytest.fixture
def pty(units: dict[int, Controller], tmp_path: Path) -> Iterator[PtyPeer]:
    with PtyPeer(units, tmp_path / "tty") as peer:
        yield peer


def test_pymodbus_server_is_drained_and_followed_live(
    spool: MemorySpool, units: dict[int, Controller]
) -> None:
    with TcpPeer(units, free_port()) as peer, RunningBus(tcp_line(peer), LOCKS, spool) as running:
        wait_drained(units)
        for _ in range(30):
            for controller in units.values():
                controller.pour()
        wait_drained(units)
        wait_until(
            lambda: all(s.confirmed_seq == 90 for s in running.states.values()), what="all states to be told"
        )
    for controller in units.values():
        assert kept(spool, controller) == list(range(1, 91))


def test_server_that_goes_away_and_comes_back_loses_nothing(
    spool: MemorySpool, units: dict[int, Controller]
) -> None:
    peer = TcpPeer(units, free_port())
    peer.start()
    with RunningBus(tcp_line(peer), LOCKS, spool) as running:
        wait_drained(units)
        peer.stop()
        wait_until(
            lambda: not any(s.reachable for s in running.states.values()), what="all to be unreachable"
        )
        assert all(state.unreachable_since for state in running.states.values())
        for controller in units.values():
            controller.pour()
        peer.start()
        wait_drained(units)
        wait_until(lambda: all(s.reachable for s in running.states.values()), what="all to be reachable")
    peer.stop()
    for controller in units.values():
        assert kept(spool, controller) == list(range(1, 62))


def test_dead_unit_on_a_serial_line_leaves_the_others_their_rate(
    spool: MemorySpool, units: dict[int, Controller], pty: PtyPeer
) -> None:
    pty.dead.add(2)
    with RunningBus(rtu_line(pty), LOCKS, spool) as running:
        wait_drained({1: units[1], 3: units[3]})
        wait_until(
            lambda: running.bus.statistics().breaker_open_units == (2,), what="the breaker of unit 2 to open"
        )
        asked = len(pty.requests)
        wait_until(lambda: len(pty.requests) > asked + 50, what="fifty more requests")
        to_dead = sum(request[0] == 2 for request in pty.requests[asked:])
        assert to_dead < 10
        assert not running.states[lock_id(B)].reachable
        assert running.states[lock_id(A)].reachable
        pty.dead.clear()
        wait_drained(units, 60)
    for controller in units.values():
        assert kept(spool, controller) == list(range(1, 61))


def test_wrong_controller_at_an_address_is_left_alone_and_the_others_go_on(
    spool: MemorySpool, units: dict[int, Controller], pty: PtyPeer
) -> None:
    units[2].serial = 0xBEEF
    with RunningBus(rtu_line(pty), LOCKS, spool) as running:
        wait_drained({1: units[1], 3: units[3]})
        wait_until(lambda: lock_id(B) in running.states, what="the state of the wrong one")
        assert "lock 00beef answers" in (running.states[lock_id(B)].problem or "")
    assert units[2].confirmed == 0
    assert {visit.lock for visit in spool.visits} == {lock_id(A), lock_id(C)}


def test_device_that_is_unplugged_and_plugged_in_again_goes_on_by_itself(
    spool: MemorySpool, units: dict[int, Controller], pty: PtyPeer
) -> None:
    with RunningBus(rtu_line(pty), LOCKS, spool) as running:
        wait_drained(units)
        pty.vanish()
        wait_until(
            lambda: not any(s.reachable for s in running.states.values()), what="all to be unreachable"
        )
        for controller in units.values():
            controller.pour()
        pty.start()
        wait_drained(units)
    for controller in units.values():
        assert kept(spool, controller) == list(range(1, 62))


def late(peer: PtyPeer, after_s: float) -> Callable[[bytes, bytes], bytes]:
    def misdeed(_: bytes, answer: bytes) -> bytes:
        threading.Timer(after_s, peer.send, [answer]).start()
        return b""

    return misdeed


def test_through_noise_late_foreign_and_cut_answers_every_record_comes_once(
    spool: MemorySpool, units: dict[int, Controller], pty: PtyPeer
) -> None:
    chance = random.Random(20261122)
    misdeeds = [
        lambda request, answer: b"",
        lambda request, answer: answer[: len(answer) // 2],
        lambda request, answer: answer[:-1] + bytes((answer[-1] ^ 1,)),
        lambda request, answer: with_crc(bytes((request[0] % 3 + 1,)) + answer[1:-2]),
        lambda request, answer: b"\x00\xff" + answer,
        lambda request, answer: chance.randbytes(40),
        lambda request, answer: with_crc(bytes((request[0], request[1] | 0x80, 6))),
        late(pty, 0.1),
        late(pty, 0.3),
        late(pty, 0.7),
    ]
    for misdeed in misdeeds * 2:
        pty.script.extend([None] * chance.randrange(4))
        pty.script.append(misdeed)
    with RunningBus(rtu_line(pty), LOCKS, spool) as running:
        wait_until(lambda: not pty.script, 60, "all misdeeds to be done")
        for controller in units.values():
            controller.pour()
        wait_drained(units, 60)
        statistics = running.bus.statistics()
    assert statistics.timeouts > 0
    assert statistics.crc_errors > 0
    assert statistics.late_or_foreign_replies > 0
    assert statistics.exceptions > 0
    for controller in units.values():
        assert kept(spool, controller) == list(range(1, 62))


def test_late_and_lost_answers_over_tcp_lose_and_double_nothing(spool: MemorySpool) -> None:
    units = {1: controllers(80)[1]}
    with ScriptedTcp(units, free_port()) as peer:
        chance = random.Random(7)
        for _ in range(12):
            peer.script.extend([None] * chance.randrange(5))
            peer.script.append(
                chance.choice(
                    [
                        lambda request, answer: b"",
                        lambda request, answer: None,
                        lambda request, answer: answer[:11],
                        lambda request, answer: b"\x00\x00" + answer[2:] + answer,
                    ]
                )
            )
        with RunningBus(tcp_line(peer), LOCKS[:1], spool):
            wait_until(lambda: not peer.script, 60, "all misdeeds to be done")
            wait_drained(units, 60)
    assert kept(spool, units[1]) == list(range(1, 81))


def test_orders_from_another_thread_get_through_while_backlogs_drain(
    spool: MemorySpool, tmp_path: Path
) -> None:
    units = controllers(600, capacity=1000)
    people = [ListEntry(0xE004_0000 + number) for number in range(60)]
    with PtyPeer(units, tmp_path / "tty") as pty, RunningBus(rtu_line(pty), LOCKS, spool) as running:
        wait_until(lambda: spool.visits, what="the drain to have begun")
        driver = Wlc1Driver(running.bus.unit(2, urgent=True), B)
        driver.write_access_list(4, people)
        driver.enable_chambers(0b01)
        assert driver.run_command(11, CommandCode.SELF_TEST, 10) == CommandResult.OK
        was_draining = not all(is_drained(controller) for controller in units.values())
        wait_drained(units, 60)
    assert was_draining
    assert units[2].list_in_force[:2] == (4, 60)
    assert units[2].enable_mask == 0b01
    for controller in units.values():
        assert kept(spool, controller) == list(range(1, 601))


def test_two_gateways_on_one_controller_each_keep_everything() -> None:
    units = {1: controllers(60)[1]}
    spools = MemorySpool(), MemorySpool()
    with (
        TcpPeer(units, free_port()) as peer,
        RunningBus(tcp_line(peer), LOCKS[:1], spools[0]),
        RunningBus(tcp_line(peer), LOCKS[:1], spools[1]),
    ):
        wait_drained(units)
        for _ in range(30):
            units[1].pour()
        wait_until(lambda: all(s.seqs()[-1:] == [90] for s in spools), what="both to have read all")
        wait_drained(units)
    for spool in spools:
        assert kept(spool, units[1]) == list(range(1, 91))
