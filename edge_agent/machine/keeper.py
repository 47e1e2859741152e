"""The loop that looks after the machine: measures, raises and clears its alarms, and says what to do less of.

Pages and visits are never among that. It has a thread of its own, since a dying disk may take a minute for one byte.
"""

import threading
from collections.abc import Callable
from time import monotonic

import structlog

from edge_agent.alarms import Alarms
from edge_agent.machine.conditions import CONDITIONS, LOG, STATES, TELEMETRY, Watch
from edge_agent.machine.measuring import Machine
from wastelock.messages import MachineHealth

_LOOK_S = 15.0
_GLANCE_S = 2.0
# Below what lets the cloud take a gateway, or a lock, for silent (180 and 1,200 s there).
_TELEMETRY_S, _STATES_S = 150.0, 900.0

_log = structlog.get_logger(__name__)


class MachineKeeper:
    """Lives as long as the process. `run` is the thread; what others ask may be asked from any thread."""

    def __init__(
        self,
        machine: Machine,
        alarms: Alarms,
        keep_log_quiet: Callable[[bool], None],
        now_s: Callable[[], float] = monotonic,
    ) -> None:
        """`keep_log_quiet` is told whether lines that are only informative are to be left out."""
        self._machine = machine
        self._alarms = alarms
        self._keep_log_quiet = keep_log_quiet
        self._now_s = now_s
        self._watches = [Watch(condition) for condition in CONDITIONS]
        self._saving: tuple[str, ...] = ()
        self.health: MachineHealth | None = None

    def run(self, stop: threading.Event) -> None:
        """Look again and again until asked to stop."""
        look_due_s = self._now_s()
        while not stop.is_set():
            if self._now_s() >= look_due_s:
                look_due_s = self._now_s() + _LOOK_S
                self.look()
            is_measured = self._machine.glance()
            stop.wait(_GLANCE_S if is_measured else max(0.0, look_due_s - self._now_s()))

    def look(self) -> None:
        """Measure once, and do what follows from it."""
        health, now_s = self._machine.measure(), self._now_s()
        moved = [watch for watch in self._watches if watch.look(health, now_s)]
        self._save({each for watch in self._watches for each in watch.savings(now_s)})
        self.health = health.model_copy(update={"saving": self._saving})
        for watch in moved:
            if watch.text is not None:
                self._alarms.raise_(watch.condition.alarm, watch.text)
            else:
                self._alarms.clear(watch.condition.alarm)

    def telemetry_interval_s(self, usual_s: float) -> float:
        """Return how often to send telemetry now, where it usually is every `usual_s`."""
        return max(usual_s, _TELEMETRY_S) if TELEMETRY in self._saving else usual_s

    def state_interval_s(self, usual_s: float) -> float:
        """Return how often to repeat a lock's state now that hasn't changed."""
        return max(usual_s, _STATES_S) if STATES in self._saving else usual_s

    def _save(self, wanted: set[str]) -> None:
        saving = tuple(each for each in (TELEMETRY, STATES, LOG) if each in wanted)
        if saving == self._saving:
            return
        self._saving = saving
        self._keep_log_quiet(LOG in saving)
        if saving:
            why = [watch.condition.alarm for watch in self._watches if watch.savings(self._now_s())]
            _log.warning("the agent does less for the machine's sake", less=list(saving), why=why)
        else:
            _log.info("the agent does again all that it usually does")
