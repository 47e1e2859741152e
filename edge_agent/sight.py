"""What of a run of the agent may be looked at from outside while it goes on: only to read, nothing waits for it."""

from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.clock import GatewayClock
from edge_agent.field import Field
from edge_agent.forwarder import Forwarder
from edge_agent.machine.keeper import MachineKeeper
from edge_agent.orders.desk import OrderDesk
from edge_agent.spool import Spool
from edge_agent.uplink import Uplink
from edge_agent.watchdog import Watchdog


@dataclass(frozen=True, slots=True)
class Sight:
    """The parts of one run. `max_bytes`: what the spool may take of the disk."""

    spool: Spool
    max_bytes: int
    uplink: Uplink
    forwarder: Forwarder
    field: Field
    watchdog: Watchdog
    clock: GatewayClock
    machine: MachineKeeper
    desk: OrderDesk


Show = Callable[[Sight | None], object]
"""Is told of a run that has begun, and (None) that it is over."""


def show_nobody(_sight: Sight | None) -> None:
    """Where nobody looks."""
