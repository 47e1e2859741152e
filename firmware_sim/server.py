"""Modbus TCP: many units on one port. The transport is ours; see bus.py for what is answered."""

import asyncio
import socket
import struct
from collections.abc import Callable

from firmware_sim.bus import Bus, ConnectionReset, Reply
from firmware_sim.wire import BrokenStream, TcpRequests, tcp_frame

MAX_CONNECTIONS = 64
_NO_LINGER = struct.pack("ii", 1, 0)
MAX_UNSENT_BYTES = 64 * 1024  # a client that doesn't read its answers is thrown out


class TcpServer:
    """Listens for one bus."""

    def __init__(self, bus: Bus, now: Callable[[], float]) -> None:
        self.bus = bus
        self._now = now
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port that was given where 0 was asked for. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self._connections, self.bus, self._now), host, port
        )
        return int(self._server.sockets[0].getsockname()[1])

    def reset_connections(self) -> None:
        """Reset all connections there are now."""
        for connection in list(self._connections):
            connection.reset()

    async def stop(self) -> None:
        """Hang up on everybody and close the port."""
        if self._server is not None:
            self._server.close()
            self.reset_connections()
            await self._server.wait_closed()


class _Connection(asyncio.Protocol):
    """One client. Requests are executed in the order they come; a late answer doesn't hold up the next one."""

    def __init__(self, connections: "set[_Connection]", bus: Bus, now: Callable[[], float]) -> None:
        self._connections = connections
        self._bus = bus
        self._now = now
        self._requests = TcpRequests()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if len(self._connections) >= MAX_CONNECTIONS:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=MAX_UNSENT_BYTES)
        self._connections.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._connections.discard(self)
        self._transport = None

    def pause_writing(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Drop the connection without a word: the client gets RST, not the orderly end of a stream."""
        if self._transport is not None:
            self._transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER
            )
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            for request in self._requests.feed(data):
                reply = self._bus.answer(request, self._now())
                if reply is not None:
                    self._send(request.transaction, reply)
        except (BrokenStream, ConnectionReset):
            self.reset()

    def _send(self, transaction: int, reply: Reply) -> None:
        frame = tcp_frame(transaction, reply.unit, reply.pdu)
        if reply.cut_to is not None:
            frame = frame[: min(reply.cut_to, len(frame) - 1)]
        if reply.delay_s:
            asyncio.get_running_loop().call_later(reply.delay_s, self._write, frame)
        else:
            self._write(frame)

    def _write(self, frame: bytes) -> None:
        if self._transport is not None:
            self._transport.write(frame)
