"""Modbus TCP on one connection: one transaction at a time, told apart by their transaction ids.

    [ transaction ][ protocol 0 ][ length ][ unit ][ PDU … ]      length = unit and PDU
           2             2           2        1

An answer with another transaction id is a late one and is read past. After a time-out the connection is drained all the
same: a serial server may send an old answer under a new id, and only the records' own checks would find that out.
"""

import socket
import struct
import time
from collections.abc import Callable

from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU

from edge_agent.errors import BrokenAnswer, LineDown, NoAnswer
from edge_agent.line import DRAIN_LIMIT_S, SILENCE_S, LineCounters
from edge_agent.modbus import Request, describe, take_answer

_FRAMER = FramerSocket(DecodePDU(is_server=False))
_HEADER_BYTES = 7
_TIMEVAL = struct.Struct("@ll")
_MAX_LENGTH = 254  # unit and PDU (Modbus TCP, 4.1)
_READ_BYTES = 2048
# So many time-outs in a row, of whichever units, and the connection may be half-open: a new one costs little.
_TIMEOUTS_TO_RECONNECT = 3


class TcpLine:
    """One Modbus TCP server: a controller of its own, or a serial server with many units behind it."""

    has_wire = False

    def __init__(
        self,
        host: str,
        port: int,
        answer_timeout_s: float,
        connect_timeout_s: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`answer_timeout_s`: from the request to the whole answer."""
        self.counters = LineCounters()
        self._address = (host, port)
        self._answer_timeout_s = answer_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._clock = clock
        self._socket: socket.socket | None = None
        self._transaction = 0
        self._timeouts = 0
        self._leftover = b""

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def open(self) -> None:
        host, port = self._address
        try:
            connection = socket.create_connection(self._address, self._connect_timeout_s)
        except (OSError, UnicodeError) as error:  # UnicodeError: no host name can look like that
            raise LineDown(f"{host}:{port}: can't be reached: {error}") from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # The kernel's own time-outs spare a poll() for each recv(), on the path that every record takes.
        connection.settimeout(None)
        self._socket = connection
        self._set_timeout(socket.SO_SNDTIMEO, self._answer_timeout_s)
        self._set_timeout(socket.SO_RCVTIMEO, self._answer_timeout_s)
        self._leftover = b""
        self._timeouts = 0

    def close(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def exchange(self, request: Request) -> bytes:
        connection = self._socket
        if connection is None:
            raise LineDown("the connection is closed")
        self._transaction = (self._transaction + 1) & 0xFFFF or 1
        try:
            connection.sendall(_FRAMER.encode(request.pdu, request.unit, self._transaction))
            pdu = self._receive(connection, request)
        except OSError as error:
            self.close()
            raise LineDown(f"{self._address[0]}:{self._address[1]}: {error}") from error
        self._timeouts = 0
        return take_answer(request, pdu)

    def _receive(self, connection: socket.socket, request: Request) -> bytes:
        """Return the PDU of the frame that carries this transaction's id and unit; late answers are read past."""
        data = self._leftover
        deadline = self._clock() + self._answer_timeout_s
        while True:
            frame_bytes = self._frame_length(request, data)
            if frame_bytes is None or len(data) < frame_bytes:
                more = self._read(connection)
                if more is None or self._clock() >= deadline:
                    return self._time_out(connection, request, cut=bool(data))
                data += more
                continue
            frame, data = data[:frame_bytes], data[frame_bytes:]
            if int.from_bytes(frame[:2], "big") == self._transaction:
                self._leftover = data
                if frame[6] != request.unit:
                    raise BrokenAnswer(f"{describe(request)}: unit {frame[6]} answered")
                return frame[7:]
            self.counters.late_or_foreign += 1

    def _frame_length(self, request: Request, data: bytes) -> int | None:
        """Return the length of the frame that `data` begins with, None while its header is incomplete."""
        if len(data) < _HEADER_BYTES:
            return None
        protocol, length = int.from_bytes(data[2:4], "big"), int.from_bytes(data[4:6], "big")
        if protocol != 0 or not 3 <= length <= _MAX_LENGTH:
            self.close()  # nobody knows where the next frame begins: only a new connection does
            raise BrokenAnswer(f"{describe(request)}: what came isn't Modbus TCP; connecting again")
        return 6 + length

    def _read(self, connection: socket.socket) -> bytes | None:
        """Return what came, None if nothing did within the receive time-out; a closed connection is an OSError."""
        try:
            got = connection.recv(_READ_BYTES)
        except BlockingIOError:
            return None
        if not got:
            raise ConnectionResetError("the other side closed the connection")
        return got

    def _time_out(self, connection: socket.socket, request: Request, cut: bool) -> bytes:
        """Leave the connection so that nothing of this transaction reaches the next; `cut`: a frame broke off."""
        self._timeouts += 1
        if cut or self._timeouts >= _TIMEOUTS_TO_RECONNECT:
            self.close()
        else:
            self._drain(connection)
        raise NoAnswer(f"{describe(request)}: no answer within {self._answer_timeout_s:g} s")

    def _drain(self, connection: socket.socket) -> None:
        """Read until nothing has come for SILENCE_S; somebody who talks on beyond the limit loses the connection."""
        self._leftover = b""
        give_up_at = self._clock() + DRAIN_LIMIT_S
        self._set_timeout(socket.SO_RCVTIMEO, SILENCE_S)
        while self._read(connection) is not None:
            self.counters.late_or_foreign += 1
            if self._clock() >= give_up_at:
                raise ConnectionResetError("talk without end")
        self._set_timeout(socket.SO_RCVTIMEO, self._answer_timeout_s)

    def _set_timeout(self, option: int, timeout_s: float) -> None:
        if self._socket is not None:
            seconds = int(timeout_s)
            self._socket.setsockopt(
                socket.SOL_SOCKET, option, _TIMEVAL.pack(seconds, int((timeout_s - seconds) * 1_000_000))
            )
