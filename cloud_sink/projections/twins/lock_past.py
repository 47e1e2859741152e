"""A lock as it was at an instant of the past: its report of then, the faults that records tell of, who had moved it.

    report ▶ ───────── at ───── report         a silence shows: the report after it says when it was heard before
             └ its state is the one that held

Records count by their own time, whenever they came: a fault that a backlog brought days later was there at its time.
What people wrote about the lock is as they know it now.
"""

from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.instants import from_ms, to_ms
from cloud_sink.ledger.observations import ReportKind, parse
from cloud_sink.ledger.tables import hearings, observations
from cloud_sink.projections.twins import tables as t
from cloud_sink.projections.twins.facts import FleetFacts, GatewayFacts, LockFacts
from cloud_sink.projections.twins.judging import NOTHING_KNOWN, FaultState
from cloud_sink.projections.twins.lifecycle import Lifecycle
from cloud_sink.projections.twins.telling import FAULT, ON
from cloud_sink.projections.twins.terms import Severity
from wastelock.messages import LockState


def facts_at(
    connection: Connection, ledger: Connection, facts: FleetFacts, lock: LockFacts, at: datetime
) -> tuple[FleetFacts, LockFacts] | None:
    """Return the facts of a lock as they were; None if nothing was known of it then. `facts`: as gathered for then."""
    state, site, gateway, heard_at = _report_at(connection, ledger, lock.lock, at)
    moved = _moved_at(connection, lock.lock, at)
    was_read = lock.lock_no is not None and _was_read(connection, lock.lock_no, at)
    described = lock.described_at is not None and lock.described_at <= at
    if state is None and moved is None and not was_read and not described:
        return None
    then = replace(
        lock,
        state=state,
        heard_at=heard_at,
        gateway_site=site or lock.gateway_site,
        gateway=gateway or lock.gateway,
        read_at=min(at, lock.read_at) if was_read and lock.read_at is not None else None,
        last_pour_at=lock.last_pour_at if lock.last_pour_at and lock.last_pour_at <= at else None,
        decided=moved,
        faults=_faults_at(connection, lock.lock_no, at),
        faults_since_ms=_told_since(connection, lock.lock, at),
        wishes=[],
        commands=[],
        completeness=NOTHING_KNOWN,
        emptying=None,
        disputes=0,
        alarms=_alarms_at(connection, lock.lock, at),
    )
    key = then.gateway_site or "", then.gateway or ""
    link = GatewayFacts(*key, seen_at=heard_at)
    return FleetFacts(at, {lock.lock: then}, {key: link}, facts.sites), then


def _report_at(
    connection: Connection, ledger: Connection, lock: str, at: datetime
) -> tuple[LockState | None, str | None, str | None, datetime | None]:
    """Return the report that held at an instant, through whom, and when the lock was last heard of by then."""
    h, o, at_ms = t.heard.c, observations.c, to_ms(at)
    of_lock = sa.select(h.observation_no).where(h.lock == lock)
    number = connection.scalar(of_lock.where(h.at_ms <= at_ms).order_by(h.at_ms.desc()).limit(1))
    row = ledger.execute(sa.select(observations).where(o.observation_no == number)).one_or_none()
    if row is None:
        return None, None, None, None
    state = parse(ReportKind.LOCK, row.report)
    assert isinstance(state, LockState)
    after = connection.scalar(of_lock.where(h.at_ms > at_ms).order_by(h.at_ms).limit(1))
    if after is not None:
        heard_ms = ledger.scalar(sa.select(o.heard_before_ms).where(o.observation_no == after))
    else:
        heard_ms = ledger.scalar(sa.select(sa.func.max(hearings.c.heard_ms)).where(hearings.c.lock == lock))
    last_ms = min(at_ms, max(row.heard_ms, heard_ms or 0))
    return state, row.site, row.gateway, from_ms(last_ms)


def _moved_at(connection: Connection, lock: str, at: datetime) -> Lifecycle | None:
    m = t.moves.c
    query = sa.select(m.moved_to).where(m.lock == lock, m.at_ms <= to_ms(at)).order_by(m.event_no.desc())
    moved = connection.scalar(query.limit(1))
    return None if moved is None else Lifecycle(moved)


def _was_read(connection: Connection, lock_no: int, at: datetime) -> bool:
    first_ms = connection.scalar(sa.select(t.locks.c.first_read_ms).where(t.locks.c.lock_no == lock_no))
    return first_ms is not None and first_ms <= to_ms(at)


def _faults_at(connection: Connection, lock_no: int | None, at: datetime) -> list[FaultState]:
    f = t.faults.c
    place = sa.func.row_number().over(
        partition_by=(f.fault, f.chamber), order_by=(f.epoch.desc(), f.seq.desc())
    )
    then = (
        sa.select(f.fault, f.chamber, f.epoch, f.seq, f.raised, f.at_ms, place.label("place"))
        .where(f.lock_no == lock_no, f.at_ms <= to_ms(at))
        .subquery()
    )
    rows = connection.execute(sa.select(then).where(then.c.place == 1))
    return [FaultState(*row[:-1]) for row in rows]


def _told_since(connection: Connection, lock: str, at: datetime) -> dict[str, int]:
    """Return since when reports told of each fault, as the changes up to then say."""
    c = t.changes.c
    query = (
        sa.select(c.property, sa.func.max(c.at_ms))
        .where(c.subject == lock, c.property.startswith(FAULT), c.value == ON, c.at_ms <= to_ms(at))
        .group_by(c.property)
    )
    return {name.removeprefix(FAULT): since_ms for name, since_ms in connection.execute(query)}


def _alarms_at(connection: Connection, lock: str, at: datetime) -> list[Severity]:
    a, at_ms = t.alarms.c, to_ms(at)
    query = sa.select(a.severity).where(
        a.lock == lock, a.opened_ms <= at_ms, sa.or_(a.closed_ms.is_(None), a.closed_ms > at_ms)
    )
    return [Severity(severity) for severity in connection.scalars(query)]


def reports_between(
    connection: Connection, ledger: Connection, lock: str, first: datetime, last: datetime, limit: int
) -> list[LockState]:
    """Return the newest of a lock's reports that are kept of this time, at most `limit`, oldest first."""
    h, o = t.heard.c, observations.c
    query = (
        sa.select(h.observation_no)
        .where(h.lock == lock, h.at_ms >= to_ms(first), h.at_ms <= to_ms(last))
        .order_by(h.at_ms.desc())
        .limit(limit)
    )
    numbers = list(connection.scalars(query))
    rows = ledger.execute(
        sa.select(o.report).where(o.observation_no.in_(numbers)).order_by(o.observation_no)
    ).all()
    states = [parse(ReportKind.LOCK, row.report) for row in rows]
    return [state for state in states if isinstance(state, LockState)]
