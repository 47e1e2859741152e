"""The latest report of each gateway and lock, as JSON: for explaining gaps."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from cloud_sink.ledger.database import Database
from cloud_sink.ledger.tables import gateway_reports, lock_reports
from cloud_sink.reports import Report
from wastelock.messages import GatewayState, LockState


def save(database: Database, reports: Sequence[Report], now_ms: int) -> None:
    """Replace what is known of these gateways and locks, unless another sink has heard of them since `now_ms`.

    It is the time of hearing that counts: a gateway's clock may have been wrong when it wrote its last report.
    """
    with database.writing() as connection:
        known = gateways(connection)
        gateway_rows, lock_rows = [], []
        for report in reports:
            row: dict[str, object] = {"site": report.site, "gateway": report.gateway, "reported_ms": now_ms}
            if isinstance(report.state, LockState):
                lock_rows.append({**row, "lock": report.lock, "report": report.state.to_json().decode()})
            else:
                state = _with_what_was_known(report.state, known.get((report.site, report.gateway)))
                gateway_rows.append({**row, "report": state.to_json().decode()})
        _upsert(connection, gateway_reports, ["site", "gateway"], gateway_rows)
        _upsert(connection, lock_reports, ["lock"], lock_rows)


def _with_what_was_known(state: GatewayState, before: GatewayState | None) -> GatewayState:
    """A will or farewell says only that the gateway is gone: its spool is what its birth said. A late will is void."""
    if state.online or before is None:
        return state
    if state.incarnation < before.incarnation:
        return before
    return before.model_copy(update={"online": False, "at": state.at})


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


def lock(connection: Connection, name: str) -> tuple[str, str, LockState] | None:
    """Return site, gateway and latest report of a lock, None if there is none."""
    row = connection.execute(sa.select(lock_reports).where(lock_reports.c.lock == name)).one_or_none()
    return (row.site, row.gateway, LockState.model_validate_json(row.report)) if row else None


def _upsert(connection: Connection, table: sa.Table, key: list[str], rows: list[dict[str, object]]) -> None:
    if not rows:
        return
    insert = (sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert)(table)
    new = insert.excluded
    updated = {column.name: new[column.name] for column in table.columns if column.name not in key}
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=key, set_=updated, where=table.c.reported_ms <= new["reported_ms"]
        ),
        rows,
    )
