"""The API takes no parameter that it doesn't know, and none twice: a slip would be answered with everything."""

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute

from portal.errors import Invalid

_SHOWN = 100


def check_query(request: Request) -> None:
    """Raise Invalid for a parameter of the query that the route doesn't have, or that stands there more than once."""
    route = request.scope["route"]
    known = _parameters_of(route) if isinstance(route, APIRoute) else set()
    sent = [name for name, _ in request.query_params.multi_items()]
    wrong = next((name for name in sent if name not in known or sent.count(name) > 1), None)
    if wrong is not None:
        raise Invalid("error.query", name=wrong[:_SHOWN])


def _parameters_of(route: APIRoute) -> set[str]:
    return {field.alias for field in get_flat_params(route.dependant) if isinstance(field.field_info, Query)}
