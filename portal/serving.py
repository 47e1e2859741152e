"""Runs the application in uvicorn: bounded concurrency, time limits, trusted proxies, an orderly end."""

import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable
from types import FrameType

import sdnotify  # type: ignore[import-untyped]
import uvicorn
from fastapi import FastAPI

from portal.app import create_app, make_services
from portal.config import Config, WebSection
from portal.errors import ConfigError, PortalError
from portal.services import Services

_KEEP_ALIVE_S = 20
_END_WITHIN_S = 10
_BACKLOG = 512
_HEADER_BYTES = 32 * 1024
_NOTIFY_EVERY_S = 5


class ThreadDied(PortalError):
    """A thread of the portal's own has ended, as its log says. Stop the process, so that it is started anew."""


class Server(uvicorn.Server):
    """uvicorn's server, which ends live streams first: it would wait for them otherwise."""

    def __init__(self, app: FastAPI, services: Services, announce: Callable[[str], None]) -> None:
        """`announce`: told the address once it is served."""
        web = services.settings.web
        super().__init__(
            uvicorn.Config(
                app,
                host=web.host,
                port=web.port,
                limit_concurrency=web.concurrent_requests,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_END_WITHIN_S,
                backlog=_BACKLOG,
                h11_max_incomplete_event_size=_HEADER_BYTES,
                http="h11",
                ws="none",
                proxy_headers=bool(web.trusted_proxies),
                forwarded_allow_ips=list(web.trusted_proxies),
                server_header=False,
                access_log=False,  # paths hold links' secrets; what was asked for is counted by route
                log_config=None,
                timeout_notify=_NOTIFY_EVERY_S,
                callback_notify=_systemd("WATCHDOG=1"),
            )
        )
        self._services = services
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce(self.address)
            await _systemd("READY=1")()

    @property
    def address(self) -> str:
        """Where it listens, once it does: with the port that the system chose for port 0."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler is given it
        """End in an orderly way, with exit code 0; at the second Ctrl-C at once.

        uvicorn's own would raise the signal again at the end, which makes a restart look like a crash.
        """
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.end()

    def end(self) -> None:
        """Begin to end, from any thread."""
        # Not in a signal's handler itself: it may have interrupted who holds the event's lock.
        threading.Thread(target=self._services.hub.end_streams).start()
        self.should_exit = True


def listen(web: WebSection) -> socket.socket:
    """Return the socket to serve on, or raise ConfigError where another program has the port."""
    family = socket.AF_INET6 if ":" in web.host else socket.AF_INET
    try:
        return socket.create_server((web.host, web.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            [f"web.host, web.port: can't listen on {web.host}:{web.port}: {error.strerror}: "
             "end the program that does, or choose another port"]
        ) from error  # fmt: skip


def _systemd(message: str) -> Callable[[], Awaitable[None]]:
    """Return what tells systemd, from the loop that answers requests; nothing where systemd didn't start the portal."""
    # Made only where there is somebody to tell: the class leaves its socket open otherwise.
    notifier = sdnotify.SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None

    async def tell() -> None:
        if notifier is not None:
            notifier.notify(message)

    return tell


def run_until_stopped(settings: Config, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C. ThreadDied: something unexpected happened, start anew."""
    died: list[BaseException] = []
    servers: list[Server] = []

    def on_death(error: BaseException) -> None:
        died.append(error)
        for server in servers:
            server.end()

    services = make_services(settings, on_death=on_death)
    try:
        services.accounts.prepare()
        where = settings.web.public_url
        server = Server(
            create_app(services),
            services,
            lambda address: announce(f"portal: {where} (listens on {address})"),
        )
        servers.append(server)
        with listen(settings.web) as listener:
            server.run(sockets=[listener])
    finally:
        services.close()
    if died:
        raise ThreadDied(f"a thread died: {died[0]!r}")
