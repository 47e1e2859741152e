"""Single keys from the terminal, without waiting for a line and without showing them."""

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Self

_READ_BYTES = 64
_NAMES = {
    b"\x1b[A": "up", b"\x1b[B": "down", b"\x1b[5~": "page up", b"\x1b[6~": "page down",
    b"\x1bOA": "up", b"\x1bOB": "down", b"\x1b[H": "home", b"\x1b[F": "end", b"\x1b": "q",
}  # fmt: skip


class Keys:
    """Context manager: the terminal is as it was afterwards, whatever happens. Ctrl-C still interrupts."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._descriptor)

    def __enter__(self) -> Self:
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def wait(self, seconds: float) -> str | None:
        """Return the next key by its name or character, None if none came in time; `q` where the terminal is gone."""
        if not select.select([self._descriptor], [], [], max(0.0, seconds))[0]:
            return None
        pressed = os.read(self._descriptor, _READ_BYTES)
        if not pressed:
            return "q"
        return _NAMES.get(pressed) or pressed[:1].decode("ascii", "replace").lower()
