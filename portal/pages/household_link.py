"""A household's personal link: opens a session of its own and leads on, so that its secret is in no later address."""

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from portal import cookies
from portal.access import address_of, identify_household
from portal.errors import NotThere
from portal.services import services_of

router = APIRouter()
_LONGEST = 100
_DAY_S = 86_400


@router.get("/h/{secret}")
def open_link(request: Request, secret: str) -> Response:
    """Begin a household's session. Whatever is wrong with the link looks the same; guessing is slowed by address."""
    services = services_of(request)
    services.limiter.hit("link_per_address", address_of(request))
    try:
        household = services.accounts.links.opened_by(secret[:_LONGEST])
    except NotThere:
        services.metrics.refusals.labels("link").inc()
        raise
    session_id = services.accounts.sessions.open_for_link(
        household.link_no, request.headers.get("User-Agent", "")
    )
    response = RedirectResponse("/household", status_code=303)
    response.headers["Referrer-Policy"] = "no-referrer"
    lasts_s = services.settings.accounts.household_session_days * _DAY_S
    cookies.set_household(response, services.settings.web, session_id, lasts_s)
    return response


@router.post("/household/leave")
def leave(request: Request) -> Response:
    """End the household's session in this browser; the link opens another one."""
    services = services_of(request)
    web = services.settings.web
    viewer = identify_household(request)
    session_id = cookies.read_household(request, web)
    if viewer.household is not None and session_id is not None:
        services.accounts.sessions.close(session_id, viewer.name)
    response = RedirectResponse("/", status_code=303)
    cookies.drop(response, web, cookies.household_name(web))
    return response
