"""Builds the side that faces the locks: buses with their lines, drivers, one poller for each bus."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from edge_agent.bus import Bus
from edge_agent.clock import GatewayClock
from edge_agent.config import AgentConfig, BusSettings, CounterLock, LockSettings, RtuBus
from edge_agent.drivers.base import Driver
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
) -> Field:
    """Return buses and pollers, ready to run. No line is opened yet: one that is missing stops nobody else."""
    buses = {settings.name: Bus(settings.name, _line(settings)) for settings in config.buses}
    time = Time(clock.now, monotonic, lambda: clock.trust() != "unset")
    pollers = []
    for name, bus in buses.items():
        visitors = [
            LockVisitor(
                lock.lock,
                _driver(lock, bus, clock),
                lock.poll_interval_s,
                spool,
                LockReport(report, clock.now, monotonic, config.reporting.state_interval_s),
                time,
                config.clock.set_beyond_s,
            )
            for lock in config.locks
            if lock.bus == name
        ]
        if visitors:
            pollers.append(Poller(name, visitors, monotonic, on_failure))
    return Field(tuple(buses.values()), tuple(pollers))


def _line(settings: BusSettings) -> Line:
    answer_timeout_s = settings.answer_timeout_ms / 1000
    if isinstance(settings, RtuBus):
        serial = SerialSettings(str(settings.device), settings.baudrate, settings.parity, settings.stopbits)
        return RtuLine(serial, answer_timeout_s)
    return TcpLine(settings.host, settings.port, answer_timeout_s)


def _driver(lock: LockSettings, bus: Bus, clock: GatewayClock) -> Driver:
    registers = bus.unit(lock.unit)
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
