"""Billing's front: properties with where their bills stand, one property, all runs. Clerks write, operators read."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from portal.billing_door import RunState
from portal.errors import Invalid, PortalError
from portal.pages.billing_paths import (
    ID,
    STATE_TONES,
    First,
    Offset,
    PropertyId,
    Reads,
    Text,
    Writes,
    answer_job,
    desk_of,
    tell_failure,
    today_of,
)
from portal.rendering import is_fragment, render
from portal.services import services_of

router = APIRouter()
_AT_ONCE = 25
_DWELLINGS = 50


@router.get("/billing")
def list_properties(
    request: Request,
    viewer: Reads,
    q: Text = "",
    after: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Show properties, by id; those that fit a text if one is given."""
    lines = services_of(request).bills.find_properties(q, after, _AT_ONCE + 1)
    shown = lines[:_AT_ONCE]
    more = shown[-1].property.property if len(lines) > _AT_ONCE else ""
    values = {"lines": shown, "more": more, "q": q, "tones": STATE_TONES}
    template = "billing_properties_list.html" if is_fragment(request) else "billing_properties.html"
    return render(request, viewer, template, values)


@router.get("/billing/properties/{property_id}")
def show_property(
    request: Request,
    viewer: Reads,
    property_id: PropertyId,
    period: date | None = None,
    offset: Offset = 0,
) -> Response:
    """Show one property in one of its periods."""
    view = services_of(request).bills.property_view(property_id, period)
    values = {
        "view": view,
        "dwellings": view.dwellings[offset : offset + _DWELLINGS],
        "offset": offset,
        "step": _DWELLINGS,
        "tones": STATE_TONES,
        "today": today_of(request),
    }
    return render(request, viewer, "billing_property.html", values)


@router.get("/billing/properties/{property_id}/metering")
def show_metering(request: Request, viewer: Reads, property_id: PropertyId) -> Response:
    """A part of the property's page: how complete metering is in the period that runs, counted in the background."""
    try:
        looked = desk_of(request).standing(property_id)
    except PortalError as error:
        return tell_failure(request, viewer, error)
    values = {"looked": looked, "property_id": property_id}
    return render(request, viewer, "billing_metering_now.html", values)


@router.post("/billing/properties/{property_id}/periods/{first}/draft")
def draft_run(
    request: Request,
    viewer: Writes,
    property_id: PropertyId,
    first: First,
    receipt_on: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Begin the run of a period, or calculate its draft again."""
    bills, planned = services_of(request).bills, parse_day(receipt_on)
    job = desk_of(request).do(
        "draft",
        f"{property_id}/{first}",
        viewer.name,
        lambda _job: bills.draft(property_id, first, viewer.name, planned),
    )
    return answer_job(request, job)


@router.get("/billing/runs")
def list_runs(
    request: Request,
    viewer: Reads,
    property: Annotated[str | None, Query(pattern=ID, max_length=64)] = None,
    state: Annotated[list[RunState] | None, Query(max_length=len(RunState))] = None,
    offset: Offset = 0,
) -> Response:
    """Show runs, those that changed last first."""
    states = frozenset(state or ())
    lines, total = services_of(request).bills.list_runs(property, states, offset, _AT_ONCE)
    values = {
        "lines": lines,
        "total": total,
        "offset": offset,
        "step": _AT_ONCE,
        "states": states,
        "all_states": list(RunState),
        "property_id": property,
        "tones": STATE_TONES,
    }
    return render(request, viewer, "billing_runs.html", values)


def parse_day(text: str) -> date | None:
    """Return the day of a form's field, None where it was left empty."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid("billing.no_day", text=text) from None
