"""Builds the side that faces the locks: buses with their lines, drivers, one poller for each bus."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from edge_agent.bus import Bus
from edge_agent.clock import GatewayClock
from edge_agent.config import AgentConfig, BusSettings, CounterLock, LockSettings, RtuBus
from edge_agent.drivers.base import Driver, Registers
from edge_agent.drivers.counter_1 import Counter1Driver, CounterRegister
from edge_agent.drivers.wlc_1 import Wlc1Driver
from edge_agent.journal_keeper import Spool
from edge_agent.line import Line
from edge_agent.line_rtu import RtuLine, SerialSettings
from edge_agent.line_tcp import TcpLine
from edge_agent.lock_report import LockReport
from edge_agent.lock_visitor import LockVisitor, Time
from edge_agent.poller import Poller
from wastelock.messages import LockState


@dataclass(frozen=True, slots=True)
class Field:
    """All buses, and the poller of each one that has locks."""

    buses: tuple[Bus, ...]
    pollers: tuple[Poller, ...]


def build_field(
    config: AgentConfig,
    spool: Spool,
    clock: GatewayClock,
    report: Callable[[LockState], None],
    on_failure: Callable[[BaseException], None],
    state_interval_s: Callable[[float], float] = lambda usual_s: usual_s,
) -> Field:
    """Return buses and pollers, ready to run. No line is opened yet: one that is missing stops nobody else.

    `state_interval_s`: how often a lock's state is repeated now, where it is configured to be each so many seconds.
    """
    buses = build_buses(config)
    time = Time(clock.now, monotonic, lambda: clock.trust() != "unset")
    pollers = []

    def repeat_every_s() -> float:
        return state_interval_s(config.reporting.state_interval_s)

    for name, bus in buses.items():
        visitors = [
            LockVisitor(
                lock.lock,
                build_driver(lock, bus.unit(lock.unit), clock),
                lock.poll_interval_s,
                spool,
                LockReport(report, clock.now, monotonic, repeat_every_s),
                time,
                config.clock.set_beyond_s,
            )
            for lock in config.locks
            if lock.bus == name
        ]
        if visitors:
            pollers.append(Poller(name, visitors, monotonic, on_failure, bus.visit))
    return Field(tuple(buses.values()), tuple(pollers))


def build_buses(config: AgentConfig) -> dict[str, Bus]:
    """Return each bus by its name; none is open yet."""
    return {settings.name: Bus(settings.name, build_line(settings)) for settings in config.buses}


def build_line(settings: BusSettings) -> Line:
    """Return the line of a bus, closed."""
    answer_timeout_s = settings.answer_timeout_ms / 1000
    if isinstance(settings, RtuBus):
        serial = SerialSettings(str(settings.device), settings.baudrate, settings.parity, settings.stopbits)
        return RtuLine(serial, answer_timeout_s)
    return TcpLine(settings.host, settings.port, answer_timeout_s)


def build_driver(lock: LockSettings, registers: Registers, clock: GatewayClock) -> Driver:
    """Return a driver for this lock; one belongs to one thread."""
    if not isinstance(lock, CounterLock):
        return Wlc1Driver(registers, lock.serial_number)
    chambers = [
        CounterRegister(
            chamber.number,
            lock.function,
            chamber.address,
            chamber.width,
            chamber.volume_ml,
            chamber.word_order == "low_first",
        )
        for chamber in lock.chambers
    ]
    return Counter1Driver(
        registers,
        lock.serial_number,
        chambers,
        lambda: clock.trust() != "unset",
        lambda: clock.now().timestamp(),
    )
