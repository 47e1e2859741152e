"""The fleet: counts, a map of all sites, the same as a list, and the open alarms; live."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from portal.access import require
from portal.access_standing import Standing
from portal.fleet_listing import Filter, Sort, list_locks, map_fleet, worst_alarms
from portal.rendering import render
from portal.roles import Permission, Viewer
from portal.services import services_of
from portal.sink_door import Health, Lifecycle

router = APIRouter()
Reads = Annotated[Viewer, Depends(require(Permission.FLEET_READ))]
Text = Annotated[str, Query(max_length=100)]
_LIST = 100
_ALARMS = 12
ALL_TILES_LARGE = 150


@router.get("/fleet")
def show_fleet(
    request: Request,
    viewer: Reads,
    view: Annotated[str, Query(pattern="^(map|list)$")] = "map",
    site: Text = "",
    health: Text = "",
    lifecycle: Text = "",
    text: Text = "",
    sort: Sort = Sort.NAME,
    after: Text = "",
) -> Response:
    """Show the fleet, from above or as a list."""
    wanted = _filter(site, health, lifecycle, text)
    sites = services_of(request).sink.overview().sites
    values = {
        "view": view,
        "sites": sites,
        "healths": list(Health),
        "lifecycles": list(Lifecycle),
        "sorts": list(Sort),
        **_figures(request),
        **_alarms(request),
        **(_map(request, after) if view == "map" else _list(request, wanted, sort, after)),
        "wanted": wanted,
        "sort": sort,
        "access_waiting": _access_waiting(request),
    }
    return render(request, viewer, "fleet.html", values)


@router.get("/fleet/figures")
def show_figures(request: Request, viewer: Reads) -> Response:
    """Show the counts alone."""
    return render(request, viewer, "fleet_figures.html", _figures(request))


@router.get("/fleet/map")
def show_map(request: Request, viewer: Reads, after: Text = "") -> Response:
    """Show the map alone."""
    return render(request, viewer, "fleet_map.html", _map(request, after))


@router.get("/fleet/list")
def show_list(
    request: Request,
    viewer: Reads,
    site: Text = "",
    health: Text = "",
    lifecycle: Text = "",
    text: Text = "",
    sort: Sort = Sort.NAME,
    after: Text = "",
) -> Response:
    """Show a page of the list alone."""
    wanted = _filter(site, health, lifecycle, text)
    return render(request, viewer, "fleet_list.html", _list(request, wanted, sort, after))


@router.get("/fleet/alarms")
def show_alarms(request: Request, viewer: Reads) -> Response:
    """Show the open alarms alone."""
    return render(request, viewer, "fleet_alarms.html", _alarms(request))


@router.get("/fleet/access")
def show_access_lists(request: Request, viewer: Reads) -> Response:
    """Show alone which access lists wait for somebody."""
    return render(request, viewer, "fleet_access.html", {"access_waiting": _access_waiting(request)})


def _access_waiting(request: Request) -> list[Standing]:
    """Return the locks whose access lists stay as they are until somebody does something."""
    access = services_of(request).access
    return [] if access is None else access.unsettled()


def _filter(site: str, health: str, lifecycle: str, text: str) -> Filter:
    """Return what is wanted; what isn't one of our words wants nothing special."""
    return Filter(
        site=site or None,
        health=Health(health) if health in list(Health) else None,
        lifecycle=Lifecycle(lifecycle) if lifecycle in list(Lifecycle) else None,
        text=text.strip() or None,
    )


def _figures(request: Request) -> dict[str, Any]:
    return {"counts": services_of(request).sink.overview().counts}


def _map(request: Request, after: str) -> dict[str, Any]:
    maps, following = map_fleet(services_of(request).sink.overview(), after or None)
    tiles = sum(len(each.tiles) for each in maps)
    return {"maps": maps, "next": following, "after": after, "large": tiles <= ALL_TILES_LARGE}


def _list(request: Request, wanted: Filter, sort: Sort, after: str) -> dict[str, Any]:
    page = list_locks(services_of(request).sink.overview().locks, wanted, sort, after or None, _LIST)
    chosen = {
        "view": "list", "site": wanted.site, "health": wanted.health, "lifecycle": wanted.lifecycle,
        "text": wanted.text, "sort": sort,
    }  # fmt: skip
    without_after = urlencode({name: value for name, value in chosen.items() if value})
    query = without_after + (f"&{urlencode({'after': after})}" if after else "")
    return {"page": page, "query": query, "query_without_after": without_after}


def _alarms(request: Request) -> dict[str, Any]:
    alarms, more = worst_alarms(services_of(request).sink, None, _ALARMS)
    return {
        "alarms": alarms,
        "alarms_more": more,
        "alarms_path": "/fleet/alarms",
        "alarms_query": "",
        "with_lock": True,
        "back": "/fleet",
    }
