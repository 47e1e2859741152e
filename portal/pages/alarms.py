"""All alarms: open ones, which escalate and are acknowledged, and those that have closed."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from portal.access import require
from portal.paging import cut
from portal.rendering import render
from portal.roles import Permission, Viewer
from portal.services import services_of

router = APIRouter()
Reads = Annotated[Viewer, Depends(require(Permission.FLEET_READ))]
State = Annotated[str, Query(pattern="^(open|closed)$")]
Text = Annotated[str, Query(max_length=200)]
_PAGE = 50


@router.get("/alarms")
def show_alarms(
    request: Request, viewer: Reads, state: State = "open", site: Text = "", before: Text = ""
) -> Response:
    """Show alarms, newest first."""
    return render(request, viewer, "alarms.html", _alarms(request, state, site, before))


@router.get("/alarms/list")
def show_list(
    request: Request, viewer: Reads, state: State = "open", site: Text = "", before: Text = ""
) -> Response:
    """Show the list alone."""
    return render(request, viewer, "alarms_list.html", _alarms(request, state, site, before))


def _alarms(request: Request, state: str, site: str, before: str) -> dict[str, Any]:
    closed = state == "closed"
    with services_of(request).sink.twins() as reader:
        found = reader.alarms(site=site or None, closed=closed, before=before or None, limit=_PAGE + 1)
    chosen = {"state": state, **({"site": site} if site else {})}
    return {
        "page": cut(found, _PAGE, lambda alarm: alarm.alarm_id),
        "closed": closed,
        "site": site,
        "before": before,
        "query": urlencode({**chosen, **({"before": before} if before else {})}),
        "query_without_before": urlencode(chosen),
    }
