"""Answers what is asked at the local door: the meaning of each request, free of sockets.

Reading changes nothing in a controller, so everything may be read. A person may write what an order could, but never
the confirmation of records: that one takes custody, and is the poller's alone.
"""

import os
import threading
from dataclasses import dataclass
from importlib.metadata import version
from time import monotonic

import structlog
from pydantic import BaseModel

from edge_agent.alarms import Alarms
from edge_agent.clock import utc_now
from edge_agent.config import AgentConfig
from edge_agent.errors import TryLater
from edge_agent.local.custody_rule import forbid_confirming
from edge_agent.local.loans import Loans
from edge_agent.local.protocol import (
    Answer,
    BorrowRequest,
    GiveBackRequest,
    Greeting,
    HelloRequest,
    ReadAnswer,
    ReadRequest,
    Request,
    SnapshotRequest,
    WriteAnswer,
    WriteRequest,
)
from edge_agent.local.sighting import Met, Scene, Sighting
from edge_agent.local.snapshot import BrokerSight, GatewaySight, Snapshot
from edge_agent.sight import Sight

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Guest:
    """Whoever is at the door: the process is the kernel's word; the user, too, where it has one, else their own."""

    pid: int
    user: str | None = None
    command: str = ""
    is_known: bool = False

    def __str__(self) -> str:
        return ", ".join(
            filter(None, (self.user and f"user {self.user}", self.command, f"process {self.pid}"))
        )


class Attendant:
    """Thread-safe."""

    def __init__(self, config: AgentConfig, alarms: Alarms) -> None:
        self._config = config
        self._alarms = alarms
        self._loans = Loans()
        self._sight: Sight | None = None
        self._why = ""
        self._sighting = Sighting(utc_now)
        self._one_at_a_time = threading.Lock()

    def show(self, sight: Sight | None) -> None:
        """A run has begun, or (None) it is over."""
        self._sight = sight
        self._loans.use(sight.field.buses if sight is not None else ())

    def explain(self, why: str) -> None:
        """Why there is no run just now, in the words of the log."""
        self._why = f" ({why})"
        self._loans.explain(self._why)

    def greeting(self) -> Greeting:
        """Return what is said first."""
        config = self._config
        return Greeting(
            gateway=config.gateway.id,
            site=config.gateway.site,
            spool=str(config.spool.path),
            pid=os.getpid(),
            software=version("wastelock"),
        )

    def answer(self, request: Request, guest: Guest) -> Answer:
        """Return the answer, or raise an EdgeAgentError that is to be told."""
        self._meet(request, guest)
        match request:
            case SnapshotRequest():
                return _ok(self._snapshot())
            case ReadRequest():
                unit = self._loans.bus(request.bus).guest(request.unit)
                data = unit.read(request.function, request.address, request.count)
                return _ok(ReadAnswer(data=data.hex(), at=unit.exchanged_at))
            case WriteRequest():
                return _ok(self._write(request, guest))
            case BorrowRequest():
                to = f"lent to a technician ({guest})"
                if self._loans.lend(request.bus, guest, to, request.lease_s, monotonic()):
                    _log.warning(
                        "a bus is lent: its locks aren't read meanwhile", bus=request.bus, to=str(guest)
                    )
            case GiveBackRequest():
                self._loans.give_back(request.bus, guest)
                _log.info("a bus is given back", bus=request.bus, by=str(guest))
            case HelloRequest():
                pass
        return Answer(ok={})

    def has_left(self, guest: Guest) -> None:
        """A connection has ended: what it had is ours again."""
        for bus in self._loans.end_all_of(guest):
            _log.info("a bus is given back", bus=bus, by=str(guest))

    def tend(self) -> None:
        """To be called about once a second: loans that nobody renewed end."""
        for bus in self._loans.end_expired(monotonic()):
            _log.warning("a bus wasn't given back in time: the agent has it again", bus=bus)

    def _meet(self, request: Request, guest: Guest) -> None:
        """Note in the log who is there, once, by the first thing that they say."""
        if guest.is_known:
            return
        if isinstance(request, HelloRequest):
            guest.user, guest.command = guest.user or request.user, request.command
        guest.is_known = True
        _log.info("a technician's command is here", who=str(guest))

    def _write(self, request: WriteRequest, guest: Guest) -> WriteAnswer:
        forbid_confirming(request.address, len(request.words))
        # What is written may be an access list, and so transponders' numbers: the log has the place only.
        _log.info(
            "a technician writes",
            bus=request.bus,
            unit=request.unit,
            address=f"0x{request.address:04X}",
            words=len(request.words),
            by=str(guest),
        )
        unit = self._loans.bus(request.bus).guest(request.unit)
        unit.write(request.address, request.words)
        return WriteAnswer(at=unit.exchanged_at)

    def _snapshot(self) -> Snapshot:
        sight = self._sight
        if sight is None:
            raise TryLater(f"the agent begins afresh just now{self._why}: try again in a few seconds")
        uplink, tally, mqtt = sight.uplink, sight.forwarder.tally, self._config.mqtt
        scene = Scene(
            config=self._config,
            gateway=GatewaySight(
                gateway=self._config.gateway.id,
                site=self._config.gateway.site,
                via="agent",
                pid=os.getpid(),
                software=version("wastelock"),
                incarnation=sight.spool.incarnation,
                clock=sight.clock.trust(),
                stuck_loops=sight.watchdog.stuck(monotonic()),
                machine=sight.machine.health,
            ),
            buses=sight.field.buses,
            locks={
                visitor.lock: Met(visitor.view, visitor.met_at)
                for poller in sight.field.pollers
                for visitor in poller.visitors
            },
            broker=BrokerSight(
                host=mqtt.host,
                port=mqtt.port,
                connected=uplink.is_connected,
                sessions=uplink.sessions,
                trouble=None if uplink.is_connected else uplink.last_error,
                pages_sent=tally.sent,
                pages_received=tally.received,
                pages_lost=tally.lost,
            ),
            alarms=self._alarms.texts(),
        )
        with self._one_at_a_time:
            return self._sighting.look(scene)


def _ok(answer: BaseModel) -> Answer:
    return Answer(ok=answer.model_dump(mode="json", exclude_none=True))
