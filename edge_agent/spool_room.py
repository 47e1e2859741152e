"""Room for the spool: its quota of bytes, and the reserve that is given up so that a full disk can be left again.

A full disk can't even be tidied up: deleting pages needs room for SQLite's write-ahead log. So a file of `reserve_mib`
lies beside the spool. On a full disk it is given up; then receipts are still noted and pages pruned, but no page is
sealed until the reserve could be laid down again: that is what tells that there is room once more.
"""

import errno
import os
import sqlite3
from pathlib import Path

from edge_agent.errors import SpoolCorrupt, SpoolFull, SpoolUnavailable

_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# A full disk shows itself to SQLite in several ways: the log can't grow, or its index in shared memory can't.
_FULL_CODES = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMMAP})
_CORRUPT_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def named_error(error: sqlite3.Error, path: Path) -> SpoolFull | SpoolCorrupt | SpoolUnavailable:
    """Return SQLite's error as one that says what to do next."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code in _FULL_CODES:
        return SpoolFull(f"{path}: the disk is full ({error})")
    if code & 0xFF in _CORRUPT_CODES:
        return SpoolCorrupt(f"{path}: the file is damaged ({error})")
    return SpoolUnavailable(f"{path}: {error}")


class Reserve:
    """The file that keeps some of the disk free. Every method is quick and may be called often."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self._size = size

    def is_whole(self) -> bool:
        try:
            return self.path.stat().st_size >= self._size
        except FileNotFoundError:
            return False

    def lay_down(self) -> bool:
        """Take the reserve from the disk if there is room; True if it is whole afterwards."""
        if self.is_whole():
            return True
        try:
            with self.path.open("ab") as file:
                # Allocates for real: a sparse file would keep nothing free.
                os.posix_fallocate(file.fileno(), 0, self._size)
        except OSError as error:
            self.give_up()
            if error.errno not in _FULL_ERRNOS:
                raise SpoolUnavailable(f"{self.path}: the reserve can't be made: {error}") from error
            return False
        return True

    def give_up(self) -> None:
        """Give the reserve's room back to the disk."""
        self.path.unlink(missing_ok=True)


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return how much of the spool's file is in use, without pages that were freed and will be used again."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)
