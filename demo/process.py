"""One child process: in a process group of its own, logging to files, ended by its pid and never by its name."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_POLL_S = 0.02
_TAIL_BYTES = 4000


class ProcessFailed(RuntimeError):
    """A child ended that should run, did not get ready or did not end in time; the message holds the end of its log."""


class MissingProgram(RuntimeError):
    """A program that the chain is made of isn't installed; the message says how to install it."""


class Child:
    """A program that can be started, killed, paused and started again.

    `command` may be changed between two starts. Standard output goes to `NAME.out`, standard error to `NAME.log`,
    both appended, so that a restart loses nothing of what the run before said.
    """

    def __init__(
        self, name: str, command: Sequence[str], logs: Path, environment: Mapping[str, str] | None = None
    ):
        self.name = name
        self.command = list(command)
        self.environment = dict(environment or {})
        self.out = logs / f"{name}.out"
        self.log = logs / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._out_start = 0
        self._ended_by_us = False

    @property
    def pid(self) -> int:
        """The process's pid; ProcessFailed if it was never started."""
        return self._started().pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the program. It gets SIGTERM if we die without having ended it."""
        if self.running:
            raise ProcessFailed(f"{self.name} runs already (pid {self.pid})")
        self._ended_by_us = False
        self._out_start = self.out.stat().st_size if self.out.exists() else 0
        with self.out.open("ab") as out, self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_ends_with_parent(), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,  # a Ctrl-C in the terminal is ours to handle, in order
            )

    def stop(self, timeout_s: float = 10.0) -> int:
        """Ask the program to end (SIGTERM), return its exit code; kill it and raise ProcessFailed after the timeout."""
        process = self._started()
        if process.poll() is None:
            self._ended_by_us = True
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGTERM)
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ProcessFailed(self._story(f"did not end within {timeout_s:g} s of SIGTERM")) from None

    def kill(self) -> None:
        """kill -9: the program gets no chance to say goodbye."""
        process = self._started()
        if process.poll() is None:
            self._ended_by_us = True
            self._signal(signal.SIGKILL)
        process.wait(10)

    def pause(self) -> None:
        """Stop the program in its tracks (SIGSTOP), as a starved machine would."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        """Send another signal, such as SIGHUP."""
        self._signal(number)

    def wait_ended(self, timeout_s: float) -> int:
        """Return the exit code (negative: the signal that ended it), or raise ProcessFailed if it runs on."""
        try:
            return self._started().wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ProcessFailed(self._story(f"did not end by itself within {timeout_s:g} s")) from None

    def has_ended(self, within_s: float) -> bool:
        """Wait up to `within_s` for the program to end; True if it has."""
        try:
            self._started().wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def wait_until(self, ready: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Wait until `ready()`; ProcessFailed as soon as the process ends, or after the timeout."""
        end = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > end:
                raise ProcessFailed(self._story(f"{what}: not within {timeout_s:g} s"))
            time.sleep(_POLL_S)

    def check(self) -> None:
        """Raise ProcessFailed if the program has ended, unless it was us who ended it."""
        if self._process is not None and self._process.poll() is not None and not self._ended_by_us:
            raise ProcessFailed(self._story(f"ended with exit code {self._process.returncode}"))

    def first_line(self, timeout_s: float) -> str:
        """Return the first whole line that this run wrote to standard output."""
        self.wait_until(lambda: b"\n" in self._output(), "its first line of output", timeout_s)
        return self._output().split(b"\n", 1)[0].decode()

    def log_tail(self) -> str:
        """Return the end of the log, for people."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            return log.read().decode(errors="replace")

    def _output(self) -> bytes:
        with self.out.open("rb") as out:
            out.seek(self._out_start)
            return out.read(65536)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ProcessFailed(f"{self.name} was never started")
        return self._process

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._started().pid, number)
        except ProcessLookupError:
            self.check()

    def _story(self, what: str) -> str:
        return f"{self.name} {what}; command: {' '.join(self.command)}; end of {self.log}:\n{self.log_tail()}"


def program(name: str) -> list[str]:
    """Return the command of one of our own programs, as installed beside this Python."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise MissingProgram(f"{name} isn't installed: run `make setup`")
    return [found]


def run_program(line: Sequence[str], given: bytes = b"", timeout_s: float = 60.0) -> bytes:
    """Return what a command prints, `given` on its standard input; ProcessFailed if it doesn't end well, or in time."""
    try:
        done = subprocess.run(line, input=given, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise ProcessFailed(f"{' '.join(line)} did not end within {timeout_s:g} s") from None
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise ProcessFailed(f"{' '.join(line)} ended with exit code {done.returncode}:\n{said}")
    return done.stdout


def broker_program() -> str:
    """Return the path of mosquitto, which Debian puts where only root's PATH looks."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise MissingProgram("mosquitto isn't installed: run `make setup`")
    return found


def _ends_with_parent() -> list[str]:
    """Return a prefix that ends the child when we are killed; without it (not on Linux) a child may outlive us."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []
