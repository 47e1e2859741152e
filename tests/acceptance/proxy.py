"""A TCP link between a program and the broker that can be cut, stalled and healed: the network in a fault run."""

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from typing import Self

from tests.support.ports import free_port

_HOST = "127.0.0.1"
_CHUNK = 65536
_TICK_S = 0.05


class Link:
    """Listens on `port` and passes everything to `target_port` and back, while it is up.

    One thread does all. `cut` resets what is connected and refuses what comes; `stall` keeps connections open and
    lets nothing through, as a radio link without coverage does; `heal` ends both.
    """

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self._target_port = target_port
        self._selector = selectors.DefaultSelector()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._listener: socket.socket | None = None
        self._stop = threading.Event()
        self._cut = threading.Event()
        self._stalled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def cut(self) -> None:
        self._cut.set()

    def stall(self) -> None:
        self._stalled.set()

    def heal(self) -> None:
        self._cut.clear()
        self._stalled.clear()

    def __enter__(self) -> Self:
        self._listen()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._cut.is_set():
                self._drop_all()
            elif self._listener is None:
                self._listen()
            if self._stalled.is_set() or self._cut.is_set():
                self._stop.wait(_TICK_S)
                continue
            for key, _events in self._selector.select(_TICK_S):
                assert isinstance(key.fileobj, socket.socket)
                self._serve(key.fileobj)
        self._drop_all()
        self._selector.close()

    def _listen(self) -> None:
        self._listener = socket.create_server((_HOST, self.port))
        self._selector.register(self._listener, selectors.EVENT_READ)

    def _serve(self, ready: socket.socket) -> None:
        if ready is self._listener:
            self._accept(ready)
        elif ready in self._pairs:
            self._pass_on(ready)

    def _accept(self, listener: socket.socket) -> None:
        near, _ = listener.accept()
        try:
            far = socket.create_connection((_HOST, self._target_port), timeout=5)
        except OSError:
            near.close()  # the broker is down: whoever connects learns it as he would without us
            return
        for one, other in ((near, far), (far, near)):
            one.settimeout(5)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, source: socket.socket) -> None:
        try:
            data = source.recv(_CHUNK)
            if data:
                self._pairs[source].sendall(data)
                return
        except OSError:
            pass  # a broken connection ends like a closed one
        self._drop(source)

    def _drop(self, one: socket.socket) -> None:
        other = self._pairs[one]
        for end in (one, other):
            self._selector.unregister(end)
            del self._pairs[end]
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            end.close()

    def _drop_all(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
        while self._pairs:
            self._drop(next(iter(self._pairs)))
