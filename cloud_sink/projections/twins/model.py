"""What a twin is, as whoever shows or describes one gets it: values only, nothing is read or reckoned here.

    property ── site ── lock ── chamber[] ── fraction          gateway ── lock[]
                         └── container: fill, mass balance at each emptying

Instants are UTC: when something was so, by the controller's word where a record tells it, else when it was heard.
"""

from dataclasses import dataclass
from datetime import date, datetime

from cloud_sink.orders.model import CommandView
from cloud_sink.projections.twins.lifecycle import (
    TRANSITIONS,
    IllegalMove,
    Lifecycle,
    check_move,
    moves_from,
)
from cloud_sink.projections.twins.terms import AlarmKind, BillingImpact, Connectivity, Health, Severity
from wastelock.messages import MachineHealth

__all__ = [
    "TRANSITIONS", "Alarm", "AlarmKind", "BillingImpact", "ChamberTwin", "Change", "Connectivity", "DayPours",
    "DesiredValue", "FillPoint", "FleetCounts", "Gap", "GatewayTwin", "Health", "IllegalMove", "Interval",
    "Lifecycle", "LifecycleStep", "Link", "LockSummary", "LockTwin", "MassBalance", "OpenFault", "Overview",
    "Quality", "Reported", "Severity", "SiteSummary", "check_move", "moves_from",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class LockSummary:
    """One lock in a list. `gateway` None: nothing was heard of it yet. `faults`: names as in reports, sorted.

    `label`, `row`, `column`, `property`: as people described it. `site`: as described, else that of its gateway.
    `completeness_permille` 1000: all records that are known to exist are here; None: none is known.
    """

    lock: str
    label: str
    site: str | None
    property: str | None
    gateway: str | None
    row: int | None
    column: int | None
    lifecycle: Lifecycle
    connectivity: Connectivity
    last_seen_at: datetime | None
    state: str | None
    faults: tuple[str, ...]
    impact: BillingImpact
    health: Health
    fill_permille: int | None
    completeness_permille: int | None
    pours_today: int
    pours_week: int
    last_pour_at: datetime | None
    open_alarms: int
    worst_severity: Severity | None


@dataclass(frozen=True, slots=True)
class Reported:
    """What the lock itself last told, through its gateway. `heard_at`: when the sink heard it, `at`: when it was so."""

    at: datetime
    heard_at: datetime
    driver: str
    reachable: bool
    unreachable_since_at: datetime | None
    problem: str | None
    state: str | None
    firmware: str | None
    model: int | None
    epoch: int | None
    clock_status: int | None
    clock_offset_s: int | None
    battery_mv: int | None
    temperature_dc: int | None
    fill_permille: int | None
    access_list_version: int | None
    enable_mask: int | None
    poll_interval_s: float | None
    oldest_seq: int | None
    newest_seq: int | None
    confirmed_seq: int | None
    spooled_seq: int | None
    unverified_records: int
    overwritten_records: int


@dataclass(frozen=True, slots=True)
class DesiredValue:
    """What a property shall be. `drift`: it isn't so; None where nothing tells. `overdue`: past its deadline and not
    known to be so."""

    property: str
    value: str
    reported: str | None
    drift: bool | None
    overdue: bool
    requested_by: str
    requested_at: datetime
    deadline_at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenFault:
    """A fault that is there now. `epoch`, `seq`: of the record that told it, None where only reports did so far."""

    fault: str
    chamber: int | None
    impact: BillingImpact
    since_at: datetime
    epoch: int | None
    seq: int | None


@dataclass(frozen=True, slots=True)
class Interval:
    """From when to when a fault was there at a lock; `until_at` None: it still is. By its records' (epoch, seq)."""

    lock: str
    fault: str
    chamber: int | None
    impact: BillingImpact
    since_at: datetime
    until_at: datetime | None
    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class ChamberTwin:
    """`volume_ml`, `enabled`, `register`: as reported, the volume else by the newest record. `described_…`: by people.

    `ledger_register`: by the newest record that is here.
    """

    number: int
    fraction: str | None
    volume_ml: int | None
    described_volume_ml: int | None
    enabled: bool | None
    register: int | None
    ledger_register: int | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Records first..last of an epoch aren't here. `lost`: and they can't come any more. `reason`: why, in words."""

    epoch: int
    first: int
    last: int
    lost: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the data of one lock are.

    `records_present` of `records_known` to exist by sequence numbers and registers. `latency_…`: from the pour to its
    commit, of the latest pours. `clock_grades`: grade -> how many of the latest pours. `lost_pours`: pours by the
    register that no record in the ledger tells of, and none that may still come.
    """

    completeness_permille: int | None
    records_present: int
    records_known: int
    lost_pours: int
    latency_p50_ms: int | None
    latency_p95_ms: int | None
    clock_grades: dict[str, int]
    open_disputes: int
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class MassBalance:
    """The sum of the pours between two emptyings against the container's volume.

    `ratio_permille`: volume of the pours to that of the container. `fill_permille`: the sensor's last word before.
    `verdict`: plausible, too_much (more was poured than can go in), too_little (fuller than what was poured), unknown.
    """

    kind: str
    at: datetime
    epoch: int
    seq: int
    pours: int
    volume_ml: int
    container_ml: int
    ratio_permille: int
    fill_permille: int | None
    verdict: str


@dataclass(frozen=True, slots=True)
class LifecycleStep:
    """`automatic`: by what the lock told of itself; else `actor` is who moved it, and `reason` why."""

    at: datetime
    lifecycle: Lifecycle
    automatic: bool
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Link:
    """The way from the gateway to the ledger: pages that wait there, and since when."""

    connectivity: Connectivity
    last_seen_at: datetime | None
    backlog_pages: int | None
    oldest_unsent_at: datetime | None


@dataclass(frozen=True, slots=True)
class LockTwin:
    """All of one lock, now or at an instant of the past (`as_of_at`); then what only holds for now is left out.

    `commands`: the latest ones, newest first, each with its own deadline (`expires_at`).
    """

    summary: LockSummary
    as_of_at: datetime
    reported: Reported | None
    desired: tuple[DesiredValue, ...]
    commands: tuple[CommandView, ...]
    faults: tuple[OpenFault, ...]
    chambers: tuple[ChamberTwin, ...]
    quality: Quality
    balances: tuple[MassBalance, ...]
    container_ml: int
    days_until_full: int | None
    lifecycle_history: tuple[LifecycleStep, ...]
    link: Link


@dataclass(frozen=True, slots=True)
class SiteSummary:
    """`locks` are those that aren't decommissioned; the counts are of these. Coordinates in degrees of WGS 84."""

    site: str
    name: str
    street: str | None
    city: str | None
    property: str | None
    locks: int
    locks_critical: int
    locks_warning: int
    gateways: int
    gateways_offline: int
    pours_today: int
    pours_week: int
    open_alarms: int
    worst_severity: Severity | None
    latitude: float | None
    longitude: float | None


@dataclass(frozen=True, slots=True)
class GatewayTwin:
    """`software`, `journal`, `clock` …: as it last reported. `alarms`: its own, in its words.

    `machine`: how its machine was doing by the last telemetry that told of it.
    """

    site: str
    gateway: str
    link: Link
    software: str | None
    incarnation: int | None
    journal: str | None
    newest_page: int | None
    committed_through: int | None
    clock: str | None
    cpu_permille: int | None
    memory_rss_bytes: int | None
    disk_free_bytes: int | None
    machine: MachineHealth | None
    spool_bytes: int | None
    spool_pages: int | None
    alarms: tuple[str, ...]
    locks: tuple[str, ...]
    telemetry_at: datetime | None


@dataclass(frozen=True, slots=True)
class FleetCounts:
    """Locks that aren't decommissioned, by health, lifecycle and connectivity; alarms by severity."""

    locks: int
    gateways: int
    gateways_offline: int
    health: dict[Health, int]
    lifecycle: dict[Lifecycle, int]
    connectivity: dict[Connectivity, int]
    alarms: dict[Severity, int]
    pours_today: int
    pours_week: int
    open_disputes: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The fleet in figures, its sites and its locks, by name; all of one snapshot."""

    counts: FleetCounts
    sites: list[SiteSummary]
    locks: list[LockSummary]


@dataclass(frozen=True, slots=True)
class Alarm:
    """`alarm_id` is made of what the alarm is about and since when, so it is the same after a rebuild.

    `severity`: now, that is after escalating. `remedy`: what to do, in words. `key`: what of the subject (a fault's
    name, a property), "" where there is only one.
    """

    alarm_id: str
    kind: AlarmKind
    severity: Severity
    site: str | None
    lock: str | None
    gateway: str | None
    key: str
    opened_at: datetime
    escalated_at: datetime | None
    closed_at: datetime | None
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    detail: str
    impact: BillingImpact
    remedy: str


@dataclass(frozen=True, slots=True)
class Change:
    """One property of a lock, gateway or site became `value` at an instant. `source`: record, report or event.

    `change_no`: in the order in which the twins learned of it; begins anew with each rebuild. `actor`, `reason`: of
    what people did.
    """

    change_no: int
    lock: str | None
    gateway: str | None
    site: str | None
    property: str
    at: datetime
    value: str
    source: str
    actor: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class DayPours:
    """Complete pours of one local day, by lock (or site) and chamber; `volume_ml`: of their chambers, added up."""

    day: date
    chamber: int
    pours: int
    volume_ml: int


@dataclass(frozen=True, slots=True)
class FillPoint:
    at: datetime
    fill_permille: int
