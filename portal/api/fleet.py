"""The fleet: counts, locks by filter and order, alarms."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from portal.api.parameters import READS, Cursor, Limit, Writes
from portal.fleet_listing import Filter, Sort, list_locks
from portal.operating import acknowledge_alarm
from portal.paging import Page, cut
from portal.services import services_of
from portal.sink_door import Alarm, Author, Connectivity, FleetCounts, Health, Lifecycle, LockSummary

router = APIRouter(tags=["fleet"])
Name = Annotated[str | None, Query(max_length=64)]


class Acknowledgement(BaseModel):
    """Why an alarm needn't be looked at by anybody else, or what is being done."""

    reason: str = Field(min_length=1, max_length=500, examples=["technician is on the way"])


@router.get("/fleet", dependencies=[READS], summary="The fleet in figures")
def read_fleet(request: Request) -> FleetCounts:
    """Locks by health, lifecycle and connectivity; alarms by severity; pours; disputes and quarantine."""
    return services_of(request).sink.overview().counts


@router.get("/locks", dependencies=[READS], summary="Locks, page by page")
def read_locks(
    request: Request,
    site: Name = None,
    health: Health | None = None,
    lifecycle: Lifecycle | None = None,
    connectivity: Connectivity | None = None,
    text: Annotated[
        str | None, Query(max_length=100, description="in name, label, site, property or gateway")
    ] = None,
    sort: Sort = Sort.NAME,
    after: Cursor = None,
    limit: Limit = 100,
) -> Page[LockSummary]:
    """Locks that all filters hold for, in the order that was asked for."""
    wanted = Filter(site, health, lifecycle, connectivity, text)
    return list_locks(services_of(request).sink.overview().locks, wanted, sort, after, limit)


@router.get("/alarms", dependencies=[READS], summary="Alarms, latest first")
def read_alarms(
    request: Request,
    state: Annotated[str, Query(pattern="^(open|closed)$")] = "open",
    site: Name = None,
    lock: Name = None,
    before: Cursor = None,
    limit: Limit = 100,
) -> Page[Alarm]:
    """Open alarms, or those that have closed; `severity` is that after escalating."""
    with services_of(request).sink.twins() as reader:
        found = reader.alarms(site=site, lock=lock, closed=state == "closed", before=before, limit=limit + 1)
    return cut(found, limit, lambda alarm: alarm.alarm_id)


@router.post("/alarms/{alarm_id:path}/acknowledgement", status_code=204, summary="Acknowledge an alarm")
def acknowledge(
    request: Request,
    viewer: Writes,
    alarm_id: Annotated[str, Path(min_length=1, max_length=200)],
    body: Acknowledgement,
) -> Response:
    """Note that somebody has seen it. 409 if it has closed."""
    acknowledge_alarm(services_of(request).sink, alarm_id, Author(viewer.name, body.reason))
    return Response(status_code=204)
