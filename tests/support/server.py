"""A server process that a test owns: started, killed and started again by its pid, its output kept in a file."""

import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support.waiting import WaitedTooLong, wait_until

_LOG_TAIL_BYTES = 8000


class ServerFailed(AssertionError):
    """A server that a test needs didn't start, or ended by itself. The message holds the end of its log."""


class ServerProcess:
    """One child process with its log file. Not a context manager: its owner (Broker, Postgres …) is one."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The running process's id; ServerFailed if it isn't running."""
        if self._process is None:
            raise ServerFailed(f"{self.name} isn't running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How the process ended by itself, None while it runs or if it was ended by us."""
        return None if self._process is None else self._process.poll()

    def start(
        self,
        command: Sequence[str],
        ready: Callable[[], bool],
        timeout_s: float = 15.0,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start the command and return when `ready()`; ServerFailed with its log if it ends or takes too long."""
        if self.running:
            raise ServerFailed(f"{self.name} is running already")
        with self.log.open("ab") as log:
            identity = {} if user is None else {"user": user, "group": user, "extra_groups": []}
            try:
                self._process = subprocess.Popen(  # type: ignore[call-overload]
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=env,
                    **identity,
                )
            except FileNotFoundError as error:
                raise ServerFailed(f"{command[0]} isn't installed: run `make setup`") from error
        try:
            wait_until(lambda: not self.running or ready(), timeout_s, f"{self.name} to be ready")
        except WaitedTooLong as error:
            self.kill()
            raise ServerFailed(f"{error}\n{self.log_tail()}") from error
        if not self.running:
            code = self._forget()
            raise ServerFailed(f"{self.name} ended with exit code {code} while starting\n{self.log_tail()}")

    def stop(self, stop_signal: int = signal.SIGTERM, timeout_s: float = 15.0) -> None:
        """Ask the process to end and wait; kill it and raise ServerFailed if it doesn't. Does nothing if it's down."""
        if self._process is None:
            return
        self._process.send_signal(stop_signal)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise ServerFailed(
                f"{self.name} didn't stop within {timeout_s:g} s\n{self.log_tail()}"
            ) from error
        self._forget()

    def kill(self) -> None:
        """End the process with SIGKILL, as a power cut would, and wait until it's gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._forget()

    def suspend(self) -> None:
        """Freeze the process (SIGSTOP): its connections stay open and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def log_tail(self) -> str:
        """Return the end of what the process wrote to stdout and stderr."""
        if not self.log.exists():
            return f"--- {self.name} wrote no log ---"
        text = self.log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
        return f"--- end of {self.log} ---\n{text}"

    def _signal(self, number: int) -> None:
        if self._process is None:
            raise ServerFailed(f"{self.name} isn't running")
        self._process.send_signal(number)

    def _forget(self) -> int | None:
        code = None if self._process is None else self._process.returncode
        self._process = None
        return code
