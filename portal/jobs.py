"""Work that takes longer than a request should: in a few threads of its own, with progress that a page can show.

Bounded in each respect: so many at once, so many waiting, so many kept after they are done. The same work (kind,
subject, key) is never done twice at the same time: whoever asks again is given what runs already.
"""

import secrets
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from tempfile import mkdtemp

import structlog

from portal.errors import NotThere, PortalError, Unavailable

_log = structlog.get_logger("portal.jobs")


class JobState(StrEnum):
    """Where a piece of work is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Job:
    """One piece of work: what it does (`kind`), to what (`subject`), for whom. `directory` is its own, for files."""

    def __init__(
        self, kind: str, subject: str, key: str, actor: str, begun_at: datetime, directory: Path
    ) -> None:
        self.job_id = secrets.token_urlsafe(12)
        self.kind = kind
        self.subject = subject
        self.key = key
        self.actor = actor
        self.begun_at = begun_at
        self.directory = directory
        self.done = 0
        self.total = 0
        self._future: Future[object] = Future()

    def advance(self, done: int, total: int) -> None:
        """Tell how far it is. Called by the work itself."""
        self.done, self.total = done, total

    def wait(self, seconds: float) -> bool:
        """Return whether it has ended, at the latest after so many seconds."""
        # Not `futures.wait`, which doesn't count what was dropped at the end as ended.
        with suppress(TimeoutError, CancelledError):
            self._future.exception(seconds)
        return self._future.done()

    @property
    def state(self) -> JobState:
        """Where it is now."""
        if self._future.done():
            failed = self._future.cancelled() or self._future.exception() is not None
            return JobState.FAILED if failed else JobState.DONE
        return JobState.RUNNING if self._future.running() else JobState.WAITING

    @property
    def result(self) -> object:
        """What came of it, once it is done. Whatever the work raised is raised here."""
        return self._future.result(timeout=0)

    @property
    def file(self) -> Path | None:
        """The file that came of it, None if none did, or not yet."""
        result = self.result if self.state is JobState.DONE else None
        return result if isinstance(result, Path) else None

    @property
    def error(self) -> BaseException | None:
        """What the work raised, None while it hasn't ended, or ended well."""
        if not self._future.done():
            return None
        return (
            Unavailable("the portal is being stopped")
            if self._future.cancelled()
            else self._future.exception()
        )

    def begin(self, future: Future[object]) -> None:
        """Follow this future from now on."""
        self._future = future


class Jobs:
    """A few threads and what they work on."""

    def __init__(
        self, clock: Callable[[], datetime], workers: int = 2, waiting: int = 20, kept: int = 50
    ) -> None:
        """`waiting`: so many may wait for a thread; `kept`: so many are remembered, with their files."""
        self._clock = clock
        self._most = workers + waiting
        self._kept = kept
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="job")
        self._folder: Path | None = None  # made with the first work
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._number = 0

    def start(self, kind: str, subject: str, actor: str, work: Callable[[Job], object], key: str = "") -> Job:
        """Begin a piece of work, or return the same that runs already; Unavailable if too much waits.

        `key`: what tells it from other work of the same kind on the same subject.
        """
        with self._lock:
            active = [job for job in self._jobs.values() if job.state in (JobState.WAITING, JobState.RUNNING)]
            for job in active:
                if (job.kind, job.subject, job.key) == (kind, subject, key):
                    return job
            if len(active) >= self._most:
                raise Unavailable("too much work is waiting: try again in a minute")
            self._number += 1
            if self._folder is None:
                self._folder = Path(mkdtemp(prefix="portal-jobs-"))
            folder = self._folder / str(self._number)
            job = Job(kind, subject, key, actor, self._clock(), folder)
            self._forget_oldest()
            self._jobs[job.job_id] = job
            future = self._threads.submit(_run, job, work)
            job.begin(future)
        future.add_done_callback(lambda ended: _report(job, ended))
        return job

    def find(self, job_id: str) -> Job:
        """Return a piece of work by its id; NotThere if it isn't remembered."""
        with self._lock:
            found = self._jobs.get(job_id)
        if found is None:
            raise NotThere("this work isn't remembered any more: begin it again")
        return found

    def close(self) -> None:
        """Let what runs come to its end, drop what waits, and remove all files."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        if self._folder is not None:
            shutil.rmtree(self._folder)

    def _forget_oldest(self) -> None:
        ended = [job for job in self._jobs.values() if job.state in (JobState.DONE, JobState.FAILED)]
        for job in ended[: max(0, len(self._jobs) + 1 - self._kept)]:
            del self._jobs[job.job_id]
            for path in job.directory.glob("*"):
                path.unlink()


def _run(job: Job, work: Callable[[Job], object]) -> object:
    job.directory.mkdir()
    return work(job)


def _report(job: Job, future: "Future[object]") -> None:
    """Log what nobody expected; what was refused on purpose is told on the page."""
    error = None if future.cancelled() else future.exception()
    if error is not None and not isinstance(error, PortalError):
        _log.error("work failed", kind=job.kind, subject=job.subject, exc_info=error)
