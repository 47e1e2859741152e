"""The simulator as a process, on a real socket and a real pseudo-terminal, asked by a hand-made client and pymodbus."""

import json
import os
import resource
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymodbus.client import ModbusSerialClient, ModbusTcpClient

from tests.support.waiting import wait_until
from tests.unit.firmware_sim.process import RawRtu, RawTcp, Simulator, crc16, taken_port
from wastelock.record import MacKey, crc_holds, decode_record
from wastelock.registers import decode_identity, decode_status

READ_IDENTITY = struct.pack(">BHH", 4, 0, 32)
READ_STATUS = struct.pack(">BHH", 4, 0x40, 40)
READ_ONE = struct.pack(">BHH", 4, 0, 1)
MAGIC = bytes.fromhex("0402574c")


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Three quiet locks, two on a line, one on TCP: for all tests that leave nothing behind to stumble over."""
    with Simulator(tmp_path_factory.mktemp("estate")) as running:
        yield running


@pytest.fixture
def tcp(simulator: Simulator) -> Iterator[RawTcp]:
    with simulator.tcp() as client:
        yield client


@pytest.fixture
def rtu(simulator: Simulator) -> Iterator[RawRtu]:
    with simulator.rtu() as client:
        yield client


def words(answer: bytes) -> tuple[int, ...]:
    assert answer[1] == len(answer) - 2
    return struct.unpack(f">{answer[1] // 2}H", answer[2:])


# --- Modbus TCP


def test_tcp_client_reads_the_journal_and_confirms_it(simulator: Simulator, tcp: RawTcp) -> None:
    for _ in range(3):
        simulator.control(do="pour", lock="1f00a3", uid="4711", instant=True)
    identity = decode_identity(words(tcp.ask(READ_IDENTITY)))
    status = decode_status(words(tcp.ask(READ_STATUS)))
    assert identity.serial == status.serial == 0x1F00A3
    block = tcp.ask(struct.pack(">BHH", 4, 0x4000 + 22, 22 * 5))[2:]
    records = [decode_record(block[at : at + 44]) for at in range(0, 220, 44)]
    truth = simulator.truth("1f00a3")
    assert [(r.seq, r.kind, r.boot) for r in records] == [(t["seq"], t["kind"], t["boot"]) for t in truth[:5]]
    key = MacKey(bytes(range(16)))
    for at in range(0, 220, 44):
        assert crc_holds(block[at : at + 44], 0x1F00A3, 1) and key.holds(block[at : at + 44], 0x1F00A3, 1)
    request = struct.pack(">BHHBII", 16, 0x0100, 6, 12, 1, 5) + block[176 + 40 : 220]
    assert tcp.ask(request) == request[:5]
    assert (
        decode_status(words(tcp.ask(READ_STATUS))).confirmed_seq
        == 5
        == simulator.status("1f00a3")["confirmed"]
    )


def test_tcp_requests_may_come_in_one_packet_or_byte_by_byte(tcp: RawTcp) -> None:
    first, second = tcp.send(READ_ONE), tcp.send(READ_IDENTITY)
    assert tcp.receive()[::2] == (first, MAGIC)
    assert tcp.receive()[0] == second
    for byte in struct.pack(">HHHB", 77, 0, 6, 1) + READ_ONE:
        tcp.socket.sendall(bytes((byte,)))
    assert tcp.receive() == (77, 1, MAGIC)


def test_tcp_unknown_unit_is_answered_and_broadcast_isnt(tcp: RawTcp) -> None:
    assert tcp.ask(READ_ONE, unit=9) == bytes((0x84, 0x0B))
    assert tcp.ask(READ_ONE, unit=255) == bytes((0x84, 0x0B))
    tcp.send(READ_ONE, unit=0)
    assert tcp.is_silent()
    assert tcp.ask(READ_ONE) == MAGIC
    assert tcp.ask(b"\x2b\x0e\x01\x00") == b"\xab\x01"


def test_tcp_connection_without_frames_is_closed_and_others_go_on(simulator: Simulator, tcp: RawTcp) -> None:
    with simulator.tcp() as broken:
        broken.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises((EOFError, ConnectionError)):
            broken.exactly(1)
    assert tcp.ask(READ_ONE) == MAGIC


def test_late_cut_lost_foreign_and_refused_answers_over_tcp(simulator: Simulator, tcp: RawTcp) -> None:
    def strike(fault: str, **more: object) -> None:
        simulator.control(do="fault", lock="1f00a3", fault=fault, count=1, **more)

    strike("late_reply", delay_s=0.2)
    late, prompt = tcp.send(READ_ONE), tcp.send(READ_IDENTITY)
    assert tcp.receive()[0] == prompt, "a late answer doesn't hold up the next one"
    assert tcp.receive()[0] == late
    strike("cut_frame", after_bytes=9)
    tcp.send(READ_ONE)
    assert len(tcp.exactly(9)) == 9 and tcp.is_silent()
    strike("foreign_reply")
    number = tcp.send(READ_ONE)
    assert tcp.receive() == (number, 2, MAGIC)
    strike("exception_6")
    assert tcp.ask(READ_ONE) == bytes((0x84, 6))
    strike("lost_reply")
    tcp.send(struct.pack(">BHH", 6, 0x0108, 1))
    assert tcp.is_silent()
    assert words(tcp.ask(struct.pack(">BHH", 3, 0x0108, 1))) == (1,)
    strike("silence")
    tcp.send(struct.pack(">BHH", 6, 0x0108, 2))
    assert tcp.is_silent()
    assert words(tcp.ask(struct.pack(">BHH", 3, 0x0108, 1))) == (1,)
    simulator.control(do="fault", bus="street", fault="silence", for_s=60)
    tcp.send(READ_ONE)
    assert tcp.is_silent()
    simulator.control(do="heal", bus="street")
    assert tcp.ask(READ_ONE) == MAGIC
    strike("reset_connection")
    tcp.send(READ_ONE)
    with pytest.raises((EOFError, ConnectionError)):
        tcp.receive()
    with simulator.tcp() as again:
        assert again.ask(READ_ONE) == MAGIC


# --- Modbus RTU


def test_rtu_units_share_one_line(simulator: Simulator, rtu: RawRtu) -> None:
    for unit, serial in ((1, 0x1F00A1), (2, 0x1F00A2), (1, 0x1F00A1)):
        assert decode_identity(words(rtu.ask(READ_IDENTITY, 66, unit))).serial == serial
    assert rtu.ask(struct.pack(">BHH", 6, 0x0108, 2), 5, 2) == struct.pack(">BHH", 6, 0x0108, 2)
    assert words(rtu.ask(struct.pack(">BHH", 3, 0x0108, 1), 4, 2)) == (2,)
    assert words(rtu.ask(struct.pack(">BHH", 3, 0x0108, 1), 4, 1)) == (3,)


def test_rtu_says_nothing_to_what_isnt_for_it(rtu: RawRtu) -> None:
    rtu.send(READ_ONE, unit=3)
    assert rtu.is_silent()
    rtu.send(struct.pack(">BHH", 6, 0x0108, 0), unit=0)
    assert rtu.is_silent()
    frame = b"\x01" + READ_ONE
    os.write(rtu.fd, frame + b"\x00\x00")
    assert rtu.is_silent()
    os.write(rtu.fd, b"\xff\x00\x01\x04")
    assert rtu.is_silent(), "half a frame after noise is forgotten with the silence"
    assert words(rtu.ask(struct.pack(">BHH", 3, 0x0108, 1), 4)) == (3,), "the broadcast wasn't executed"


def test_rtu_unknown_function_is_refused_after_the_silence(rtu: RawRtu) -> None:
    assert rtu.ask(b"\x2b\x0e\x01\x00", 2) == b"\xab\x01"
    assert rtu.ask(b"\x11", 2) == b"\x91\x01"
    assert rtu.ask(b"\x04\x00\x00", 2) == b"\x84\x03", "and a length that can't be is an illegal value"


def test_rtu_spoilt_answers(simulator: Simulator, rtu: RawRtu) -> None:
    simulator.control(do="fault", lock="1f00a1", fault="broken_crc", count=1)
    rtu.send(READ_ONE)
    frame = rtu.receive(7)
    assert len(frame) == 7 and crc16(frame[:-2]) != frame[-2:] and frame[:-2] == b"\x01" + MAGIC
    simulator.control(do="fault", lock="1f00a1", fault="cut_frame", count=1, after_bytes=4)
    rtu.send(READ_ONE)
    assert rtu.receive(7, timeout_s=0.5) == b"\x01" + MAGIC[:3]
    simulator.control(do="fault", bus="yard", fault="late_reply", count=1, delay_s=0.3)
    rtu.send(READ_ONE)
    assert rtu.is_silent(0.1)
    assert rtu.receive(7) == b"\x01" + MAGIC + crc16(b"\x01" + MAGIC)


def test_paced_line_takes_the_time_of_the_wire(tmp_path: Path) -> None:
    with Simulator(tmp_path, pace="wire") as simulator, simulator.rtu() as rtu:
        began_s = time.monotonic()
        answer = rtu.ask(struct.pack(">BHH", 4, 0x4000, 110), 222)
        took_s = time.monotonic() - began_s
    assert len(answer) == 222
    # 8 characters there, 3.5 of silence, 225 back, 11 bits each: never faster than the wire, however fast the machine.
    assert took_s >= (8 + 3.5 + 225) * 11 / 19200


# --- pymodbus as an independent peer


def test_pymodbus_over_tcp_reads_writes_and_is_refused(simulator: Simulator) -> None:
    bus = simulator.buses["street"]
    client = ModbusTcpClient(bus["host"], port=bus["port"], timeout=5)
    assert client.connect()  # type: ignore[no-untyped-call]
    try:
        identity = client.read_input_registers(0, count=32, device_id=1)
        assert decode_identity(identity.registers).serial == 0x1F00A3
        assert not client.write_register(0x0108, 1, device_id=1).isError()
        assert client.read_holding_registers(0x0108, count=1, device_id=1).registers == [1]
        assert not client.write_registers(0x0106, [0x6B49, 0xD200], device_id=1).isError()
        status = decode_status(client.read_input_registers(0x40, count=40, device_id=1).registers)
        assert status.clock_s == 0x6B49D200 and status.clock_status == 1
        for refused, code in (
            (client.read_input_registers(0x20, count=1, device_id=1), 2),
            (client.write_registers(0x0106, [1], device_id=1), 3),
            (client.write_register(0x0118, 0xA5A5, device_id=1), 4),
            (client.read_coils(0, count=1, device_id=1), 1),
            (client.read_input_registers(0, count=1, device_id=77), 0x0B),
        ):
            assert refused.isError() and refused.exception_code == code
    finally:
        client.close()  # type: ignore[no-untyped-call]


def test_pymodbus_over_the_line_drains_a_journal(simulator: Simulator) -> None:
    for n in range(20):
        simulator.control(do="pour", lock="1f00a2", uid=f"{n + 1:x}", instant=True)
    client = ModbusSerialClient(simulator.buses["yard"]["device"], baudrate=19200, timeout=5)
    assert client.connect()
    try:
        status = decode_status(client.read_input_registers(0x40, count=40, device_id=2).registers)
        seen = []
        for seq in range(1, status.newest_seq + 1):
            slot = client.read_input_registers(0x4000 + 22 * seq, count=22, device_id=2).registers
            raw = struct.pack(">22H", *slot)
            assert crc_holds(raw, 0x1F00A2, 1)
            seen.append(decode_record(raw))
        assert not client.write_registers(0x0100, [0, 1, 0, seen[-1].seq, *slot[20:]], device_id=2).isError()
    finally:
        client.close()  # type: ignore[no-untyped-call]
    truth = simulator.truth("1f00a2")
    assert [(r.seq, r.kind, r.uid) for r in seen] == [
        (t["seq"], t["kind"], int(t["uid"] or "0", 16)) for t in truth
    ]
    assert len([r for r in seen if r.kind == 2]) == 20, "unknown transponders all"
    assert simulator.status("1f00a2")["free"] == 2047


# --- life, kills, restarts


def test_backlog_is_lived_before_ready_and_survives_a_kill(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path, "--backlog-days", "30", extra="dwellings = 10\ncapacity = 512")
    with simulator:
        lived = simulator.truth()
        counts = {lock: len(simulator.truth(lock)) for lock in ("1f00a1", "1f00a2", "1f00a3")}
        assert all(100 < count < 512 for count in counts.values())
        simulator.control(do="pour", lock="1f00a1", instant=True)
        simulator.kill()
        whole = simulator.truth_path.read_bytes()
        simulator.truth_path.write_bytes(whole[:-150])
        simulator.start()
        restarted = simulator.truth_path.read_bytes()
        assert restarted.startswith(whole), "journal first, then truth: what was torn is completed"
        after = simulator.truth()
        assert [t["kind"] for t in after[len(lived) + 1 :] if t["lock"] == "1f00a3"] == [7, 10, 10]
        assert {simulator.status(lock)["boot"] for lock in counts} == {2}
        assert max(t["made_at"] for t in lived) < min(t["made_at"] for t in after[len(lived) :])


def test_backlog_ends_where_the_ring_is_full_as_in_life(tmp_path: Path) -> None:
    with Simulator(tmp_path, "--backlog-days", "60", extra="dwellings = 24\ncapacity = 100") as simulator:
        status = simulator.status("1f00a1")
        assert status["state"] == "out_of_service" and "journal_nearly_full" in status["faults"]
        assert 2 <= status["free"] < 12
        answer = simulator.control(do="pour", lock="1f00a1", instant=True)
        assert answer["answer"] == "out_of_service" and answer["newest"] == answer["newest_before"]


def test_same_seed_lives_the_same_backlog(tmp_path: Path) -> None:
    told = []
    for name, seed in (("one", "5"), ("two", "5"), ("three", "6")):
        (tmp_path / name).mkdir()
        with Simulator(
            tmp_path / name, "--seed", seed, "--backlog-days", "9", extra="dwellings = 8"
        ) as simulator:
            pours = [t for t in simulator.truth("1f00a1") if t["kind"] == 1]
            told.append([(t["uid"], t["chamber"], t["result"]) for t in pours])
    # The backlogs begin and end some seconds apart: a visit may be in one and not in the other at either edge.
    common = told[0][2:-2]
    assert len(common) > 10
    assert any(told[1][at : at + len(common)] == common for at in range(5))
    assert {uid for uid, *_ in told[0]}.isdisjoint({uid for uid, *_ in told[2]})


def test_residents_live_fast_and_stop_when_told(tmp_path: Path) -> None:
    with Simulator(tmp_path, "--speed", "100000", extra="dwellings = 30") as simulator:
        wait_until(lambda: len(simulator.truth()) > 60, 30, "residents' records")
        simulator.control(do="residents", come=False)
        simulator.control(do="residents", come=True, lock="1f00a1")
        assert (
            simulator.status("1f00a1")["residents_come"] and not simulator.status("1f00a2")["residents_come"]
        )
        registers = simulator.status("1f00a1")["registers"]
        wait_until(lambda: simulator.status("1f00a1")["registers"] != registers, 30, "another pour at lock 1")
        assert {t["clock_status"] for t in simulator.truth() if t["kind"] == 1} == {1}


def test_sigterm_ends_it_cleanly_and_takes_link_and_socket_away(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path, "--speed", "1000", extra="dwellings = 30").start()
    link = Path(simulator.buses["yard"]["device"])
    assert link.is_symlink() and simulator.control_path.is_socket()
    with simulator.tcp() as tcp:
        assert tcp.ask(READ_ONE) == MAGIC
        assert simulator.stop() == 0
    assert not link.is_symlink() and not simulator.control_path.exists()


def test_sigint_while_a_backlog_is_lived_ends_it_and_the_next_start_goes_on(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path, "--backlog-days", "3000", extra="dwellings = 40")
    process = subprocess.Popen(simulator.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    path = simulator.truth_path
    wait_until(lambda: path.exists() and path.stat().st_size, 20, "the first records")
    process.send_signal(signal.SIGINT)
    output, problems = process.communicate(timeout=20)
    assert (process.returncode, output) == (0, b""), problems.decode()
    before = simulator.truth_path.read_bytes()
    with simulator:
        assert simulator.truth_path.read_bytes().startswith(before)
        assert simulator.status("1f00a3")["state"] == "out_of_service"


def test_link_is_taken_over_from_a_killed_run(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path)
    with simulator:
        link = Path(simulator.buses["yard"]["device"])
        old = link.readlink()
        simulator.kill()
        assert link.is_symlink()
        simulator.start()
        with simulator.rtu() as rtu:
            assert rtu.ask(READ_ONE, 4) == MAGIC
        assert link.readlink() != old or not old.exists() or link.exists()


def test_controller_swap_outlives_a_restart_and_is_undone(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path)
    with simulator:
        simulator.control(do="swap_controller", lock="1f00a3", serial="1f00b3", epoch=4)
        simulator.stop()
        simulator.start()
        with simulator.tcp() as tcp:
            identity = decode_identity(words(tcp.ask(READ_IDENTITY)))
            assert (identity.serial, identity.epoch) == (0x1F00B3, 4)
        assert simulator.status("1f00a3")["serial"] == "1f00b3"
        simulator.control(do="swap_controller", lock="1f00a3", serial="1f00a3")
        with simulator.tcp() as tcp:
            assert decode_identity(words(tcp.ask(READ_IDENTITY))).serial == 0x1F00A3
        assert simulator.status("1f00a3")["boot"] == 2
    assert [t["boot"] for t in simulator.truth("1f00b3") if t["kind"] == 7] == [1, 2]


# --- control and scenario


def test_actions_do_what_they_say(tmp_path: Path) -> None:
    with Simulator(tmp_path) as simulator:
        perform_each_action(simulator, "1f00a1")


def perform_each_action(simulator: Simulator, lock: str) -> None:

    def newest(n: int) -> list[tuple[int, int, int]]:
        return [(t["kind"], t["result"], t["flags"] & ~3) for t in simulator.truth(lock)[-n:]]

    before = len(simulator.truth(lock))
    assert simulator.control(do="pour", lock=lock, uid="99", instant=True)["answer"] == "unknown"
    for action in ("container_full", "emptying", "container_swap", "clock_loss"):
        simulator.control(do=action, lock=lock)
    simulator.control(do="maintenance", lock=lock, begins=True)
    simulator.control(do="maintenance", lock=lock, begins=False)
    simulator.control(do="alarm", lock=lock, bit="tamper")
    simulator.control(do="alarm", lock=lock, bit="tamper", raised=False)
    simulator.control(do="degraded", lock=lock)
    simulator.control(do="repaired", lock=lock)
    kinds = [t["kind"] for t in simulator.truth(lock)[before:]]
    assert kinds == [2, 5, 3, 6, 4, 5, 9, 9, 5, 6, 5, 6]
    simulator.control(do="power_cut", off_s=0)
    wait_until(lambda: {one["boot"] for one in simulator.control(do="status")["locks"]} == {2}, 10, "power")
    assert newest(3) == [(7, 0, 0), (10, 0, 0), (10, 0, 0)]
    wrapped = simulator.control(do="register_wrap", lock=lock, when="now", before=1)
    assert wrapped["epoch"] == 2 and simulator.status(lock)["registers"] == [2**32 - 1] * 2
    refused = simulator.try_control(b'{"do":"new_epoch","lock":"1f00a2","wait_s":0.1}')
    assert not refused["ok"] and "confirmed 0 of" in refused["error"]


def has_booted(simulator: Simulator, lock: str, times: int) -> bool:
    return bool(simulator.status(lock)["boot"] == times)


def test_resident_pours_jams_and_loses_power_on_order(tmp_path: Path) -> None:
    extra = 'transponders = [{ uid = "abc" }]\ndwellings = 1\npours_per_day = 0'
    with Simulator(tmp_path, "--speed", "50", extra=extra) as sim:
        lock = "1f00a3"

        def pours() -> list[tuple[int, int]]:
            return [(t["result"], t["flags"] >> 2) for t in sim.truth(lock) if t["kind"] == 1]

        sim.control(do="residents", come=False)
        assert sim.control(do="pour", lock=lock, chamber=2)["answer"] == "authorised"
        assert pours() == [(0, 0)] and sim.truth(lock)[-1]["uid"] == f"{0xABC:016x}"
        sim.control(do="jam", lock=lock)
        sim.control(do="pour", lock=lock)
        assert pours()[1:] == [(2, 0), (0, 0b0001)]
        sim.control(do="pour", lock=lock, outcome="given_up", instant=True)
        sim.control(do="pour", lock=lock, outcome="never_opened", instant=True)
        assert pours()[3:] == [(1, 0)]
        for at, results in (
            ("mid_cycle", [(1, 0b1000)]),
            ("after_discharge", [(0, 0b1000)]),
            ("authorised", []),
        ):
            count, boot = len(pours()), sim.status(lock)["boot"]
            sim.control(do="power_cut", lock=lock, at=at, off_s=0)
            sim.control(do="pour", lock=lock, instant=True)
            wait_until(lambda boot=boot: sim.status(lock)["boot"] == boot + 1, 10, "power")
            assert pours()[count:] == results
        sim.control(do="jam", lock=lock, stuck=True)
        sim.control(do="pour", lock=lock, instant=True)
        sim.control(do="pour", lock=lock, instant=True)
        assert pours()[-2:] == [(2, 0), (0, 0b0100)], "blocked, so the larger one opened"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"pour", "not JSON"),
        (b"3", "valid dictionary"),
        (b'{"do":"pour","lock":"1f00a9"}', "there is no lock"),
        (b'{"do":"pour","lock":"1f00a1"}', "nobody lives at lock 1f00a1"),
        (b'{"do":"jam","lock":"1f00a1","at_s":3}', "for scenario files"),
        (b'{"do":"torn_record","lock":"1f00a1","word":22}', "word"),
    ],
)
def test_control_refuses_what_cant_be_done_and_goes_on(simulator: Simulator, line: bytes, told: str) -> None:
    outcome = simulator.try_control(line)
    assert not outcome["ok"] and told in outcome["error"]
    assert simulator.control(do="status")["locks"]


def test_scenario_is_played_while_it_runs(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(
        '[[actions]]\nat_s = 0.1\nevery_s = 0.05\ntimes = 3\ndo = "pour"\nlock = "1f00a3"\nuid = "7"\ninstant = true\n'
        '[[actions]]\nat_s = 0.05\ndo = "maintenance"\nlock = "1f00a1"\nbegins = true\n'
        '[[actions]]\nat_s = 0.0\ndo = "pour"\nlock = "1f00a2"\n'
    )
    with Simulator(tmp_path, "--scenario", str(scenario)) as simulator:
        wait_until(lambda: simulator.status("1f00a1")["state"] == "maintenance", 10, "maintenance")
        wait_until(
            lambda: [t["kind"] for t in simulator.truth("1f00a3")].count(2) == 1, 10, "one denial a minute"
        )


# --- what can't work


def test_taken_port_second_simulator_and_contradicting_state_are_told(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path)
    with simulator:
        second = Simulator(tmp_path)
        with pytest.raises(AssertionError, match="another simulator runs here"):
            second.start()
    estate = simulator.config.read_text()
    with taken_port() as taken:
        simulator.config.write_text(
            estate.replace('kind = "tcp"', f'kind = "tcp"\nport = {taken.getsockname()[1]}')
        )
        with pytest.raises(AssertionError, match=r"bus 'street': can't listen on 127\.0\.0\.1"):
            simulator.start()
    simulator.config.write_text(estate.replace('serial = "1f00a2"', 'serial = "1f00a2"\ncapacity = 99'))
    with pytest.raises(
        AssertionError, match=r"1f00a2: capacity isn't what epoch 1 began with.*raise `epoch` to 2"
    ):
        simulator.start()
    simulator.config.write_text(
        estate.replace('serial = "1f00a2"', 'serial = "1f00a2"\ncapacity = 99\nepoch = 2')
    )
    with simulator:
        status = simulator.status("1f00a2")
        assert (status["capacity"], status["epoch"]) == (99, 2)
        assert [(t["epoch"], t["seq"], t["kind"]) for t in simulator.truth("1f00a2")][-5:] == [
            (2, 1, 10), (2, 2, 10), (2, 3, 7), (2, 4, 10), (2, 5, 10),
        ]  # fmt: skip


def test_link_that_is_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "yard").write_text("precious")
    with pytest.raises(AssertionError, match="yard: is there and no symbolic link"):
        Simulator(tmp_path).start()
    assert (tmp_path / "yard").read_text() == "precious"


def test_full_disk_ends_the_process_with_a_message_and_nothing_torn(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path).start()
    told = simulator.truth()
    grown = max(path.stat().st_size for path in (tmp_path / "state").iterdir())
    resource.prlimit(simulator.pid, resource.RLIMIT_FSIZE, (grown, grown))
    with pytest.raises((json.JSONDecodeError, OSError, AssertionError)):
        for n in range(10_000):
            simulator.control(do="pour", lock="1f00a3", uid=f"{n + 1:x}", instant=True)
    code, problems = simulator.wait()
    assert code == 1
    assert "can't be written any more" in problems or "truth" in problems
    with simulator:
        again = simulator.truth()
        assert again[: len(told)] == told
        seqs = [t["seq"] for t in simulator.truth("1f00a3")]
        assert seqs == list(range(1, len(seqs) + 1))
