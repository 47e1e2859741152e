"""Gathers what is known of locks and gateways: a fixed number of queries, however many locks there are.

Half of it is in the twins' tables, half in the ledger (what was heard last, which records are here). `names` None: of
all locks, else of these only.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.commands import latest_commands, view_command
from cloud_sink.ledger.instants import from_ms, to_ms
from cloud_sink.ledger.tables import disputes, hearings, journals, lock_reports, quarantine, seq_spans
from cloud_sink.operator_events import LockDescription, SiteDescription, SubjectKind
from cloud_sink.projections.twins import tables as t
from cloud_sink.projections.twins.facts import Emptying, FleetFacts, GatewayFacts, LockFacts, Wished
from cloud_sink.projections.twins.judging import FaultState, RegisterSums, SpanSums, completeness_of
from cloud_sink.projections.twins.lifecycle import Lifecycle
from cloud_sink.projections.twins.telling import ALARM, FAULT, ON
from cloud_sink.projections.twins.terms import Severity
from cloud_sink.projections.twins.thresholds import Thresholds
from wastelock.messages import GatewayState, LockState, Telemetry

_1970 = date(1970, 1, 1).toordinal()
_RATE_DAYS = 7  # whole days before today that a lock's daily volume is reckoned from
_LATELY = timedelta(hours=24)
_ORDERED_LATELY = timedelta(days=7)

Row = sa.Row[Any]


class Loading:
    """One gathering. `connection`: a snapshot of the twins' tables, `ledger` one of the ledger."""

    def __init__(
        self,
        connection: Connection,
        ledger: Connection,
        zone: ZoneInfo,
        thresholds: Thresholds,
        now: datetime,
        names: Sequence[str] | None = None,
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._thresholds = thresholds
        self._today = now.astimezone(zone).date()
        self._names = names
        self._facts = FleetFacts(now)
        self._by_no: dict[int, LockFacts] = {}

    def gather(self) -> FleetFacts:
        """Return all that is known."""
        self._heard()
        self._known_by_records()
        self._described()
        self._moved_and_wished()
        self._ordered()
        self._told()
        self._poured()
        self._complete()
        self._emptied()
        self._disputed()
        self._alarmed()
        return self._facts

    def _lock(self, name: str) -> LockFacts:
        lock = self._facts.locks.get(name)
        if lock is None:
            lock = self._facts.locks[name] = LockFacts(name)
        return lock

    def _wanted(self, column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        return sa.true() if self._names is None else column.in_(self._names)

    def _wanted_no(self, column: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
        return sa.true() if self._names is None else column.in_(list(self._by_no))

    def _heard(self) -> None:
        """What was heard last, of gateways (all of them: they are few) and of locks: from the gateway that has each."""
        h, r = hearings.c, lock_reports.c
        is_its = sa.and_(r.site == h.site, r.gateway == h.gateway)
        query = (
            sa.select(hearings)
            .outerjoin(lock_reports, r.lock == h.lock)
            .where(sa.or_(h.lock == "", self._wanted(h.lock)))
            .order_by(sa.case((is_its, 1), else_=0), h.heard_ms)
        )
        for row in self._ledger.execute(query):
            gateway = self._gateway(row.site, row.gateway)
            heard_at = from_ms(row.heard_ms)
            if row.lock:
                lock = self._lock(row.lock)
                lock.site = lock.gateway_site = row.site
                lock.gateway, lock.heard_at = row.gateway, heard_at
                lock.state = LockState.model_validate_json(row.report)
            else:
                _hear_gateway(gateway, row, heard_at)
        lately = sa.select(h.site, h.gateway, sa.func.max(h.heard_ms)).group_by(h.site, h.gateway)
        for site, name, heard_ms in self._ledger.execute(lately.where(h.lock != "")):
            gateway = self._gateway(site, name)
            gateway.seen_at = max(from_ms(heard_ms), gateway.seen_at or from_ms(0))
        names = sa.select(h.site, h.gateway, h.lock).where(h.lock != "").order_by(h.lock)
        for site, name, lock_name in self._ledger.execute(names):
            self._gateway(site, name).locks.append(lock_name)

    def _gateway(self, site: str, gateway: str) -> GatewayFacts:
        facts = self._facts.gateways.get((site, gateway))
        if facts is None:
            facts = self._facts.gateways[site, gateway] = GatewayFacts(site, gateway)
        return facts

    def _known_by_records(self) -> None:
        j = journals.c
        places = {}
        for row in self._ledger.execute(
            sa.select(j.journal_no, j.site, j.gateway, j.journal, j.committed_through)
        ):
            gateway = self._gateway(row.site, row.gateway)
            places[row.journal_no] = row
            if gateway.state is None or gateway.state.journal == row.journal:
                gateway.committed_through = row.committed_through
        for row in self._connection.execute(sa.select(t.locks).where(self._wanted(t.locks.c.lock))):
            lock = self._lock(row.lock)
            lock.lock_no = row.lock_no
            lock.read_at = from_ms(row.last_read_ms)
            lock.last_pour_at = from_ms(row.last_pour_ms) if row.last_pour_ms else None
            place = places.get(row.journal_no)
            if lock.site is None and place is not None:
                lock.site = lock.gateway_site = place.site
                lock.gateway = place.gateway
            self._by_no[row.lock_no] = lock

    def _described(self) -> None:
        d = t.described.c
        of_locks = sa.and_(d.subject_kind == SubjectKind.LOCK.value, self._wanted(d.subject))
        query = sa.select(t.described).where(sa.or_(d.subject_kind == SubjectKind.SITE.value, of_locks))
        for row in self._connection.execute(query):
            if row.subject_kind == SubjectKind.SITE.value:
                self._facts.sites[row.subject] = SiteDescription.model_validate_json(row.body)
                continue
            lock = self._lock(row.subject)
            lock.description = LockDescription.model_validate_json(row.body)
            lock.described_at = from_ms(row.at_ms)
            lock.site = lock.description.site

    def _moved_and_wished(self) -> None:
        m, d = t.moves.c, t.desired.c
        for row in self._connection.execute(
            sa.select(m.lock, m.moved_to).where(self._wanted(m.lock)).order_by(m.lock, m.event_no)
        ):
            self._lock(row.lock).decided = Lifecycle(row.moved_to)
        for row in self._connection.execute(
            sa.select(t.desired).where(d.value != "", ~d.subject.contains("/"), self._wanted(d.subject))
        ):
            deadline_at = None if row.deadline_ms is None else from_ms(row.deadline_ms)
            self._lock(row.subject).wishes.append(
                Wished(row.property, row.value, deadline_at, row.actor, from_ms(row.at_ms))
            )

    def _ordered(self) -> None:
        """What was ordered lately, and what became of it."""
        now = self._facts.now
        for row in latest_commands(self._ledger, self._names, now - _ORDERED_LATELY):
            if row.lock in self._facts.locks:
                self._facts.locks[row.lock].commands.append(view_command(row, now))

    def _told(self) -> None:
        """What last reports say: of faults and alarms since when; of what is wished, and of volumes, the value."""
        v = t.values.c
        wished = {wish.property for lock in self._facts.locks.values() for wish in lock.wishes}
        telling = [v.value == ON, v.property == "overwritten_records"]
        query = sa.select(v.subject, v.property, v.value, v.since_ms).where(
            sa.or_(*telling, v.property.in_(sorted(wished))),
            sa.or_(v.subject.contains("/"), self._wanted(v.subject)),
        )
        for subject, name, value, since_ms in self._connection.execute(query):
            if "/" in subject:
                site, _, gateway = subject.partition("/")
                if name.startswith(ALARM):
                    self._gateway(site, gateway).alarms_since_ms[name.removeprefix(ALARM)] = since_ms
            elif name.startswith(FAULT):
                self._lock(subject).faults_since_ms[name.removeprefix(FAULT)] = since_ms
            elif value:
                lock = self._lock(subject)
                lock.told[name], lock.told_since_ms[name] = value, since_ms
        f = t.fault_states.c
        query = sa.select(f.lock_no, f.fault, f.chamber, f.epoch, f.seq, f.raised, f.at_ms)
        for row in self._connection.execute(query.where(self._wanted_no(f.lock_no))):
            if row.lock_no in self._by_no:
                self._by_no[row.lock_no].faults.append(FaultState(*row[1:]))

    def _poured(self) -> None:
        today = self._today.toordinal() - _1970
        monday = today - self._today.weekday()
        d = t.days.c
        query = (
            sa.select(
                d.lock_no,
                sa.func.sum(sa.case((d.day == today, d.pours), else_=0)),
                sa.func.sum(sa.case((d.day >= monday, d.pours), else_=0)),
                sa.func.sum(sa.case((d.day < today, d.volume_ml), else_=0)),
                sa.func.min(d.day),
            )
            .where(d.day >= today - _RATE_DAYS, d.day <= today, self._wanted_no(d.lock_no))
            .group_by(d.lock_no)
        )
        for lock_no, pours_today, pours_week, volume_ml, first in self._connection.execute(query):
            lock = self._by_no.get(lock_no)
            if lock is not None:
                lock.pours_today, lock.pours_week = int(pours_today), int(pours_week)
                lock.daily_ml = int(volume_ml) // max(1, today - int(first))

    def _complete(self) -> None:
        s, r, u = seq_spans.c, t.registers.c, t.unverified.c
        unread = {
            (lock_no, epoch): count
            for lock_no, epoch, count in self._connection.execute(
                sa.select(u.lock_no, u.epoch, sa.func.count()).group_by(u.lock_no, u.epoch)
            )
        }
        spans: dict[int, list[SpanSums]] = defaultdict(list)
        query = sa.select(
            s.lock_no,
            s.epoch,
            sa.func.min(s["first"]),
            sa.func.max(s.last),
            sa.func.sum(s.last - s["first"] + 1),
        ).where(self._wanted_no(s.lock_no))
        for no, epoch, first, last, present in self._ledger.execute(
            query.group_by(s.lock_no, s.epoch).order_by(s.lock_no, s.epoch)
        ):
            spans[no].append(SpanSums(epoch, first, last, int(present), unread.get((no, epoch), 0)))
        registers: dict[int, list[RegisterSums]] = defaultdict(list)
        columns = (r.lock_no, r.epoch, r.chamber, r.first_register, r.last_register, r.pours)
        for no, *sums in self._connection.execute(
            sa.select(*columns).where(self._wanted_no(r.lock_no)).order_by(r.lock_no, r.epoch, r.chamber)
        ):
            registers[no].append(RegisterSums(*sums))
        for no, lock in self._by_no.items():
            lock.completeness = completeness_of(spans[no], registers[no], self._overdue(lock))
            lock.holes = any(each.last - each.first + 1 != each.present for each in spans[no]) or any(
                each.first > 1 for each in spans[no][1:]
            )

    def _overdue(self, lock: LockFacts) -> tuple[int, int] | None:
        """Return up to which record a lock said so long ago that it has them that they should be here."""
        state, limit = lock.state, timedelta(seconds=self._thresholds.missing_after_s)
        if state is None or state.epoch is None or lock.heard_at is None:
            return None
        return (state.epoch, state.newest_seq or 0) if self._facts.now - lock.heard_at >= limit else None

    def _emptied(self) -> None:
        """Each lock's newest emptying, and the sensor's last word before it.

        From the locks to a few rows each, whatever a database's planner thinks of it: emptyings grow for ever.
        """
        e, names = t.emptyings.c, t.locks.c
        of_lock = sa.select(t.emptyings).where(e.lock_no == names.lock_no).correlate(t.locks)
        of_lock = of_lock.order_by(e.epoch.desc(), e.seq.desc()).limit(1)
        newest = (
            sa.select(
                names.lock_no,
                names.lock,
                of_lock.with_only_columns(e.epoch).scalar_subquery().label("epoch"),
                of_lock.with_only_columns(e.seq).scalar_subquery().label("seq"),
            )
            .where(self._wanted_no(names.lock_no))
            .cte("newest")
            .prefix_with("MATERIALIZED")
        )
        n = newest.c
        query = sa.select(t.emptyings, n.lock, fill_before(e.at_ms, n.lock).label("fill")).join(
            newest, sa.and_(e.lock_no == n.lock_no, e.epoch == n.epoch, e.seq == n.seq)
        )
        for row in self._connection.execute(query):
            self._lock(row.lock).emptying = emptying_of(row)

    def _disputed(self) -> None:
        d, q = disputes.c, quarantine.c
        query = sa.select(d.lock_no, sa.func.count(), sa.func.min(d.noticed_ms)).where(
            d.resolved_ms.is_(None)
        )
        for lock_no, count, since_ms in self._ledger.execute(query.group_by(d.lock_no)):
            self._facts.disputes += count
            lock = self._by_no.get(lock_no)
            if lock is not None:
                lock.disputes, lock.disputed_since = count, from_ms(since_ms)
        here = q.resolved_ms.is_(None)
        self._facts.quarantined = int(
            self._ledger.scalar(sa.select(sa.func.count()).select_from(quarantine).where(here)) or 0
        )
        recent = sa.select(q.topic, sa.func.count(), sa.func.min(q.first_ms)).group_by(q.topic)
        since_ms = to_ms(self._facts.now - _LATELY)
        for topic, count, first_ms in self._ledger.execute(recent.where(here, q.first_ms >= since_ms)):
            origin = origin_of(topic)
            counted, first_at = self._facts.quarantined_lately.get(origin, (0, from_ms(first_ms)))
            self._facts.quarantined_lately[origin] = counted + count, min(first_at, from_ms(first_ms))

    def _alarmed(self) -> None:
        a = t.alarms.c
        query = sa.select(a.lock, a.severity).where(a.closed_ms.is_(None), a.lock.is_not(None))
        for lock, severity in self._connection.execute(query):
            if lock in self._facts.locks:
                self._facts.locks[lock].alarms.append(Severity(severity))


def _hear_gateway(gateway: GatewayFacts, row: Row, heard_at: datetime) -> None:
    if row.kind == "telemetry":
        gateway.telemetry, gateway.telemetry_at = Telemetry.model_validate_json(row.report), heard_at
    else:
        gateway.state = GatewayState.model_validate_json(row.report)
        if not gateway.state.online:
            gateway.said_bye_at = heard_at
            return
    gateway.seen_at = max(heard_at, gateway.seen_at or heard_at)


def fill_before(at_ms: sa.ColumnElement[int], lock: sa.ColumnElement[str]) -> sa.ScalarSelect[int]:
    """Return the sensor's last word on a lock's container before an instant, for use in a query."""
    f = t.fill.c
    query = sa.select(f.fill_permille).where(f.lock == lock, f.at_ms <= at_ms)
    return query.order_by(f.at_ms.desc()).limit(1).scalar_subquery()


def emptying_of(row: Row) -> Emptying:
    """Return an emptying as it is kept; `fill`: see `fill_before`."""
    return Emptying(
        row.kind, from_ms(row.at_ms), row.epoch, row.seq, row.pours, row.volume_ml, bool(row.complete), row.fill
    )  # fmt: skip


def origin_of(topic: str) -> str:
    """Return site/gateway of a topic that a stranger may have chosen, "" where it isn't like that."""
    parts = topic.split("/")
    return "/".join(parts[2:4]) if len(parts) >= 4 and parts[0] == "wl" else ""


def names_of(connection: Connection, ledger: Connection) -> Iterable[str]:
    """Return the names of all locks that anything is known of, in order."""
    h, d = hearings.c, t.described.c
    found = set(connection.scalars(sa.select(t.locks.c.lock)))
    found |= set(ledger.scalars(sa.select(h.lock).where(h.lock != "").distinct()))
    found |= set(connection.scalars(sa.select(d.subject).where(d.subject_kind == SubjectKind.LOCK.value)))
    found |= set(connection.scalars(sa.select(t.moves.c.lock).distinct()))
    return sorted(found)
