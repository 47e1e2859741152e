"""The loop that tells how things are: birth, lock states, telemetry to the cloud; READY and WATCHDOG to systemd."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from edge_agent.alarms import Alarms
from edge_agent.clock import GatewayClock
from edge_agent.errors import BrokerUnavailable, SpoolUnavailable
from edge_agent.machine.keeper import MachineKeeper
from edge_agent.spool_reader import SpoolReader
from edge_agent.spool_status import SpoolSummary, summarise
from edge_agent.uplink import Uplink
from edge_agent.vitals import CpuMeter, disk_free_bytes, memory_rss_bytes
from edge_agent.watchdog import Watchdog
from wastelock.messages import BusStatistics, GatewayState, LockState, Telemetry
from wastelock.topics import GatewayTopics

_TURN_S = 1.0
_TELEMETRY_EXPIRY_S = 120
_STATES_PER_TURN = 50
_CLOCK_LOOK_S = 10.0


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is reported on."""

    gateway: str
    incarnation: int
    software: str
    kid: str
    locks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often, where nothing changes."""

    telemetry_s: float
    state_s: float


@dataclass(slots=True)
class _Told:
    """A lock's state as it was last published, and when (monotonic seconds)."""

    state: LockState
    at_s: float


class LockStates:
    """The newest state of each lock, as the pollers report it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[str, LockState] = {}

    def report(self, state: LockState) -> None:
        with self._lock:
            self._states[state.lock] = state

    def all(self) -> list[LockState]:
        with self._lock:
            return list(self._states.values())


class Reporter:
    """`run` is the thread. It publishes what it finds; it asks nobody to wait for it."""

    def __init__(
        self,
        subject: Subject,
        topics: GatewayTopics,
        intervals: Intervals,
        uplink: Uplink,
        states: LockStates,
        alarms: Alarms,
        clock: GatewayClock,
        open_reader: Callable[[], SpoolReader],
        buses: Iterable[Callable[[], BusStatistics]],
        watchdog: Watchdog,
        machine: MachineKeeper,
        *,
        desired_revision: Callable[[], int | None] = lambda: None,
        now_s: Callable[[], float] = monotonic,
    ) -> None:
        """`desired_revision`: of the desired state that locks are brought to, None while there is none."""
        self._subject = subject
        self._topics = topics
        self._intervals = intervals
        self._uplink = uplink
        self._alarms = alarms
        self._clock = clock
        self._open_reader = open_reader
        self._buses = tuple(buses)
        self._watchdog = watchdog
        self._machine = machine
        self._now_s = now_s
        self._states = states
        self._told: dict[str, _Told] = {}
        self._session = 0
        self._alarms_told = -1
        self._desired_revision = desired_revision
        self._revision_told: int | None = None
        self._telemetry_due_s = 0.0
        self._birth_due_s = 0.0
        self._clock_due_s = 0.0
        self._cpu = CpuMeter(now_s())
        self.progressed_at = monotonic()

    def run(self, stop: threading.Event) -> None:
        reader = self._open_reader()
        try:
            while not stop.is_set():
                self.step(reader)
                self.progressed_at = monotonic()
                stop.wait(_TURN_S)
        finally:
            reader.close()

    def step(self, reader: SpoolReader) -> None:
        """Publish what is due; what can't be sent now is told at a later turn."""
        self._watchdog.tell(monotonic())
        self._look_at_clock()
        if not self._uplink.is_connected:
            return
        try:
            self._tell_birth(reader)
            self._tell_locks()
            self._tell_telemetry(reader)
        except (BrokerUnavailable, SpoolUnavailable):
            return  # who owns session and spool reports their troubles

    def _look_at_clock(self) -> None:
        now_s = self._now_s()
        if now_s < self._clock_due_s:
            return
        self._clock_due_s = now_s + _CLOCK_LOOK_S
        if self._clock.trust() == "unset":
            self._alarms.raise_(
                "clock unset", "no controller's clock is set by this one: see to NTP or a battery"
            )
        else:
            self._alarms.clear("clock unset")

    def _tell_birth(self, reader: SpoolReader) -> None:
        now_s, session, alarms = self._now_s(), self._uplink.sessions, self._alarms.version
        revision = self._desired_revision()
        told = (self._session, self._alarms_told, self._revision_told)
        if (session, alarms, revision) == told and now_s < self._birth_due_s:
            return
        if session != self._session:
            self._told.clear()  # the broker may have lost what was retained
        summary = summarise(reader)
        birth = GatewayState(
            gateway=self._subject.gateway,
            online=True,
            incarnation=self._subject.incarnation,
            at=self._clock.now(),
            software=self._subject.software,
            journal=summary.journal,
            kid=self._subject.kid,
            oldest_page=summary.oldest_page,
            newest_page=summary.newest_page,
            committed_through=summary.committed_through,
            desired_revision=revision,
            locks=self._subject.locks,
            alarms=self._alarms.texts(),
        )
        self._uplink.publish_state(self._topics.gateway_state, birth.to_json())
        self._session, self._alarms_told, self._revision_told = session, alarms, revision
        self._birth_due_s = now_s + self._intervals.state_s

    def _tell_locks(self) -> None:
        now_s = self._now_s()
        due = [state for state in self._states.all() if self._is_due(state, now_s)]
        for state in due[:_STATES_PER_TURN]:
            self._uplink.publish_state(self._topics.lock_state(state.lock), state.to_json())
            self._told[state.lock] = _Told(state, now_s)

    def _is_due(self, state: LockState, now_s: float) -> bool:
        told = self._told.get(state.lock)
        if told is None:
            return True
        # What is news is decided where it arises (LockReport); retained states are told again now and then.
        interval_s = self._machine.state_interval_s(self._intervals.state_s)
        return told.state is not state or now_s - told.at_s >= interval_s

    def _tell_telemetry(self, reader: SpoolReader) -> None:
        now_s = self._now_s()
        if now_s < self._telemetry_due_s:
            return
        self._telemetry_due_s = now_s + self._machine.telemetry_interval_s(self._intervals.telemetry_s)
        summary = summarise(reader)
        telemetry = self._telemetry(summary, now_s, reader)
        self._uplink.publish_passing(self._topics.telemetry, telemetry.to_json(), _TELEMETRY_EXPIRY_S)

    def _telemetry(self, summary: SpoolSummary, now_s: float, reader: SpoolReader) -> Telemetry:
        return Telemetry(
            gateway=self._subject.gateway,
            at=self._clock.now(),
            cpu_permille=self._cpu.read_permille(now_s),
            memory_rss_bytes=memory_rss_bytes(),
            disk_free_bytes=disk_free_bytes(reader.path.parent),
            spool_bytes=summary.used_bytes,
            spool_pages=summary.pages,
            unsent_pages=summary.unreceipted_pages,
            oldest_unsent_at=summary.oldest_unreceipted_at,
            clock=self._clock.trust(),
            machine=self._machine.health,
            buses=tuple(bus() for bus in self._buses),
        )


def offline(gateway: str, incarnation: int, at: datetime | None = None) -> GatewayState:
    """Return the gateway's state as its will tells it (without an instant: the broker sends it, whenever that is)."""
    return GatewayState(gateway=gateway, online=False, incarnation=incarnation, at=at)
