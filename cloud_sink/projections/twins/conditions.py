"""What is wrong now: facts -> conditions, each with since when. Pure; `alarms` makes alarms of those that last.

`since_at` is taken from the sources wherever they tell, so that it is the same after a rebuild.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cloud_sink.gaps import RecordGap, Whereabouts
from cloud_sink.ledger.instants import from_ms
from cloud_sink.orders.model import CommandState, greatest_revision, how_often
from cloud_sink.projections.twins import judging
from cloud_sink.projections.twins.alarm_rules import FAULT_SEVERITY, RULES
from cloud_sink.projections.twins.facts import GatewayFacts, LockFacts
from cloud_sink.projections.twins.lifecycle import Lifecycle
from cloud_sink.projections.twins.model import OpenFault
from cloud_sink.projections.twins.summing import Summing
from cloud_sink.projections.twins.terms import AlarmKind, BillingImpact, Connectivity, Severity
from cloud_sink.projections.twins.thresholds import Thresholds

_MIB = 1024 * 1024
_ANSWER_TAKES = timedelta(minutes=1)  # that a command has expired its gateway says soon after
Identity = tuple[str, str, str, str, str]
"""Kind, site, lock, gateway, key; "" of none, and of a lock's site and gateway: it stays the same lock elsewhere."""
_SILENT = (Lifecycle.PLANNED, Lifecycle.DECOMMISSIONED)


@dataclass(frozen=True, slots=True)
class Condition:
    """Something is wrong. `identity` tells it from others; `severity`: before escalating."""

    kind: AlarmKind
    site: str | None
    lock: str | None
    gateway: str | None
    key: str
    since_at: datetime
    detail: str
    severity: Severity
    impact: BillingImpact

    @property
    def identity(self) -> Identity:
        return identify(self.kind.value, self.site, self.lock, self.gateway, self.key)


def identify(kind: str, site: str | None, lock: str | None, gateway: str | None, key: str) -> Identity:
    """Return what tells an alarm from others: a lock's goes on when it is read by another gateway."""
    return (kind, "", lock, "", key) if lock is not None else (kind, site or "", "", gateway or "", key)


@dataclass(frozen=True, slots=True)
class LockGaps:
    """A lock's gaps that are proven by later records, and when the first of these was committed."""

    gaps: Sequence[RecordGap]
    missing_since_at: datetime | None
    lost_since_at: datetime | None


def conditions(summing: Summing, thresholds: Thresholds, gaps: Mapping[str, LockGaps]) -> Iterator[Condition]:
    """Yield all that is wrong now. `gaps`: of the locks that have any."""
    facts = summing.facts
    reading = {(lock.gateway_site, lock.gateway) for lock in facts.locks.values()}
    for gateway in facts.gateways.values():
        replaced = bool(gateway.locks) and (gateway.site, gateway.gateway) not in reading
        found = _of_gateway(gateway, summing, thresholds)
        yield from (each for each in found if not (replaced and each.kind is AlarmKind.GATEWAY_OFFLINE))
    for lock in facts.locks.values():
        faults = summing.faults(lock)
        lifecycle = summing.lifecycle(lock, faults)
        if lifecycle in _SILENT:
            continue
        wrong = _of_lock(lock, faults, summing, thresholds, gaps.get(lock.lock))
        quiet = lifecycle is Lifecycle.MAINTENANCE
        yield from (each for each in wrong if not (quiet and RULES[each.kind].quiet_in_service))
    for origin, (count, first_at) in facts.quarantined_lately.items():
        site, _, name = origin.partition("/")
        detail = f"{count} messages within 24 hours"
        yield _condition(
            AlarmKind.QUARANTINE_GROWING, first_at, detail, site=site or None, gateway=name or None
        )


def _condition(
    kind: AlarmKind,
    since_at: datetime,
    detail: str,
    site: str | None = None,
    lock: str | None = None,
    gateway: str | None = None,
    key: str = "",
) -> Condition:
    rule = RULES[kind]
    return Condition(kind, site, lock, gateway, key, since_at, detail, rule.severity, rule.impact)


def _of_gateway(gateway: GatewayFacts, summing: Summing, thresholds: Thresholds) -> Iterator[Condition]:
    def found(kind: AlarmKind, since_at: datetime, detail: str, key: str = "") -> Condition:
        return _condition(kind, since_at, detail, gateway.site, None, gateway.gateway, key)

    link, state, telemetry = summing.link(gateway), gateway.state, gateway.telemetry
    if link.connectivity is Connectivity.OFFLINE:
        yield found(AlarmKind.GATEWAY_OFFLINE, *_gone(gateway, timedelta(seconds=thresholds.offline_after_s)))
    for text in state.alarms if state is not None else ():
        name = text.partition(":")[0]
        since_ms = gateway.alarms_since_ms.get(name)
        since_at = summing.facts.now if since_ms is None else from_ms(since_ms)
        yield found(AlarmKind.GATEWAY_ALARM, since_at, text, name)
    revision = state.desired_revision if state is not None else None
    if revision is not None and revision > greatest_revision(summing.facts.now):
        since_at = gateway.seen_at or summing.facts.now
        yield found(AlarmKind.GATEWAY_AHEAD, since_at, f"it says it has desired state {revision}")
    if telemetry is None or gateway.telemetry_at is None:
        return
    free = telemetry.disk_free_bytes
    if free is not None and free < thresholds.disk_low_mib * _MIB:
        yield found(AlarmKind.GATEWAY_DISK_LOW, gateway.telemetry_at, f"{free // _MIB} MiB free")
    if telemetry.clock == "unset":
        yield found(
            AlarmKind.GATEWAY_CLOCK_UNSET, gateway.telemetry_at, "the gateway doesn't know what time it is"
        )
    waiting = timedelta(seconds=thresholds.backlog_old_s)
    oldest = link.oldest_unsent_at
    if oldest is not None and link.backlog_pages and summing.facts.now - oldest >= waiting:
        detail = f"{link.backlog_pages} pages, the oldest since {oldest:%Y-%m-%d %H:%M} UTC"
        yield found(AlarmKind.BACKLOG_OLD, oldest + waiting, detail)


def _gone(gateway: GatewayFacts, offline_after: timedelta) -> tuple[datetime, str]:
    seen_at, bye_at = gateway.seen_at, gateway.said_bye_at
    if bye_at is not None and (seen_at is None or seen_at <= bye_at):
        return bye_at, "the broker or the gateway itself said so"
    at = seen_at or bye_at or from_ms(0)
    return at + offline_after, f"last heard of at {at:%Y-%m-%d %H:%M} UTC"


Found = Callable[..., Condition]


def _of_lock(
    lock: LockFacts,
    faults: Sequence[OpenFault],
    summing: Summing,
    thresholds: Thresholds,
    gaps: LockGaps | None,
) -> Iterator[Condition]:
    def found(kind: AlarmKind, since_at: datetime, detail: str, key: str = "") -> Condition:
        return _condition(kind, since_at, detail, lock.site, lock.lock, lock.gateway, key)

    yield from _faults(lock, faults, summing.facts.now)
    yield from _reported(lock, found, thresholds)
    yield from _records(lock, found, thresholds, gaps)
    yield from _wishes(lock, found, summing.facts.now)
    yield from _commands(lock, found, summing.facts.now)
    yield from _container(lock, found, summing.facts.now, thresholds)


def _faults(lock: LockFacts, faults: Sequence[OpenFault], now: datetime) -> Iterator[Condition]:
    """One for each fault, however many chambers have it; since the first of them.

    A lock whose clock is ahead has raised it in what is the future yet; it is there all the same.
    """
    for name in dict.fromkeys(fault.fault for fault in faults):
        mine = [fault for fault in faults if fault.fault == name]
        chambers = ", ".join(str(fault.chamber) for fault in mine if fault.chamber)
        detail = name.replace("_", " ") + (f" (chamber {chambers})" if chambers else "")
        impact = mine[0].impact
        yield Condition(
            AlarmKind.LOCK_FAULT, lock.site, lock.lock, lock.gateway, name,
            min(now, *(fault.since_at for fault in mine)), detail, FAULT_SEVERITY[impact], impact,
        )  # fmt: skip


def _reported(lock: LockFacts, found: Found, thresholds: Thresholds) -> Iterator[Condition]:
    state, heard_at = lock.state, lock.heard_at
    if state is None or heard_at is None:
        return
    if not state.reachable:
        since_at = state.unreachable_since or heard_at
        yield found(AlarmKind.LOCK_UNREACHABLE, since_at, state.problem or "it doesn't answer")
    offset = state.clock_offset_s
    if offset is not None and abs(offset) > thresholds.clock_off_s:
        yield found(
            AlarmKind.LOCK_CLOCK_OFF, heard_at, f"{abs(offset)} s {'ahead' if offset > 0 else 'behind'}"
        )
    if state.overwritten_records:
        since_ms = lock.told_since_ms.get("overwritten_records")
        since_at = heard_at if since_ms is None else from_ms(since_ms)
        yield found(AlarmKind.RECORDS_OVERWRITTEN, since_at, f"{state.overwritten_records} records")
    described = lock.description.chambers if lock.description is not None else {}
    for chamber in state.chambers:
        wanted = described.get(chamber.number)
        if wanted is not None and wanted.volume_ml != chamber.volume_ml:
            since_at = max(heard_at, lock.described_at or heard_at)
            detail = f"chamber {chamber.number}: {chamber.volume_ml} ml, described {wanted.volume_ml} ml"
            yield found(AlarmKind.VOLUME_DIFFERS, since_at, detail, str(chamber.number))


def _records(
    lock: LockFacts, found: Found, thresholds: Thresholds, gaps: LockGaps | None
) -> Iterator[Condition]:
    complete, read_at = lock.completeness, lock.read_at
    if gaps is not None and gaps.missing_since_at is not None:
        patience = timedelta(seconds=thresholds.missing_after_s)
        yield found(AlarmKind.RECORDS_MISSING, gaps.missing_since_at + patience, _listed(gaps, lost=False))
    if gaps is not None and gaps.lost_since_at is not None:
        yield found(AlarmKind.RECORDS_LOST, gaps.lost_since_at, _listed(gaps, lost=True))
    if read_at is not None and complete.lost_pours:
        yield found(
            AlarmKind.REGISTER_GAP, read_at, f"{complete.lost_pours} pours more by register than by record"
        )
    permille = complete.permille
    if read_at is not None and permille is not None and permille < thresholds.completeness_permille:
        known = None if gaps is None else gaps.missing_since_at or gaps.lost_since_at
        since_at = known or read_at
        patience = timedelta(seconds=thresholds.missing_after_s)
        yield found(
            AlarmKind.COMPLETENESS_LOW,
            since_at + patience,
            f"{complete.present} of {complete.known} records",
        )
    if lock.disputes and lock.disputed_since is not None:
        yield found(AlarmKind.DISPUTE_OPEN, lock.disputed_since, f"{lock.disputes} open")


def _listed(gaps: LockGaps, lost: bool) -> str:
    mine = [gap for gap in gaps.gaps if (gap.state is Whereabouts.LOST) is lost]
    count = sum(gap.last - gap.first + 1 for gap in mine)
    ranges = ", ".join(f"{gap.epoch}/{gap.first}-{gap.last}" for gap in mine[:3])
    return f"{count} records: {ranges}{' …' if len(mine) > 3 else ''}: {mine[0].reason}"


def _wishes(lock: LockFacts, found: Found, now: datetime) -> Iterator[Condition]:
    for wish in lock.wishes:
        if wish.deadline_at is None or now < wish.deadline_at:
            continue
        # Where nothing tells, nothing shows that it was done: somebody has to look.
        if judging.drifts(wish.property, wish.value, lock.state, lock.told) is not False:
            is_list = wish.property == "access_list_version"
            kind = AlarmKind.LIST_DRIFT_OVERDUE if is_list else AlarmKind.DESIRED_OVERDUE
            told = lock.told.get(wish.property, "unknown")
            detail = f"{wish.property}: {told} instead of {wish.value}"
            yield found(kind, wish.deadline_at, detail, wish.property)


def _commands(lock: LockFacts, found: Found, now: datetime) -> Iterator[Condition]:
    """Until the same is ordered again; what was ordered long ago isn't among the facts any more."""
    for command in lock.commands:
        overdue_at = command.expires_at + _ANSWER_TAKES
        if command.state is CommandState.UNANSWERED:
            detail = f"{command.action} ({command.id}): {how_often(command.attempt)}"
            if now >= overdue_at:
                yield found(AlarmKind.COMMAND_UNANSWERED, overdue_at, detail, command.action.value)
        elif command.state.is_bad and command.ended_at is not None:
            detail = f"{command.action} ({command.id}): {command.state}{f': {command.told}' if command.told else ''}"
            yield found(AlarmKind.COMMAND_FAILED, command.ended_at, detail, command.action.value)


def _container(lock: LockFacts, found: Found, now: datetime, thresholds: Thresholds) -> Iterator[Condition]:
    state, heard_at, emptying = lock.state, lock.heard_at, lock.emptying
    container_ml = container_of(lock, thresholds)
    fill = state.fill_permille if state is not None else None
    if fill is not None and heard_at is not None:
        since_emptied = None if emptying is None else now - emptying.at
        days = judging.days_until_full(fill, since_emptied, lock.daily_ml, container_ml)
        if fill >= thresholds.full_soon_permille or (days is not None and days < thresholds.full_within_days):
            yield found(AlarmKind.CONTAINER_FULL_SOON, heard_at, f"{fill / 10:.0f} % full")
    if emptying is None:
        return
    ratio = emptying.volume_ml * 1000 // container_ml
    verdict = judging.balance_verdict(ratio, emptying.fill_permille, emptying.complete, thresholds)
    if verdict in ("too_much", "too_little"):
        detail = f"{emptying.volume_ml // 1000} l poured into {container_ml // 1000} l: {verdict.replace('_', ' ')}"
        yield found(AlarmKind.MASS_BALANCE_OFF, emptying.at, detail)


def container_of(lock: LockFacts, thresholds: Thresholds) -> int:
    """Return a container's volume in ml: as described, else what is usual."""
    described = lock.description.container_ml if lock.description is not None else None
    return described or thresholds.container_ml
