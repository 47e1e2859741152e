"""The one thread that writes to the spool's database: group commit, housekeeping in between, errors named for callers.

Whoever wants something written hands in a job and waits. Jobs that wait at the same time share one transaction, and so
one fsync. A job is told that it is done only after its commit.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Protocol, TypeVar

import structlog
from sqlite_utils import Database

from edge_agent.errors import EdgeAgentError, SpoolCorrupt, SpoolFull, SpoolUnavailable
from edge_agent.spool_room import Room, named_error

T = TypeVar("T")
_log = structlog.get_logger(__name__)

_QUEUE_MAX = 1024  # jobs; every poller has at most one waiting, the rest are notes that may be dropped
# One commit: bounds what it adds to the log (about 1 MiB), and how long whoever comes next waits.
_GROUP_MAX = 64
_GROUP_RECORDS_MAX = 5000
_TURN_S = 1.0
_CLOSE_S = 10.0


class Keeper(Protocol):
    """What the writer works for: it opens the file, follows each commit, does the housekeeping."""

    def open(self) -> Database:
        """Return the database; called in the writer's thread."""
        ...

    def committed(self, connection: sqlite3.Connection) -> None:
        """A group of jobs has become durable, or was rolled back: nothing remembered from before may be relied on."""
        ...

    def tend(self, database: Database) -> bool:
        """Do a small step of housekeeping; True if the next one is due at once."""
        ...

    def noted_full(self, error: SpoolFull | None) -> None:
        """There is no room for pages, or (None) there is again."""
        ...


@dataclass(slots=True)
class _Job:
    """Something to be written. `done` is set when it is durable, or `error` says why it isn't."""

    work: Callable[[sqlite3.Connection], Any]
    records: int = 0
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: EdgeAgentError | None = None

    @property
    def is_page(self) -> bool:
        return self.records > 0


class SpoolWriter:
    """`start` and `close` are called once each. `failure` says why the thread ended by itself."""

    def __init__(self, path: Path, room: Room, keeper: Keeper) -> None:
        self._path = path
        self._room = room
        self._keeper = keeper
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_QUEUE_MAX)
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._opened = threading.Event()
        self._closed = threading.Event()
        self._tended_at = 0.0
        self.failure: BaseException | None = None
        self.progressed_at = monotonic()

    def start(self) -> None:
        """Open the file; raises what opening it raised."""
        self._thread.start()
        self._opened.wait()
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """Finish what was handed in, then close the file."""
        if self._thread.is_alive():
            self._jobs.put(None)
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():
            _log.error("the spool's disk doesn't answer: ending without it", path=str(self._path))

    def write(self, work: Callable[[sqlite3.Connection], T], *, records: int = 0) -> T:
        """Return the work's result when it is durable; `records`: how many it seals.

        Raises SpoolFull (only where it seals records) or SpoolUnavailable.
        """
        job = _Job(work, records)
        if self._closed.is_set():
            raise SpoolUnavailable(f"{self._path}: the spool is closed")
        try:
            self._jobs.put(job, timeout=_TURN_S)
        except queue.Full:
            raise SpoolUnavailable(f"{self._path}: too much waits to be written") from None
        while not job.done.wait(_TURN_S):
            if self._closed.is_set() and not job.done.is_set():
                raise SpoolUnavailable(f"{self._path}: the spool was closed meanwhile")
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def note(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Hand in what nobody waits for; it is dropped where the writer has no time."""
        try:
            self._jobs.put_nowait(_Job(work))
        except queue.Full:
            _log.debug("a note for the spool was dropped")

    # ---- the thread ----

    def _run(self) -> None:
        try:
            database = self._keeper.open()
            try:
                self._opened.set()
                self._serve(database)
            finally:
                database.close()
        except BaseException as error:  # noqa: BLE001 - a thread's entry point: kept for whoever watches over it
            self.failure = error
        finally:
            self._closed.set()
            self._opened.set()

    def _serve(self, database: Database) -> None:
        is_open, more_to_do = True, True
        while is_open:
            jobs, is_open = self._next_jobs(0.0 if more_to_do else _TURN_S)
            if jobs:
                self._commit(database, jobs)
            more_to_do = is_open and self._tend(database, more_to_do)
            self.progressed_at = monotonic()

    def _next_jobs(self, wait_s: float) -> tuple[list[_Job], bool]:
        """Return what waits, at most a group; False once the spool is to be closed."""
        jobs: list[_Job] = []
        try:
            job = self._jobs.get(timeout=wait_s) if wait_s else self._jobs.get_nowait()
            while job is not None:
                jobs.append(job)
                if len(jobs) == _GROUP_MAX or sum(j.records for j in jobs) >= _GROUP_RECORDS_MAX:
                    return jobs, True
                job = self._jobs.get_nowait()
        except queue.Empty:
            return jobs, True
        return jobs, False

    def _commit(self, database: Database, jobs: list[_Job]) -> None:
        """Write a group of jobs in one transaction; each learns whether it is durable."""
        try:
            todo = self._admitted(database, jobs)
            error = self._write_group(database, todo)
            if isinstance(error, SpoolFull):
                self._room.tidy(database)
                todo = self._admitted(database, todo)
                error = self._write_group(database, todo)
            if isinstance(error, SpoolFull):
                # Receipts at least: they are what makes room.
                self._room.tidy(database)
                todo = self._without_pages(todo, error)
                error = self._write_group(database, todo)
            for job in todo:
                job.error = error
            if error is None and any(job.is_page for job in todo):
                self._keeper.noted_full(None)
        except BaseException as error:
            for job in jobs:
                job.error = SpoolUnavailable(f"{self._path}: the spool failed: {error}")
            raise
        finally:
            for job in jobs:
                job.done.set()

    def _admitted(self, database: Database, jobs: list[_Job]) -> list[_Job]:
        """Return the jobs that may be written: without room for pages only the others."""
        if not any(job.is_page for job in jobs):
            return jobs
        try:
            self._room.admit(database)
        except (SpoolFull, SpoolUnavailable) as error:
            return self._without_pages(jobs, error)
        except sqlite3.Error as raised:
            return self._without_pages(jobs, self._named(raised))
        return jobs

    def _without_pages(self, jobs: list[_Job], error: SpoolFull | SpoolUnavailable) -> list[_Job]:
        if isinstance(error, SpoolFull):
            self._keeper.noted_full(error)
        for job in jobs:
            if job.is_page:
                job.error = error
        return [job for job in jobs if not job.is_page]

    def _write_group(self, database: Database, jobs: list[_Job]) -> SpoolFull | SpoolUnavailable | None:
        """Return None when all is durable, else why nothing of it is. Raises SpoolCorrupt."""
        if not jobs:
            return None
        error: SpoolFull | SpoolUnavailable | None = None
        try:
            with database.atomic():
                for job in jobs:
                    job.result = job.work(database.conn)
        except sqlite3.Error as raised:
            error = self._named(raised)
        self._keeper.committed(database.conn)
        return error

    def _tend(self, database: Database, at_once: bool) -> bool:
        """Do a step of housekeeping if it is time; True if the next one is due at once."""
        if not at_once and monotonic() - self._tended_at < _TURN_S:
            return False
        self._tended_at = monotonic()
        try:
            return self._keeper.tend(database)
        except sqlite3.Error as raised:
            _log.warning("housekeeping waits", why=str(self._named(raised)))
            self._keeper.committed(database.conn)
            return False

    def _named(self, raised: sqlite3.Error) -> SpoolFull | SpoolUnavailable:
        """Return the error by its name; a damaged file is raised: no caller can go on with it."""
        error = named_error(raised, self._path)
        if isinstance(error, SpoolCorrupt):
            raise error from raised
        return error
