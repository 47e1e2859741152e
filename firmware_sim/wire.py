"""Modbus frames as a server sees them: cut requests out of a byte stream, put answers into frames. No I/O.

TCP:  [ transaction 2 ][ protocol 0, 2 ][ length 2 ][ unit 1 ][ PDU ]
RTU:  [ unit 1 ][ PDU ][ CRC-16 2, low byte first ]      ended by silence
"""

import struct
from typing import NamedTuple

from pymodbus.framer import FramerRTU

from firmware_sim.unit import READ_HOLDING, READ_INPUT, WRITE_MANY, WRITE_ONE

_MBAP = struct.Struct(">HHHB")
MAX_TCP_LENGTH = 254  # unit and PDU
MAX_RTU_FRAME = 256


class BrokenStream(Exception):
    """These bytes can't be Modbus TCP; the connection has lost its frame boundaries and must be closed."""


class Request(NamedTuple):
    """One request. `transaction` is 0 on RTU."""

    transaction: int
    unit: int
    pdu: bytes
    frame_bytes: int


class TcpRequests:
    """Cuts requests out of one TCP connection's bytes."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Request]:
        """Return the requests that are complete now, or raise BrokenStream."""
        buffer = self._buffer + data if self._buffer else data
        found: list[Request] = []
        at = 0
        while len(buffer) - at >= _MBAP.size:
            transaction, protocol, length, unit = _MBAP.unpack_from(buffer, at)
            if protocol != 0 or not 2 <= length <= MAX_TCP_LENGTH:
                raise BrokenStream
            end = at + 6 + length
            if end > len(buffer):
                break
            found.append(Request(transaction, unit, buffer[at + 7 : end], end - at))
            at = end
        self._buffer = buffer[at:]
        return found


def tcp_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """Return an answer as it goes into a TCP connection."""
    return _MBAP.pack(transaction, 0, len(pdu) + 1, unit) + pdu


class RtuRequests:
    """Cuts requests out of a serial line's bytes.

    A request of a known function ends where its length says; all else ends at the next silence. What isn't whole by
    then, or whose CRC is wrong, is dropped: a real unit doesn't answer it.
    """

    def __init__(self) -> None:
        self._buffer = b""

    @property
    def waiting(self) -> bool:
        """True if bytes wait for the rest of their frame or for silence."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[Request]:
        """Return the requests that are complete now."""
        self._buffer += data
        found: list[Request] = []
        while (length := _rtu_length(self._buffer)) and len(self._buffer) >= length:
            request = _checked(self._buffer[:length])
            if request is None:
                break  # unknown boundaries: wait for silence
            found.append(request)
            self._buffer = self._buffer[length:]
        self._buffer = self._buffer[: 4 * MAX_RTU_FRAME]  # noise doesn't fill memory
        return found

    def silence(self) -> Request | None:
        """The line has been silent: what waited is one frame, or rubbish."""
        frame, self._buffer = self._buffer, b""
        return _checked(frame) if 4 <= len(frame) <= MAX_RTU_FRAME else None


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """Return an answer as it goes onto a serial line."""
    frame = bytes((unit,)) + pdu
    return frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big")


def _rtu_length(buffer: bytes) -> int:
    """Return how long the frame at the start of the buffer is, 0 where its function doesn't tell (yet)."""
    if len(buffer) < 2:
        return 0
    if buffer[1] in (READ_HOLDING, READ_INPUT, WRITE_ONE):
        return 8
    if buffer[1] == WRITE_MANY and len(buffer) >= 7:
        return 9 + buffer[6]
    return 0


def _checked(frame: bytes) -> Request | None:
    if FramerRTU.compute_CRC(frame[:-2]) != int.from_bytes(frame[-2:], "big"):
        return None
    return Request(0, frame[0], frame[1:-2], len(frame))
