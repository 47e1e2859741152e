"""Where the local door is, for the agent that makes it and for the commands that look for it."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agent.config import AgentConfig
from edge_agent.local.protocol import SOCKET_NAME

RUNTIME_DIRECTORY = Path("/run/wastelock")
_PATH_BYTES_MAX = 107  # of a socket's address (unix(7))


def door_of(config: AgentConfig) -> Path:
    """Return where this process, the agent, makes its door: as configured, in systemd's directory, beside the spool."""
    if config.local.socket is not None:
        return config.local.socket
    given = os.environ.get("RUNTIME_DIRECTORY")
    return Path(given.partition(":")[0]) / SOCKET_NAME if given else _beside_spool(config)


def doors_of(config: AgentConfig) -> tuple[Path, ...]:
    """Return where an agent of this configuration may have made its door, however it was started."""
    if config.local.socket is not None:
        return (config.local.socket,)
    return RUNTIME_DIRECTORY / SOCKET_NAME, _beside_spool(config)


@contextmanager
def short_address(path: Path) -> Iterator[str]:
    """Yield an address that leads to this path: a path that is too long for one goes by way of its directory."""
    if len(os.fsencode(path)) <= _PATH_BYTES_MAX:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def connect(path: Path, timeout_s: float) -> socket.socket:
    """Return a connection to the door, or raise the OSError that says why there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        with short_address(path) as address:
            connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def _beside_spool(config: AgentConfig) -> Path:
    return config.spool.path.with_name(config.spool.path.name + ".sock")
