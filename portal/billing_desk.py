"""Billing's long work: in the background, with progress, and what came of it kept for a while.

    desk.do(…)      a step that a person takes: calculate, decide, finalize, revise; archives of documents
    desk.look(…)    what is only shown: the proposal of a revision, a preview, a replay, a property's standing

Households' looks have threads of their own: a clerk's thousand statements don't keep them waiting, nor they him.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from threading import BoundedSemaphore
from typing import Generic, TypeVar, cast

from portal.billing_door import (
    BillingDoor,
    DayRange,
    Household,
    Move,
    Proposal,
    Replay,
    RunName,
    Sheet,
    Sources,
    Standing,
)
from portal.errors import Unavailable
from portal.jobs import Job, Jobs
from portal.shelf import Shelf

T = TypeVar("T")

PATIENCE_S = 3.0  # so long a request waits for work before it shows its progress instead
_STANDING_AGE_S = 600
_LOOK_AGE_S = 600
_SOURCES_AGE_S = 120
_HOUSEHOLD_AGE_S = 60
_HOUSEHOLD_GRACE_S = 300
_PRINTING_AT_ONCE = 2
_PRINTING_WAITS_S = 30


@dataclass(frozen=True, slots=True)
class Looked(Generic[T]):
    """What a look came to. `job`: still at it; then there is no `value` yet."""

    value: T | None
    job: Job | None


class BillingDesk:
    """The door, with threads behind it."""

    def __init__(
        self,
        door: BillingDoor,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.door = door
        self._works = Jobs(clock, workers=2)
        self._looks = Jobs(clock, workers=1, waiting=100)
        self._seen: Shelf[tuple[str, str], tuple[object]] = Shelf(200, _LOOK_AGE_S, monotonic)
        self._standings: Shelf[str, Standing] = Shelf(200, _STANDING_AGE_S, monotonic)
        self._sources: Shelf[tuple[str, int, str | None], Sources] = Shelf(4, _SOURCES_AGE_S, monotonic)
        self._households: Shelf[tuple[str, str, DayRange], Household] = Shelf(
            500, _HOUSEHOLD_AGE_S, monotonic
        )
        self._printing = BoundedSemaphore(_PRINTING_AT_ONCE)

    def close(self) -> None:
        """End all threads."""
        self._looks.close()
        self._works.close()

    # Work

    def do(self, kind: str, subject: str, actor: str, work: Callable[[Job], object], key: str = "") -> Job:
        """Begin a piece of work, and return it when it has ended or takes longer than a request should.

        `key`: what tells it from other work of the same kind on the same subject, as who does it and what was chosen.
        """
        job = self._works.start(kind, subject, actor, work, key)
        job.wait(PATIENCE_S)
        return job

    def find(self, job_id: str) -> Job:
        """Return a piece of work by its id."""
        return self._works.find(job_id)

    def bundle_statements(self, sheet: Sheet, actor: str) -> Job:
        """Make one archive of all statements of a run."""

        def work(job: Job) -> object:
            path = job.directory / f"statements-{_file_name(sheet.name)}.zip"
            self.door.bundle_statements(self._read_sources(sheet), path, job.advance)
            return path

        return self.do("statements", str(sheet.name), actor, work, str(sheet.record.steps))

    def bundle_export(self, sheet: Sheet, actor: str) -> Job:
        """Make one archive of all tables of a run."""

        def work(job: Job) -> object:
            path = job.directory / f"revision-{_file_name(sheet.name)}.zip"
            self.door.bundle_export(self._read_sources(sheet), path)
            return path

        return self.do("export", str(sheet.name), actor, work, str(sheet.record.steps))

    # Looks

    def proposal(self, sheet: Sheet) -> Looked[tuple[Proposal | None]]:
        """Look whether a revision is due."""
        return self._look("proposal", _version(sheet), lambda: self.door.proposal(sheet.name))

    def preview(self, sheet: Sheet) -> Looked[tuple[tuple[Move, ...]]]:
        """Look who would move by a revision now."""
        return self._look("preview", _version(sheet), lambda: self.door.preview(sheet.name))

    def replay(self, sheet: Sheet) -> Looked[tuple[Replay]]:
        """Calculate a run again and compare."""
        return self._look("replay", _version(sheet), lambda: self.door.replay(sheet.name))

    def _look(self, kind: str, subject: str, look: Callable[[], T]) -> Looked[tuple[T]]:
        """Return what was seen not long ago; else begin to look and wait for a moment. What it raises is raised."""
        kept = self._seen.get((kind, subject))
        if kept is None:
            job = self._works.start(
                kind, subject, "", lambda _job: self._seen.put((kind, subject), (look(),))
            )
            if not job.wait(PATIENCE_S):
                return Looked(None, job)
            kept = cast(tuple[object], job.result)
        return Looked(cast(tuple[T], kept), None)

    def standing(self, property_id: str, wait_s: float = PATIENCE_S) -> Looked[Standing]:
        """Return how a property's period stands, at most ten minutes old."""
        kept = self._standings.get(property_id)
        if kept is None:
            job = self._looks.start(
                "standing",
                property_id,
                "",
                lambda _job: self._standings.put(property_id, self.door.standing(property_id)),
            )
            if not job.wait(wait_s):
                return Looked(None, job)
            kept = cast(Standing, job.result)
        return Looked(kept, None)

    def household(self, property_id: str, row: str, within: DayRange) -> Household:
        """Return who a row is and what is its own; master data at most a minute old."""
        key = (property_id, row, within)
        return self._households.get(key) or self._households.put(
            key, self.door.household(property_id, row, within)
        )

    def household_soon(self, property_id: str, row: str, within: DayRange) -> Household | None:
        """The same without ever waiting, for the event loop: a little older while it is read again; None if too old."""
        key = (property_id, row, within)
        kept = self._households.get(key)
        if kept is None:
            with suppress(Unavailable):  # too much waits: the next event asks again
                self._looks.start(
                    "household", f"{property_id} {row}", "", lambda _job: self.household(*key), str(key)
                )
        return kept or self._households.get(key, _HOUSEHOLD_GRACE_S)

    # Papers, one at a time

    def sources(self, sheet: Sheet, row: str) -> Sources:
        """Return what one row's documents are made from; Unavailable if too many are being made."""
        with self._place():
            return self._read_sources(sheet, row)

    def print_statement(self, sheet: Sheet, row: str) -> bytes:
        """Return one party's statement as PDF; Unavailable if too many are being printed."""
        with self._place():
            return self.door.print_statement(self._read_sources(sheet, row), row)

    def print_overview(self, sheet: Sheet, language: str) -> bytes:
        """Return the landlord's overview as PDF; likewise."""
        with self._place():
            return self.door.print_overview(self._read_sources(sheet, ""), language)

    def _read_sources(self, sheet: Sheet, row: str | None = None) -> Sources:
        """`row` None: with everybody's pours, for archives; "": with nobody's, for what lists none."""
        key = (str(sheet.name), sheet.record.steps, row)
        return self._sources.get(key) or self._sources.put(key, self.door.sources(sheet.name, row))

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the few places at the printer."""
        if not self._printing.acquire(timeout=_PRINTING_WAITS_S):
            raise Unavailable("too many documents are being printed: try again in a minute")
        try:
            yield
        finally:
            self._printing.release()


def _version(sheet: Sheet) -> str:
    """A run as it is now: what was seen of it before its last step isn't shown after it."""
    return f"{sheet.name}#{sheet.record.steps}"


def _file_name(name: RunName) -> str:
    return str(name).replace("/", "-")
