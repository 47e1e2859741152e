"""Who asks, and may he? Dependencies of routes; every route but a few public ones has one of them.

    viewer: Annotated[Viewer, Depends(require(Permission.FLEET_READ))]      people by cookie, machines by token
    viewer: Annotated[Viewer, Depends(require_person)]                      anybody who has signed in
    viewer: Annotated[Viewer, Depends(require_household)]                   a household by its own session

`guard` is a dependency of the whole application: it refuses unsafe requests that another site may have forged. A write
is logged before it is done (accounts/audit.py).
"""

import hmac
import ipaddress
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer

from portal import cookies
from portal.accounts.secret import derive_csrf_token
from portal.config import WebSection
from portal.errors import Forged, MustChangePassword, NotAllowed, NotSignedIn, Unavailable
from portal.roles import NOBODY, Permission, Viewer, ViewerKind
from portal.route_names import template_of
from portal.services import Services, services_of

API = "/api/"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_FIELD, CSRF_HEADER = "csrf_token", "X-CSRF-Token"
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_BEARER = "bearer "

# Only so that the OpenAPI document says how one signs in; what is sent is read below.
token_scheme = HTTPBearer(auto_error=False, description="API token: `portal token add`")
household_scheme = APIKeyCookie(
    name="portal-household",
    auto_error=False,
    description="the session that a household's link opens; by https the name begins with __Host-",
)


def identify(request: Request) -> Viewer:
    """Return who asks: by API token (API only), else by a person's session; NOBODY if neither holds."""
    services = services_of(request)
    token = bearer_of(request)
    if token is not None:
        viewer = services.accounts.tokens.viewer(token)
        if viewer is None:
            services.metrics.refusals.labels("token").inc()
            raise NotSignedIn("this API token isn't known, or has ended")
        request.state.allowance = services.limiter.hit("token", viewer.session_key)
    else:
        session_id = cookies.read_session(request, services.settings.web)
        viewer = services.accounts.sessions.viewer(session_id) if session_id else None
        if viewer is not None and viewer.kind is not ViewerKind.PERSON:
            viewer = None  # a household's session in the wrong cookie
    request.state.viewer = viewer or NOBODY
    return viewer or NOBODY


def identify_household(request: Request) -> Viewer:
    """Return the household that asks, by its own session; NOBODY if there is none."""
    services = services_of(request)
    session_id = cookies.read_household(request, services.settings.web)
    viewer = services.accounts.sessions.viewer(session_id) if session_id else None
    request.state.viewer = viewer or NOBODY
    return viewer or NOBODY


def require(permission: Permission) -> Callable[[Request, object], Viewer]:
    """Return a dependency that lets in only who has this permission, and gives the route its viewer."""

    def check(request: Request, _token: Annotated[object, Depends(token_scheme)]) -> Viewer:
        viewer = identify(request)
        if viewer.kind is ViewerKind.NOBODY:
            raise NotSignedIn
        if viewer.must_change:
            raise MustChangePassword
        if not viewer.may(permission):
            raise NotAllowed(permission.value)
        log_write(request, viewer)
        return viewer

    return check


def require_person(request: Request) -> Viewer:
    """Let in anybody who has signed in with a password."""
    viewer = require_newcomer(request)
    if viewer.must_change:
        raise MustChangePassword
    return viewer


def require_newcomer(request: Request) -> Viewer:
    """Let in also who still has to change his one-time password: for the pages where he does that."""
    viewer = identify(request)
    if viewer.kind is not ViewerKind.PERSON:
        raise NotSignedIn
    log_write(request, viewer)
    return viewer


def require_household(request: Request, _session: Annotated[object, Depends(household_scheme)]) -> Viewer:
    """Let in a household by its own session; `viewer.household` says whose data it may see."""
    viewer = identify_household(request)
    if viewer.household is None:
        raise NotSignedIn
    log_write(request, viewer)
    return viewer


def still_holds(request: Request, viewer: Viewer) -> bool:
    """Return whether the viewer's session or token holds and allows as much as at the beginning of a long answer.

    True also while that can't be found out: nobody's rights have changed by a database being away.
    """
    services = services_of(request)
    web, accounts = services.settings.web, services.accounts
    try:
        match viewer.kind:
            case ViewerKind.TOKEN:
                now = accounts.tokens.viewer(bearer_of(request) or "")
            case ViewerKind.HOUSEHOLD:
                now = accounts.sessions.viewer(cookies.read_household(request, web) or "", used=False)
            case _:
                now = accounts.sessions.viewer(cookies.read_session(request, web) or "", used=False)
    except Unavailable:
        return True
    return now is not None and now.permissions >= viewer.permissions


async def guard(request: Request) -> None:
    """Refuse unsafe requests that another site may have made: by their origin, and without the session's token."""
    if request.method in SAFE_METHODS or bearer_of(request) is not None:
        return  # a token in a header is nothing that a browser would add by itself
    services = services_of(request)
    web = services.settings.web
    if not is_same_origin(request, services):
        services.metrics.refusals.labels("origin").inc()
        raise Forged("sent by another site")
    sessions = _sessions_of(request, web)
    if not sessions:
        return  # without a session there is nothing to be abused
    sent = request.headers.get(CSRF_HEADER) or await _form_token(request)
    if not any(hmac.compare_digest(derive_csrf_token(each).encode(), sent.encode()) for each in sessions):
        services.metrics.refusals.labels("csrf").inc()
        raise Forged("the session's token is missing")


def is_same_origin(request: Request, services: Services) -> bool:
    """Return whether the browser says that one of our own pages sent this. Programs that say nothing are let through
    to the check of the token."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    own = {services.settings.web.public_url, f"{request.url.scheme}://{request.headers.get('Host', '')}"}
    return origin in own


def bearer_of(request: Request) -> str | None:
    """Return the API token that was sent, on API routes only."""
    header = request.headers.get("Authorization", "")
    if not request.url.path.startswith(API) or not header.lower().startswith(_BEARER):
        return None
    return header[len(_BEARER) :].strip()


def safe_next(target: str | None) -> str:
    """Return where to go after signing in: a path of ours, whatever was asked for."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")) or len(target) > 500:
        return "/"
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or any(ord(letter) < 0x21 or letter == "\\" for letter in target):
        return "/"
    return target


def address_of(request: Request) -> str:
    """Return who asks, for rate limits: the address, of IPv6 the network that one subscriber has all of."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "unknown"
    return (
        host if address.version == 4 or address.is_loopback else str(ipaddress.ip_network((host, 64), False))
    )


def log_write(request: Request, viewer: Viewer) -> None:
    """Log a write that is about to be done; once for each request."""
    if request.method in SAFE_METHODS or getattr(request.state, "audit_no", None) is not None:
        return
    subject = " ".join(f"{name}={value}" for name, value in sorted(request.path_params.items()))
    audit = services_of(request).accounts.audit
    request.state.audit_no = audit.begin(
        viewer.name, f"{request.method} {template_of(request.scope)}", subject
    )


def csrf_token_of(request: Request) -> str:
    """Return the token for this browser's forms, "" where it has no session: then none is asked for."""
    sessions = _sessions_of(request, services_of(request).settings.web)
    return derive_csrf_token(sessions[0]) if sessions else ""


def _sessions_of(request: Request, web: WebSection) -> list[str]:
    """Return the sessions' ids that the browser sent, a person's first; whether they still hold doesn't matter."""
    return [
        each for each in (cookies.read_session(request, web), cookies.read_household(request, web)) if each
    ]


async def _form_token(request: Request) -> str:
    if not request.headers.get("Content-Type", "").startswith(_FORMS):
        return ""
    token = (await request.form()).get(CSRF_FIELD)
    return token if isinstance(token, str) else ""
