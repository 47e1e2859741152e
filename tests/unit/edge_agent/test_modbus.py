"""Requests are what pymodbus's server understands; only the exact answer to a request counts as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.pdu import DecodePDU

from edge_agent.errors import BrokenAnswer, NoAnswer, Refused
from edge_agent.modbus import (
    READ_HOLDING,
    READ_INPUT,
    answer_length,
    read_request,
    take_answer,
    write_request,
)

words = st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=123)
addresses = st.integers(0, 0xFFFF)
units = st.integers(1, 247)


@given(units, st.sampled_from([READ_HOLDING, READ_INPUT]), addresses, st.integers(1, 125))
def test_read_request_is_understood_by_pymodbus(unit: int, function: int, address: int, count: int) -> None:
    request = read_request(unit, function, address, count)
    pdu = DecodePDU(is_server=True).decode(request.pdu)
    assert pdu is not None
    assert (pdu.function_code, pdu.address, pdu.count) == (function, address, count)


@given(units, addresses, words)
def test_write_request_is_understood_by_pymodbus(unit: int, address: int, values: list[int]) -> None:
    pdu = DecodePDU(is_server=True).decode(write_request(unit, address, values).pdu)
    assert pdu is not None
    assert (pdu.function_code, pdu.address, list(pdu.registers)) == (16, address, values)


@given(st.integers(1, 125), st.data())
def test_data_of_an_answer_is_taken_as_it_is(count: int, data: st.DataObject) -> None:
    block = data.draw(st.binary(min_size=2 * count, max_size=2 * count))
    request = read_request(1, READ_INPUT, 0, count)
    assert take_answer(request, bytes((4, 2 * count)) + block) == block


@given(st.binary(max_size=260))
def test_anything_else_is_never_taken_for_an_answer(pdu: bytes) -> None:
    request = read_request(1, READ_INPUT, 0x40, 40)
    try:
        data = take_answer(request, pdu)
    except (BrokenAnswer, Refused, NoAnswer):
        return
    assert len(data) == 80
    assert pdu[:2] == bytes((4, 80))


@pytest.mark.parametrize(
    "pdu",
    [b"", b"\x03\x50" + bytes(80), b"\x04\x4e" + bytes(78), b"\x04\x50" + bytes(79), b"\x83\x02", b"\x84"],
)
def test_answers_of_another_function_or_length_are_broken(pdu: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        take_answer(read_request(1, READ_INPUT, 0x40, 40), pdu)


def test_echo_of_a_write_must_name_its_address_and_count() -> None:
    request = write_request(1, 0x100, [1, 2, 3])
    assert take_answer(request, b"\x10\x01\x00\x00\x03") == b""
    for other in (b"\x10\x01\x00\x00\x02", b"\x10\x01\x06\x00\x03", b"\x04\x06" + bytes(6)):
        with pytest.raises(BrokenAnswer):
            take_answer(request, other)


def test_exception_is_told_with_its_code_and_what_was_asked() -> None:
    with pytest.raises(Refused, match="unit 9: writing 2 registers at 0x0106 by function 16") as refused:
        take_answer(write_request(9, 0x106, [0, 1]), b"\x90\x04")
    assert refused.value.code == 4


@pytest.mark.parametrize("code", [0x0A, 0x0B])
def test_serial_server_that_got_no_answer_means_silence(code: int) -> None:
    with pytest.raises(NoAnswer, match="serial server"):
        take_answer(read_request(1, READ_INPUT, 0, 1), bytes((0x84, code)))


def test_length_of_an_answer_is_known_from_its_function_byte() -> None:
    request = read_request(1, READ_INPUT, 0, 110)
    assert answer_length(request, 4) == 222
    assert answer_length(request, 0x84) == 2
    assert answer_length(request, 3) is None


def test_requests_beyond_the_protocols_limits_are_programming_errors() -> None:
    for count in (0, 126):
        with pytest.raises(ValueError, match="count"):
            read_request(1, READ_INPUT, 0, count)
    with pytest.raises(ValueError, match="function 3 or 4"):
        read_request(1, 1, 0, 1)
    for length in (0, 124):
        with pytest.raises(ValueError, match=r"1\.\.123"):
            write_request(1, 0, [0] * length)
