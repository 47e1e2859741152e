"""Pages: templates with the words of the viewer's language, numbers as it writes them, and only what he may open."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request
from starlette.responses import HTMLResponse

from portal import cookies
from portal.access import CSRF_FIELD, csrf_token_of
from portal.changes import name_chambers, name_change, tell_value
from portal.roles import NOBODY, Permission, Viewer, ViewerKind
from portal.services import Services, services_of
from portal.words.catalog import LANGUAGES, Words, choose_language
from portal.words.formatting import Formatting

_FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class NavigationItem:
    """A place of the portal: its word, its address, and what one needs to go there."""

    word: str
    href: str
    permission: Permission


NAVIGATION = (
    NavigationItem("nav.fleet", "/fleet", Permission.FLEET_READ),
    NavigationItem("nav.alarms", "/alarms", Permission.FLEET_READ),
    NavigationItem("nav.quality", "/quality", Permission.FLEET_READ),
    NavigationItem("nav.billing", "/billing", Permission.BILLING_READ),
    NavigationItem("nav.accounts", "/accounts", Permission.ACCOUNTS_READ),
)

environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def language_of(request: Request, viewer: Viewer) -> str:
    """Return the language of an answer: the account's, else the cookie's, else the browser's."""
    shown = services_of(request).settings.shown
    cookie = request.cookies.get(cookies.language_name(services_of(request).settings.web))
    return choose_language(
        viewer.language or cookie, request.headers.get("Accept-Language", ""), shown.language
    )


def words_of(request: Request, viewer: Viewer) -> Words:
    """Return the words of an answer."""
    return services_of(request).words[language_of(request, viewer)]


def render(
    request: Request, viewer: Viewer, template: str, context: dict[str, Any] | None = None, status: int = 200
) -> HTMLResponse:
    """Return a page, or a part of one for htmx.

    Templates find: `t(key, **values)`, `n(key, count)`, `w(group, value)`: words; `fmt`: numbers, days, volumes, money;
    `name_change(change)`, `tell_value(change)`: what has changed in a twin, and what it became; `chambers_in(mask)`,
    `seconds(value)`;
    `viewer`, `may(permission)`; `navigation`; `csrf_token` for forms (macro `csrf()` of macros.html); `now`.
    """
    services = services_of(request)
    words = words_of(request, viewer)
    html = environment.get_template(template).render(
        **_surroundings(request, services, viewer, words), **(context or {})
    )
    response = HTMLResponse(html, status_code=status)
    response.headers["Content-Language"] = words.language
    response.headers["Vary"] = "Cookie, Accept-Language, HX-Request"
    return response


def is_fragment(request: Request) -> bool:
    """Return whether htmx asks, which wants only the part that changes."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Boosted") != "true"


def _surroundings(request: Request, services: Services, viewer: Viewer, words: Words) -> dict[str, Any]:
    path = request.url.path
    billing = services.billing is not None
    fmt = Formatting(words.language, services.settings.shown.zone)
    return {
        "t": words.t,
        "n": words.n,
        "w": words.w,
        "has": words.has,
        "fmt": fmt,
        "name_change": partial(name_change, words),
        "tell_value": partial(tell_value, words, fmt),
        "seconds": lambda value: None if value is None else timedelta(seconds=value),
        "chambers_in": partial(name_chambers, words),
        "language": words.language,
        "languages": LANGUAGES,
        "viewer": viewer,
        "signed_in": viewer.kind is not ViewerKind.NOBODY,
        "may": lambda permission: viewer.may(Permission(permission)),
        "navigation": [
            (item, path == item.href or path.startswith(f"{item.href}/"))
            for item in NAVIGATION
            if viewer.may(item.permission) and (billing or item.permission is not Permission.BILLING_READ)
        ],
        "csrf_token": csrf_token_of(request),
        "csrf_field": CSRF_FIELD,
        "path": path,
        "now": services.clock(),
    }


def viewer_so_far(request: Request) -> Viewer:
    """Return the viewer as far as a route has found out; NOBODY before it did. For pages that tell of errors."""
    viewer: Viewer = getattr(request.state, "viewer", NOBODY)
    return viewer
