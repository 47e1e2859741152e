"""The portal's front door: leads everybody to what he may see."""

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse

from portal.access import identify, identify_household
from portal.rendering import NAVIGATION

router = APIRouter()


@router.get("/")
def start(request: Request) -> RedirectResponse:
    """Lead to the first place that the viewer may open."""
    viewer = identify(request)
    if viewer.must_change:
        return RedirectResponse("/account/password", status_code=303)
    for item in NAVIGATION:
        if viewer.may(item.permission):
            return RedirectResponse(item.href, status_code=303)
    if identify_household(request).household is not None:
        return RedirectResponse("/household", status_code=303)
    return RedirectResponse("/login", status_code=303)
