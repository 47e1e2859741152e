"""Facts -> what is shown of locks, gateways, sites and the fleet. Pure."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from cloud_sink.operator_events import SiteDescription
from cloud_sink.projections.twins import judging
from cloud_sink.projections.twins.facts import FleetFacts, GatewayFacts, LockFacts
from cloud_sink.projections.twins.lifecycle import Lifecycle, LifecycleEvent, settle
from cloud_sink.projections.twins.model import (
    FleetCounts,
    GatewayTwin,
    Link,
    LockSummary,
    OpenFault,
    SiteSummary,
)
from cloud_sink.projections.twins.terms import BillingImpact, Connectivity, Health, Severity
from cloud_sink.projections.twins.thresholds import Thresholds

_Term = TypeVar("_Term", bound=StrEnum)


class Summing:
    """Judges one gathering of facts; each link and each lock once."""

    def __init__(self, facts: FleetFacts, thresholds: Thresholds) -> None:
        self.facts = facts
        self._thresholds = thresholds
        self._links: dict[tuple[str, str], Link] = {}
        self._summaries: dict[str, LockSummary] = {}

    def link(self, gateway: GatewayFacts) -> Link:
        """Return how well a gateway is heard of, and what waits there."""
        key = gateway.site, gateway.gateway
        if key not in self._links:
            self._links[key] = _link(gateway, self.facts.now, self._thresholds)
        return self._links[key]

    def link_of(self, lock: LockFacts) -> Link:
        """Return the link of the gateway that a lock was last heard of through."""
        gateway = self._gateway_of(lock)
        return Link(Connectivity.NEVER, None, None, None) if gateway is None else self.link(gateway)

    def connectivity(self, lock: LockFacts) -> Connectivity:
        """A lock is heard of no better than its gateway, and not at all while that can't reach it."""
        if lock.heard_at is None:
            return Connectivity.NEVER if lock.read_at is None else self.link_of(lock).connectivity
        if lock.state is not None and not lock.state.reachable:
            return Connectivity.OFFLINE
        t = self._thresholds
        own = judging.connectivity_of(
            lock.heard_at, self.facts.now, t.lock_stale_after_s, t.lock_offline_after_s
        )
        return max(own, self.link_of(lock).connectivity, key=list(Connectivity).index)

    def faults(self, lock: LockFacts) -> tuple[OpenFault, ...]:
        return judging.open_faults(lock.faults, lock.state, lock.faults_since_ms)

    def lifecycle(self, lock: LockFacts, faults: Iterable[OpenFault]) -> Lifecycle:
        own: LifecycleEvent | None = None
        if lock.state is not None or lock.read_at is not None:
            state = lock.state.state if lock.state is not None else None
            own = judging.own_event(state, [fault.fault for fault in faults])
        return settle(lock.decided, own)

    def impact(self, lock: LockFacts, faults: Iterable[OpenFault]) -> BillingImpact:
        """What is wrong now does this to the bill, a gap between registers and ledger included."""
        gap = BillingImpact.LOST if lock.completeness.lost_pours else BillingImpact.NONE
        return judging.worst_impact([gap, *(fault.impact for fault in faults)])

    def summary(self, lock: LockFacts) -> LockSummary:
        """Return one lock's line in a list."""
        if lock.lock not in self._summaries:
            self._summaries[lock.lock] = self._summarise(lock)
        return self._summaries[lock.lock]

    def _summarise(self, lock: LockFacts) -> LockSummary:
        faults = self.faults(lock)
        lifecycle, impact = self.lifecycle(lock, faults), self.impact(lock, faults)
        connectivity, worst = self.connectivity(lock), judging.worst_severity(lock.alarms)
        completeness = lock.completeness.permille
        complete = completeness is None or completeness >= self._thresholds.completeness_permille
        description = lock.description
        return LockSummary(
            lock=lock.lock,
            label=description.label if description is not None else "",
            site=lock.site,
            property=(description.property_id or None) if description is not None else self._property(lock),
            gateway=lock.gateway,
            row=description.row if description is not None else None,
            column=description.column if description is not None else None,
            lifecycle=lifecycle,
            connectivity=connectivity,
            last_seen_at=_latest(lock.heard_at, lock.read_at),
            state=lock.state.state if lock.state is not None else None,
            faults=tuple(sorted({fault.fault for fault in faults})),
            impact=impact,
            health=judging.health_of(lifecycle, connectivity, impact, worst, complete),
            fill_permille=lock.state.fill_permille if lock.state is not None else None,
            completeness_permille=completeness,
            pours_today=lock.pours_today,
            pours_week=lock.pours_week,
            last_pour_at=lock.last_pour_at,
            open_alarms=len(lock.alarms),
            worst_severity=worst,
        )

    def gateway(self, gateway: GatewayFacts) -> GatewayTwin:
        state, telemetry = gateway.state, gateway.telemetry
        return GatewayTwin(
            site=gateway.site,
            gateway=gateway.gateway,
            link=self.link(gateway),
            software=state.software if state is not None else None,
            incarnation=state.incarnation if state is not None else None,
            journal=state.journal if state is not None else None,
            newest_page=state.newest_page if state is not None else None,
            committed_through=gateway.committed_through,
            clock=telemetry.clock if telemetry is not None else None,
            cpu_permille=telemetry.cpu_permille if telemetry is not None else None,
            memory_rss_bytes=telemetry.memory_rss_bytes if telemetry is not None else None,
            disk_free_bytes=telemetry.disk_free_bytes if telemetry is not None else None,
            machine=telemetry.machine if telemetry is not None else None,
            spool_bytes=telemetry.spool_bytes if telemetry is not None else None,
            spool_pages=telemetry.spool_pages if telemetry is not None else None,
            alarms=state.alarms if state is not None else (),
            locks=tuple(gateway.locks),
            telemetry_at=gateway.telemetry_at,
        )

    def sites(self, open_alarms: dict[str, list[Severity]]) -> list[SiteSummary]:
        """Return all sites in the order of their names. `open_alarms`: by site."""
        names = set(self.facts.sites) | {gateway.site for gateway in self.facts.gateways.values()}
        names |= {lock.site for lock in self.facts.locks.values() if lock.site is not None}
        locks: dict[str, list[LockSummary]] = {name: [] for name in names}
        for lock in self.facts.locks.values():
            summary = self.summary(lock)
            if summary.site is not None and summary.lifecycle is not Lifecycle.DECOMMISSIONED:
                locks[summary.site].append(summary)
        return [self._site(name, locks[name], open_alarms.get(name, [])) for name in sorted(names)]

    def counts(self, open_alarms: Iterable[Severity]) -> FleetCounts:
        """Return the fleet in figures."""
        all_locks = [self.summary(lock) for lock in self.facts.locks.values()]
        locks = [lock for lock in all_locks if lock.lifecycle is not Lifecycle.DECOMMISSIONED]
        links = [self.link(gateway) for gateway in self.facts.gateways.values()]
        return FleetCounts(
            locks=len(locks),
            gateways=len(links),
            gateways_offline=sum(link.connectivity is Connectivity.OFFLINE for link in links),
            health=_counted(Health, (lock.health for lock in locks)),
            lifecycle=_counted(Lifecycle, (lock.lifecycle for lock in all_locks)),
            connectivity=_counted(Connectivity, (lock.connectivity for lock in locks)),
            alarms=_counted(Severity, open_alarms),
            pours_today=sum(lock.pours_today for lock in locks),
            pours_week=sum(lock.pours_week for lock in locks),
            open_disputes=self.facts.disputes,
            quarantined=self.facts.quarantined,
        )

    def _site(self, name: str, locks: list[LockSummary], alarms: list[Severity]) -> SiteSummary:
        described = self.facts.sites.get(name, SiteDescription())
        gateways = [self.link(each) for each in self.facts.gateways.values() if each.site == name]
        return SiteSummary(
            site=name,
            name=described.name or name,
            street=described.street or None,
            city=described.city or None,
            property=described.property_id or None,
            locks=len(locks),
            locks_critical=sum(lock.health is Health.CRITICAL for lock in locks),
            locks_warning=sum(lock.health is Health.WARNING for lock in locks),
            gateways=len(gateways),
            gateways_offline=sum(link.connectivity is Connectivity.OFFLINE for link in gateways),
            pours_today=sum(lock.pours_today for lock in locks),
            pours_week=sum(lock.pours_week for lock in locks),
            open_alarms=len(alarms),
            worst_severity=judging.worst_severity(alarms),
            latitude=described.latitude,
            longitude=described.longitude,
        )

    def _property(self, lock: LockFacts) -> str | None:
        described = self.facts.sites.get(lock.site or "")
        return (described.property_id or None) if described is not None else None

    def _gateway_of(self, lock: LockFacts) -> GatewayFacts | None:
        return self.facts.gateways.get((lock.gateway_site or "", lock.gateway or ""))


def _counted(kind: type[_Term], found: Iterable[_Term]) -> dict[_Term, int]:
    counted = Counter(found)
    return {each: counted[each] for each in kind}


def _link(gateway: GatewayFacts, now: datetime, thresholds: Thresholds) -> Link:
    seen_at, bye_at = gateway.seen_at, gateway.said_bye_at
    connectivity = judging.connectivity_of(seen_at, now, thresholds.stale_after_s, thresholds.offline_after_s)
    if bye_at is not None and (seen_at is None or seen_at <= bye_at):
        connectivity = Connectivity.OFFLINE
    telemetry, state = gateway.telemetry, gateway.state
    backlog = telemetry.unsent_pages if telemetry is not None else None
    if backlog is None and state is not None and state.newest_page is not None:
        backlog = max(0, state.newest_page - (gateway.committed_through or 0))
    oldest = telemetry.oldest_unsent_at if telemetry is not None else None
    return Link(connectivity, seen_at or bye_at, backlog, oldest)


def _latest(*instants: datetime | None) -> datetime | None:
    return max((at for at in instants if at is not None), default=None)
