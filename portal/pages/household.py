"""A household's own page, by its personal link: its pours as they happen, this month beside the others, what the
period will cost, its statements. Whose data it shows is said by the link's session alone; no address names anybody.
"""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from portal import cookies
from portal.access import require_household
from portal.billing_door import RunName
from portal.errors import NotThere
from portal.household_now import look_ahead, look_now, own_of, row_of
from portal.pages.billing_papers import send
from portal.pages.billing_paths import First, Revision
from portal.rendering import render
from portal.roles import Household, Viewer
from portal.services import services_of

router = APIRouter()
Lives = Annotated[Viewer, Depends(require_household)]
_WAIT_S = 1.0  # for what others threw: the page comes without it, and it follows


@router.get("/household")
def show_household(request: Request, viewer: Lives) -> Response:
    """Show the page."""
    services, household = services_of(request), _household(viewer)
    now = look_now(services.desk, household, services.clock(), _WAIT_S)
    statements = services.bills.delivered(household.property_id, row_of(household))
    values = {"household": household, "seen": now, "standing": now.standing, "pending": now.pending,
              "statements": statements}  # fmt: skip
    return render(request, _in_its_language(request, viewer), "household.html", values)


@router.get("/household/now")
def show_now(request: Request, viewer: Lives) -> Response:
    """A part of the page: this month and the latest pours."""
    services = services_of(request)
    now = look_now(services.desk, _household(viewer), services.clock(), 0)
    return render(request, _in_its_language(request, viewer), "household_now.html", {"seen": now})


@router.get("/household/standing")
def show_standing(request: Request, viewer: Lives) -> Response:
    """A part of the page: what the period will cost, and month by month."""
    standing, pending = look_ahead(services_of(request).desk, _household(viewer), _WAIT_S)
    values = {"standing": standing, "pending": pending}
    return render(request, _in_its_language(request, viewer), "household_standing.html", values)


@router.get("/household/statements/{first}/{revision}.pdf")
def send_statement(request: Request, viewer: Lives, first: First, revision: Revision) -> Response:
    """Send a statement that the household was sent; NotThere for any other."""
    services, household = services_of(request), _household(viewer)
    name = RunName(household.property_id, first, revision)
    services.bills.find_delivered(name, row_of(household))
    sheet = services.bills.sheet(name, "")
    pdf = services.desk.print_statement(sheet, row_of(household))
    return send(pdf, "application/pdf", f"statement-{first}-r{revision}.pdf")


def _household(viewer: Viewer) -> Household:
    if viewer.household is None:
        raise NotThere("no household")
    return viewer.household


def _in_its_language(request: Request, viewer: Viewer) -> Viewer:
    """Return the viewer with the language that the master data have of the party, unless another was chosen here."""
    services = services_of(request)
    if request.cookies.get(cookies.language_name(services.settings.web)) is not None:
        return viewer
    own = own_of(services.desk, _household(viewer))
    return replace(viewer, language=own.language or None)
