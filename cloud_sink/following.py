"""Loop: keeps projections up to date, each for itself: a thread, connections and a cursor of its own.

    ledger (entries, observations, operator events) ──▶ Projection.step ──▶ its tables, its cursor   (one transaction)

What a projection needs may be away: it waits, alone, and goes on where it was. One that fails is built anew after a
while; its cursor moved with its rows, so nothing is lost or taken twice by that. The others don't notice either.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from random import Random
from traceback import extract_tb
from typing import Protocol

import structlog

from cloud_sink.errors import SinkError
from cloud_sink.patience import Patience

_log = structlog.get_logger(__name__)
_REPORT_EVERY_S = 30.0
_LAG_EVERY_S = 1.0
_AGAIN_FIRST_S, _AGAIN_MAX_S = 1.0, 60.0
_JOIN_S = 2.0

Progress = Callable[[int, int], None]
"""Is told how far a projection has come, and how far there is to go."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a projection has come: `position` of `end`, each summed over the sources that it follows.

    `waiting_since`: the instant at which the oldest that it hasn't taken was committed; None where all is taken.
    """

    position: int
    end: int
    waiting_since: datetime | None = None


class Projection(Protocol):
    """A view of the ledger that can be dropped and built anew. For one thread, but `lag`, which may be asked by any.

    Each raises what `cloud_sink.errors` says: Unavailable is waited for, anything else is a failure.
    """

    @property
    def name(self) -> str:
        """As `cloud-sink rebuild NAME` calls it."""

    @property
    def title(self) -> str:
        """What people call it: usage per day."""

    @property
    def version(self) -> int:
        """Of its tables: another one means that it is built anew."""

    def prepare(self, anew: bool = False) -> None:
        """Get the tables ready, from nothing if wanted or if what is there is of another kind."""

    def step(self) -> int:
        """Take the next batch and move the cursor, in one transaction; return how much it took, 0: nothing is new.

        Where another process was quicker it takes nothing twice, and goes on from there.
        """

    def lag(self) -> Lag:
        """Return how far it has come; also before `prepare`, and beside another process that steps."""

    def digest(self) -> str:
        """Return a hash over all that it holds: the same after whatever batches and restarts led there."""

    def close(self) -> None:
        """Close what it opened."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a projection is doing. `problem`: the kind of error that it failed with last, None while all is well."""

    name: str
    lag: Lag | None = None
    taken: int = 0
    failures: int = 0
    problem: str | None = None


def catch_up(projection: Projection, stop: threading.Event, progress: Progress) -> None:
    """Take all that is there now, until nothing is left or `stop` is set; what comes meanwhile is left for later."""
    here = projection.lag()
    end = here.end
    progress(here.position, end)
    while not stop.is_set() and here.position < end:
        # A step that another process was quicker with takes nothing, and yet the cursor has moved.
        before = here.position
        taken = projection.step()
        here = projection.lag()
        if not taken and here.position == before:
            break
        progress(min(here.position, end), end)


class Follower:
    """Keeps one projection up to date. `run` is a thread's loop; `standing` may be read by others meanwhile."""

    def __init__(self, name: str, build: Callable[[], Projection], idle_s: float, random: Random) -> None:
        self._build = build
        self._idle_s = idle_s
        self._patience = Patience(random, f"what {name} needs")
        self.standing = Standing(name)

    @property
    def progressed_at(self) -> float:
        """When it last began a step, or began to wait for what it needs (monotonic seconds)."""
        return self._patience.progressed_at

    @property
    def waiting_since(self) -> float | None:
        """Since when what it needs is away (monotonic seconds); None while it is there."""
        return self._patience.waiting_since

    def run(self, stop: threading.Event) -> None:
        """Follow until `stop` is set."""
        wait_s = _AGAIN_FIRST_S
        while not stop.is_set():
            began_s = time.monotonic()
            try:
                self._follow(stop)
            except Exception as error:  # noqa: BLE001 - top of a thread: this projection begins anew, the others go on
                self._note_failure(error)
                wait_s = _AGAIN_FIRST_S if time.monotonic() - began_s > _AGAIN_MAX_S else wait_s
                stop.wait(wait_s)
                wait_s = min(2 * wait_s, _AGAIN_MAX_S)

    def _follow(self, stop: threading.Event) -> None:
        projection = self._patience.until_done(self._build, stop)
        if projection is None:
            return
        try:
            self._patience.until_done(projection.prepare, stop)
            self._keep_up(projection, stop)
        finally:
            with suppress(SinkError):
                projection.close()

    def _keep_up(self, projection: Projection, stop: threading.Event) -> None:
        reported_s, looked_s = -_REPORT_EVERY_S, -_LAG_EVERY_S
        since_report = since_look = 0
        while not stop.is_set():
            taken = self._patience.until_done(projection.step, stop) or 0
            since_report += taken
            since_look += taken
            now_s = time.monotonic()
            if now_s - looked_s >= _LAG_EVERY_S:
                self._note_lag(self._patience.until_done(projection.lag, stop), since_look)
                looked_s, since_look = now_s, 0
            if since_report and now_s - reported_s >= _REPORT_EVERY_S:
                _log.info("projection is kept up to date", projection=self.standing.name, taken=since_report)
                reported_s, since_report = now_s, 0
            if not taken:
                stop.wait(self._idle_s)

    def _note_lag(self, lag: Lag | None, taken: int) -> None:
        here = self.standing
        self.standing = Standing(here.name, lag or here.lag, here.taken + taken, here.failures)

    def _note_failure(self, error: Exception) -> None:
        here = self.standing
        self.standing = Standing(here.name, here.lag, here.taken, here.failures + 1, type(error).__name__)
        # An error that was raised on purpose says what to do; the text of an unforeseen one may hold anything.
        told = {"why": str(error)} if isinstance(error, SinkError) else {"places": _places(error)}
        _log.error(
            "projection failed; it is begun anew in a while",
            projection=here.name,
            error=type(error).__name__,
            **told,
        )


def _places(error: Exception) -> list[str]:
    return [f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in extract_tb(error.__traceback__)]


def follow_all(followers: Sequence[Follower], stop: threading.Event) -> None:
    """Run all of them, each in a thread, until `stop` is set."""
    threads = [
        threading.Thread(target=each.run, args=(stop,), name=each.standing.name, daemon=True)
        for each in followers
    ]
    for thread in threads:
        thread.start()
    stop.wait()
    # Daemons: one that waits for a database that doesn't answer must not keep the process from ending.
    until_s = time.monotonic() + _JOIN_S
    for thread in threads:
        thread.join(max(0.0, until_s - time.monotonic()))
