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
Property = Annotated[str, Form(pattern=ID, max_length=64)]
Row = Annotated[str, Form(pattern=ROW, max_length=130)]
Credential = Annotated[str, Form(min_length=32, max_length=32)]
Reason = Annotated[str, Form(min_length=1, max_length=500)]


@router.get("/billing/transponders")
def show_transponders(
    request: Request,
    viewer: Reads,
    property: Annotated[str, Query(pattern=ID, max_length=64)],
    row: Annotated[str, Query(pattern=ROW, max_length=130)],
) -> Response:
    """Show which transponders a household has and had, and what somebody said of each."""
    services = services_of(request)
    own, at = services.bills.household(property, row, EVER), services.clock()
    holdings = sorted(
        services.bills.holdings(property, row), key=lambda each: (not each.holds_at(at), each.begins_at)
    )
    values = {
        "own": own,
        "property_id": property,
        "row": row,
        "holdings": holdings,
        "at": at,
        # What a household held last, and doesn't hold any more: found again, it is its own once more.
        "last": {each.credential: each for each in sorted(holdings, key=lambda each: each.begins_at)},
        "lives_there": own.lives_on(at.astimezone(own.zone).date()),
    }
    return render(request, viewer, "billing_transponders.html", values)


@router.post("/billing/transponders/block")
def block_transponder(
    request: Request, viewer: Blocks, property: Property, row: Row, credential: Credential, reason: Reason
) -> Response:
    """Mark a transponder lost: from now on it is nobody's."""
    services_of(request).bills.block_transponder(property, credential, viewer.name, reason)
    return _go_on(request, property, row)


@router.post("/billing/transponders/restore")
def restore_transponder(
    request: Request, viewer: Blocks, property: Property, row: Row, credential: Credential, reason: Reason
) -> Response:
    """A transponder was found again: who held it last holds it from now on."""
    services_of(request).bills.restore_transponder(property, credential, viewer.name, reason)
    return _go_on(request, property, row)


def _go_on(request: Request, property_id: str, row: str) -> Response:
    access = services_of(request).access
    if access is not None:
        access.hurry()
    return RedirectResponse(f"/billing/transponders?property={property_id}&row={row}", status_code=303)
