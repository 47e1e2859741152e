"""Modbus TCP: transaction (2 bytes), protocol 0 (2), length of what follows (2), unit (1), function and data."""

import selectors
import socket
import struct
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from random import Random

from tests.conformance.vendor.bus import Bus
from tests.conformance.vendor.frames import NO_SUCH_UNIT, Refusal, parse_request
from tests.conformance.vendor.manners import Delivery, FaultKind, Manners, distort, in_pieces, late_s

_LONGEST_WAIT_S = 0.05
_HEAD = 6


@dataclass(eq=False)
class Link:
    """One connection. `held` leaves together with the next answer; `busy_until` keeps answers in order."""

    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)
    held: bytes = b""
    busy_until: float = 0.0


class TcpBus(Bus):
    """A server on a port of 127.0.0.1 that the system chooses."""

    def __init__(
        self, name: str, world: AbstractContextManager[object], rng: Random, manners: Manners
    ) -> None:
        super().__init__(name, world, rng, manners)
        self._selector = selectors.DefaultSelector()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self.port: int = self._server.getsockname()[1]
        self._selector.register(self._server, selectors.EVENT_READ)
        self._links: set[Link] = set()

    def run(self) -> None:
        try:
            while not self._ended.is_set():
                for key, _ in self._selector.select(self._outbox.wait_s(_LONGEST_WAIT_S)):
                    self._accept() if key.data is None else self._receive(key.data)
                self._outbox.run_due()
        finally:
            self._hang_up_each()
            self._server.close()
            self._selector.close()

    def hang_up_all(self) -> None:
        """Close all connections at the next moment: a power cut, or somebody pulled the cable."""
        self._outbox.at(0.0, self._hang_up_each)

    def _hang_up_each(self) -> None:
        for link in list(self._links):
            self._hang_up(link)

    def _accept(self) -> None:
        accepted, _ = self._server.accept()
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(accepted)
        self._links.add(link)
        self._selector.register(accepted, selectors.EVENT_READ, link)

    def _receive(self, link: Link) -> None:
        try:
            data = link.socket.recv(4096)
        except OSError:
            data = b""
        if not data:
            self._hang_up(link)
            return
        link.received += data
        while link in self._links and len(link.received) >= _HEAD:
            transaction, protocol, length = struct.unpack(">HHH", link.received[:_HEAD])
            if protocol != 0 or not 2 <= length <= 254:
                self.offend(f"sent a frame of protocol {protocol} and length {length}")
                self._hang_up(link)
                return
            if len(link.received) < _HEAD + length:
                return
            frame = bytes(link.received[_HEAD : _HEAD + length])
            del link.received[: _HEAD + length]
            self._take(link, transaction, frame[0], frame[1:])

    def _take(self, link: Link, transaction: int, unit: int, body: bytes) -> None:
        answer = self._answer(unit, body, NO_SUCH_UNIT)
        if answer is None:
            return
        fault = self._fault(unit, body)
        if fault == "mute":
            self._after(unit, arrived=False)
            return
        frame = self._frame(fault, transaction, unit, distort(fault, answer, self._rng))
        if fault in ("late", "very late"):
            self._send_at(link, time.monotonic() + late_s(self._rng, fault), frame)
            self._after(unit, arrived=False)
        elif fault == "late with the next":
            link.held = frame
            self._after(unit, arrived=False)
        else:
            right = self._frame(None, transaction, unit, answer)
            held, link.held = link.held, b""
            self._deliver(link, unit, held + frame, arrived=frame == right)

    def _deliver(self, link: Link, unit: int, frame: bytes, arrived: bool) -> None:
        delivery = self.manners.deliver(len(frame))
        if delivery is None:
            self._after(unit, arrived=False)
            return
        moment = max(link.busy_until, time.monotonic() + delivery.delay_s)
        for place, piece in enumerate(self._pieces(delivery, frame)):
            moment += delivery.pause_s if place else 0.0
            self._send_at(link, moment, piece)
        if delivery.ending != "stay":
            self._outbox.at(moment, lambda: self._hang_up(link))
        link.busy_until = moment
        whole = delivery.ending == "stay" and arrived
        # At the last piece's own moment: before the next request can be there.
        self._outbox.at(moment, lambda: self._after(unit, whole))

    def _pieces(self, delivery: Delivery, frame: bytes) -> list[bytes]:
        if delivery.ending == "close instead":
            return []
        if delivery.ending == "close within":
            return [frame[: self._rng.randrange(1, len(frame))]]
        return in_pieces(frame, delivery.cuts)

    def _fault(self, unit: int, body: bytes) -> FaultKind | None:
        try:
            return self.faults.take(parse_request(unit, body))
        except Refusal:
            return None

    def _frame(self, fault: FaultKind | None, transaction: int, unit: int, answer: bytes) -> bytes:
        if fault == "wrong transaction":
            transaction = (transaction + self._rng.choice((1, 0xFFFF))) & 0xFFFF
        if fault == "wrong unit":
            unit ^= 1
        frame = struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer
        if fault == "cut":
            return frame[: self._rng.randrange(1, len(frame))]
        if fault == "bad check":  # TCP has none of its own: the header is what can be broken
            return (
                struct.pack(">HHH", transaction, self._rng.randint(1, 0xFFFF), len(answer) + 1)
                + frame[_HEAD:]
            )
        if fault == "noise":
            return self._rng.randbytes(self._rng.randint(1, 9)) + frame
        return frame

    def _send_at(self, link: Link, moment: float, data: bytes) -> None:
        self._outbox.at(moment, lambda: self._send(link, data))

    def _send(self, link: Link, data: bytes) -> None:
        if link not in self._links:
            return
        try:
            link.socket.sendall(data)
        except OSError:
            self._hang_up(link)

    def _hang_up(self, link: Link) -> None:
        if link in self._links:
            self._links.discard(link)
            self._selector.unregister(link.socket)
            link.socket.close()
