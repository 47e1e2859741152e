"""Goes round the locks of one bus and reads how they are, nothing else: no journal, no clock, no confirmation."""

import threading
from collections.abc import Sequence
from time import monotonic

from edge_agent.bus import Bus
from edge_agent.clock import GatewayClock
from edge_agent.clock_keeper import clock_offset_s
from edge_agent.config import LockSettings
from edge_agent.drivers.base import RECORDS_PER_STEP, Driver
from edge_agent.errors import BrokenAnswer, BusError, ClockUntrusted, LineDown, NoAnswer, UnitResting
from edge_agent.lock_report import LockView
from edge_agent.technician.places import looking_driver
from wastelock.record import is_complete_pour
from wastelock.registers import Status

_ROUND_LEAST_S = 1.0


class Looker:
    """`run` is the thread. `has_seen_all` is set when each lock was tried once."""

    def __init__(self, bus: Bus, locks: Sequence[LockSettings], clock: GatewayClock) -> None:
        self.has_seen_all = threading.Event()
        self._clock = clock
        self._guard = threading.Lock()
        self._drivers: dict[str, Driver] = {}
        self._views: dict[str, LockView] = {}
        self._met_at: dict[str, float] = {}
        for lock in locks:
            driver = looking_driver(lock, bus.unit(lock.unit))
            self._drivers[lock.lock] = driver
            self._views[lock.lock] = LockView(lock.lock, driver.name, driver.has_journal)
        self._round_s = max([_ROUND_LEAST_S, *(lock.poll_interval_s for lock in locks)])

    def views(self) -> dict[str, tuple[LockView, float | None]]:
        """Return what is known of each lock, and when it last answered (monotonic s)."""
        with self._guard:
            return {lock: (view, self._met_at.get(lock)) for lock, view in self._views.items()}

    def run(self, stop: threading.Event) -> None:
        """Go round until asked to stop."""
        while not stop.is_set():
            began = monotonic()
            for lock, driver in self._drivers.items():
                if stop.is_set():
                    break
                self._look(self._views[lock], driver)
            self.has_seen_all.set()
            stop.wait(max(0.0, began + self._round_s - monotonic()))

    def _look(self, view: LockView, driver: Driver) -> None:
        try:
            status = driver.read_status()
            identity = view.identity
            if identity is None or identity.epoch != status.epoch:
                identity = driver.identify()
            pour = self._last_pour(view, driver, status)
        except (BusError, ClockUntrusted) as error:
            self._note_failure(view, error)
            return
        true_at_s = self._clock.now().timestamp() - (monotonic() - driver.status_at)
        with self._guard:
            view.status, view.identity, view.problem, view.unreachable_since = status, identity, None, None
            view.clock_offset_s = clock_offset_s(status, true_at_s) if view.has_journal else None
            view.last_pour = pour or view.last_pour
            self._met_at[view.lock] = monotonic()

    def _last_pour(self, view: LockView, driver: Driver, status: Status) -> bytes | None:
        """Return the newest complete pour among the last few records, if there are new ones."""
        seen = view.status.newest_seq if view.status is not None else 0
        first = max(status.oldest_seq, status.newest_seq - RECORDS_PER_STEP + 1)
        if not driver.has_journal or status.newest_seq == seen or not first:
            return None
        records = driver.read_journal(first, status.newest_seq - first + 1).records
        whole = (record.raw for record in reversed(records) if record.verified)
        return next((raw for raw in whole if is_complete_pour(raw)), None)

    def _note_failure(self, view: LockView, error: BusError | ClockUntrusted) -> None:
        is_silent = isinstance(error, (NoAnswer, BrokenAnswer, LineDown, UnitResting))
        with self._guard:
            if not (isinstance(error, UnitResting) and view.problem):
                view.problem = str(error)
            if not is_silent:
                view.unreachable_since = None
            elif view.unreachable_since is None:
                view.unreachable_since = self._clock.now()
