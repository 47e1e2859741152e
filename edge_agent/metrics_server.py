"""The HTTP server for monitoring: a few threads, none of which anybody else waits for.

A client that opens a connection and says nothing holds one of a few places for a few seconds, no more; the loops that
do the work don't know of any of this. An address that can't be had is tried again and again: nothing may stop taking
records because somebody else has its port.

Two programs have this file, word for word (a test compares them): they never import each other, and the floor that
they share does no I/O.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from time import monotonic
from typing import Any

import structlog

from wastelock.monitoring import Address, Answer

_log = structlog.get_logger(__name__)

Respond = Callable[[str, str], Answer]

PLACES = 4
DEADLINE_S = 5.0
_BIND_AGAIN_S = 10.0
_LOOK_S = 0.25


class MetricsServer:
    """`run` is the thread. `address` is None until it listens; then it has the port that it got."""

    def __init__(self, wanted: Address, respond: Respond, deadline_s: float = DEADLINE_S) -> None:
        """`respond`: path and Accept header → answer. `deadline_s`: how long one connection may take in all."""
        self._wanted = wanted
        self._respond = respond
        self._deadline_s = deadline_s
        self.address: Address | None = None

    def run(self, stop: threading.Event) -> None:
        """Listen and answer until asked to stop."""
        complained = False
        while not stop.is_set():
            try:
                server = _Server(self._wanted, self._respond)
            except OSError as error:
                if not complained:
                    _log.error("nobody can see the metrics: the address can't be used, trying again until it can",
                               address=str(self._wanted), why=error.strerror)  # fmt: skip
                complained = True
                stop.wait(_BIND_AGAIN_S)
                continue
            with server:
                self.address = Address(self._wanted.host, server.server_address[1])
                _log.info("metrics are served", url=f"http://{self.address}/metrics")
                while not stop.is_set():
                    server.handle_request()
                    server.cut_those_since_before(monotonic() - self._deadline_s)


class _Server(TCPServer):
    allow_reuse_address = True
    timeout = _LOOK_S

    def __init__(self, wanted: Address, respond: Respond) -> None:
        self.address_family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
        self.respond = respond
        self._clients: dict[socket.socket, float] = {}  # since when (monotonic s); each has a thread
        self._guard = threading.Lock()
        super().__init__((wanted.host, wanted.port), _Handler)

    def cut_those_since_before(self, before_s: float) -> None:
        """End the connections that take too long: their threads then wake up and end."""
        with self._guard:
            for request, since_s in self._clients.items():
                if since_s < before_s:
                    with suppress(OSError):  # it is just ending by itself
                        request.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            has_place = len(self._clients) < PLACES
            if has_place:
                self._clients[request] = monotonic()
        if not has_place:
            self.shutdown_request(request)
            return
        thread = threading.Thread(target=self._serve, args=(request, client_address), daemon=True)
        thread.start()

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        try:
            with suppress(OSError):  # who goes away in the middle of an answer is no news
                self.finish_request(request, client_address)
        finally:
            with self._guard:
                del self._clients[request]
            self.shutdown_request(request)


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "wastelock", ""
    server: _Server

    def do_GET(self) -> None:
        answer = self.server.respond(self.path, self.headers.get("Accept", ""))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_arguments: Any) -> None:
        """A scrape every few seconds is nothing for the log."""
