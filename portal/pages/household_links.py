"""A dwelling's personal links: made, shown once and revoked by a clerk."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from portal.access import require
from portal.errors import NotThere
from portal.pages.billing_paths import EVER, ID, ROW
from portal.paging import LARGEST
from portal.rendering import render
from portal.roles import Permission, Viewer
from portal.services import services_of

router = APIRouter()
Makes = Annotated[Viewer, Depends(require(Permission.LINKS_WRITE))]
PropertyId = Annotated[str, Query(pattern=ID, max_length=64)]
Row = Annotated[str, Query(pattern=ROW, max_length=130)]
_DAYS = 400


@router.get("/billing/links")
def show_links(request: Request, viewer: Makes, property: PropertyId, row: Row) -> Response:
    """Show a household's links, and the form for another."""
    return _show(request, viewer, property, row, None)


@router.post("/billing/links")
def add_link(
    request: Request,
    viewer: Makes,
    property: Annotated[str, Form(pattern=ID, max_length=64)],
    row: Annotated[str, Form(pattern=ROW, max_length=130)],
    days: Annotated[int, Form(ge=1)] = _DAYS,
) -> Response:
    """Make a link that shows all days of the household's occupancy, and show it: it can't be shown again."""
    services = services_of(request)
    own = services.bills.household(property, row, EVER)
    if not own.days:
        raise NotThere(f"{row} has no days")
    end = own.days[-1].end
    dwelling, _, party = row.partition("/")
    until = None if end is None else end - timedelta(days=1)
    secret = services.accounts.links.add(
        property, dwelling, party, own.days[0].first, until, days, viewer.name
    )
    return _show(request, viewer, property, row, f"{services.settings.web.public_url}/h/{secret}")


@router.post("/billing/links/{number}/revoke")
def revoke_link(
    request: Request,
    viewer: Makes,
    number: Annotated[int, Path(ge=1, le=LARGEST)],
    property: Annotated[str, Form(pattern=ID, max_length=64)],
    row: Annotated[str, Form(pattern=ROW, max_length=130)],
) -> Response:
    """End a link, and every session that it opened."""
    services_of(request).accounts.links.revoke(number, viewer.name)
    return RedirectResponse(f"/billing/links?property={property}&row={row}", status_code=303)


def _show(request: Request, viewer: Viewer, property_id: str, row: str, made: str | None) -> Response:
    services = services_of(request)
    own = services.bills.household(property_id, row, EVER)
    dwelling, _, party = row.partition("/")
    links = [
        link for link in services.accounts.links.page(property_id, dwelling) if link.household.party == party
    ]
    values = {"own": own, "property_id": property_id, "row": row, "links": links, "made": made, "days": _DAYS}
    return render(request, viewer, "household_links.html", values)
