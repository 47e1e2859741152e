"""What is known of a gateway and everything behind it at one instant: what technicians' commands show.

Made by the running agent for its local door, or by a command itself where the agent doesn't run. It holds no
transponder's number. Counts are since the start of whoever made it: two snapshots give what happened in between.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from wastelock.messages import Instant, LockState, MachineHealth


class _Part(BaseModel):
    """Frozen; what a newer agent adds is no reason to fail. None is left out on the wire: it is the default."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class GatewaySight(_Part):
    """`via`: who made this, the running agent or a command that has the lines itself."""

    gateway: str
    site: str
    via: Literal["agent", "direct"]
    pid: int
    software: str
    incarnation: int | None = None
    clock: Literal["ntp", "rtc", "unset"]
    stuck_loops: tuple[str, ...] = ()
    machine: Annotated[MachineHealth | None, Field(description="as the running agent measured it last")] = (
        None
    )


class BrokerSight(_Part):
    host: str
    port: int
    connected: bool
    sessions: int
    trouble: Annotated[str | None, Field(description="why there is no session; None while there is")] = None
    pages_sent: int
    pages_received: Annotated[int, Field(description="told by receipts, since the start")]
    pages_lost: int


class SpoolSight(_Part):
    """`trouble` is why nothing could be read; then the figures are 0."""

    path: str
    journal: str | None = None
    used_bytes: int = 0
    max_bytes: int = 0
    pages: int = 0
    newest_page: int | None = None
    committed_through: int = 0
    unreceipted_pages: int = 0
    oldest_unreceipted_at: Instant | None = None
    trouble: str | None = None


class PourSight(_Part):
    """The last complete pour. `at` is by the controller's clock; None where that wasn't set."""

    seq: int
    chamber: int
    volume_ml: int
    at: Instant | None = None


class CustodySight(_Part):
    """Where a lock's records are, of the epoch in force: `ring` ones only in the controller, `spool` only on this disk.

    `received_seq`: the ledger has all up to it. None: not known, since the lock wasn't seen or nothing was found of it
    among the newest pages.
    """

    newest_seq: int | None = None
    spooled_seq: int | None = None
    received_seq: int | None = None
    ring: int | None = None
    spool: int | None = None


class LockSight(_Part):
    """One lock. `state` is what the cloud is told of it, None before the first visit has ended."""

    lock: str
    bus: str
    unit: int
    driver: str
    state: LockState | None = None
    last_pour: PourSight | None = None
    custody: CustodySight = CustodySight()
    answered_s_ago: float | None = None


class UnitSight(_Part):
    """What happened to the requests to one unit, see bus_counts.UnitCounts. `lock`: None where none is configured."""

    unit: int
    lock: str | None = None
    resting: bool = False
    requests: int = 0
    answered: int = 0
    exceptions: int = 0
    timeouts: int = 0
    broken: int = 0
    broken_crc: int = 0
    late_or_foreign: int = 0
    line_downs: int = 0
    round_trip_ms: float | None = None
    slowest_ms: float | None = None


class BusSight(_Part):
    """One line. `where`: device and settings, or host and port. `trouble`: why it isn't open, None while it is."""

    bus: str
    kind: Literal["rtu", "tcp"]
    where: str
    is_open: bool
    trouble: str | None = None
    lent_to: str | None = None
    times_opened: int = 0
    times_broken: Annotated[int, Field(description="the device or connection went while it was in use")] = 0
    wire_s: Annotated[float | None, Field(description="bytes on the wire; None for TCP")] = None
    units: tuple[UnitSight, ...] = ()


class Snapshot(_Part):
    """All of it. `clock_s`: the monotonic clock when it was made, for rates between two snapshots."""

    v: Literal[1] = 1
    at: Instant
    clock_s: float
    gateway: GatewaySight
    broker: Annotated[BrokerSight | None, Field(description="None: the agent doesn't run")] = None
    spool: SpoolSight
    alarms: tuple[str, ...] = ()
    buses: tuple[BusSight, ...] = ()
    locks: tuple[LockSight, ...] = ()
