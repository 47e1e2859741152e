"""The latest report of each gateway and lock, as JSON: for explaining gaps, and for where a lock's orders go.

A lock is with the gateway that reached it last. Another one that has it in its configuration, too, and one whose old
report the broker still keeps, don't take it away:

    report of the same gateway                                    replaces what is known
    of another one, which reaches the lock, said after that       replaces it: the lock has moved
    of another one, which doesn't, after an hour without a word   replaces it: the first is gone
    any other                                                     changes nothing
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.tables import gateway_reports, lock_reports
from cloud_sink.ledger.upserting import upsert
from cloud_sink.observing import known_then
from cloud_sink.reports import Report
from wastelock.messages import GatewayState, LockState

_GONE_AFTER_MS = 3_600_000
_IN_CHUNK = 500


class _Heard(NamedTuple):
    """A row of lock_reports."""

    lock: str
    site: str
    gateway: str
    reported_ms: int
    report: str


def save(connection: Connection, reports: Sequence[Report], now_ms: int) -> None:
    """Replace what is known of these gateways and locks, unless another sink has heard of them since `now_ms`; in a
    transaction that holds the write lock.

    It is the time of hearing that counts: a gateway's clock may have been wrong when it wrote its last report. Only of
    what the broker had kept its own instant says how old it is. Of several reports on one subject the last one counts.
    """
    known: dict[tuple[str, str], GatewayState | None] = {}
    gateway_rows: dict[tuple[str, str], dict[str, object]] = {}
    heard = _heard_of(connection, {each.state.lock for each in reports if isinstance(each.state, LockState)})
    lock_rows: dict[str, dict[str, object]] = {}
    for report in reports:
        subject = (report.site, report.gateway)
        if isinstance(report.state, LockState):
            lock = report.state.lock
            taken = _taken(heard.get(lock), report, report.state, now_ms)
            if taken is not None:
                heard[lock], lock_rows[lock] = taken, taken._asdict()
        elif isinstance(report.state, GatewayState):
            before = known[subject] if subject in known else gateway(connection, *subject)
            known[subject] = state = known_then(report.state, before)
            gateway_rows[subject] = {
                "site": report.site,
                "gateway": report.gateway,
                "reported_ms": now_ms,
                "report": state.to_json().decode(),
            }
    upsert(connection, gateway_reports, ["site", "gateway"], list(gateway_rows.values()), "reported_ms")
    upsert(connection, lock_reports, ["lock"], list(lock_rows.values()))


def _heard_of(connection: Connection, locks: Iterable[str]) -> dict[str, _Heard]:
    names, r = sorted(locks), lock_reports.c
    columns = r.lock, r.site, r.gateway, r.reported_ms, r.report
    found: dict[str, _Heard] = {}
    for start in range(0, len(names), _IN_CHUNK):
        some = sa.select(*columns).where(r.lock.in_(names[start : start + _IN_CHUNK]))
        found.update((row.lock, _Heard(*row)) for row in connection.execute(some))
    return found


def _taken(known: _Heard | None, report: Report, state: LockState, now_ms: int) -> _Heard | None:
    """Return what is known of a lock once this was heard, None where that changes nothing."""
    said_ms = to_ms(state.at) if report.retained else now_ms
    new = _Heard(
        state.lock, report.site, report.gateway, min(said_ms, now_ms), report.state.to_json().decode()
    )
    if known is None:
        return new
    if (known.site, known.gateway) == (report.site, report.gateway):
        if report.retained:  # what the broker keeps is its newest, even if its clock is behind
            new = new._replace(reported_ms=max(new.reported_ms, known.reported_ms))
        return new if new.reported_ms >= known.reported_ms else None
    if state.reachable:
        return new if _reached_ms(known) <= said_ms <= now_ms else None
    is_gone = now_ms - known.reported_ms >= _GONE_AFTER_MS
    return new if is_gone and not report.retained else None


def _reached_ms(known: _Heard) -> int:
    """Return until when, as far as is known, a gateway could reach the lock."""
    since_at = LockState.model_validate_json(known.report).unreachable_since
    return known.reported_ms if since_at is None else min(known.reported_ms, to_ms(since_at))


def gateways(connection: Connection) -> dict[tuple[str, str], GatewayState]:
    """Return the latest report of each gateway, by site and gateway."""
    rows = connection.execute(sa.select(gateway_reports))
    return {(row.site, row.gateway): GatewayState.model_validate_json(row.report) for row in rows}


def gateway(connection: Connection, site: str, name: str) -> GatewayState | None:
    """Return the latest report of one gateway, None if there is none."""
    r = gateway_reports.c
    report = connection.scalar(sa.select(r.report).where(r.site == site, r.gateway == name))
    return None if report is None else GatewayState.model_validate_json(report)


def lock_names(connection: Connection, name: str | None = None) -> list[str]:
    """Return the names of all locks that ever reported; `name`: of this one only."""
    query = sa.select(lock_reports.c.lock)
    return list(connection.scalars(query if name is None else query.where(lock_reports.c.lock == name)))


def gateways_of_locks(connection: Connection) -> dict[str, str]:
    """Return through which gateway (`site/gateway`) each lock was heard last."""
    r = lock_reports.c
    rows = connection.execute(sa.select(r.lock, r.site, r.gateway))
    return {row.lock: f"{row.site}/{row.gateway}" for row in rows}


def lock(connection: Connection, name: str) -> tuple[str, str, LockState] | None:
    """Return site, gateway and latest report of a lock, None if there is none."""
    row = connection.execute(sa.select(lock_reports).where(lock_reports.c.lock == name)).one_or_none()
    return (row.site, row.gateway, LockState.model_validate_json(row.report)) if row else None


def list_capacities(connection: Connection) -> dict[str, int]:
    """Return how long an access list each lock takes that has told."""
    query = sa.select(lock_reports.c.lock, lock_reports.c.report)
    told = {row.lock: LockState.model_validate_json(row.report) for row in connection.execute(query)}
    return {lock: state.access_list_max for lock, state in told.items() if state.access_list_max is not None}
