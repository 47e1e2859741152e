"""A real terminal for programs that draw and listen to keys: a pseudo-terminal, and a screen as the program left it."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from typing import Self

import pyte

from tests.support.waiting import wait_until

_READ_BYTES = 65_536


class Terminal:
    """Context manager: a program in a terminal of so many columns and lines. What it still runs at the end is ended."""

    def __init__(
        self,
        command: Sequence[str],
        columns: int = 80,
        lines: int = 24,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = list(command)
        self._size = (columns, lines)
        # The size of whatever terminal the tests run in is none of the program's business.
        inherited = {k: v for k, v in (environment or os.environ).items() if k not in ("COLUMNS", "LINES")}
        self._environment = inherited | {"TERM": "xterm-256color"}
        self._screen = pyte.HistoryScreen(columns, lines, history=1000)
        self._stream = pyte.ByteStream(self._screen)
        self._guard = threading.Lock()
        self._master = self._slave = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)

    def __enter__(self) -> Self:
        self._master, self._slave = pty.openpty()
        self._set_size(*self._size)
        self.settings_before = termios.tcgetattr(self._slave)
        # setsid: the terminal becomes the program's own, so that Ctrl-C is a signal.
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *self._command],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=self._environment,
        )
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(10)
        os.close(self._slave)
        self._reader.join(10)
        os.close(self._master)

    @property
    def lines(self) -> list[str]:
        """What stands on the screen now, without spaces at the ends."""
        with self._guard:
            return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """What stands on the screen now."""
        return "\n".join(self.lines)

    @property
    def settings(self) -> list[object]:
        """How the terminal is set: as `settings_before` once the program has ended in order."""
        return list(termios.tcgetattr(self._slave))

    def press(self, keys: str) -> None:
        """Type; \\x03 is Ctrl-C."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Make the terminal larger or smaller, and tell the program so."""
        with self._guard:
            self._screen.resize(lines, columns)
        self._set_size(columns, lines)
        assert self._process is not None
        self._process.send_signal(signal.SIGWINCH)

    def wait_for(self, text: str, timeout_s: float = 20.0) -> str:
        """Wait until this text stands on the screen; return the whole screen."""
        wait_until(lambda: text in self.text, timeout_s, lambda: f"{text!r} on the screen:\n{self.text}")
        return self.text

    def wait_gone(self, text: str, timeout_s: float = 20.0) -> str:
        """Wait until this text stands on the screen no more; return the whole screen."""
        wait_until(lambda: text not in self.text, timeout_s, lambda: f"{text!r} to go:\n{self.text}")
        return self.text

    def exit_code(self, timeout_s: float = 20.0) -> int:
        """Wait for the program's end; return its exit code."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _read(self) -> None:
        while select.select([self._master], [], [])[0]:
            try:
                data = os.read(self._master, _READ_BYTES)
            except OSError:  # EIO: nobody has the other side any more
                return
            if not data:
                return
            with self._guard:
                self._stream.feed(data)
