"""Talks to the running simulator through its control socket: JSON lines, one answer to each."""

import json
import socket
from pathlib import Path
from typing import Any

_ANSWER_TIMEOUT_S = 30.0
_MAX_LINE = 1 << 20


class ControlRefused(RuntimeError):
    """The simulator answered that it can't do that; the message is its reason."""


class SimulatorGone(ConnectionError):
    """Nobody answers at the control socket."""


class Control:
    """`Control(path).do("pour", lock="1f00a1", chamber=1)`. A connection for each order: it survives restarts."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def do(self, action: str, timeout_s: float = _ANSWER_TIMEOUT_S, **arguments: Any) -> dict[str, Any]:
        """Send one order and return the answer; ControlRefused or SimulatorGone where there is none."""
        order = json.dumps({"do": action, **arguments}).encode() + b"\n"
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(timeout_s)
                connection.connect(str(self._path))
                connection.sendall(order)
                with connection.makefile("rb") as stream:
                    line = stream.readline(_MAX_LINE)
        except OSError as error:
            raise SimulatorGone(f"no answer from the simulator at {self._path}: {error}") from error
        if not line.endswith(b"\n"):
            raise SimulatorGone(f"the simulator at {self._path} hung up in the middle of an answer")
        answer: dict[str, Any] = json.loads(line)
        if not answer.get("ok", False):
            raise ControlRefused(f"{action} {arguments}: {answer.get('error', answer)}")
        return answer
