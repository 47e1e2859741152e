"""Frames out of byte streams: any cut, noise, unknown functions."""

import struct
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from firmware_sim.line import LineTiming
from firmware_sim.wire import BrokenStream, Request, RtuRequests, TcpRequests, rtu_frame, tcp_frame

reads = st.builds(
    lambda function, address, count: struct.pack(">BHH", function, address, count),
    st.sampled_from([3, 4, 6]), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF),
)  # fmt: skip
writes = st.builds(
    lambda address, data: struct.pack(">BHHB", 16, address, len(data) // 2, len(data)) + data,
    st.integers(0, 0xFFFF),
    st.integers(0, 123).flatmap(lambda n: st.binary(min_size=2 * n, max_size=2 * n)),
)
pdus = st.one_of(reads, writes)
units = st.integers(0, 255)


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Cut bytes at these places."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF), units, st.binary(min_size=1, max_size=253)), max_size=5),
    st.lists(st.integers(0, 2000)),
)
def test_tcp_requests_come_out_whole_however_the_stream_is_cut(
    sent: list[tuple[int, int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(tcp_frame(*one) for one in sent)
    requests = TcpRequests()
    got = [(r.transaction, r.unit, r.pdu) for piece in pieces(stream, cuts) for r in requests.feed(piece)]
    assert got == sent


@pytest.mark.parametrize("header", ["000100010006", "000100000001", "0001000000ff", "000100000000"])
def test_stream_that_cant_be_modbus_tcp_is_given_up(header: str) -> None:
    with pytest.raises(BrokenStream):
        TcpRequests().feed(bytes.fromhex(header + "01040000"))


@given(st.lists(st.tuples(units, pdus), max_size=4), st.lists(st.integers(0, 2000)))
def test_rtu_requests_of_known_functions_need_no_silence(
    sent: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(rtu_frame(unit, pdu) for unit, pdu in sent)
    requests = RtuRequests()
    got = [(r.unit, r.pdu) for piece in pieces(stream, cuts) for r in requests.feed(piece)]
    assert got == sent
    assert not requests.waiting


@given(units, st.integers(17, 255), st.binary(max_size=200))
def test_rtu_request_of_an_unknown_function_ends_at_silence(unit: int, function: int, data: bytes) -> None:
    requests = RtuRequests()
    pdu = bytes((function,)) + data
    assert requests.feed(rtu_frame(unit, pdu)) == []
    assert requests.waiting
    assert requests.silence() == Request(0, unit, pdu, len(pdu) + 3)
    assert not requests.waiting


@given(units, pdus, st.integers(0, 2000), st.integers(1, 255))
def test_rtu_frame_with_a_wrong_byte_is_dropped_and_the_next_one_heard(
    unit: int, pdu: bytes, at: int, change: int
) -> None:
    frame = bytearray(rtu_frame(unit, pdu))
    frame[at % len(frame)] ^= change
    requests = RtuRequests()
    assert requests.feed(bytes(frame)) == []
    assert requests.silence() is None
    good = rtu_frame(1, bytes.fromhex("0400000001"))
    assert [r.pdu for r in requests.feed(good)] == [bytes.fromhex("0400000001")]


def test_endless_noise_fills_no_memory() -> None:
    requests = RtuRequests()
    for _ in range(100):
        requests.feed(b"\x01\x55" * 1000)
    assert requests.silence() is None
    assert len(requests.feed(rtu_frame(1, bytes.fromhex("0400000001")))) == 1


@given(units, st.integers(0, 0xFFFF), st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=125))
def test_frames_are_those_that_pymodbus_makes_and_reads(
    unit: int, transaction: int, registers: list[int]
) -> None:
    pdu = bytes((4, 2 * len(registers))) + struct.pack(f">{len(registers)}H", *registers)
    rtu, tcp = FramerRTU(DecodePDU(is_server=False)), FramerSocket(DecodePDU(is_server=False))
    assert rtu_frame(unit, pdu) == rtu.encode(pdu, unit, 0)
    assert tcp_frame(transaction, unit, pdu) == tcp.encode(pdu, unit, transaction)
    _, answer = rtu.handleFrame(rtu_frame(unit, pdu), unit, 0)
    assert answer is not None and answer.registers == registers


def test_line_keeps_the_time_that_bytes_take() -> None:
    timing = LineTiming(19200, paced=True)
    character = 11 / 19200
    through = timing.request(100.0, 8)
    assert through == pytest.approx(100 + 8 * character)
    begins = timing.reply(through, 225)
    assert begins == pytest.approx(through + 3.5 * character)
    ends = begins + 225 * character
    next_through = timing.request(begins, 8)  # sent too early: it waits for the line and the gap
    assert next_through == pytest.approx(ends + (3.5 + 8) * character)


def test_line_tells_how_far_behind_it_is() -> None:
    timing = LineTiming(1200, paced=True)
    assert timing.behind_s(5.0) == 0
    for _ in range(10):
        timing.request(5.0, 256)
    assert timing.behind_s(5.0) > 20


def test_fast_line_keeps_the_fixed_gap_and_a_line_without_pace_none() -> None:
    assert LineTiming(115200, paced=True).gap_s == pytest.approx(0.00175)
    free = LineTiming(19200, paced=False)
    assert free.request(5.0, 256) == 5.0
    assert free.reply(5.0, 256) == 5.0
