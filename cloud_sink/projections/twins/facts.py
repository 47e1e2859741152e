"""What is known of locks and gateways at one moment, by name, as `loading` gathers it: the input of every judgement."""

from dataclasses import dataclass, field
from datetime import datetime

from cloud_sink.operator_events import LockDescription, SiteDescription
from cloud_sink.orders.model import CommandView
from cloud_sink.projections.twins.judging import NOTHING_KNOWN, Completeness, FaultState
from cloud_sink.projections.twins.lifecycle import Lifecycle
from cloud_sink.projections.twins.terms import Severity
from wastelock.messages import GatewayState, LockState, Telemetry


@dataclass(frozen=True, slots=True)
class Emptying:
    """A lock's emptying or container swap, with the sums since the one before."""

    kind: int
    at: datetime
    epoch: int
    seq: int
    pours: int
    volume_ml: int
    complete: bool
    fill_permille: int | None


@dataclass(frozen=True, slots=True)
class Wished:
    """What people want a property to be."""

    property: str
    value: str
    deadline_at: datetime | None
    actor: str
    at: datetime


@dataclass(slots=True)
class GatewayFacts:
    """`seen_at`: the last sign of life of it or of a lock behind it. `said_bye_at`: when it was told to be gone."""

    site: str
    gateway: str
    seen_at: datetime | None = None
    said_bye_at: datetime | None = None
    state: GatewayState | None = None
    telemetry: Telemetry | None = None
    telemetry_at: datetime | None = None
    committed_through: int | None = None
    alarms_since_ms: dict[str, int] = field(default_factory=dict)
    locks: list[str] = field(default_factory=list)


@dataclass(slots=True)
class LockFacts:
    """`gateway_site`: where its gateway is, which people may call otherwise (`site`).

    `read_at`: when a gateway last read a record of it. `told`: properties as last reported, by name. `commands`: of
    each action the newest.
    """

    lock: str
    lock_no: int | None = None
    site: str | None = None
    gateway_site: str | None = None
    gateway: str | None = None
    description: LockDescription | None = None
    described_at: datetime | None = None
    decided: Lifecycle | None = None
    state: LockState | None = None
    heard_at: datetime | None = None
    read_at: datetime | None = None
    last_pour_at: datetime | None = None
    faults: list[FaultState] = field(default_factory=list)
    faults_since_ms: dict[str, int] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    told_since_ms: dict[str, int] = field(default_factory=dict)
    wishes: list[Wished] = field(default_factory=list)
    commands: list[CommandView] = field(default_factory=list)
    pours_today: int = 0
    pours_week: int = 0
    daily_ml: int = 0
    completeness: Completeness = NOTHING_KNOWN
    holes: bool = False
    emptying: Emptying | None = None
    disputes: int = 0
    disputed_since: datetime | None = None
    alarms: list[Severity] = field(default_factory=list)


@dataclass(slots=True)
class FleetFacts:
    """All of it. `quarantined`: unresolved messages by topic's site/gateway ("" of none), newest first heard."""

    now: datetime
    locks: dict[str, LockFacts] = field(default_factory=dict)
    gateways: dict[tuple[str, str], GatewayFacts] = field(default_factory=dict)
    sites: dict[str, SiteDescription] = field(default_factory=dict)
    disputes: int = 0
    quarantined: int = 0
    quarantined_lately: dict[str, tuple[int, datetime]] = field(default_factory=dict)
