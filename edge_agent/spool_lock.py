"""One spool, one agent: a lock file beside the spool, held as long as the process lives (the kernel lets it go).

A technician's command holds it, too, while it has the lines. Who holds it is noted in the file: an agent gives way to
another agent, but waits for a command.
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import SpoolLent, SpoolUnavailable

# Always as long as this, and written over what is there: on a full disk that still works where the file isn't new.
_NOTE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a spool's lock. `pid`: 0 where it couldn't be noted. `command`: None: it is an agent."""

    pid: int
    command: str | None = None

    def __str__(self) -> str:
        who = f"process {self.pid or 'unknown'}"
        return who if self.command is None else f"{who}, the command edge-agent {self.command}"


class SpoolLock:
    """An exclusive lock on `FILE.lock`. The file stays there; only the lock in it counts."""

    def __init__(self, spool: Path, command: str | None = None) -> None:
        """`command`: which one of edge-agent's has it for a while; None: the agent."""
        self._path = lock_path(spool)
        self._command = command
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, or raise SpoolLent (a command has it) or SpoolUnavailable, naming who has it."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise SpoolUnavailable(
                f"{self._path} can't be opened: {error.strerror}; check owner and rights"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _read_note(descriptor)
            os.close(descriptor)
            in_use = f"{self._path.with_suffix('')} is in use by {holder}"
            if holder.command is not None:
                raise SpoolLent(f"{in_use}: it has the lines until it ends") from error
            raise SpoolUnavailable(
                f"{in_use}: only one agent may run on a spool; "
                "stop the other one, or give this one a spool of its own"
            ) from error
        self._descriptor = descriptor
        _hand_over(descriptor, self._path.parent)
        _note(descriptor, self._command)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def lock_path(spool: Path) -> Path:
    return spool.with_name(spool.name + ".lock")


def holder_of(spool: Path) -> Holder | None:
    """Return who has this spool for writing, None if nobody has."""
    try:
        descriptor = os.open(lock_path(spool), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_note(descriptor)
    finally:
        os.close(descriptor)
    return None


def _hand_over(descriptor: int, directory: Path) -> None:
    """A lock file that root has made, for a command by hand, mustn't shut out the agent's own user."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _note(descriptor: int, command: str | None) -> None:
    # Only for whoever finds the lock taken: where nothing can be written it holds all the same.
    text = f"{os.getpid()} {command or ''}".rstrip()[: _NOTE_BYTES - 1]
    try:
        os.pwrite(descriptor, f"{text:<{_NOTE_BYTES - 1}}\n".encode("ascii", "replace"), 0)
        os.ftruncate(descriptor, _NOTE_BYTES)
    except OSError:
        pass


def _read_note(descriptor: int) -> Holder:
    pid, _, command = os.pread(descriptor, _NOTE_BYTES, 0).decode("ascii", "replace").strip().partition(" ")
    return Holder(int(pid), command or None) if pid.isdigit() else Holder(0)
