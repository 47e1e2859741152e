"""What every answer says to browsers, and what is refused before any route sees it: bodies that are too large.

Pure ASGI, so that streams pass through untouched.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portal.config import WebSection

CONTENT_POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "img-src 'self' data:"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_HSTS = "max-age=31536000; includeSubDomains"
_STATIC = "/static/"
_STATIC_CACHE = "public, max-age=3600"


class TooLarge(Exception):
    """The body went on after the bound."""


class SecurityHeaders:
    """Adds the headers to every answer. Nothing personal is kept by caches: only static files may be."""

    def __init__(self, app: ASGIApp, web: WebSection) -> None:
        self._app = app
        self._headers = {**_HEADERS, **({"Strict-Transport-Security": _HSTS} if web.secure else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                static = scope["path"].startswith(_STATIC) and message["status"] in (200, 304)
                headers.setdefault("Cache-Control", _STATIC_CACHE if static else "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


class BodyLimit:
    """Refuses bodies of more bytes than `web.body_kib`, whatever their Content-Length says."""

    def __init__(self, app: ASGIApp, web: WebSection) -> None:
        self._app = app
        self._most = web.body_kib * 1024

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdigit() or int(declared) > self._most:
            await _refuse(send)
            return
        taken, began = 0, False

        async def receive_bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._most:
                raise TooLarge
            return message

        async def send_noting(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self._app(scope, receive_bounded, send_noting)
        except TooLarge:
            if began:
                raise
            await _refuse(send)


async def _refuse(send: Send) -> None:
    body = b'{"type":"about:blank","title":"Content Too Large","status":413}'
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode()),
               (b"connection", b"close")]  # fmt: skip
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
