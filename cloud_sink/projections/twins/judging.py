"""What the facts about a lock mean: pure rules, each of a few values. Where two sources meet, it is decided here.

fault is there?   the record with the greatest (epoch, seq) says so, unless a report that knows of that record says
                  otherwise; and what only reports tell, until a later record clears it
complete?         records that are here, of those that sequence numbers and registers say exist
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from cloud_sink.ledger.instants import from_ms
from cloud_sink.projections.twins.folding import fault_name
from cloud_sink.projections.twins.lifecycle import Lifecycle, LifecycleEvent
from cloud_sink.projections.twins.model import OpenFault
from cloud_sink.projections.twins.terms import BillingImpact, Connectivity, Health, Severity
from cloud_sink.projections.twins.thresholds import Thresholds
from wastelock.messages import LockState
from wastelock.registers import MAX_CAPACITY, Fault, State

_MOD, _HALF = 2**32, 2**31
_DAY = timedelta(days=1)
_LEAST_FILL = 50  # below, the sensor's slope says little

# What each fault does to the bill. One that isn't known here: somebody has to look.
IMPACTS: dict[str, BillingImpact] = {
    fault.name.lower(): impact
    for fault, impact in {
        Fault.CHAMBER_BLOCKED: BillingImpact.DEGRADED,
        Fault.CONTAINER_FULL: BillingImpact.DEGRADED,
        Fault.FLAP_OPEN: BillingImpact.BYPASS,
        Fault.DOOR_OPEN: BillingImpact.BYPASS,
        Fault.BATTERY_LOW: BillingImpact.NONE,
        Fault.CLOCK_LOST: BillingImpact.REVIEW,
        Fault.MEMORY_CORRUPT: BillingImpact.LOST,
        Fault.TAMPER: BillingImpact.REVIEW,
        Fault.READER_FAILED: BillingImpact.DEGRADED,
        Fault.JOURNAL_NEARLY_FULL: BillingImpact.DEGRADED,
    }.items()
}
# Faults with which a lock goes on serving as if nothing was.
_HARMLESS = frozenset({Fault.BATTERY_LOW.name.lower(), Fault.CLOCK_LOST.name.lower()})
_STOPPED = frozenset({State.OUT_OF_SERVICE.name.lower(), State.JAMMED.name.lower()})
_ORDER = {impact: place for place, impact in enumerate(BillingImpact)}
_SEVERITY_ORDER = {severity: place for place, severity in enumerate(Severity)}


class FaultState(NamedTuple):
    """The newest record about a fault of a chamber (0: of the lock)."""

    fault: int
    chamber: int
    epoch: int
    seq: int
    raised: int
    at_ms: int


class SpanSums(NamedTuple):
    """Of one epoch: which records are here: `present` of first..last, of these `unread` ones that can't be trusted."""

    epoch: int
    first: int
    last: int
    present: int
    unread: int = 0


class RegisterSums(NamedTuple):
    """Of one epoch and chamber: the register before its first record and after its last; complete pours between."""

    epoch: int
    chamber: int
    first_register: int
    last_register: int
    pours: int


@dataclass(frozen=True, slots=True)
class Completeness:
    """`missing`: aren't here, or can't be read. `lost_pours`: by the registers, beyond what these can account for."""

    present: int
    known: int
    missing: int
    lost_pours: int

    @property
    def permille(self) -> int | None:
        return self.present * 1000 // self.known if self.known else None


NOTHING_KNOWN = Completeness(0, 0, 0, 0)


def impact_of(fault: str) -> BillingImpact:
    """Return what a fault (as reports name it) does to the bill."""
    return IMPACTS.get(fault, BillingImpact.REVIEW)


def worst_impact(impacts: Iterable[BillingImpact]) -> BillingImpact:
    return max(impacts, key=_ORDER.__getitem__, default=BillingImpact.NONE)


def worst_severity(severities: Iterable[Severity]) -> Severity | None:
    return max(severities, key=_SEVERITY_ORDER.__getitem__, default=None)


def connectivity_of(
    last_seen_at: datetime | None, now: datetime, stale_s: int, offline_s: int
) -> Connectivity:
    """Return how well something is heard of whose last sign of life is so old."""
    if last_seen_at is None:
        return Connectivity.NEVER
    age_s = (now - last_seen_at).total_seconds()
    if age_s >= offline_s:
        return Connectivity.OFFLINE
    return Connectivity.STALE if age_s >= stale_s else Connectivity.ONLINE


def open_faults(
    records: Iterable[FaultState], state: LockState | None, since_ms: Mapping[str, int]
) -> tuple[OpenFault, ...]:
    """Return the faults that are there. `since_ms`: by fault, since when reports tell of it without a break."""
    told = set(state.faults) if state is not None else set()
    knows = (state.epoch, state.newest_seq or 0) if state is not None and state.epoch is not None else (-1, 0)
    found: list[OpenFault] = []
    cleared_since: set[str] = set()
    for record in records:
        name = fault_name(record.fault)
        at = record.epoch, record.seq
        if record.raised and (name in told or at > knows):
            found.append(OpenFault(name, record.chamber or None, impact_of(name), from_ms(record.at_ms), *at))
        elif not record.raised and at > knows:
            cleared_since.add(name)
    only_told = told - {fault.fault for fault in found} - cleared_since
    for name in only_told:
        ms = since_ms.get(name)
        at_instant = from_ms(ms) if ms is not None or state is None else state.at  # type: ignore[arg-type]
        found.append(OpenFault(name, None, impact_of(name), at_instant, None, None))
    return tuple(sorted(found, key=lambda fault: (-_ORDER[fault.impact], fault.fault, fault.chamber or 0)))


def own_event(state: str | None, faults: Iterable[str]) -> LifecycleEvent:
    """Return what a lock's state means for its lifecycle."""
    if state == State.MAINTENANCE.name.lower():
        return LifecycleEvent.SERVICE_BEGUN
    if state in _STOPPED:
        return LifecycleEvent.FAILED
    return LifecycleEvent.IMPAIRED if set(faults) - _HARMLESS else LifecycleEvent.RECOVERED


def completeness_of(
    spans: Sequence[SpanSums], registers: Sequence[RegisterSums], overdue: tuple[int, int] | None
) -> Completeness:
    """Return how many of the records that exist are here.

    `spans`, `registers`: by epoch, ascending. `overdue`: (epoch, seq) up to which the lock said so long ago that it has
    records that they should be here. Records before the first one that ever came aren't counted: metering began there.
    """
    present = known = missing = lost = 0
    for index, span in enumerate(spans):
        last = max(span.last, overdue[1]) if overdue is not None and overdue[0] == span.epoch else span.last
        in_epoch = last - span.first + 1 if index == 0 else last
        readable = span.present - span.unread
        holes = in_epoch - readable
        mine = [sums for sums in registers if sums.epoch == span.epoch]
        beyond = max(0, sum(_short(sums) for sums in mine) - holes)
        present, known, missing = present + readable, known + in_epoch + beyond, missing + holes
        lost += beyond
    between = _between_epochs(registers)
    return Completeness(present, known + between, missing, lost + between)


def _short(sums: RegisterSums) -> int:
    """Return by how many pours the ledger is short of the register; a register that went backwards proves nothing."""
    moved = (sums.last_register - sums.first_register) % _MOD
    return 0 if moved >= _HALF else max(0, moved - sums.pours)


def _between_epochs(registers: Sequence[RegisterSums]) -> int:
    """Return the pours that registers counted between the end of an epoch and the beginning of the next.

    No more can be lost there than a ring holds: it overwrites nothing that wasn't confirmed. A register that moved
    further, or backwards, is another one.
    """
    lost, last = 0, dict[int, int]()
    for sums in registers:
        if sums.chamber in last:
            moved = (sums.first_register - last[sums.chamber]) % _MOD
            lost += moved if moved <= MAX_CAPACITY else 0
        last[sums.chamber] = sums.last_register
    return lost


def health_of(
    lifecycle: Lifecycle,
    connectivity: Connectivity,
    impact: BillingImpact,
    worst: Severity | None,
    complete: bool,
) -> Health:
    """Return one word for a lock. `worst`: of its open alarms."""
    if lifecycle in (Lifecycle.PLANNED, Lifecycle.DECOMMISSIONED):
        return Health.GOOD
    critical = (
        impact in (BillingImpact.BYPASS, BillingImpact.LOST)
        or worst is Severity.CRITICAL
        or lifecycle is Lifecycle.OUT_OF_SERVICE
    )
    if critical:
        return Health.CRITICAL
    good = (
        impact is BillingImpact.NONE
        and worst in (None, Severity.INFO)
        and connectivity is Connectivity.ONLINE
        and lifecycle in (Lifecycle.IN_SERVICE, Lifecycle.COMMISSIONING)
        and complete
    )
    return Health.GOOD if good else Health.WARNING


def days_until_full(
    fill_permille: int | None, since_emptied: timedelta | None, daily_ml: int, container_ml: int
) -> int | None:
    """Return in how many days a container is full: by the sensor's slope since the emptying, else by what is poured.

    `daily_ml`: volume of the pours of an average day. None where nothing tells.
    """
    if fill_permille is None:
        return None
    left = max(0, 1000 - fill_permille)
    if since_emptied is not None and since_emptied >= _DAY and fill_permille >= _LEAST_FILL:
        return int(left * since_emptied / fill_permille / _DAY)
    return left * container_ml // (1000 * daily_ml) if daily_ml else None


def balance_verdict(
    ratio_permille: int, fill_permille: int | None, complete: bool, thresholds: Thresholds
) -> str:
    """Return what the pours between two emptyings say against what fits into the container, and what the sensor saw.

    A chamber's volume is the most that a pour can bring: a container that is fuller than all of them together was
    filled by another way.
    """
    if not complete:
        return "unknown"
    if ratio_permille > thresholds.balance_over_permille:
        return "too_much"
    if fill_permille is not None and fill_permille - ratio_permille > thresholds.balance_under_permille:
        return "too_little"
    return "plausible"


def drifts(name: str, wanted: str, state: LockState | None, told: Mapping[str, str]) -> bool | None:
    """Return whether a wish hasn't come true; None where nothing tells. `told`: properties as last reported."""
    if name == "clock_offset_s":
        offset = None if state is None else state.clock_offset_s
        return None if offset is None else abs(offset) > int(wanted)
    here = told.get(name)
    return None if here is None else here != wanted
