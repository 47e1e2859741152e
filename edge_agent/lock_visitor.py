"""One lock's visits: status, who is it, journal, clock, and what the world is told of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from edge_agent.clock_keeper import ClockKeeper, clock_offset_s
from edge_agent.drivers.base import Driver
from edge_agent.errors import (
    BrokenAnswer,
    BusError,
    ClockUntrusted,
    EdgeAgentError,
    LineDown,
    NoAnswer,
    Refused,
    SpoolFull,
    SpoolUnavailable,
    UnitResting,
    WrongController,
)
from edge_agent.journal_keeper import JournalKeeper, Outcome, Spool
from edge_agent.lock_report import LockReport, LockView
from wastelock.registers import Identity, Status

# A wrong controller doesn't become the right one by being asked often.
WRONG_CONTROLLER_RETRY_S = 10.0
# A chamber's volume may be changed at the controller at any time.
IDENTITY_INTERVAL_S = 3600.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Time:
    """The clocks of a visit: `now` is UTC, `clock` monotonic s; `trusted` says if `now` may be set at a controller."""

    now: Callable[[], datetime]
    clock: Callable[[], float]
    trusted: Callable[[], bool]


class LockVisitor:
    """Visits one lock. Used by one thread; the driver is its own.

    `poll_interval_s` and `order_problem` may be set by another.
    """

    def __init__(
        self,
        lock: str,
        driver: Driver,
        poll_interval_s: float,
        spool: Spool,
        report: LockReport,
        time: Time,
        set_clock_beyond_s: float,
    ) -> None:
        self.lock = lock
        self.poll_interval_s = poll_interval_s
        self._driver = driver
        self._report = report
        self._time = time
        self._view = LockView(lock, driver.name, driver.has_journal)
        self._journal = JournalKeeper(self._view, driver, spool, time.now, time.clock)
        self._clock_keeper = ClockKeeper(set_clock_beyond_s, time.trusted)
        self.order_problem: str | None = None  # what keeps it from what the cloud wants it to be
        self.met_at: float | None = None  # when it last answered (monotonic s)
        self._is_met = False  # in this visit
        self._identified_at = 0.0

    @property
    def view(self) -> LockView:
        """What is known of the lock, to look at only: the next visit changes it."""
        return self._view

    def visit(self, is_over: Callable[[], bool]) -> Outcome:
        """Visit the lock, reading its journal until `is_over`; tell its state, whatever happened."""
        self._is_met = False
        self._view.poll_interval_s = self.poll_interval_s
        self._journal.problems.clear()
        try:
            status, identity = self._meet()
            outcome = self._journal.fetch(status, identity.capacity, is_over)
            if self._driver.has_journal:
                self._keep_clock(status)
        except UnitResting as error:
            outcome = Outcome(wait_s=max(0.0, error.until - self._time.clock()))
            self._note_failure(error, self._view.problem or str(error))
        except (BusError, ClockUntrusted, SpoolFull, SpoolUnavailable) as error:
            outcome = Outcome(wait_s=WRONG_CONTROLLER_RETRY_S if isinstance(error, WrongController) else None)
            self._note_failure(error, str(error))
        else:
            notes = [*self._journal.problems, self._driver.notice or "", self.order_problem or ""]
            self._note_success("; ".join(filter(None, notes)) or None)
        self._report.tell(self._view)
        return outcome

    def _meet(self) -> tuple[Status, Identity]:
        """Return the status, and the identity that goes with it: read at first, in a new epoch and after a power-up."""
        self._journal.take_up()
        before, identity = self._view.status, self._view.identity
        status = self._look()
        is_new = identity is None or identity.epoch != status.epoch
        if is_new or before is None or before.boot != status.boot:
            self._journal.doubt()
            identity = None
        if identity is None or self._time.clock() - self._identified_at >= IDENTITY_INTERVAL_S:
            status, identity = self._identify(status)
        self._view.status = status
        self._is_met, self.met_at = (
            True,
            self._time.clock(),
        )  # last: whoever waits for it looks at the view then
        self._note_clock(status)
        return status, identity

    def _identify(self, status: Status) -> tuple[Status, Identity]:
        """Read the identity; return it with the status of the same epoch."""
        identity = self._driver.identify()
        if identity.epoch != status.epoch:  # a new epoch began between the two reads
            status = self._look()
        if identity.epoch != status.epoch:
            raise BrokenAnswer(f"identity tells of epoch {identity.epoch}, status of epoch {status.epoch}")
        self._view.identity, self._identified_at = identity, self._time.clock()
        return status, identity

    def _look(self) -> Status:
        """Read the status; what contradicts the known journal is read once more: it may have been a late answer."""
        try:
            return self._checked_status()
        except WrongController:
            return self._checked_status()

    def _checked_status(self) -> Status:
        status = self._driver.read_status()
        self._journal.check(status)
        return status

    def _note_clock(self, status: Status) -> None:
        age_s = self._time.clock() - self._driver.status_at
        self._view.clock_offset_s = clock_offset_s(status, self._time.now().timestamp() - age_s)

    def _keep_clock(self, status: Status) -> None:
        """Set the controller's clock if it is due. A refusal is told and tried again later; it fails no visit."""
        keeper, clock = self._clock_keeper, self._time.clock
        if not keeper.is_due(status, self._view.clock_offset_s, clock()):
            return
        keeper.note_attempt(clock())
        before = self._view.clock_offset_s
        try:
            now = self._driver.set_clock(round(self._time.now().timestamp()))
        except Refused as error:
            self._journal.problems.append(f"clock not set: {error}")
            return
        except BusError:
            keeper.note_effect(status.boot, clock())  # it may have arrived
            raise
        keeper.note_effect(now.boot, clock())
        self._note_clock(now)
        _log.info("clock set", lock=self.lock, was_off_by_s=before, now_off_by_s=self._view.clock_offset_s)

    def _note_success(self, problem: str | None) -> None:
        view = self._view
        if view.unreachable_since is not None:
            _log.info("lock answers again", lock=self.lock, since=view.unreachable_since.isoformat())
        view.unreachable_since, view.problem = None, problem

    def _note_failure(self, error: EdgeAgentError, problem: str) -> None:
        view = self._view
        is_silent = isinstance(error, (NoAnswer, BrokenAnswer, LineDown, UnitResting)) and not self._is_met
        if not is_silent:
            view.unreachable_since = None
        elif view.unreachable_since is None:
            view.unreachable_since = self._time.now()
        if view.problem != problem:
            _log.warning("lock has a problem", lock=self.lock, problem=problem, error=type(error).__name__)
        view.problem = problem
