"""Sites and their gateways."""

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from portal.api.parameters import READS, Cursor, Days, GatewayName, Limit, SiteName, Writes
from portal.charts import Chart, draw_pours
from portal.errors import NotThere
from portal.paging import Page, cut
from portal.services import services_of
from portal.sink_door import Author, GatewayTwin, SiteSummary

router = APIRouter(tags=["sites"])


class SiteChanges(BaseModel):
    """What is said of a site; what is left out stays as it is."""

    name: str | None = Field(default=None, max_length=200, examples=["Lindenhof"])
    street: str | None = Field(default=None, max_length=200)
    city: str | None = Field(default=None, max_length=200)
    property_id: str | None = Field(default=None, max_length=200, description="the estate's name in billing")
    latitude: float | None = Field(
        default=None, ge=-90, le=90, strict=True, description="degrees of WGS 84, with longitude"
    )
    longitude: float | None = Field(
        default=None, ge=-180, le=180, strict=True, description="degrees, with latitude"
    )
    reason: str = Field(min_length=1, max_length=500)


@router.get("/sites", dependencies=[READS], summary="Sites, page by page")
def read_sites(request: Request, after: Cursor = None, limit: Limit = 100) -> Page[SiteSummary]:
    """All sites in the order of their names."""
    sites = services_of(request).sink.overview().sites
    rest = [each for each in sites if after is None or each.site > after]
    return cut(rest, limit, lambda each: each.site)


@router.get("/sites/{site}", dependencies=[READS], summary="One site")
def read_site(request: Request, site: SiteName) -> SiteSummary:
    """A site's address, counts, pours, and open alarms."""
    sites = services_of(request).sink.overview().sites
    found = next((each for each in sites if each.site == site), None)
    if found is None:
        raise NotThere(f"no site {site}")
    return found


@router.patch("/sites/{site}", status_code=204, summary="Describe a site")
def describe_site(request: Request, viewer: Writes, site: SiteName, changes: SiteChanges) -> Response:
    """Say where a site is. It need not have been heard of."""
    told: dict[str, Any] = changes.model_dump(exclude={"reason"}, exclude_none=True)
    with services_of(request).sink.operations() as operations:
        operations.describe_site(site, told, Author(viewer.name, changes.reason))
    return Response(status_code=204)


@router.get("/sites/{site}/charts/pours", dependencies=[READS], summary="A site's pours per day")
def read_pours(request: Request, site: SiteName, days: Days = 30) -> Chart:
    """Complete pours by local day, a series for each chamber number."""
    services = services_of(request)
    return draw_pours(services.sink, services.settings.shown.zone, services.clock(), days, site=site)


@router.get("/gateways", dependencies=[READS], summary="Gateways, page by page")
def read_gateways(
    request: Request, site: str | None = None, after: Cursor = None, limit: Limit = 100
) -> Page[GatewayTwin]:
    """All gateways, or those of a site, by site and name."""
    with services_of(request).sink.twins() as reader:
        found = reader.gateways(site)
    start = tuple((after or "/").split("/", 1)) if after else ("", "")
    rest = [each for each in found if (each.site, each.gateway) > start]
    return cut(rest, limit, lambda each: f"{each.site}/{each.gateway}")


@router.get("/gateways/{site}/{gateway}", dependencies=[READS], summary="One gateway")
def read_gateway(request: Request, site: SiteName, gateway: GatewayName) -> GatewayTwin:
    """A gateway's link with what waits in it, and what it last told of itself."""
    with services_of(request).sink.twins() as reader:
        found = reader.gateway(site, gateway)
    if found is None:
        raise NotThere(f"no gateway {site}/{gateway}")
    return found
