"""How billing's pages are called, and how their states look: what its routes and templates share."""

from datetime import date
from typing import Annotated

from fastapi import Depends, Form, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from portal.access import require
from portal.billing_desk import BillingDesk
from portal.billing_door import DayRange, RunName, RunState, Seen, Sheet
from portal.errors import PortalError, Refused, Unavailable
from portal.jobs import Job, JobState
from portal.rendering import is_fragment, render, words_of
from portal.roles import Permission, Viewer
from portal.services import services_of

ID = r"^[A-Za-z0-9._-]+$"  # as billing's master data have them
ROW = r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$"
EVER = DayRange(date(1900, 1, 1), None)
Reads = Annotated[Viewer, Depends(require(Permission.BILLING_READ))]
Writes = Annotated[Viewer, Depends(require(Permission.BILLING_WRITE))]
PropertyId = Annotated[str, Path(pattern=ID, max_length=64)]
First = Annotated[date, Path(description="First day of the period.")]
Revision = Annotated[int, Path(ge=1, le=10_000)]
RowPart = Annotated[str, Path(pattern=ID, max_length=64)]
Offset = Annotated[int, Query(ge=0, le=10_000_000)]
Text = Annotated[str, Query(max_length=200)]
Reason = Annotated[str, Form(max_length=2000)]
Steps = Annotated[int, Form(ge=1, description="How many steps the run had when the page was made.")]
RUN = "/billing/runs/{property_id}/{first}/{revision}"

STATE_TONES = {
    RunState.OPEN: "off",
    RunState.COLLECTING: "info",
    RunState.DRAFT: "warning",
    RunState.IN_REVIEW: "info",
    RunState.FINALIZED: "good",
    RunState.DELIVERED: "good",
    RunState.OBJECTED: "warning",
    RunState.SETTLED: "off",
    RunState.SUPERSEDED: "off",
}


def desk_of(request: Request) -> BillingDesk:
    """Return billing's desk; NotThere where the portal runs without bills."""
    return services_of(request).desk


def today_of(request: Request) -> date:
    """Return today's local day."""
    services = services_of(request)
    return services.clock().astimezone(services.settings.shown.zone).date()


def href(name: RunName) -> str:
    """Return the address of a run's page."""
    return f"/billing/runs/{name.property_id}/{name.first}/{name.revision}"


def name_run(property_id: PropertyId, first: First, revision: Revision) -> RunName:
    """Return the run that an address names: a dependency of routes."""
    return RunName(property_id, first, revision)


Run = Annotated[RunName, Depends(name_run)]


def see_run(name: Run, steps: Steps) -> Seen:
    """Return the run as the form shows it: a dependency of routes that take a step."""
    return Seen(name, steps)


SeenRun = Annotated[Seen, Depends(see_run)]


def sheet_of(request: Request, viewer: Viewer, name: RunName) -> Sheet:
    """Return a run's sheet as this viewer sees it."""
    return services_of(request).bills.sheet(name, viewer.name)


def go(target: str) -> Response:
    """Lead to another page after something was done."""
    return RedirectResponse(target, status_code=303)


def answer_job(request: Request, job: Job, page: str = "") -> Response:
    """Lead to what came of a piece of work (`page`: of the run); while it goes on, or made a file, to its own page.

    Whatever it was refused for is raised here, as if it had been done in the request.
    """
    raise_failure(job)
    if job.state is JobState.DONE and isinstance(job.result, RunName):
        target = href(job.result) + page
        # htmx would put the page that a redirect leads to into this one.
        return Response(headers={"HX-Redirect": target}) if is_fragment(request) else go(target)
    return go(f"/billing/jobs/{job.job_id}")


def tell_failure(request: Request, viewer: Viewer, error: PortalError) -> Response:
    """Say within a part of a page why it can't be shown: htmx leaves it as it is on any other answer."""
    words = words_of(request, viewer)
    said = words.t(error.word, **error.values) if isinstance(error, Refused) else words.t("error.unavailable")
    return render(request, viewer, "billing_failed.html", {"said": said})


def raise_failure(job: Job) -> None:
    """Raise what a piece of work was refused for; Unavailable for what nobody expected."""
    if job.state is not JobState.FAILED:
        return
    if isinstance(job.error, PortalError):
        raise job.error
    raise Unavailable("the work failed; the portal's log says why")
