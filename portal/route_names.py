"""What a route is called where requests are counted or logged: its template, never the path, which names people."""

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.types import Scope

API_PREFIX = "/api/v1"
_NONE = "none"  # paths that no route has: anybody can make up any number of them


def methods_of(app: FastAPI, path: str) -> list[str]:
    """Return all methods that a path has: a resource's routes are several, and each knows its own methods alone."""
    found: set[str] = set()
    for route in iter_route_contexts(app.routes):
        if route.methods and route.path_regex.match(path):
            found |= route.methods
    return sorted(found)


def template_of(scope: Scope) -> str:
    """Return the template of the route that answers, with the prefix that it was included with."""
    template = getattr(scope.get("route"), "path", None)
    if not isinstance(template, str):
        return _NONE
    in_api = scope["path"].startswith(f"{API_PREFIX}/") and not template.startswith(f"{API_PREFIX}/")
    return API_PREFIX + template if in_api else template
