"""One spool, one agent: a lock file beside the spool, held as long as the process lives (the kernel lets it go)."""

import fcntl
import os
from pathlib import Path

from edge_agent.errors import SpoolUnavailable


class SpoolLock:
    """An exclusive lock on `FILE.lock`. The file stays there; only the lock in it counts."""

    def __init__(self, spool: Path) -> None:
        self._path = lock_path(spool)
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, or raise SpoolUnavailable naming who has it."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise SpoolUnavailable(
                f"{self._path} can't be opened: {error.strerror}; check owner and rights"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise SpoolUnavailable(
                f"{self._path.with_suffix('')} is in use by process {holder}: only one agent may run on a spool; "
                "stop the other one, or give this one a spool of its own"
            ) from error
        self._descriptor = descriptor
        _hand_over(descriptor, self._path.parent)
        _note_pid(descriptor)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def lock_path(spool: Path) -> Path:
    return spool.with_name(spool.name + ".lock")


def holder_of(spool: Path) -> int | None:
    """Return the process that has this spool open for writing, None if there is none."""
    try:
        descriptor = os.open(lock_path(spool), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(descriptor)
    return None


def _hand_over(descriptor: int, directory: Path) -> None:
    """A lock file that root has made, for a command by hand, mustn't shut out the agent's own user."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _note_pid(descriptor: int) -> None:
    # Only for the message above: on a full disk the lock holds without it.
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        pass
