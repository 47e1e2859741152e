"""TCP: transaction ids tell answers apart, late ones are read past, and a stream out of step is connected anew."""

import socket
import threading
from collections.abc import Iterator

import pytest

from edge_agent.errors import BrokenAnswer, LineDown, NoAnswer, Refused
from edge_agent.line_tcp import TcpLine
from edge_agent.modbus import READ_INPUT, read_request, write_request
from tests.support.controller import Controller
from tests.support.ports import free_port
from tests.support.scripted_tcp import ScriptedTcp
from tests.support.waiting import wait_until

STATUS = read_request(3, READ_INPUT, 0x40, 40)
IDENTITY = read_request(3, READ_INPUT, 0, 32)


@pytest.fixture
def peer() -> Iterator[ScriptedTcp]:
    with ScriptedTcp({3: Controller(), 4: Controller(serial=2)}, free_port()) as running:
        yield running


@pytest.fixture
def line(peer: ScriptedTcp) -> Iterator[TcpLine]:
    opened = TcpLine(peer.host, peer.port, answer_timeout_s=0.3)
    opened.open()
    yield opened
    opened.close()


def is_identity(data: bytes) -> bool:
    return data[:2] == b"\x57\x4c" and len(data) == 64


def test_reads_and_writes_are_answered(line: TcpLine) -> None:
    assert is_identity(line.exchange(IDENTITY))
    assert line.exchange(write_request(3, 0x108, [1])) == b""
    assert len(line.exchange(STATUS)) == 80


def test_each_request_has_a_transaction_id_of_its_own_and_never_0(line: TcpLine, peer: ScriptedTcp) -> None:
    line._transaction = 0xFFFE
    for _ in range(3):
        line.exchange(IDENTITY)
    assert [request[:2] for request in peer.requests] == [b"\xff\xff", b"\x00\x01", b"\x00\x02"]


def test_exception_is_told(line: TcpLine) -> None:
    with pytest.raises(Refused) as refused:
        line.exchange(read_request(3, READ_INPUT, 0x3000, 1))
    assert refused.value.code == 2


def test_unknown_unit_behind_the_server_is_silence(line: TcpLine, peer: ScriptedTcp) -> None:
    for _ in range(5):
        with pytest.raises(NoAnswer):
            line.exchange(read_request(9, READ_INPUT, 0x40, 40))
    assert peer.connections == 1, "the server answers: the connection is good"


def test_answer_with_an_old_transaction_id_is_read_past(line: TcpLine, peer: ScriptedTcp) -> None:
    peer.script.append(lambda request, answer: b"\x77\x77" + answer[2:] + answer)
    assert is_identity(line.exchange(IDENTITY))
    assert line.counters.late_or_foreign == 1


def test_answer_that_comes_after_the_time_out_is_drained(line: TcpLine, peer: ScriptedTcp) -> None:
    def late(_: bytes, answer: bytes) -> bytes:
        threading.Timer(0.4, peer.send, [answer]).start()
        return b""

    peer.script.append(late)
    with pytest.raises(NoAnswer):
        line.exchange(STATUS)
    assert line.counters.late_or_foreign == 1
    assert is_identity(line.exchange(IDENTITY))


def test_answer_in_pieces_is_put_together(line: TcpLine, peer: ScriptedTcp) -> None:
    def in_pieces(_: bytes, answer: bytes) -> bytes:
        threading.Timer(0.05, peer.send, [answer[3:30]]).start()
        threading.Timer(0.1, peer.send, [answer[30:]]).start()
        return answer[:3]

    peer.script.append(in_pieces)
    assert is_identity(line.exchange(IDENTITY))


@pytest.mark.parametrize(
    ("what", "misdeed"),
    [
        ("another unit", lambda request, answer: answer[:6] + b"\x04" + answer[7:]),
        ("another function", lambda request, answer: answer[:7] + b"\x03" + answer[8:]),
        ("another byte count", lambda request, answer: answer[:8] + b"\x3e" + answer[9:]),
        ("another protocol", lambda request, answer: answer[:2] + b"\x00\x01" + answer[4:]),
        ("an impossible length", lambda request, answer: answer[:4] + b"\x01\x10" + answer[6:]),
        ("no Modbus at all", lambda request, answer: b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ],
)
def test_what_is_not_the_answer_is_broken_and_the_line_is_usable_again(
    line: TcpLine, peer: ScriptedTcp, what: str, misdeed: object
) -> None:
    peer.script.append(misdeed)  # type: ignore[arg-type]
    with pytest.raises(BrokenAnswer):
        line.exchange(IDENTITY)
    if not line.is_open:
        line.open()
    assert is_identity(line.exchange(IDENTITY)), what


def test_frame_that_breaks_off_costs_the_connection(line: TcpLine, peer: ScriptedTcp) -> None:
    peer.script.append(lambda request, answer: answer[:20])
    with pytest.raises(NoAnswer):
        line.exchange(IDENTITY)
    assert not line.is_open
    line.open()
    assert is_identity(line.exchange(IDENTITY))


def test_reset_connection_is_down_and_can_be_opened_again(line: TcpLine, peer: ScriptedTcp) -> None:
    peer.script.append(lambda request, answer: None)
    with pytest.raises(LineDown, match=f"{peer.port}"):
        line.exchange(IDENTITY)
    assert not line.is_open
    line.open()
    assert is_identity(line.exchange(IDENTITY))


def test_several_time_outs_in_a_row_make_a_new_connection(line: TcpLine, peer: ScriptedTcp) -> None:
    peer.script.extend([lambda request, answer: b""] * 3)
    for _ in range(3):
        assert line.is_open
        with pytest.raises(NoAnswer):
            line.exchange(IDENTITY)
    assert not line.is_open
    line.open()
    assert is_identity(line.exchange(IDENTITY))
    wait_until(lambda: peer.connections == 2, what="the second connection")


def test_nobody_listening_is_down() -> None:
    with pytest.raises(LineDown, match="can't be reached"):
        TcpLine("127.0.0.1", free_port(), 0.3).open()
    with pytest.raises(LineDown, match="can't be reached"):
        TcpLine("no..host", 502, 0.3).open()


def test_server_that_never_stops_talking_loses_the_connection() -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", free_port())) as listener:

        def babble() -> None:
            connection, _ = listener.accept()
            with connection:
                while not stop.wait(0.02):
                    try:
                        connection.sendall(b"\x77\x77\x00\x00\x00\x03\x03\x84\x02")
                    except OSError:
                        return

        thread = threading.Thread(target=babble)
        thread.start()
        line = TcpLine("127.0.0.1", listener.getsockname()[1], 0.1)
        line.open()
        try:
            with pytest.raises(LineDown, match="without end"):
                line.exchange(IDENTITY)
        finally:
            stop.set()
            line.close()
            thread.join()
    assert not line.is_open
