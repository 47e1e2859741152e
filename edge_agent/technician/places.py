"""Finds what people name, a lock or a bus, in the configuration."""

from edge_agent.config import AgentConfig, BusSettings, LockSettings
from edge_agent.errors import UnknownName


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
