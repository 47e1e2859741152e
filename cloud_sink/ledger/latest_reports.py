"""The latest report of each gateway and lock, as JSON: for explaining gaps."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.tables import gateway_reports, lock_reports
from cloud_sink.ledger.upserting import upsert
from cloud_sink.observing import known_then
from cloud_sink.reports import Report
from wastelock.messages import GatewayState, LockState


def save(connection: Connection, reports: Sequence[Report], now_ms: int) -> None:
    """Replace what is known of these gateways and locks, unless another sink has heard of them since `now_ms`.

    It is the time of hearing that counts: a gateway's clock may have been wrong when it wrote its last report.
    Of several reports on one subject the last one counts.
    """
    known: dict[tuple[str, str], GatewayState | None] = {}
    gateway_rows: dict[tuple[str, str], dict[str, object]] = {}
    lock_rows: dict[str, dict[str, object]] = {}
    for report in reports:
        subject = (report.site, report.gateway)
        row: dict[str, object] = {"site": report.site, "gateway": report.gateway, "reported_ms": now_ms}
        if isinstance(report.state, LockState):
            lock = report.state.lock
            lock_rows[lock] = {**row, "lock": lock, "report": report.state.to_json().decode()}
        elif isinstance(report.state, GatewayState):
            before = known[subject] if subject in known else gateway(connection, *subject)
            known[subject] = state = known_then(report.state, before)
            gateway_rows[subject] = {**row, "report": state.to_json().decode()}
    upsert(connection, gateway_reports, ["site", "gateway"], list(gateway_rows.values()), "reported_ms")
    upsert(connection, lock_reports, ["lock"], list(lock_rows.values()), "reported_ms")


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
