"""The one way to read twins: the fleet, a site, a lock now or at an instant of the past, alarms, history."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.errors import ConfigError, SinkError
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.opening import open_to_follow
from cloud_sink.projections.twins import histories
from cloud_sink.projections.twins import tables as t
from cloud_sink.projections.twins.alarms import count_open
from cloud_sink.projections.twins.facts import FleetFacts
from cloud_sink.projections.twins.loading import Loading, names_of
from cloud_sink.projections.twins.lock_page import lock_twin
from cloud_sink.projections.twins.lock_past import facts_at, reports_between
from cloud_sink.projections.twins.model import (
    Alarm,
    AlarmKind,
    Change,
    DayPours,
    FillPoint,
    FleetCounts,
    GatewayTwin,
    Health,
    Interval,
    LockSummary,
    LockTwin,
    Overview,
    Severity,
    SiteSummary,
)
from cloud_sink.projections.twins.summing import Summing
from cloud_sink.projections.twins.thresholds import Thresholds
from wastelock.messages import LockState

_PAGE = 200
_AT_ONCE = 500


class TwinReader:
    """Read-only, beside a running projection; each call is a snapshot of its own. Thread-safe."""

    def __init__(
        self,
        projections_url: str,
        ledger_url: str,
        thresholds: Thresholds,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """ConfigError where there are no twins of this ledger and release yet."""
        self._thresholds = thresholds
        self._clock = clock
        self._ledger, fingerprint = open_to_follow(ledger_url)
        try:
            self._database = Database(projections_url, read_only=True)
            self._zone = _zone_of(self._database, fingerprint)
        except SinkError:
            self._ledger.close()
            raise

    def close(self) -> None:
        self._ledger.close()
        self._database.close()

    def fleet(
        self,
        site: str | None = None,
        health: Health | None = None,
        text: str | None = None,
        after: str | None = None,
        limit: int = _PAGE,
    ) -> list[LockSummary]:
        """Return locks in the order of their names, after `after`. `text`: in name, label, site, property, gateway."""
        found: list[LockSummary] = []
        with self._reading() as (connection, ledger):
            names = [name for name in names_of(connection, ledger) if after is None or name > after]
            # Without a filter a page's worth of locks is enough; with one, it takes as many as don't fit.
            step = limit if site is health is text is None else _AT_ONCE
            for start in range(0, len(names), step):
                summing = self._gather(connection, ledger, names[start : start + step])
                for name in sorted(summing.facts.locks):
                    summary = summing.summary(summing.facts.locks[name])
                    if fits(summary, site, health, text):
                        found.append(summary)
                if len(found) >= limit:
                    break
        return found[:limit]

    def overview(self) -> Overview:
        """Return the fleet in figures, its sites and all of its locks: for a page that shows all three."""
        with self._reading() as (connection, ledger):
            alarms = histories.open_severities(connection)
            summing = self._gather(connection, ledger)
        return Overview(
            summing.counts(each for part in alarms.values() for each in part),
            summing.sites(alarms),
            [summing.summary(summing.facts.locks[name]) for name in sorted(summing.facts.locks)],
        )

    def mark(self) -> tuple[object, ...]:
        """Return what is another value as soon as the twins have taken anything: whether to look again, at no cost."""
        s = t.state.c
        query = sa.select(s.build, s.position, s.observation_no, s.event_no, s.change_no)
        with self._database.reading() as connection:
            return tuple(connection.execute(query).one())

    def counts(self) -> FleetCounts:
        """Return the fleet in figures."""
        with self._reading() as (connection, ledger):
            alarms = histories.open_severities(connection)
            return self._gather(connection, ledger).counts(each for part in alarms.values() for each in part)

    def sites(self) -> list[SiteSummary]:
        """Return all sites in the order of their names."""
        with self._reading() as (connection, ledger):
            return self._gather(connection, ledger).sites(histories.open_severities(connection))

    def site(self, site: str) -> SiteSummary | None:
        """Return a site, None if nothing is known of it."""
        return next((each for each in self.sites() if each.site == site), None)

    def lock(self, lock: str, at: datetime | None = None) -> LockTwin | None:
        """Return all of a lock, now or as it was at an instant; None if nothing is, or was then, known of it."""
        now = self._clock()
        past = at is not None and at < now
        with self._reading() as (connection, ledger):
            summing = self._gather(connection, ledger, [lock], at if past else now)
            facts = summing.facts.locks.get(lock)
            if facts is None:
                return None
            if past and at is not None:
                then = facts_at(connection, ledger, summing.facts, facts, at)
                if then is None:
                    return None
                summing, facts = Summing(then[0], self._thresholds), then[1]
            return lock_twin(connection, ledger, summing, facts, self._thresholds, past)

    def gateways(self, site: str | None = None) -> list[GatewayTwin]:
        """Return all gateways, or those of a site, by site and name."""
        with self._reading() as (connection, ledger):
            summing = self._gather(connection, ledger, [])
            keys = sorted(key for key in summing.facts.gateways if site is None or key[0] == site)
            return [summing.gateway(summing.facts.gateways[key]) for key in keys]

    def gateway(self, site: str, gateway: str) -> GatewayTwin | None:
        """Return a gateway, None if nothing is known of it."""
        return next((each for each in self.gateways(site) if each.gateway == gateway), None)

    def changes(
        self, subject: str, property: str | None = None, before: int | None = None, limit: int = _PAGE
    ) -> list[Change]:
        """Return what changed about a lock (or site, or `site/gateway`), as it was learnt of, newest first.

        `before`: a change_no, for the next page. `property`: of this one only.
        """
        with self._database.reading() as connection:
            return histories.changes_of(connection, subject, property, before, limit)

    def changes_after(self, change_no: int, limit: int = _PAGE) -> list[Change]:
        """Return what changed anywhere after a number, in the order of numbers: for the live stream."""
        with self._database.reading() as connection:
            return histories.changes_after(connection, change_no, limit)

    def last_change(self) -> tuple[str, int]:
        """Return the build (another after each rebuild: numbers begin anew then) and the newest change's number."""
        with self._database.reading() as connection:
            return histories.last_change(connection)

    def alarms(
        self,
        site: str | None = None,
        lock: str | None = None,
        closed: bool = False,
        before: str | None = None,
        limit: int = _PAGE,
        gateway: str | None = None,
    ) -> list[Alarm]:
        """Return open alarms (or closed ones), the latest opened first; `before`: an alarm_id, for the next page."""
        with self._database.reading() as connection:
            return histories.alarms_of(connection, closed, before, limit, site, lock, gateway)

    def alarm(self, alarm_id: str) -> Alarm | None:
        """Return an alarm, None if there is none of that id."""
        with self._database.reading() as connection:
            return histories.alarm_of(connection, alarm_id)

    def alarm_mark(self) -> tuple[int, ...]:
        """Return what is another value once an open alarm has opened, escalated, closed, or was acknowledged."""
        with self._database.reading() as connection:
            return histories.alarm_mark(connection)

    def alarm_counts(self) -> dict[tuple[AlarmKind, Severity], int]:
        """Return how many alarms of each kind and severity are open."""
        with self._database.reading() as connection:
            return count_open(connection)

    def daily_pours(
        self, first: date, last: date, lock: str | None = None, site: str | None = None
    ) -> list[DayPours]:
        """Return pours by local day and chamber, both days included; days without pours are left out.

        Of one lock, of all locks of a site, or of all.
        """
        with self._reading() as (connection, ledger):
            names = None if lock is None else [lock]
            if site is not None:
                locks = self._gather(connection, ledger).facts.locks.values()
                names = [each.lock for each in locks if each.site == site and lock in (None, each.lock)]
            return histories.daily_pours(connection, first, last, names)

    def fill_history(self, lock: str, first: datetime, last: datetime, limit: int = 2000) -> list[FillPoint]:
        """Return the sensor's words on a container that were other than the one before; the newest `limit`."""
        with self._database.reading() as connection:
            return histories.fill_history(connection, lock, first, last, limit)

    def reports(self, lock: str, first: datetime, last: datetime, limit: int = 400) -> list[LockState]:
        """Return the newest of a lock's own reports that are kept of this time, oldest first."""
        with self._reading() as (connection, ledger):
            return reports_between(connection, ledger, lock, first, last, limit)

    def intervals(self, locks: Sequence[str], first: datetime, last: datetime) -> list[Interval]:
        """Return faults with an impact on the bill (review, bypass, lost) that overlap this time; for billing.

        By records alone, in the order of their sequence numbers: a backlog that comes late is in its place.
        """
        with self._database.reading() as connection:
            return histories.intervals(connection, locks, first, last)

    @contextmanager
    def _reading(self) -> Iterator[tuple[Connection, Connection]]:
        with self._database.reading() as connection, self._ledger.reading() as ledger:
            yield connection, ledger

    def _gather(
        self,
        connection: Connection,
        ledger: Connection,
        names: Sequence[str] | None = None,
        now: datetime | None = None,
    ) -> Summing:
        loading = Loading(connection, ledger, self._zone, self._thresholds, now or self._clock(), names)
        facts: FleetFacts = loading.gather()
        return Summing(facts, self._thresholds)


def _zone_of(database: Database, fingerprint: str) -> ZoneInfo:
    """Return the zone whose days the twins count; ConfigError if there are no twins of this ledger and release."""
    name = database.url.render_as_string()
    missing = ConfigError([f"{name}: holds no twins of this ledger and release: run `cloud-sink project`"])
    if database.dialect == "sqlite" and not Path(database.url.database or "").exists():
        raise missing
    with database.reading() as connection:
        there = sa.inspect(connection).has_table(t.state.name)
        s = t.state.c
        found = connection.execute(sa.select(s.version, s.ledger, s.zone)).first() if there else None
    if found is None or tuple(found[:2]) != (t.VERSION, fingerprint):
        database.close()
        raise missing
    return ZoneInfo(found[2])


def fits(lock: LockSummary, site: str | None, health: Health | None, text: str | None) -> bool:
    """Return whether a lock is one of those that are looked for; None: whatever."""
    if site is not None and lock.site != site:
        return False
    if health is not None and lock.health is not health:
        return False
    if not text:
        return True
    words = (lock.lock, lock.label, lock.site, lock.property, lock.gateway)
    return any(text.casefold() in (word or "").casefold() for word in words)
