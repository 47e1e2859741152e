"""Answers a request by a live stream; ends it when the viewer may not listen any more, or doesn't take what is sent."""

import asyncio
from collections.abc import Callable

from fastapi import Request
from starlette.responses import StreamingResponse
from starlette.types import Send

from portal.access import still_holds
from portal.live import Audience
from portal.roles import Viewer
from portal.services import services_of

_STUCK_S = 60.0  # a browser that takes nothing for so long is gone


class LiveResponse(StreamingResponse):
    """A stream that gives up on a browser which has stopped reading: memory and a place would be held for nobody.

    Not FastAPI's own response for events: that one queues what the browser doesn't take, and sends its own heartbeat.
    """

    media_type = "text/event-stream"

    async def stream_response(self, send: Send) -> None:
        async def send_in_time(message: object) -> None:
            async with asyncio.timeout(_STUCK_S):
                await send(message)  # type: ignore[arg-type]  # passed through as it came

        try:
            await super().stream_response(send_in_time)
        except TimeoutError:
            return


def open_stream(
    request: Request, viewer: Viewer, audience: Audience, still: Callable[[], bool] = lambda: True
) -> LiveResponse:
    """Return the stream of what this audience may see; TooMany if the session has too many already.

    `still`: what must hold besides the viewer's rights, asked in a thread whenever nothing has happened for a while.
    """
    services = services_of(request)
    services.hub.admit(viewer.session_key)
    chunks = services.hub.follow(
        audience,
        viewer.session_key,
        request.headers.get("Last-Event-ID"),
        lambda: still_holds(request, viewer) and still(),
    )
    return LiveResponse(chunks, headers={"X-Accel-Buffering": "no"})
