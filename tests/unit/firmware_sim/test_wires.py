"""Modbus on a real socket and a real pseudo-terminal, asked by a hand-made client and by pymodbus."""

import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymodbus.client import ModbusSerialClient, ModbusTcpClient

from tests.unit.firmware_sim.process import RawRtu, RawTcp, Simulator, crc16
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
    with pytest.raises(ConnectionResetError):
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
    client = ModbusTcpClient(bus["host"], port=bus["port"], timeout=15)
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
    client = ModbusSerialClient(simulator.buses["yard"]["device"], baudrate=19200, timeout=15)
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
