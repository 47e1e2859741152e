"""How a technician's command gets at locks and buses: through the running agent, or on lines of its own.

    with open_field(config) as field:
        field.via                                "agent" or "direct"
        field.driver("1f00a1").read_status()     whoever has the bus, its turns are kept
        field.snapshot()                         all that is known

A bus has one master. Where the agent runs, each transaction goes through its arbiter by the local door; where it
doesn't, the command holds the spool's lock, so that no agent starts on these lines meanwhile.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol

from edge_agent.config import AgentConfig, BusSettings
from edge_agent.drivers.base import Driver, Registers
from edge_agent.errors import AgentOutOfReach, SpoolLent, SpoolUnavailable
from edge_agent.local.address import doors_of
from edge_agent.local.snapshot import Snapshot
from edge_agent.spool_lock import SpoolLock, holder_of
from edge_agent.technician.by_agent import AgentAccess, DoorClient, user_name
from edge_agent.technician.by_wire import WireAccess


class FieldAccess(Protocol):
    """Locks and buses of one configuration. Used by one thread, unless a method says otherwise."""

    via: Literal["agent", "direct"]
    config: AgentConfig

    def registers(self, bus: str, unit: int) -> Registers:
        """Return any unit's registers; UnknownName where there is no such bus. Its reads and writes raise BusError.

        Nobody confirms records by hand: a write to these registers is NotAllowed.
        """
        ...

    def driver(self, lock: str) -> Driver:
        """Return a driver that has identified this configured lock (WrongController if somebody else answers)."""
        ...

    def borrow(self, bus: str) -> AbstractContextManager[BusSettings]:
        """Have the device of a bus for yourself, to open it with settings of your own; its locks aren't read meanwhile.

        Yields how the bus is configured. On leaving, the agent has it again: close what you opened before. It ends by
        itself when this process does. TryLater where somebody else has borrowed it.
        """
        ...

    def snapshot(self) -> Snapshot:
        """Return all that is known now. May be called from another thread than the rest."""
        ...


@contextmanager
def open_field(config: AgentConfig, *, agent_only: bool = False) -> Iterator[FieldAccess]:
    """Yield the way to the locks: the agent's if it runs, else their own lines (never with `agent_only`).

    `config` may have been loaded with `check_files=False`. Raises AgentOutOfReach with the remedy where the agent runs
    but can't be talked to, SpoolUnavailable where the spool's lock can't be had.
    """
    client = _knock(config)
    if client is not None:
        with client:
            yield AgentAccess(config, client)
        return
    if agent_only:
        raise AgentOutOfReach(
            "the agent doesn't run now; this command waits until it does, or end it and start anew"
        )
    with _no_agent(config), WireAccess(config) as access:
        yield access


def _knock(config: AgentConfig) -> DoorClient | None:
    """Return a connection to the agent of this configuration, None if none runs."""
    doors, is_shut = doors_of(config), False
    for path in doors:
        try:
            client = DoorClient(path)
        except PermissionError:
            is_shut = True
            continue
        except OSError:
            continue  # nobody is there, or not any more
        if os.path.realpath(client.greeting.spool) == os.path.realpath(config.spool.path):
            return client
        client.close()  # the agent of another spool
    spool, holder = config.spool.path, holder_of(config.spool.path)
    if holder is not None and holder.command is not None:
        raise SpoolLent(f"{spool} is in use by {holder}: it has the lines; remedy: end it")
    if is_shut and (holder is not None or not os.access(spool.parent, os.R_OK | os.X_OK)):
        name = user_name()
        raise AgentOutOfReach(
            f"user {name} may not talk to the agent; remedy: sudo adduser {name} wastelock, then log in again"
        )
    if holder is not None:
        raise AgentOutOfReach(
            f"the agent ({holder}) runs, but there is no way to it at {' or '.join(map(str, doors))}; remedy: "
            "see its log for `no socket` (journalctl -u wastelock-edge-agent), or stop it meanwhile"
        )
    return None


@contextmanager
def _no_agent(config: AgentConfig) -> Iterator[None]:
    """See to it that no agent starts on these lines meanwhile."""
    spool = config.spool.path
    if not spool.parent.is_dir():
        yield  # no agent can run without that directory
        return
    if not os.access(spool.parent, os.W_OK | os.X_OK):
        raise SpoolUnavailable(
            f"the agent doesn't run, and this user may not write to {spool.parent} to take its place; remedy: start "
            "the agent, or run this command as its user: sudo -u wastelock edge-agent …"
        )
    lock = SpoolLock(spool, _command_name())
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _command_name() -> str:
    """Return which of edge-agent's commands this process is."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    return name if name.isidentifier() else "command"
