"""START HERE: builds the agent from its configuration and runs it until it is asked to stop.

    controllers ──bus── poller ──▶ spool ──▶ forwarder ──▶ uplink ──▶ broker ──▶ ledger
                        confirms     ▲          │
                        what is      └──────────┘ receipts
                        on disk                            reporter: birth, lock states, telemetry, watchdog

One thread each: every poller, the spool's writer, forwarder, uplink, reporter, machine. If one dies, all end
(crew.py). Where nothing helps but to begin again from what is on disk (a damaged spool, a forked journal, a disk that
is full at the start), the agent does so by itself, in this process.
"""

import gc
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from random import Random, SystemRandom
from time import monotonic

import structlog

from edge_agent.alarms import Alarms
from edge_agent.arrival import Arrival
from edge_agent.clock import GatewayClock
from edge_agent.config import AgentConfig
from edge_agent.config_rules import load_config, load_signing_key
from edge_agent.crew import Crew
from edge_agent.errors import (
    EXIT_CONFIG,
    ConfigError,
    EdgeAgentError,
    JournalForked,
    SpoolCorrupt,
    SpoolFull,
    SpoolLent,
)
from edge_agent.field import Field, build_field
from edge_agent.forwarder import Forwarder
from edge_agent.identity import IdentityStore
from edge_agent.local.address import door_of
from edge_agent.local.attendant import Attendant
from edge_agent.local.door import Door
from edge_agent.log import configure_log, keep_quiet
from edge_agent.machine.keeper import MachineKeeper
from edge_agent.machine.measuring import Machine
from edge_agent.orders.desk import OrderDesk
from edge_agent.orders.inbox import OrderInbox
from edge_agent.orders.runner import OrderRunner
from edge_agent.poller import Poller
from edge_agent.reporter import Intervals, LockStates, Reporter, Subject, offline
from edge_agent.sight import Show, Sight, show_nobody
from edge_agent.spool import Spool, SpoolLimits
from edge_agent.spool_lock import holder_of
from edge_agent.spool_pages import Sealer
from edge_agent.spool_reader import SpoolReader
from edge_agent.uplink import Session, Uplink
from edge_agent.watchdog import Beat, Watchdog, systemd
from wastelock.topics import GatewayTopics

_log = structlog.get_logger(__name__)

_MIB = 1024 * 1024
STUCK_AFTER_S = 60.0
_JOIN_S = 4.0  # all in all the agent ends within 5 s
_LOOK_S = 0.5
_ANSWERS_MAX = 16
_PAUSE_FIRST_S, _PAUSE_MAX_S = 0.5, 30.0
_TELL_AGAIN_S = 600.0


class Agent:
    """Everything of one run; built once, run once. `stop` is the process's, `halt` this run's."""

    def __init__(
        self,
        config: AgentConfig,
        stop: threading.Event,
        alarms: Alarms,
        machine: MachineKeeper,
        show: Show = show_nobody,
        random: Random | None = None,
    ) -> None:
        self._config = config
        self._machine = machine
        self._show = show
        self._stop = stop
        self._halt = threading.Event()
        self._random = random or SystemRandom()
        self._wake = threading.Event()
        self._alarms = alarms
        self._clock = GatewayClock(config.clock.source)
        self._topics = GatewayTopics(config.gateway.site, config.gateway.id)
        store = IdentityStore(config.identity.directory) if config.identity else None
        self._key = load_signing_key(config.gateway.signing_key)
        self._sealer = Sealer(self._topics, self._key, store.signing_keys() if store else {})
        self._crew = Crew(self._halt)
        self._identity_answers: deque[bytes] = deque(maxlen=_ANSWERS_MAX)
        self._inbox = OrderInbox(self._topics)

    def run(self) -> None:
        """Run until `stop` is set, or until there is a new identity to begin with afresh.

        Raises the error that ended a thread, if one did.
        """
        spool = self._build_spool()
        spool.start()
        try:
            self._run_beside(spool)
        finally:
            self._show(None)
            self._halt.set()
            self._wake.set()
            late = self._crew.join(_JOIN_S)
            if late:
                _log.warning("threads still busy at the end", threads=list(late))
            spool.close()
        failure = spool.failure or self._crew.failure
        if isinstance(failure, SpoolCorrupt):
            spool.report_damage(str(failure))  # so that the file is set aside, even if a check finds nothing
        if failure is not None:
            raise failure

    def _run_beside(self, spool: Spool) -> None:
        uplink = self._build_uplink(spool)
        forwarder = Forwarder(spool, uplink, self._sealer, self._alarms, self._random, self._wake)
        beats = {
            "spool": Beat(lambda: spool.progressed_at, STUCK_AFTER_S),
            "mqtt": Beat(lambda: uplink.progressed_at, STUCK_AFTER_S),
            "forwarder": Beat(lambda: forwarder.progressed_at, STUCK_AFTER_S),
        }
        watchdog = Watchdog(beats)
        states = LockStates()
        field = build_field(
            self._config,
            spool,
            self._clock,
            states.report,
            lambda error: self._crew.fail("poller", error),
            self._machine.state_interval_s,
        )
        for poller in field.pollers:
            beats[f"poller {poller.bus}"] = _poller_beat(poller)
        desk = self._build_desk(spool, uplink, field, beats)
        reporter = Reporter(
            self._subject(spool),
            self._topics,
            Intervals(self._config.reporting.telemetry_interval_s, self._config.reporting.state_interval_s),
            uplink,
            states,
            self._alarms,
            self._clock,
            lambda: SpoolReader(spool.path),
            [bus.statistics for bus in field.buses],
            watchdog,
            self._machine,
            desired_revision=lambda: desk.desired_revision,
        )
        self._crew.start("machine", self._machine.run)
        self._crew.start("uplink", uplink.run)
        self._crew.start("forwarder", forwarder.run)
        self._crew.start("reporter", reporter.run)
        self._start_renewal(uplink)
        for poller in field.pollers:
            self._crew.start(f"poller {poller.bus}", poller.run)
        self._start_orders(desk)
        _log.info(
            "agent runs",
            gateway=self._topics.gateway,
            locks=len(self._config.locks),
            incarnation=spool.incarnation,
        )
        max_bytes = self._config.spool.max_mib * _MIB
        self._show(
            Sight(spool, max_bytes, uplink, forwarder, field, watchdog, self._clock, self._machine, desk)
        )
        self._watch(spool)
        if self._stop.is_set():  # else it begins afresh, and systemd mustn't wait for an end
            watchdog.stopping()
        for bus in field.buses:
            bus.close()

    def _watch(self, spool: Spool) -> None:
        """Wait for the end; the spool's writer isn't of the crew, so look after it here."""
        while not self._stop.wait(_LOOK_S) and not self._halt.is_set():
            if spool.failure is not None:
                self._crew.fail("spool", spool.failure)

    def _build_spool(self) -> Spool:
        settings = self._config.spool
        limits = SpoolLimits(
            max_bytes=settings.max_mib * _MIB,
            keep_ms=round(settings.keep_days * 86_400_000),
            reserve_bytes=settings.reserve_mib * _MIB,
        )
        return Spool(
            settings.path,
            limits,
            self._sealer,
            self._clock.now,
            self._clock.trust,
            alarms=self._alarms,
            on_sealed=self._wake.set,
        )

    def _build_uplink(self, spool: Spool) -> Uplink:
        gateway, incarnation = self._topics.gateway, spool.incarnation
        session = Session(
            client_id=gateway,
            topics=self._topics,
            will=offline(gateway, incarnation).to_json(),
            farewell=lambda: offline(gateway, incarnation, self._clock.now()).to_json(),
            listeners=self._listeners(),
        )
        return Uplink(self._config.mqtt, session, self._random, self._wake)

    def _build_desk(self, spool: Spool, uplink: Uplink, field: Field, beats: dict[str, Beat]) -> OrderDesk:
        desk = OrderDesk(
            self._config, self._inbox, spool, uplink, self._sealer, field, self._alarms, self._clock
        )
        beats["orders"] = Beat(lambda: desk.progressed_at, STUCK_AFTER_S)
        for runner in desk.runners:
            beats[f"orders {runner.bus}"] = _runner_beat(runner)
        return desk

    def _start_orders(self, desk: OrderDesk) -> None:
        self._crew.start("orders", desk.run)
        for runner in desk.runners:
            self._crew.start(f"orders {runner.bus}", runner.run)

    def _listeners(self) -> Mapping[str, Callable[[Arrival], None]]:
        """Return who takes what comes beside receipts."""
        if self._config.identity is None:
            return self._inbox.listeners
        renewal = {self._topics.identity_answer: lambda came: self._identity_answers.append(came.payload)}
        return {**self._inbox.listeners, **renewal}

    def _start_renewal(self, uplink: Uplink) -> None:
        """Keep the certificate young, where it is ours to keep."""
        config = self._config
        if config.identity is None:
            return
        from edge_agent.identity_trial import try_identity  # only who has an identity pays for it in memory
        from edge_agent.renewal import Renewal

        renewal = Renewal(
            config,
            config.identity,
            uplink,
            self._identity_answers,
            self._alarms,
            self._clock.now,
            lambda directory: try_identity(config.mqtt.host, config.mqtt.port, directory),
            self._halt.set,
        )
        self._crew.start("renewal", renewal.run)

    def _subject(self, spool: Spool) -> Subject:
        return Subject(
            gateway=self._topics.gateway,
            incarnation=spool.incarnation,
            software=version("wastelock"),
            kid=self._key.kid,
            locks=tuple(lock.lock for lock in self._config.locks),
        )


def _run_again_and_again(
    config: AgentConfig, stop: threading.Event, alarms: Alarms, show: Show, explain: Callable[[str], None]
) -> None:
    """Run the agent; begin again from what is on disk where that is what an error asks for.

    `explain` hears why there is no run just now.
    """
    pause_s, tell = _PAUSE_FIRST_S, systemd()
    machine = MachineKeeper(
        Machine(config.spool.path.parent, GatewayClock(config.clock.source)), alarms, keep_quiet
    )
    while not stop.is_set():
        began_s = monotonic()
        try:
            Agent(config, stop, alarms, machine, show).run()
        except SpoolLent as error:
            explain(str(error))
            _await_command(config.spool.path, stop, tell)
        except (SpoolCorrupt, JournalForked, SpoolFull) as error:
            explain(str(error))
            if monotonic() - began_s > STUCK_AFTER_S:
                pause_s = _PAUSE_FIRST_S
            _log.warning("the agent starts afresh", why=str(error), after_s=pause_s)
            tell("WATCHDOG=1")  # who tries again in good order isn't stuck: a restart would change nothing
            stop.wait(pause_s)
            pause_s = min(pause_s * 2, _PAUSE_MAX_S)
        # What a run leaves behind refers to itself in circles: its sockets are closed now, not at some later time.
        gc.collect()


def _await_command(spool: Path, stop: threading.Event, tell: Callable[[str], None]) -> None:
    """Wait until no technician's command has the lines any more, however long somebody watches.

    systemd is told that the agent is up and alive: it waits in good order, and another start, or in the end a reboot,
    would change nothing and take the technician's terminal away.
    """
    tell("READY=1")
    due_s = monotonic()
    while not stop.is_set() and (holder := holder_of(spool)) is not None and holder.command is not None:
        if monotonic() >= due_s:
            due_s = monotonic() + _TELL_AGAIN_S
            _log.warning("the agent waits for a command that has the lines", holder=str(holder))
            tell(f"STATUS=waits for {holder}, which has the lines")
        tell("WATCHDOG=1")
        stop.wait(_LOOK_S)
    tell("STATUS=")


def _start_monitoring(config: AgentConfig, stop: threading.Event, alarms: Alarms) -> Show:
    """Serve metrics where that is configured, as long as the process lives; return who has to be told of runs."""
    address = config.metrics.address
    if address is None:
        return show_nobody
    from edge_agent.metrics import Monitor  # only whoever is looked at pays for it in memory
    from edge_agent.metrics_server import MetricsServer

    monitor = Monitor(alarms)
    server = MetricsServer(address, monitor.respond)
    threading.Thread(target=server.run, args=(stop,), name="metrics", daemon=True).start()
    return monitor.show


def _open_door(config: AgentConfig, stop: threading.Event, alarms: Alarms) -> Attendant:
    """Let technicians' commands in, as long as the process lives; return who has to be told of runs."""
    attendant = Attendant(config, alarms)
    door = Door(door_of(config), attendant)
    threading.Thread(target=door.run, args=(stop,), name="local door", daemon=True).start()
    return attendant


def _runner_beat(runner: OrderRunner) -> Beat:
    return Beat(lambda: runner.progressed_at, STUCK_AFTER_S)


def _poller_beat(poller: Poller) -> Beat:
    return Beat(lambda: poller.progressed_at, STUCK_AFTER_S)


def serve(config_file: Path, log_format: str = "auto") -> int:
    """Run the agent as a service: signals, log, exit code (0 asked to stop, 1 an error, 78 configuration)."""
    configure_log(log_format=log_format)
    os.umask(
        0o027
    )  # the spool holds transponders' numbers: nobody's business but the agent's and its group's
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    started_s = monotonic()
    try:
        config, alarms = load_config(config_file), Alarms()
        attendant = _open_door(config, stop, alarms)
        shown = (_start_monitoring(config, stop, alarms), attendant.show)
        _run_again_and_again(
            config, stop, alarms, lambda sight: [show(sight) for show in shown], attendant.explain
        )
    except ConfigError as error:
        for line in str(error).splitlines():
            _log.error("configuration", problem=line)
        return EXIT_CONFIG
    except EdgeAgentError as error:
        _log.error("the agent ends", why=str(error))
        return 1
    _log.info("the agent has ended as asked", after_s=round(monotonic() - started_s, 1))
    return 0
