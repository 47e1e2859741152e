"""Free TCP ports on the loopback interface, for servers that will be started, killed and started again."""

import random
import socket

# Below Linux's range for outgoing connections: while a server is down, no client's own port can be the server's.
_FIRST, _LAST = 20000, 31999
_TRIES = 200


def free_port() -> int:
    """Return a port that nobody listens on now."""
    for _ in range(_TRIES):
        port = random.SystemRandom().randint(_FIRST, _LAST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port between {_FIRST} and {_LAST} in {_TRIES} tries")
