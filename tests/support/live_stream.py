"""Listens to the portal's live stream (server-sent events) in a thread of its own, and can hang up at any moment."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

import httpx

_TIMEOUT_S = 15.0


class LiveStream:
    """`next()` waits for an event: its fields by name, `data` still as text. `end` after the last one."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.events: Queue[dict[str, str]] = Queue()
        self._response = response
        self._thread = threading.Thread(target=self._read, name="live stream", daemon=True)
        self._thread.start()

    def next(self) -> dict[str, str]:
        """Return the next event, within some seconds."""
        return self.events.get(timeout=_TIMEOUT_S)

    def body(self) -> dict[str, Any]:
        """Return what the next event holds."""
        found = json.loads(self.next()["data"])
        assert isinstance(found, dict)
        return found

    def join(self) -> None:
        self._thread.join(_TIMEOUT_S)

    def _read(self) -> None:
        event: dict[str, str] = {}
        try:
            for line in self._response:
                text = line.decode().rstrip("\n")
                name, _, value = text.partition(": ")
                if text == "" and "event" in event:
                    self.events.put(event)
                event = {} if text == "" else {**event, name: value}
        except (OSError, http.client.HTTPException):
            pass  # hung up: by us, or by the portal
        self.events.put({"event": "end"})


@contextmanager
def listening(
    client: httpx.Client, path: str = "/api/v1/live", resume: str | None = None
) -> Iterator[LiveStream]:
    """A stream that is asked for with the cookies and headers of this client."""
    headers = {
        name: value for name, value in client.headers.items() if name in ("authorization", "x-csrf-token")
    }
    headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    if resume is not None:
        headers["Last-Event-ID"] = resume
    parts = urlsplit(str(client.base_url))
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    connection.request("GET", path, headers=headers)
    held: socket.socket = connection.sock  # the connection lets go of it once the answer has begun
    response = connection.getresponse()
    assert response.status == 200, response.read()
    assert (response.getheader("content-type") or "").startswith("text/event-stream")
    stream = LiveStream(response)
    try:
        yield stream
    finally:
        held.shutdown(socket.SHUT_RDWR)
        stream.join()
        connection.close()
        response.close()
