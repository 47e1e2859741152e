"""The spool: the gateway's durable store of sealed pages, on SQLite. `seal` returns when the page is on the disk.

One writer thread owns the connection. Whoever wants something written hands in a job and waits; jobs that wait at the
same time share one commit (and so one fsync). Between commits the writer does at most one small step of housekeeping.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar
from uuid import UUID, uuid4

import structlog
from sqlite_utils import Database

from edge_agent.custody import Cursor, Visit
from edge_agent.errors import EdgeAgentError, SpoolFull, SpoolUnavailable
from edge_agent.spool_pages import (
    NOTE_CONFIRMED,
    SAVE_MEMO,
    JournalEnd,
    Moment,
    Sealer,
    active_journal,
    begin_journal,
    check_visit,
    next_incarnation,
    read_cursors,
    seal_visit,
    to_ms,
)
from edge_agent.spool_receipts import Judgement, Verdict, judge_receipt, move_watermark, prune_step
from edge_agent.spool_room import Reserve, named_error, used_bytes
from edge_agent.spool_schema import connect, migrate
from wastelock.messages import Receipt

T = TypeVar("T")
_log = structlog.get_logger(__name__)

_QUEUE_MAX = 1024  # jobs; every poller has at most one waiting, the rest are notes that may be dropped
_GROUP_MAX = 64  # jobs in one commit: bounds what a commit writes to 64 pages of at most 256 KiB
_IDLE_S = 1.0
_PRUNE_LIMIT = 64


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How much, and how long."""

    max_bytes: int
    keep_ms: int
    reserve_bytes: int


@dataclass(slots=True)
class _Job:
    """Something to be written. `done` is set when it is durable, or `error` says why it isn't."""

    work: Callable[[sqlite3.Connection], Any]
    is_page: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: EdgeAgentError | None = None


class Spool:
    """Opened by `start`, ended by `close`; both may be called once. `failure` says why the writer ended by itself."""

    def __init__(
        self,
        path: Path,
        limits: SpoolLimits,
        sealer: Sealer,
        now: Callable[[], datetime],
        clock_trust: Callable[[], str],
        *,
        on_sealed: Callable[[], None] = lambda: None,
        make_uuid: Callable[[], UUID] = uuid4,
    ) -> None:
        self.path = path
        self._limits = limits
        self._sealer = sealer
        self._now = now
        self._clock_trust = clock_trust
        self._on_sealed = on_sealed
        self._make_uuid = make_uuid
        self._reserve = Reserve(path.with_name(path.name + ".reserve"), limits.reserve_bytes)
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_QUEUE_MAX)
        self._cursors: dict[str, Cursor] = {}
        self._end: JournalEnd | None = None
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._opened = threading.Event()
        self._closed = threading.Event()
        self.incarnation = 0
        self.failure: BaseException | None = None
        self.is_full = False
        self.progressed_at = monotonic()

    # ---- what others call ----

    def start(self) -> None:
        """Open the file; raises what `_open` raises."""
        self._thread.start()
        self._opened.wait()
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """Finish what was handed in, then close the file."""
        if self._thread.is_alive():
            self._jobs.put(None)
        self._thread.join()

    def cursor(self, lock: str) -> Cursor | None:
        """Return how far this lock's journal is on disk."""
        return self._cursors.get(lock)

    def seal(self, visit: Visit) -> None:
        """Seal the records of a visit as one page; returns when they are on the disk (fsync).

        Raises SpoolFull or SpoolUnavailable; then nothing of the visit was kept and nothing may be confirmed.
        """
        check_visit(visit)
        self._write(lambda connection: self._seal(connection, visit), is_page=True)
        self._on_sealed()

    def save_memo(self, lock: str, memo: bytes) -> None:
        """Keep what a lock's driver must find again after a restart."""
        self._write(lambda connection: connection.execute(SAVE_MEMO, (memo, lock)) and None)

    def note_confirmed(self, lock: str, epoch: int, seq: int) -> None:
        """Note for `status` how far the controller was told; not waited for, dropped where the writer has no time."""
        try:
            self._jobs.put_nowait(_Job(lambda c: c.execute(NOTE_CONFIRMED, (epoch, seq, lock)) and None))
        except queue.Full:
            _log.debug("note of a confirmation dropped", lock=lock)

    def apply_receipt(self, receipt: Receipt) -> Judgement:
        """Note what a receipt proves; returns when that is on the disk."""
        return self._write(lambda connection: self._apply_receipt(connection, receipt))

    # ---- the writer thread ----

    def _write(self, work: Callable[[sqlite3.Connection], T], *, is_page: bool = False) -> T:
        job = _Job(work, is_page)
        if self._closed.is_set():
            raise SpoolUnavailable(f"{self.path}: the spool is closed")
        self._jobs.put(job)
        while not job.done.wait(_IDLE_S):
            if self._closed.is_set() and not job.done.is_set():
                raise SpoolUnavailable(f"{self.path}: the spool was closed meanwhile")
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def _run(self) -> None:
        try:
            database = self._open()
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

    def _open(self) -> Database:
        try:
            database = connect(self.path)
            migrate(database)
            with database.atomic():
                self._end = active_journal(database.conn)
                if self._end is None:
                    self._end = begin_journal(
                        database.conn, self._sealer, self._make_uuid(), "new spool", self._moment()
                    )
                self.incarnation = next_incarnation(database.conn)
                self._cursors = read_cursors(database.conn)
        except sqlite3.Error as error:
            raise named_error(error, self.path) from error
        self._reserve.lay_down()
        return database

    def _serve(self, database: Database) -> None:
        is_open = True
        while is_open:
            jobs, is_open = self._next_jobs()
            if jobs:
                self._commit(database, jobs)
            else:
                self._prune(database)
            self.progressed_at = monotonic()

    def _next_jobs(self) -> tuple[list[_Job], bool]:
        """Return what waits, at most a group; False once the spool is to be closed."""
        jobs: list[_Job] = []
        try:
            job = self._jobs.get(timeout=_IDLE_S)
            while job is not None:
                jobs.append(job)
                if len(jobs) == _GROUP_MAX:
                    return jobs, True
                job = self._jobs.get_nowait()
        except queue.Empty:
            return jobs, True
        return jobs, False

    def _commit(self, database: Database, jobs: list[_Job]) -> None:
        error: EdgeAgentError | None = None
        try:
            if any(job.is_page for job in jobs):
                self._make_room(database)
        except SpoolFull as full:
            for job in jobs:
                if job.is_page:
                    job.error = full
        todo = [job for job in jobs if job.error is None]
        try:
            with database.atomic():
                for job in todo:
                    job.result = job.work(database.conn)
        except sqlite3.Error as raised:
            error = named_error(raised, self.path)
            self._end = active_journal(database.conn)
        self._cursors = read_cursors(database.conn)
        for job in todo:
            job.error = error
        for job in jobs:
            job.done.set()

    def _make_room(self, database: Database) -> None:
        if used_bytes(database.conn) < self._limits.max_bytes:
            return
        with database.atomic():
            pruned = prune_step(database.conn, to_ms(self._now()), self._limits.keep_ms, True, _PRUNE_LIMIT)
        if not pruned:
            raise SpoolFull(
                f"{self.path}: the quota of {self._limits.max_bytes} bytes is used up by pages without receipt"
            )

    def _prune(self, database: Database) -> None:
        with database.atomic():
            prune_step(database.conn, to_ms(self._now()), self._limits.keep_ms, False, _PRUNE_LIMIT)

    def _seal(self, connection: sqlite3.Connection, visit: Visit) -> None:
        assert self._end is not None
        seal_visit(connection, self._sealer, self._end, visit, self._moment())

    def _apply_receipt(self, connection: sqlite3.Connection, receipt: Receipt) -> Judgement:
        judgement = judge_receipt(connection, receipt)
        if judgement.verdict is Verdict.ACCEPTED and judgement.journal is not None:
            move_watermark(connection, judgement.journal, receipt.committed_through, to_ms(self._now()))
        return judgement

    def _moment(self) -> Moment:
        return Moment(self._now(), self._clock_trust())
