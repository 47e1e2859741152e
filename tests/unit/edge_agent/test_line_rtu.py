"""RTU on a real pseudo-terminal: whatever comes that isn't the answer to this request is no answer, and is drained."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.errors import BrokenAnswer, LineDown, NoAnswer, Refused
from edge_agent.line_rtu import RtuLine, SerialSettings
from edge_agent.modbus import READ_INPUT, read_request, write_request
from tests.support.controller import Controller
from tests.support.modbus_peers import PtyPeer, with_crc
from tests.support.waiting import wait_until

STATUS = read_request(3, READ_INPUT, 0x40, 40)
IDENTITY = read_request(3, READ_INPUT, 0, 32)


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[PtyPeer]:
    with PtyPeer({3: Controller(), 4: Controller(serial=0x2)}, tmp_path / "tty") as running:
        yield running


@pytest.fixture
def line(peer: PtyPeer) -> Iterator[RtuLine]:
    opened = RtuLine(SerialSettings(str(peer.device), parity="N"), answer_timeout_s=0.2)
    opened.open()
    yield opened
    opened.close()


def is_identity(data: bytes) -> bool:
    return data[:2] == b"\x57\x4c" and len(data) == 64


def test_answer_to_a_read_is_its_data(line: RtuLine) -> None:
    assert is_identity(line.exchange(IDENTITY))


def test_write_is_answered_by_its_echo(line: RtuLine) -> None:
    assert line.exchange(write_request(3, 0x108, [1])) == b""


def test_exception_is_told(line: RtuLine) -> None:
    with pytest.raises(Refused) as refused:
        line.exchange(read_request(3, READ_INPUT, 0x3000, 1))
    assert refused.value.code == 2


def test_silence_is_no_answer_and_the_next_request_is_answered(line: RtuLine, peer: PtyPeer) -> None:
    peer.script.append(lambda request, answer: b"")
    with pytest.raises(NoAnswer):
        line.exchange(STATUS)
    assert is_identity(line.exchange(IDENTITY))


def test_answer_that_comes_late_is_never_taken_for_the_next_one(line: RtuLine, peer: PtyPeer) -> None:
    def late(_: bytes, answer: bytes) -> bytes:
        threading.Timer(0.3, peer.send, [answer]).start()
        return b""

    peer.script.append(late)
    with pytest.raises(NoAnswer):
        line.exchange(read_request(3, READ_INPUT, 0x4000, 22))
    assert line.counters.late_or_foreign == 1
    assert line.exchange(read_request(3, READ_INPUT, 0x40, 22))[36:40] == bytes(
        4
    )  # newest: the journal is empty


def test_true_answer_behind_the_late_echo_of_another_write_is_drained(line: RtuLine, peer: PtyPeer) -> None:
    def late_echo_of_another_write(_: bytes, answer: bytes) -> bytes:
        threading.Timer(0.1, peer.send, [answer]).start()
        return with_crc(answer[:3] + b"\x06" + answer[4:-2])

    peer.script.append(late_echo_of_another_write)
    with pytest.raises(BrokenAnswer):
        line.exchange(write_request(3, 0x108, [1]))
    assert line.counters.late_or_foreign == 1
    assert is_identity(line.exchange(IDENTITY))
    assert line.counters.late_or_foreign == 1, "nothing was left on the line"


def test_bytes_left_over_on_the_line_are_thrown_away_before_asking(line: RtuLine, peer: PtyPeer) -> None:
    peer.send(with_crc(b"\x03\x04\x40" + bytes(64)))
    assert line._poll.poll(1000), "the bytes have arrived"
    assert is_identity(line.exchange(IDENTITY))
    assert line.counters.late_or_foreign == 1


@pytest.mark.parametrize(
    ("what", "misdeed"),
    [
        ("another unit", lambda request, answer: with_crc(b"\x04" + answer[1:-2])),
        ("another function", lambda request, answer: with_crc(b"\x03\x03" + answer[2:-2])),
        ("another byte count", lambda request, answer: with_crc(answer[:2] + b"\x3e" + answer[3:-4])),
        ("a wrong CRC", lambda request, answer: answer[:-1] + bytes((answer[-1] ^ 0x10,))),
        ("a flipped bit", lambda request, answer: answer[:20] + bytes((answer[20] ^ 0x80,)) + answer[21:]),
        ("a cut frame", lambda request, answer: answer[:37]),
        ("a single byte", lambda request, answer: answer[:1]),
        ("noise before it", lambda request, answer: b"\xff\x00" + answer),
        ("two answers", lambda request, answer: answer + answer),
        ("nothing but noise", lambda request, answer: bytes(range(200))),
        ("the request's own echo", lambda request, answer: request),
    ],
)
def test_what_is_not_the_answer_is_broken_and_the_line_is_usable_again(
    line: RtuLine, peer: PtyPeer, what: str, misdeed: object
) -> None:
    peer.script.append(misdeed)  # type: ignore[arg-type]
    with pytest.raises(BrokenAnswer):
        line.exchange(IDENTITY)
    assert is_identity(line.exchange(IDENTITY)), what


def test_wrong_crcs_and_foreign_answers_are_counted_apart(line: RtuLine, peer: PtyPeer) -> None:
    peer.script.append(lambda request, answer: answer[:-1] + bytes((answer[-1] ^ 1,)))
    peer.script.append(lambda request, answer: with_crc(b"\x04" + answer[1:-2]))
    for _ in range(2):
        with pytest.raises(BrokenAnswer):
            line.exchange(IDENTITY)
    assert (line.counters.crc_errors, line.counters.late_or_foreign) == (1, 1)


def test_answer_in_lumps_is_put_together(line: RtuLine, peer: PtyPeer) -> None:
    def in_lumps(_: bytes, answer: bytes) -> bytes:
        threading.Timer(0.03, peer.send, [answer[20:45]]).start()
        threading.Timer(0.06, peer.send, [answer[45:]]).start()
        return answer[:20]

    peer.script.append(in_lumps)
    assert is_identity(line.exchange(IDENTITY))


def test_somebody_who_talks_without_end_is_given_up(line: RtuLine, peer: PtyPeer) -> None:
    stop = threading.Event()

    def babble() -> None:
        while not stop.wait(0.02):
            peer.send(b"\x55")

    thread = threading.Thread(target=babble)
    thread.start()
    try:
        assert line._poll.poll(1000), "the babble has begun"
        with pytest.raises(BrokenAnswer, match="without end"):
            line.exchange(IDENTITY)
    finally:
        stop.set()
        thread.join()
    wait_until(lambda: answers(line), what="the line to be quiet again")


def answers(line: RtuLine) -> bool:
    try:
        return is_identity(line.exchange(IDENTITY))
    except BrokenAnswer:
        return False


def test_vanished_device_is_closed_and_can_be_opened_when_it_is_back(line: RtuLine, peer: PtyPeer) -> None:
    assert is_identity(line.exchange(IDENTITY))
    peer.vanish()
    with pytest.raises(LineDown):
        line.exchange(IDENTITY)
    assert not line.is_open
    with pytest.raises(LineDown, match="can't be opened"):
        line.open()
    peer.start()
    line.open()
    assert is_identity(line.exchange(IDENTITY))


def test_what_is_no_serial_device_is_down_with_its_name(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing", Path("/dev/null")):
        with pytest.raises(LineDown, match=str(path)):
            RtuLine(SerialSettings(str(path)), answer_timeout_s=0.2).open()


def test_device_in_use_by_another_program_is_not_shared(line: RtuLine, peer: PtyPeer) -> None:
    second = RtuLine(SerialSettings(str(peer.device), parity="N"), answer_timeout_s=0.2)
    with pytest.raises(LineDown):
        second.open()


def test_next_request_waits_for_the_silence_between_frames(peer: PtyPeer) -> None:
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    line = RtuLine(SerialSettings(str(peer.device), parity="N"), 0.2, lambda: now[0], sleep)
    line.open()
    line.exchange(STATUS)
    slept.clear()
    line.exchange(STATUS)
    line.close()
    assert slept[0] == pytest.approx(3.5 * 10 / 19200)


@pytest.mark.parametrize(
    ("settings", "character_s", "gap_s"),
    [
        (SerialSettings("x", 19200, "E", 1), 11 / 19200, 3.5 * 11 / 19200),
        (SerialSettings("x", 9600, "N", 2), 11 / 9600, 3.5 * 11 / 9600),
        (SerialSettings("x", 9600, "N", 1), 10 / 9600, 3.5 * 10 / 9600),
        (SerialSettings("x", 115200, "E", 1), 11 / 115200, 0.00175),
    ],
)
def test_times_on_the_wire_follow_the_settings(
    settings: SerialSettings, character_s: float, gap_s: float
) -> None:
    assert settings.character_s == pytest.approx(character_s)
    assert settings.gap_s == pytest.approx(gap_s)


def test_time_on_the_wire_is_counted_for_request_and_answer(line: RtuLine) -> None:
    line.exchange(IDENTITY)
    assert line.counters.wire_s == pytest.approx((8 + 69) * 10 / 19200)
