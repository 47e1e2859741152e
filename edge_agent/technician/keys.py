"""Single keys from the terminal, without waiting for a line and without showing them."""

import os
import re
import select
import sys
import termios
import tty
from collections import deque
from types import TracebackType
from typing import Self

_READ_BYTES = 64
_NAMES = {
    "A": "up", "B": "down", "H": "home", "F": "end", "5~": "page up", "6~": "page down", "1~": "home", "4~": "end",
}  # fmt: skip
_KEY = re.compile(r"\x1b[\[O]([0-9;]*[A-Za-z~])|([^\x1b])", re.DOTALL)


def names_of(pressed: str) -> list[str]:
    """Return the keys in what a terminal sends: a character in lower case, or a name; what isn't known is left out."""
    found = []
    for sequence, character in _KEY.findall(pressed):
        name = character.lower() or _NAMES.get(sequence)
        if name is not None:
            found.append(name)
    return found


class Keys:
    """Context manager: the terminal is as it was afterwards, whatever happens. Ctrl-C still interrupts."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno()
        self._pending: deque[str] = deque()
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
        if self._pending:
            return self._pending.popleft()
        if not select.select([self._descriptor], [], [], max(0.0, seconds))[0]:
            return None
        pressed = os.read(self._descriptor, _READ_BYTES)
        if not pressed:
            return "q"
        self._pending.extend(names_of(pressed.decode("ascii", "replace")))
        return self._pending.popleft() if self._pending else None
