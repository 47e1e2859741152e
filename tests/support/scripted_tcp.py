"""A Modbus TCP server that misbehaves on request: `script` holds what to do with the next requests."""

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Self

from tests.support.controller import Controller
from tests.support.modbus_peers import answer_pdu

# Given the request frame and the proper answer frame: what is sent (b"": silence, None: the connection is reset).
TcpMisdeed = Callable[[bytes, bytes], bytes | None]


class ScriptedTcp:
    """Serves one connection at a time, from a thread. `connections` counts those that were accepted."""

    def __init__(self, units: Mapping[int, Controller], port: int) -> None:
        self.host, self.port = "127.0.0.1", port
        self.script: deque[TcpMisdeed | None] = deque()
        self.requests: list[bytes] = []
        self.connections = 0
        self._units = units
        self._stop = threading.Event()
        self._connection: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._stop.clear()
        self._listener = socket.create_server((self.host, self.port))
        self._listener.settimeout(0.02)
        self._thread = threading.Thread(target=self._serve, name="scripted TCP peer")
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)
        if self._listener is not None:
            self._listener.close()

    def send(self, data: bytes) -> None:
        """Send something that nobody asked for, if anybody is connected (a late answer's timer may outlive that)."""
        with contextlib.suppress(OSError):
            if self._connection is not None:
                self._connection.sendall(data)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self) -> None:
        assert self._listener is not None
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            with connection:
                connection.settimeout(0.02)
                self._connection = connection
                with contextlib.suppress(ConnectionError):  # the client gave it up
                    self._talk(connection)
                self._connection = None

    def _talk(self, connection: socket.socket) -> None:
        data = b""
        while not self._stop.is_set():
            try:
                more = connection.recv(1024)
            except TimeoutError:
                continue
            if not more:
                return
            data += more
            while len(data) >= 6 and len(data) >= (end := 6 + int.from_bytes(data[4:6], "big")):
                frame, data = data[:end], data[end:]
                answer = self._answer(frame)
                if answer is None:
                    return
                connection.sendall(answer)

    def _answer(self, frame: bytes) -> bytes | None:
        self.requests.append(frame)
        unit, pdu = frame[6], frame[7:]
        answer = answer_pdu(self._units[unit], pdu) if unit in self._units else bytes((pdu[0] | 0x80, 0x0B))
        proper = frame[:4] + (len(answer) + 1).to_bytes(2, "big") + frame[6:7] + answer
        misdeed = self.script.popleft() if self.script else None
        return proper if misdeed is None else misdeed(frame, proper)
