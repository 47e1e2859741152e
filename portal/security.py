"""What every answer tells browsers to allow and to keep. Pure ASGI, so that streams pass through untouched."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portal.config import WebSection

CONTENT_POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "img-src 'self' data:"
)
# `same-origin`, not `no-referrer`: with that, browsers name `null` as the origin of our own forms.
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_HSTS = "max-age=31536000; includeSubDomains"
_STATIC = "/static/"
_STATIC_CACHE = (
    "no-cache"  # kept, but asked about each time: scripts and pages of one release belong together
)


class SecurityHeaders:
    """Adds the headers to every answer. Nothing personal is kept by caches: only static files may be."""

    def __init__(self, app: ASGIApp, web: WebSection) -> None:
        self._app = app
        self._headers = {**HEADERS, **({"Strict-Transport-Security": _HSTS} if web.secure else {})}

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
