"""What a clerk does to a run. Each step is meant for the run as its page showed it, with who does it and why.

Steps that calculate go to the desk's threads and show their progress; the others are done at once.
"""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import FileResponse, Response

from portal.billing_door import RunName, Seen
from portal.errors import Invalid, NotThere
from portal.jobs import Job, JobState
from portal.pages.billing import parse_day
from portal.pages.billing_paths import (
    RUN,
    Reads,
    Reason,
    Run,
    SeenRun,
    Writes,
    answer_job,
    desk_of,
    go,
    href,
    raise_failure,
    sheet_of,
)
from portal.rendering import is_fragment, render
from portal.services import services_of

router = APIRouter()
Word = Annotated[str, Form(min_length=1, max_length=300)]


@router.post(RUN + "/decide")
def decide(
    request: Request, viewer: Writes, seen: SeenRun, review: Word, choice: Word, reason: Reason = ""
) -> Response:
    """Decide a review, or a group of them."""
    bills = services_of(request).bills
    return _do(request, "decide", seen, viewer.name,
               lambda _job: bills.decide(seen, review, choice, viewer.name, reason),
               f"{review} {choice}", "/reviews")  # fmt: skip


@router.post(RUN + "/submit")
def submit(request: Request, viewer: Writes, seen: SeenRun, reason: Reason = "") -> Response:
    """Hand a draft in."""
    return go(href(services_of(request).bills.submit(seen, viewer.name, reason)))


@router.post(RUN + "/send-back")
def send_back(request: Request, viewer: Writes, seen: SeenRun, reason: Reason = "") -> Response:
    """Send a run in review back to be a draft."""
    return go(href(services_of(request).bills.send_back(seen, viewer.name, reason)))


@router.post(RUN + "/approve")
def approve(request: Request, viewer: Writes, seen: SeenRun, reason: Reason = "") -> Response:
    """Approve what somebody else handed in."""
    return go(href(services_of(request).bills.approve(seen, viewer.name, reason)))


@router.post(RUN + "/finalize")
def finalize(request: Request, viewer: Writes, seen: SeenRun, reason: Reason = "") -> Response:
    """Count all single entries again, and fix the run for ever."""
    bills = services_of(request).bills
    return _do(request, "finalize", seen, viewer.name, lambda _job: bills.finalize(seen, viewer.name, reason))


@router.post(RUN + "/deliver")
def deliver(request: Request, viewer: Writes, seen: SeenRun, reason: Reason = "") -> Response:
    """Note that the statements were sent."""
    return go(href(services_of(request).bills.deliver(seen, viewer.name, reason)))


@router.post(RUN + "/receive")
def receive(
    request: Request,
    viewer: Writes,
    seen: SeenRun,
    received_on: Annotated[str, Form(max_length=10)] = "",
    row: Annotated[list[str] | None, Form(max_length=5000)] = None,
    everybody: Annotated[bool, Form()] = False,
    reason: Reason = "",
) -> Response:
    """Note on which day these parties, or all, got their statements."""
    day = parse_day(received_on)
    if day is None:
        raise Invalid("billing.day_missing")
    if not row and not everybody:
        raise Invalid("billing.rows_missing")
    rows = () if everybody else tuple(row or ())
    return go(href(services_of(request).bills.receive(seen, day, rows, viewer.name, reason)) + "/history")


@router.post(RUN + "/object")
def object_to(request: Request, viewer: Writes, seen: SeenRun, row: Word, reason: Reason = "") -> Response:
    """Note a party's objection."""
    return go(href(services_of(request).bills.object_to(seen, row, viewer.name, reason)) + "/history")


@router.post(RUN + "/settle")
def settle(request: Request, viewer: Writes, seen: SeenRun, reason: Reason = "") -> Response:
    """Note that all is paid and nothing is disputed."""
    return go(href(services_of(request).bills.settle(seen, viewer.name, reason)))


@router.post(RUN + "/revise")
def revise(request: Request, viewer: Writes, seen: SeenRun, reason: Reason = "") -> Response:
    """Begin the next revision."""
    bills = services_of(request).bills
    return _do(request, "revise", seen, viewer.name, lambda _job: bills.revise(seen, viewer.name, reason))


@router.post(RUN + "/statements")
def bundle_statements(request: Request, viewer: Reads, name: Run) -> Response:
    """Make one archive of all statements."""
    return answer_job(
        request, desk_of(request).bundle_statements(sheet_of(request, viewer, name), viewer.name)
    )


@router.post(RUN + "/export")
def bundle_export(request: Request, viewer: Reads, name: Run) -> Response:
    """Make one archive of all tables, the document and the program that recomputes it."""
    return answer_job(request, desk_of(request).bundle_export(sheet_of(request, viewer, name), viewer.name))


@router.get("/billing/jobs/{job_id}")
def show_job(request: Request, viewer: Reads, job_id: str) -> Response:
    """Show how far a piece of work is; lead on once it has ended."""
    job = desk_of(request).find(job_id)
    if job.state is JobState.FAILED and is_fragment(request):
        # The whole page says why; htmx would leave this part as it is.
        return Response(headers={"HX-Redirect": f"/billing/jobs/{job_id}"})
    raise_failure(job)
    if job.state is JobState.DONE and isinstance(job.result, RunName):
        return answer_job(request, job)
    template = "billing_job_state.html" if is_fragment(request) else "billing_job.html"
    return render(request, viewer, template, {"job": job, "path_of_file": job.file})


@router.get("/billing/jobs/{job_id}/file")
def send_file(request: Request, _viewer: Reads, job_id: str) -> Response:
    """Send the file that a piece of work has made."""
    job = desk_of(request).find(job_id)
    if job.file is None:
        raise NotThere("this work has made no file")
    return FileResponse(job.file, media_type="application/zip", filename=job.file.name)


def _do(
    request: Request,
    kind: str,
    seen: Seen,
    actor: str,
    work: Callable[[Job], object],
    what: str = "",
    page: str = "",
) -> Response:
    """Take a step in the background. A second click is the same step; another person's, or another choice, isn't."""
    job = desk_of(request).do(kind, str(seen.name), actor, work, f"{seen.steps} {actor} {what}")
    return answer_job(request, job, page)
