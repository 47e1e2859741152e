"""A household's transponders; a clerk marks one lost, and every lock that took it refuses it within a minute."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from portal.access import require
from portal.pages.billing_paths import EVER, ID, ROW, Reads
from portal.rendering import render
from portal.roles import Permission, Viewer
from portal.services import services_of

router = APIRouter()
Blocks = Annotated[Viewer, Depends(require(Permission.TRANSPONDERS_WRITE))]


@router.get("/billing/transponders")
def show_transponders(
    request: Request,
    viewer: Reads,
    property: Annotated[str, Query(pattern=ID, max_length=64)],
    row: Annotated[str, Query(pattern=ROW, max_length=130)],
) -> Response:
    """Show which transponders a household has and had, and what somebody said of each."""
    services = services_of(request)
    at = services.clock()
    values = {
        "own": services.bills.household(property, row, EVER),
        "property_id": property,
        "row": row,
        "holdings": sorted(
            services.bills.holdings(property, row),
            key=lambda each: (not each.holds_at(at), each.begins_at),
        ),
        "at": at,
    }
    return render(request, viewer, "billing_transponders.html", values)


@router.post("/billing/transponders/block")
def block_transponder(
    request: Request,
    viewer: Blocks,
    property: Annotated[str, Form(pattern=ID, max_length=64)],
    row: Annotated[str, Form(pattern=ROW, max_length=130)],
    credential: Annotated[str, Form(min_length=32, max_length=32)],
    reason: Annotated[str, Form(min_length=1, max_length=500)],
) -> Response:
    """Mark a transponder lost: from now on it is nobody's."""
    services = services_of(request)
    services.bills.block_transponder(property, credential, viewer.name, reason)
    if services.access is not None:
        services.access.hurry()
    return RedirectResponse(f"/billing/transponders?property={property}&row={row}", status_code=303)
