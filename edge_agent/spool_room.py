"""Room for the spool: its quota of bytes, and the reserve that is given up so that a full disk can be left again.

A full disk can't even be tidied up: what is in SQLite's write-ahead log has to be written to the file before the log
can be shortened, and deleting pages is logged, too. So a file of `reserve_mib` lies beside the spool, larger than the
log gets. On a full disk it is given up; then receipts are still noted and pages pruned, but no page is sealed until the
reserve could be laid down again: that is what tells that there is room once more.
"""

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import structlog
from sqlite_utils import Database

from edge_agent.errors import SpoolCorrupt, SpoolFull, SpoolUnavailable

_log = structlog.get_logger(__name__)

_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# A full disk shows itself to SQLite in several ways: the log can't grow, or its index in shared memory can't.
_FULL_CODES = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMMAP})
# Besides plain damage: where statements that are right fail as if they were wrong, the schema is what is damaged.
_CORRUPT_CODES = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_SCHEMA,
        sqlite3.SQLITE_MISMATCH,
    }
)

_DAMAGE = (sqlite3.IntegrityError, sqlite3.DataError, UnicodeDecodeError)
_PRUNES_MAX = 16  # steps in one go: bounds how long a poller waits for room
# One tidying up: each step is written through, and everybody waits for it.
_TIDY_PRUNES_MAX, _VACUUM_BLOCKS, _VACUUM_STEPS = 4, 128, 8
_TIDY_EVERY_S = 2.0


# The second where SQLite's own message quotes something damaged: Python can't read it.
DATABASE_ERRORS = (sqlite3.Error, UnicodeDecodeError)


def named_error(
    error: sqlite3.Error | UnicodeDecodeError, path: Path
) -> SpoolFull | SpoolCorrupt | SpoolUnavailable:
    """Return SQLite's error as one that says what to do next."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code in _FULL_CODES:
        return SpoolFull(f"{path}: the disk is full ({error})")
    # A broken constraint or a text that isn't UTF-8 is damage, too: nothing that we write can be like that.
    if code & 0xFF in _CORRUPT_CODES or isinstance(error, _DAMAGE):
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


class Room:
    """Decides whether a page may be sealed, and makes room where there is none.

    `prune`: deletes some pages that are proven committed, however young, and returns how many; `drop_leftovers`:
    deletes files that are merely nice to have.
    """

    def __init__(
        self,
        reserve: Reserve,
        max_bytes: int,
        prune: Callable[[Database], int],
        drop_leftovers: Callable[[], None],
        now_s: Callable[[], float] = monotonic,
    ) -> None:
        self._reserve = reserve
        self._max_bytes = max_bytes
        self._prune = prune
        self._drop_leftovers = drop_leftovers
        self._now_s = now_s
        self._tidied_at_s = -_TIDY_EVERY_S

    def admit(self, database: Database) -> None:
        """Return if pages may be sealed now, having pruned where the quota asks for it; else raise SpoolFull."""
        if not self._reserve.lay_down():
            if self._now_s() - self._tidied_at_s >= _TIDY_EVERY_S:
                self.tidy(database)
            if not self._reserve.lay_down():
                raise SpoolFull(
                    f"{self._reserve.path.parent}: the disk is full: make room, then sealing goes on by itself"
                )
        for _ in range(_PRUNES_MAX):
            if self.share_used(database) < 1:
                return
            if not self._prune(database):
                break
        if self.share_used(database) >= 1:
            raise SpoolFull(
                f"spool.max_mib ({self._max_bytes // 1_048_576}) is used up by pages that the ledger hasn't confirmed: "
                "see why receipts don't come, or raise it"
            )

    def share_used(self, database: Database) -> float:
        """Return how much of the quota is used; 1 or more: no room."""
        return used_bytes(database.conn) / self._max_bytes

    def give_up_reserve(self) -> None:
        """Give back to the disk what can be given back without the database."""
        self._reserve.give_up()
        self._drop_leftovers()

    def tidy(self, database: Database) -> None:
        """The disk is full: give up the reserve and use it to give back to the disk what isn't needed."""
        self._tidied_at_s = self._now_s()
        self.give_up_reserve()
        try:
            _give_back(database)
            for _ in range(_TIDY_PRUNES_MAX):
                if not self._prune(database):
                    break
                _give_back(database)
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) not in _FULL_CODES:
                raise
            _log.warning("no room even to tidy up", why=str(error))


def _give_back(database: Database) -> None:
    """Shorten the file by the blocks that are free in it, a little at a time: the log has to hold what is moved."""
    for _ in range(_VACUUM_STEPS):
        # What was freed is in the log only until this; and the log itself takes room.
        database.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        (free,) = database.conn.execute("PRAGMA freelist_count").fetchone()
        if not free:
            return
        database.conn.execute(f"PRAGMA incremental_vacuum({_VACUUM_BLOCKS})").fetchall()


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return how much of the spool's file is in use, without blocks that were freed and will be used again."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)
