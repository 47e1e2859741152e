"""Free TCP ports on the loopback interface."""

import random
import socket

# Below Linux's range for outgoing connections (32768 and up): while a server is down between kill and restart, no
# client's own port can be the server's, which would let a client connect to itself or the restart fail.
_FIRST, _LAST = 20000, 31999
_TRIES = 200

_handed_out: set[int] = set()
_random = random.SystemRandom()


def free_port() -> int:
    """Return a port that nobody listens on and that this process wasn't given before."""
    for _ in range(_TRIES):
        port = _random.randint(_FIRST, _LAST)
        if port not in _handed_out and _can_listen(port):
            _handed_out.add(port)
            return port
    raise RuntimeError(f"no free port between {_FIRST} and {_LAST} in {_TRIES} tries")


def is_listening(port: int, host: str = "127.0.0.1") -> bool:
    """True if somebody accepts connections on this port."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no obstacle
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
