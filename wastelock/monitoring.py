"""What the programs answer to monitoring: `/metrics`, `/healthz`, `/readyz`. Pure: each program has its own server.

| path       | 200                                        | 503                                           |
| ---------- | ------------------------------------------ | --------------------------------------------- |
| `/metrics` | figures, in OpenMetrics where it is wanted |                                               |
| `/healthz` | all loops go round                         | one is stuck: restart the program             |
| `/readyz`  | it does what it is for                     | something that it needs is missing: look there |
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Views:
    """What a program lets monitoring see. All are called by the server's threads.

    `metrics`: the figures' content type and text, for an Accept header. `stuck`: loops that make no progress.
    `missing`: why it can't do its work now. The latter two are sentences for people, empty while all is well.
    """

    metrics: Callable[[str], tuple[str, bytes]]
    stuck: Callable[[], Sequence[str]]
    missing: Callable[[], Sequence[str]]


def respond(views: Views, path: str, accept: str) -> Answer:
    """Return the answer to a GET of `path` (what follows a `?` counts for nothing)."""
    match path.partition("?")[0]:
        case "/metrics":
            return Answer(200, *views.metrics(accept))
        case "/healthz":
            return _verdict("alive", views.stuck())
        case "/readyz":
            return _verdict("ready", views.missing())
        case _:
            return Answer(404, TEXT, b"there are /metrics, /healthz and /readyz\n")


def _verdict(name: str, reasons: Sequence[str]) -> Answer:
    body = json.dumps({name: not reasons, "reasons": list(reasons)}, ensure_ascii=False) + "\n"
    return Answer(503 if reasons else 200, JSON, body.encode())


@dataclass(frozen=True, slots=True)
class Address:
    """Where a program listens; `port` 0: any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return the address in `127.0.0.1:9465` or `[::1]:9465`; ValueError for anything else, names included."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, as in [::1]:9465")
    if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise ValueError(f"{text!r} names no port: expected an address such as 127.0.0.1:9465")
    return Address(str(ip_address(host)), int(port))
