"""One site: its map, gateways with what waits in them, pours as they come, and how full its containers are."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from portal.access import require
from portal.errors import NotThere
from portal.fleet_listing import Filter, Sort, draw_map, list_locks, worst_alarms
from portal.pages.fleet import ALL_TILES_LARGE
from portal.records import read_entry
from portal.rendering import render
from portal.roles import Permission, Viewer
from portal.services import services_of
from portal.sink_door import SiteSummary

router = APIRouter()
Reads = Annotated[Viewer, Depends(require(Permission.FLEET_READ))]
Site = Annotated[str, Path(max_length=64)]
_LOCKS = 500  # of a site that are shown at once
_ALARMS = 12
_LATEST = 15
_LOOK_BACK = 200  # entries of all sites in which a site's latest pours are looked for


@router.get("/sites/{site}")
def show_site(request: Request, viewer: Reads, site: Site) -> Response:
    """Show a site."""
    summary = _summary(request, site)
    settings = services_of(request).settings
    values = {
        **_locks(request, summary),
        **_gateways(request, site),
        **_alarms(request, site),
        **_latest(request, viewer, site),
    }
    return render(request, viewer, "site.html", {"zone": settings.shown.time_zone, **values})


@router.get("/sites/{site}/locks")
def show_locks(request: Request, viewer: Reads, site: Site) -> Response:
    """Show the figures, the map and the locks alone."""
    return render(request, viewer, "site_locks.html", _locks(request, _summary(request, site)))


@router.get("/sites/{site}/gateways")
def show_gateways(request: Request, viewer: Reads, site: Site) -> Response:
    """Show the gateways alone."""
    return render(request, viewer, "site_gateways.html", _gateways(request, site))


@router.get("/sites/{site}/alarms")
def show_alarms(request: Request, viewer: Reads, site: Site) -> Response:
    """Show the open alarms alone."""
    return render(request, viewer, "fleet_alarms.html", _alarms(request, site))


@router.get("/sites/{site}/latest")
def show_latest(request: Request, viewer: Reads, site: Site) -> Response:
    """Show the latest records alone."""
    return render(request, viewer, "site_latest.html", _latest(request, viewer, site))


def _summary(request: Request, site: str) -> SiteSummary:
    sites = services_of(request).sink.overview().sites
    found = next((each for each in sites if each.site == site), None)
    if found is None:
        raise NotThere(f"no site {site}")
    return found


def _locks(request: Request, site: SiteSummary) -> dict[str, Any]:
    page = list_locks(
        services_of(request).sink.overview().locks, Filter(site=site.site), Sort.NAME, None, _LOCKS
    )
    drawn = draw_map(site, page.items)
    return {
        "site": site,
        "page": page,
        "each": drawn,
        "large": len(drawn.tiles) <= ALL_TILES_LARGE,
    }


def _gateways(request: Request, site: str) -> dict[str, Any]:
    with services_of(request).sink.twins() as reader:
        return {"gateways": reader.gateways(site), "site_name": site}


def _alarms(request: Request, site: str) -> dict[str, Any]:
    alarms, more = worst_alarms(services_of(request).sink, site, _ALARMS)
    return {
        "alarms": alarms,
        "alarms_more": more,
        "alarms_path": f"/sites/{site}/alarms",
        "alarms_query": f"site={site}",
        "with_lock": True,
        "back": f"/sites/{site}",
    }


def _latest(request: Request, viewer: Viewer, site: str) -> dict[str, Any]:
    """Return the site's newest records among the newest of all."""
    sink = services_of(request).sink
    newest = sink.last_position()
    entries = sink.entries_after(max(0, newest - _LOOK_BACK), _LOOK_BACK)
    mine = [entry for entry in reversed(entries) if entry.site == site][:_LATEST]
    pseudonyms = viewer.may(Permission.PSEUDONYMS_READ)
    return {"latest": [(entry, read_entry(entry, pseudonyms)) for entry in mine], "site_name": site}
