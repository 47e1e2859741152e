"""Sees every request from outside: counts and times it, adds rate limit headers, ends what the log of writes began."""

import time
from collections.abc import Callable

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portal.errors import Unavailable
from portal.route_names import template_of
from portal.services import Services

log = structlog.get_logger(__name__)
_OTHER = "other"  # anybody can make up any number of methods
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Observer:
    """Counts by route template, never by path: paths name locks and households, and hold links' secrets."""

    def __init__(
        self, app: ASGIApp, services: Services, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._services = services
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s, status = self._monotonic(), 500

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                await self._conclude(scope, status)  # first: whoever has the answer finds it in the log
                allowance = scope.get("state", {}).get("allowance")
                if allowance is not None:
                    MutableHeaders(scope=message).update(allowance.headers())
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        finally:
            route = template_of(scope)
            method = scope["method"] if scope["method"] in _METHODS else _OTHER
            self._services.metrics.requests.labels(method, route, str(status)).inc()
            self._services.metrics.request_seconds.labels(route).observe(self._monotonic() - began_s)

    async def _conclude(self, scope: Scope, status: int) -> None:
        """Add to the log of writes how it ended."""
        audit_no = scope.get("state", {}).get("audit_no")
        if audit_no is None:
            return
        try:
            await run_in_threadpool(self._services.accounts.audit.conclude, audit_no, status)
        except Unavailable as error:
            log.warning(
                "the log of writes lacks an outcome", event_no=audit_no, status=status, error=str(error)
            )
