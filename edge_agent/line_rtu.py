"""Modbus RTU on a serial device: one transaction at a time, strict about whose answer it is.

    request   [ unit ][ request PDU … ][ crc ]      the master may speak after 3.5 characters of silence
    answer    [ unit ][ answer PDU  … ][ crc ]      begins within the answer time, ends within its own wire time

pyserial opens and configures the device; reading and writing is done on its file descriptor, because changing
pyserial's time-outs reconfigures the port on each call.
"""

import os
import select
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import serial
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from edge_agent.errors import BrokenAnswer, LineDown, NoAnswer
from edge_agent.line import DRAIN_LIMIT_S, SILENCE_S, LineCounters
from edge_agent.modbus import Request, answer_length, describe, take_answer

_FRAMER = FramerRTU(DecodePDU(is_server=False))
_READ_BYTES = 512
_FRAME_EXTRA = 3  # unit in front, two bytes of CRC behind
# Operating systems and USB adapters hand over bytes in lumps: so much longer than its wire time may an answer take.
_LUMP_S = 0.1
_AWAKE_S = 0.01


@dataclass(frozen=True, slots=True)
class SerialSettings:
    """A serial port as configured; `parity` is N, E or O."""

    device: str
    baudrate: int = 19200
    parity: str = "E"
    stopbits: int = 1

    @property
    def character_s(self) -> float:
        """Seconds that one character takes: start bit, 8 data bits, parity bit if any, stop bits."""
        return (9 + (self.parity != "N") + self.stopbits) / self.baudrate

    @property
    def gap_s(self) -> float:
        """The silence between two frames: 3.5 characters, fixed above 19200 Bd (Modbus over serial line, 2.5.1.1)."""
        return 3.5 * self.character_s if self.baudrate <= 19200 else 0.00175


def open_port(settings: SerialSettings) -> serial.Serial:
    """Return the device with these settings, for ourselves alone. Raises OSError, ValueError or termios.error."""
    s = settings
    return serial.Serial(
        s.device, s.baudrate, parity=s.parity, stopbits=s.stopbits, timeout=0, exclusive=True
    )


class RtuLine:
    """One RS-485 segment on a serial device."""

    has_wire = True

    def __init__(
        self,
        settings: SerialSettings,
        answer_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`answer_timeout_s`: from the end of the request to the first byte of the answer; the map says at most 0.2."""
        self.counters = LineCounters()
        self._settings = settings
        self._answer_timeout_s = answer_timeout_s
        self._clock = clock
        self._sleep = sleep
        self._port: serial.Serial | None = None
        self._fd = -1
        self._poll = select.poll()
        self._quiet_from = 0.0  # earliest moment at which the next request may go out

    @property
    def is_open(self) -> bool:
        return self._port is not None

    def open(self) -> None:
        s = self._settings
        try:
            self._port = open_port(s)
        except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
            raise LineDown(f"{s.device}: can't be opened: {error}") from error
        self._fd = self._port.fileno()
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._quiet_from = self._clock() + s.gap_s

    def close(self) -> None:
        port, self._port, self._fd = self._port, None, -1
        if port is not None:
            with suppress(OSError):  # the device may be gone; its descriptor is freed all the same
                port.close()

    def exchange(self, request: Request) -> bytes:
        try:
            self._discard_leftovers()
            frame = _FRAMER.encode(request.pdu, request.unit, 0)
            wait = self._quiet_from - self._clock()
            if wait > 0:
                self._sleep(wait)
            self._send(frame)
            answer = self._receive(request, self._clock() + len(frame) * self._settings.character_s)
            self._quiet_from = self._clock() + self._settings.gap_s
            self.counters.wire_s += (len(frame) + len(answer)) * self._settings.character_s
            return self._take(request, answer[1:-2])
        except OSError as error:
            self.close()
            raise LineDown(f"{self._settings.device}: {error}") from error

    def _take(self, request: Request, pdu: bytes) -> bytes:
        """Return the answer's data. A whole answer to something else is a late one: the true one is still to come."""
        try:
            return take_answer(request, pdu)
        except BrokenAnswer:
            self.counters.late_or_foreign += 1
            self._drain()
            raise

    def _receive(self, request: Request, sent_at: float) -> bytes:
        """Return the whole answer frame, its unit, function, length and CRC checked, or drain and raise."""
        got = self._read_until(sent_at + self._answer_timeout_s)
        if not got:
            if self._drain():
                self.counters.late_or_foreign += 1
            raise NoAnswer(f"{describe(request)}: no answer")
        ends_by = self._clock() + (request.answer_bytes + _FRAME_EXTRA) * self._settings.character_s + _LUMP_S
        while (missing := self._missing(request, got)) > 0:
            # Sleep through what is on the wire rather than wake for each byte; be awake when the last ones come.
            rest_s = missing * self._settings.character_s - _AWAKE_S
            if rest_s > 0:
                self._sleep(min(rest_s, _LUMP_S))
            more = self._read_until(ends_by)
            if not more:
                self._fail(request, f"the answer broke off after {len(got)} bytes")
            got += more
        if missing < 0:
            self._fail(request, "the line carries more than one answer", foreign=True)
        if not FramerRTU.check_CRC(got[:-2], int.from_bytes(got[-2:], "big")):
            self.counters.crc_errors += 1
            self._fail(request, "the answer's CRC is wrong")
        return got

    def _missing(self, request: Request, got: bytes) -> int:
        """Return how many bytes the answer lacks (negative: too many), or fail where it can't be the answer."""
        if got[0] != request.unit:
            self._fail(request, f"unit {got[0]} answered", foreign=True)
        if len(got) < 2:
            return 3 + _FRAME_EXTRA - 2  # at least an exception's rest
        length = answer_length(request, got[1])
        if length is None:
            self._fail(request, f"function {got[1]} came back", foreign=True)
            return 0
        return length + _FRAME_EXTRA - len(got)

    def _fail(self, request: Request, why: str, foreign: bool = False) -> None:
        if foreign:
            self.counters.late_or_foreign += 1
        self._drain()
        raise BrokenAnswer(f"{describe(request)}: {why}")

    def _send(self, frame: bytes) -> None:
        if os.write(self._fd, frame) != len(frame):
            raise OSError("the device takes no more bytes")

    def _read_until(self, deadline: float) -> bytes:
        """Return what has come, waiting for the first byte until `deadline`; b"" if nothing came."""
        remaining = max(0.0, deadline - self._clock())
        events = self._poll.poll(remaining * 1000)
        if not events:
            return b""
        got = os.read(self._fd, _READ_BYTES)
        if not got:
            raise OSError("the device is gone")
        return got

    def _discard_leftovers(self) -> None:
        """Throw away what came while nothing was asked: a late answer or noise."""
        if self._read_until(0.0):
            self.counters.late_or_foreign += 1
            self._drain()

    def _drain(self) -> bool:
        """Read until the line has been silent for SILENCE_S; True if anything came. BrokenAnswer if it never is."""
        give_up_at = self._clock() + DRAIN_LIMIT_S
        came = False
        while self._read_until(self._clock() + SILENCE_S):
            came = True
            if self._clock() >= give_up_at:
                raise BrokenAnswer(f"{self._settings.device}: somebody talks without end")
        return came
