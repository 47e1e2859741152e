"""What was: changes, alarms, pours by day, fill levels and faults from when to when; each paged or bounded."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.instants import from_ms, to_ms
from cloud_sink.projections.twins import tables as t
from cloud_sink.projections.twins.alarm_rules import RULES
from cloud_sink.projections.twins.folding import fault_name
from cloud_sink.projections.twins.judging import IMPACTS, impact_of
from cloud_sink.projections.twins.model import Alarm, Change, DayPours, FillPoint, Interval
from cloud_sink.projections.twins.terms import AlarmKind, BillingImpact, Severity

_1970 = date(1970, 1, 1).toordinal()
_INTERVALS_MAX = 10_000
_ASKED_ABOUT = (BillingImpact.REVIEW, BillingImpact.BYPASS, BillingImpact.LOST)

Row = sa.Row[Any]


def changes_of(
    connection: Connection, subject: str, name: str | None, before: int | None, limit: int
) -> list[Change]:
    """Return the changes of a subject before a number, newest first."""
    c = t.changes.c
    query = sa.select(t.changes).where(c.subject == subject)
    if name is not None:
        query = query.where(c.property == name)
    if before is not None:
        query = query.where(c.change_no < before)
    return [_change(row) for row in connection.execute(query.order_by(c.change_no.desc()).limit(limit))]


def changes_after(connection: Connection, change_no: int, limit: int) -> list[Change]:
    """Return the next changes of all subjects after a number."""
    c = t.changes.c
    query = sa.select(t.changes).where(c.change_no > change_no).order_by(c.change_no).limit(limit)
    return [_change(row) for row in connection.execute(query)]


def last_change(connection: Connection) -> tuple[str, int]:
    """Return the build that numbers belong to, and the newest."""
    build, number = connection.execute(sa.select(t.state.c.build, t.state.c.change_no)).one()
    return str(build), int(number)


def _change(row: Row) -> Change:
    site, slash, gateway = row.subject.partition("/")
    is_lock = row.subject_kind == "lock"
    return Change(
        change_no=row.change_no,
        lock=row.subject if is_lock else None,
        gateway=gateway if slash else None,
        site=None if is_lock else site,
        property=row.property,
        at=from_ms(row.at_ms),
        value=row.value,
        source=row.source,
        actor=row.actor,
        reason=row.reason,
    )


def open_severities(connection: Connection) -> dict[str, list[Severity]]:
    """Return the severities of open alarms by site ("" of none)."""
    a = t.alarms.c
    found: dict[str, list[Severity]] = defaultdict(list)
    for site, severity in connection.execute(sa.select(a.site, a.severity).where(a.closed_ms.is_(None))):
        found[site or ""].append(Severity(severity))
    return found


def alarms_of(
    connection: Connection,
    closed: bool,
    before: str | None,
    limit: int,
    site: str | None,
    lock: str | None,
    gateway: str | None,
) -> list[Alarm]:
    """Return a page of open or closed alarms, the latest opened first."""
    a = t.alarms.c
    query = _alarms().where(a.closed_ms.is_not(None) if closed else a.closed_ms.is_(None))
    for column, wanted in ((a.site, site), (a.lock, lock), (a.gateway, gateway)):
        if wanted is not None:
            query = query.where(column == wanted)
    if before is not None:
        opened = sa.select(a.opened_ms).where(a.alarm_id == before).scalar_subquery()
        query = query.where(sa.or_(a.opened_ms < opened, sa.and_(a.opened_ms == opened, a.alarm_id < before)))
    query = query.order_by(a.opened_ms.desc(), a.alarm_id.desc()).limit(limit)
    return [_alarm(row) for row in connection.execute(query)]


def alarm_mark(connection: Connection) -> tuple[int, ...]:
    """Return what is another value once an open alarm has opened, escalated, closed, or was acknowledged."""
    a, k = t.alarms.c, t.acknowledged.c
    opened = sa.select(
        sa.func.count(), sa.func.coalesce(sa.func.sum(a.opened_ms), 0), sa.func.count(a.escalated_ms)
    ).where(a.closed_ms.is_(None))
    seen = sa.select(sa.func.count(), sa.func.coalesce(sa.func.max(k.event_no), 0))
    return (*map(int, connection.execute(opened).one()), *map(int, connection.execute(seen).one()))


def alarm_of(connection: Connection, alarm_id: str) -> Alarm | None:
    """Return an alarm, None if there is none of that id."""
    row = connection.execute(_alarms().where(t.alarms.c.alarm_id == alarm_id)).one_or_none()
    return None if row is None else _alarm(row)


def _alarms() -> sa.Select[Any]:
    k = t.acknowledged
    joined = t.alarms.outerjoin(k, k.c.alarm_id == t.alarms.c.alarm_id)
    return sa.select(t.alarms, k.c.actor, k.c.at_ms).select_from(joined)


def _alarm(row: Row) -> Alarm:
    kind = AlarmKind(row.kind)
    return Alarm(
        alarm_id=row.alarm_id,
        kind=kind,
        severity=Severity(row.severity),
        site=row.site,
        lock=row.lock,
        gateway=row.gateway,
        key=row.key,
        opened_at=from_ms(row.opened_ms),
        escalated_at=_instant(row.escalated_ms),
        closed_at=_instant(row.closed_ms),
        acknowledged_by=row.actor,
        acknowledged_at=_instant(row.at_ms),
        detail=row.detail,
        impact=BillingImpact(row.impact),
        remedy=RULES[kind].remedy,
    )


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)


def daily_pours(
    connection: Connection, first: date, last: date, names: Sequence[str] | None
) -> list[DayPours]:
    """Return pours by day and chamber of these locks (None: of all)."""
    d = t.days.c
    days = d.day >= first.toordinal() - _1970, d.day <= last.toordinal() - _1970
    query = sa.select(d.day, d.chamber, sa.func.sum(d.pours), sa.func.sum(d.volume_ml)).where(*days)
    if names is not None:
        query = query.where(d.lock_no.in_(sa.select(t.locks.c.lock_no).where(t.locks.c.lock.in_(names))))
    rows = connection.execute(query.group_by(d.day, d.chamber).order_by(d.day, d.chamber))
    return [
        DayPours(date.fromordinal(_1970 + day), chamber, int(pours), int(volume_ml))
        for day, chamber, pours, volume_ml in rows
    ]


def fill_history(
    connection: Connection, lock: str, first: datetime, last: datetime, limit: int
) -> list[FillPoint]:
    """Return a container's fill levels, oldest first; where there are more than `limit`, the newest."""
    f = t.fill.c
    query = sa.select(f.at_ms, f.fill_permille).where(
        f.lock == lock, f.at_ms >= to_ms(first), f.at_ms <= to_ms(last)
    )
    rows = connection.execute(query.order_by(f.at_ms.desc()).limit(limit)).all()
    return [FillPoint(from_ms(at_ms), fill) for at_ms, fill in reversed(rows)]


def intervals(
    connection: Connection, locks: Sequence[str], first: datetime, last: datetime
) -> list[Interval]:
    """Return when faults that billing asks about were there: each from a raising to the clearing that follows it."""
    f, names = t.faults.c, t.locks.c
    follows = sa.func.lead(f.at_ms).over(
        partition_by=(f.lock_no, f.fault, f.chamber), order_by=(f.epoch, f.seq)
    )
    told = (
        sa.select(
            names.lock, f.fault, f.chamber, f.epoch, f.seq, f.raised, f.at_ms,
            follows.label("until_ms"),
        )
        .join(t.locks, names.lock_no == f.lock_no)
        .where(names.lock.in_(locks))
        .subquery()
    )  # fmt: skip
    c = told.c
    query = (
        sa.select(told)
        .where(c.raised == 1, c.at_ms <= to_ms(last))
        .where(sa.or_(c.until_ms.is_(None), c.until_ms >= to_ms(first)))
        .order_by(c.lock, c.at_ms, c.fault, c.chamber, c.epoch, c.seq)
        .limit(_INTERVALS_MAX)
    )
    return [
        Interval(
            row.lock, fault_name(row.fault), row.chamber or None, impact_of(fault_name(row.fault)),
            from_ms(row.at_ms), _instant(row.until_ms), row.epoch, row.seq,
        )
        for row in connection.execute(query)
        if IMPACTS.get(fault_name(row.fault), BillingImpact.REVIEW) in _ASKED_ABOUT
    ]  # fmt: skip
