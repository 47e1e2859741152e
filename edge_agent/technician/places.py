"""Finds what people name, a lock or a bus, in the configuration; and drivers for whoever only looks."""

from edge_agent.clock import GatewayClock
from edge_agent.config import AgentConfig, BusSettings, LockSettings
from edge_agent.custody import Cursor
from edge_agent.drivers.base import Driver, Registers
from edge_agent.errors import UnknownName
from edge_agent.field import build_driver


def find_lock(config: AgentConfig, name: str) -> LockSettings:
    """Return the lock of this serial number (leading zeros and case don't matter), or raise UnknownName."""
    wanted = name.lower().removeprefix("0x").lstrip("0")
    for lock in config.locks:
        if lock.lock.lstrip("0") == wanted:
            return lock
    known = ", ".join(lock.lock for lock in config.locks)
    raise UnknownName(f"{config.file}: there is no lock {name!r}; there are {known}")


def find_bus(config: AgentConfig, name: str) -> BusSettings:
    """Return the settings of this bus, or raise UnknownName."""
    for bus in config.buses:
        if bus.name == name:
            return bus
    known = ", ".join(bus.name for bus in config.buses)
    raise UnknownName(f"{config.file}: there is no bus {name!r}; there are {known}")


def looking_driver(lock: LockSettings, registers: Registers) -> Driver:
    """Return a driver that keeps no journal for anybody.

    A counter's driver derives pours, and so waits for a trusted clock and a name for their journal. Nothing that this
    one derives is kept: its registers can be read at once.
    """
    driver = build_driver(lock, registers, GatewayClock("ntp"))
    driver.restore(Cursor(epoch=1, seq=0, crc=0, verified=True))
    return driver
