"""The whole examination: takes all figures, one after the other, and has each judged. START HERE.

    configuration, service ─▶ agent, spool, receipts ─▶ machine, disk, clock ─▶ identity, broker ─▶ buses

What can't be looked at, because the agent or a right is missing, is a finding itself; the rest goes on.
"""

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from edge_agent.clock import GatewayClock
from edge_agent.config import AgentConfig, BusSettings, RtuBus
from edge_agent.errors import AgentOutOfReach, EdgeAgentError, SpoolUnavailable, TryLater
from edge_agent.local.sighting import look_at_spool
from edge_agent.local.snapshot import Snapshot
from edge_agent.machine.sources import Sources
from edge_agent.technician.access import FieldAccess, open_field
from edge_agent.technician.doctor import bus_looking
from edge_agent.technician.doctor.broker_looking import look_at_broker
from edge_agent.technician.doctor.bus_looking import ROUNDS, BusLook
from edge_agent.technician.doctor.bus_verdicts import judge_bus
from edge_agent.technician.doctor.custody_verdicts import (
    alarm_names,
    has_late_receipts,
    has_moved,
    judge_custody,
    judge_locks,
    judge_spool,
)
from edge_agent.technician.doctor.findings import Finding, notice, trouble
from edge_agent.technician.doctor.gateway_looking import (
    look_at_configuration,
    look_at_identity,
    look_at_service,
    measure_machine,
)
from edge_agent.technician.doctor.machine_verdicts import (
    MachineFigures,
    judge_clock,
    judge_machine,
    with_agents_view,
)
from edge_agent.technician.doctor.trust_verdicts import judge_broker
from wastelock.page import format_instant

_OTHERS_S = 20.0  # broker, service, a first look at the locks
_RECEIPTS_S = 20.0  # so long a receipt is waited for where pages wait: a backlog moves every few seconds
_LOOK_AGAIN_S = 1.0
_WHEN_NOT_READY = "see to what it says, and to what is found below; then start this command again"


@dataclass(frozen=True, slots=True)
class Options:
    """`seconds`: how long each bus is asked if it is good. `may_borrow`: take lines from the agent for trials."""

    seconds: float = 10.0
    may_borrow: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, in the order in which things depend on each other. `via`: None where the field wasn't reached."""

    at: datetime
    gateway: str
    site: str
    via: str | None
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "v": 1,
            "at": format_instant(self.at),
            "gateway": self.gateway,
            "site": self.site,
            "via": self.via,
            "findings": [asdict(finding) for finding in self.findings],
        }


def longest_s(config: AgentConfig, options: Options) -> float:
    """Return how long an examination takes at most."""
    looks = (
        bus_looking.longest_s(config, bus, options.seconds, may_borrow=options.may_borrow)
        for bus in config.buses
    )
    return _OTHERS_S + _RECEIPTS_S + sum(looks)


class Examination:
    """One run of the doctor. `tell` hears what is done now; `stop` ends it early, with what is known by then."""

    def __init__(
        self,
        config: AgentConfig,
        options: Options,
        tell: Callable[[str], None],
        stop: threading.Event,
        sources: Sources | None = None,
    ) -> None:
        self._config = config
        self._options = options
        self._tell = tell
        self._stop = stop
        self._sources = sources or Sources()
        self._clock = GatewayClock(config.clock.source)
        self._findings: list[Finding] = []

    def run(self) -> Report:
        """Look at everything; return what was found."""
        self._tell("configuration and service")
        self._findings += look_at_configuration(self._config)
        self._findings += look_at_service()
        machine = measure_machine(self._config, self._clock, self._sources)
        via = None
        try:
            with open_field(self._config) as access:
                via = access.via
                self._with_field(access, machine)
        except (AgentOutOfReach, SpoolUnavailable, TryLater) as error:
            self._without_field(error, machine)
        if self._stop.is_set():
            self._findings.append(
                notice("doctor", "interrupted", "it was interrupted: not everything was looked at")
            )
        return Report(
            datetime.now(UTC), self._config.gateway.id, self._config.gateway.site, via, tuple(self._findings)
        )

    def _with_field(self, access: FieldAccess, machine: MachineFigures) -> None:
        self._tell("agent and spool")
        first = access.snapshot()
        snapshot = self._await_receipt(access, first)
        self._findings += judge_custody(snapshot, first)
        machine = with_agents_view(machine, snapshot.gateway.machine)
        self._judge_gateway(machine, snapshot)
        of_buses: list[Finding] = []
        for settings in self._config.buses:
            if not self._stop.is_set():
                of_buses += self._look_at_bus(access, settings, machine)
        self._findings += [*of_buses, *judge_locks(snapshot, of_buses)]

    def _await_receipt(self, access: FieldAccess, first: Snapshot) -> Snapshot:
        """Return a later snapshot where the first can't tell whether a backlog moves, else the first."""
        seen, until = first, monotonic() + _RECEIPTS_S
        while has_late_receipts(seen) and not has_moved(first, seen) and monotonic() < until:
            self._tell("pages wait: does a receipt come?")
            if self._stop.wait(_LOOK_AGAIN_S):
                break
            seen = access.snapshot()
        return seen

    def _without_field(self, error: EdgeAgentError, machine: MachineFigures) -> None:
        what, _, remedy = str(error).partition("; remedy: ")
        name, unseen = "agent_out_of_reach", "locks and buses weren't looked at"
        if isinstance(error, TryLater):
            name, remedy = "agent_not_ready", remedy or _WHEN_NOT_READY
        self._findings.append(trouble("agent", name, what, unseen, remedy))
        self._findings += judge_spool(look_at_spool(self._config))
        self._judge_gateway(machine, None)

    def _judge_gateway(self, machine: MachineFigures, snapshot: Snapshot | None) -> None:
        alarms = alarm_names(snapshot) if snapshot is not None else frozenset[str]()
        self._findings += judge_machine(machine, alarms)
        source = machine.health.clock_source or "nobody"
        self._findings += judge_clock(self._clock.trust(), source, _offsets_s(snapshot), alarms)
        self._findings += look_at_identity(self._config, self._clock.now())
        self._tell("the way to the broker")
        self._findings.append(
            judge_broker(look_at_broker(self._config, snapshot.broker if snapshot else None))
        )

    def _look_at_bus(
        self, access: FieldAccess, settings: BusSettings, machine: MachineFigures
    ) -> list[Finding]:
        self._tell(f"bus {settings.name}: up to {ROUNDS} questions to each unit")
        look = BusLook(access, settings, self._options.seconds, self._stop, self._tell)
        weak = bool(machine.health.undervoltage) and isinstance(settings, RtuBus)
        try:
            return judge_bus(look.look(self._options.may_borrow, weak))
        except (AgentOutOfReach, TryLater) as error:
            name = "agent_not_ready" if isinstance(error, TryLater) else "agent_out_of_reach"
            return [trouble(f"bus {settings.name}", name, str(error), "", "start this command again")]


def _offsets_s(snapshot: Snapshot | None) -> list[int]:
    locks = snapshot.locks if snapshot is not None else ()
    states = [lock.state for lock in locks if lock.state is not None and lock.state.reachable]
    return [state.clock_offset_s for state in states if state.clock_offset_s is not None]
