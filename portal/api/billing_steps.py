"""A run's steps for programs, each meant for the run as it was seen (`steps`). Approving isn't among them: the other
two eyes are a person's, at the run's page.

What takes longer than some seconds is answered with 202 and a job.
"""

from collections.abc import Callable
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, Field

from portal.access import require
from portal.api.billing import ID, RUN, PropertyId, Reads
from portal.api.billing import Run as Named
from portal.api.billing_models import Run, Work
from portal.billing_door import RunName, Seen
from portal.jobs import Job, JobState
from portal.pages.billing_paths import raise_failure
from portal.roles import Permission, Viewer
from portal.services import services_of

router = APIRouter(prefix="/billing", tags=["billing"])
Writes = Annotated[Viewer, Depends(require(Permission.BILLING_WRITE))]
_LONG: dict[int | str, dict[str, object]] = {
    202: {"model": Work, "description": "still at it: ask for the job"}
}


class Step(BaseModel):
    """What a step says: the run as it was seen, and why."""

    steps: int = Field(ge=1, le=2**53, description="the run's `steps` when it was read")
    reason: str = Field(default="", max_length=2000)


class Decision(Step):
    """Of a review, of a group of them, or of a cap (`cap:WE1/T1`: lift or keep)."""

    review: str = Field(min_length=1, max_length=300)
    choice: str = Field(min_length=1, max_length=300)


class Receipt(Step):
    """Who got it when."""

    received_on: date
    rows: list[Annotated[str, Field(max_length=130)]] = Field(
        default_factory=list, max_length=10_000, description="none: all of them"
    )


class Objection(Step):
    """Whose, and what it is about (`reason`)."""

    row: str = Field(min_length=1, max_length=130)


class Drafting(BaseModel):
    """The planned day of receipt; else as configured."""

    receipt_on: date | None = None


@router.post("/properties/{property_id}/periods/{first}/draft", summary="Calculate a draft", responses=_LONG)
def draft(
    request: Request, response: Response, viewer: Writes, property_id: PropertyId, first: date, body: Drafting
) -> Work:
    """Begin the run of a period, or calculate its draft again."""
    bills = services_of(request).bills
    job = services_of(request).desk.do(
        "draft",
        f"{property_id}/{first}",
        viewer.name,
        lambda _job: bills.draft(property_id, first, viewer.name, body.receipt_on),
    )
    return _answer(request, response, job)


@router.post(RUN + "/decide", summary="Decide a review", responses=_LONG)
def decide(request: Request, response: Response, viewer: Writes, name: Named, body: Decision) -> Work:
    """The draft is calculated again by it."""
    bills, seen = services_of(request).bills, Seen(name, body.steps)
    return _do(request, response, viewer, "decide", seen, f"{body.review} {body.choice}",
               lambda: bills.decide(seen, body.review, body.choice, viewer.name, body.reason))  # fmt: skip


@router.post(RUN + "/submit", summary="Hand a draft in")
def submit(request: Request, viewer: Writes, name: Named, body: Step) -> Run:
    """409 with everything that stands in the way."""
    bills = services_of(request).bills
    return _run(request, bills.submit(Seen(name, body.steps), viewer.name, body.reason))


@router.post(RUN + "/send-back", summary="Send a run in review back")
def send_back(request: Request, viewer: Writes, name: Named, body: Step) -> Run:
    """A reason is needed."""
    bills = services_of(request).bills
    return _run(request, bills.send_back(Seen(name, body.steps), viewer.name, body.reason))


@router.post(RUN + "/finalize", summary="Fix an approved run for ever", responses=_LONG)
def finalize(request: Request, response: Response, viewer: Writes, name: Named, body: Step) -> Work:
    """Counts all single entries again; 409 if one millilitre differs."""
    bills, seen = services_of(request).bills, Seen(name, body.steps)
    return _do(request, response, viewer, "finalize", seen, "",
               lambda: bills.finalize(seen, viewer.name, body.reason))  # fmt: skip


@router.post(RUN + "/deliver", summary="Note that statements were sent")
def deliver(request: Request, viewer: Writes, name: Named, body: Step) -> Run:
    """The planned day of receipt is in the revision."""
    bills = services_of(request).bills
    return _run(request, bills.deliver(Seen(name, body.steps), viewer.name, body.reason))


@router.post(RUN + "/receive", summary="Note who got a statement when")
def receive(request: Request, viewer: Writes, name: Named, body: Receipt) -> Run:
    """The 12 months of § 556 (3) BGB are judged by that."""
    bills = services_of(request).bills
    seen, rows = Seen(name, body.steps), tuple(body.rows)
    return _run(request, bills.receive(seen, body.received_on, rows, viewer.name, body.reason))


@router.post(RUN + "/object", summary="Note a party's objection")
def object_to(request: Request, viewer: Writes, name: Named, body: Objection) -> Run:
    """What it is about stands in `reason`."""
    bills = services_of(request).bills
    return _run(request, bills.object_to(Seen(name, body.steps), body.row, viewer.name, body.reason))


@router.post(RUN + "/settle", summary="Note that all is paid")
def settle(request: Request, viewer: Writes, name: Named, body: Step) -> Run:
    """And that nothing is disputed any more."""
    bills = services_of(request).bills
    return _run(request, bills.settle(Seen(name, body.steps), viewer.name, body.reason))


@router.post(RUN + "/revise", summary="Begin a correction", responses=_LONG)
def revise(request: Request, response: Response, viewer: Writes, name: Named, body: Step) -> Work:
    """The next revision stands beside the final one until it takes its place; its reason stands on each statement."""
    bills, seen = services_of(request).bills, Seen(name, body.steps)
    return _do(request, response, viewer, "revise", seen, "",
               lambda: bills.revise(seen, viewer.name, body.reason))  # fmt: skip


@router.get("/jobs/{job_id}", summary="How far a piece of work is")
def read_job(
    request: Request, _viewer: Reads, job_id: Annotated[str, Path(pattern=ID, max_length=64)]
) -> Work:
    """What it was refused for is the answer, as if it had been done at once."""
    return _work(request, services_of(request).desk.find(job_id))


def _do(
    request: Request,
    response: Response,
    viewer: Viewer,
    kind: str,
    seen: Seen,
    what: str,
    work: Callable[[], RunName],
) -> Work:
    desk = services_of(request).desk
    job = desk.do(
        kind, str(seen.name), viewer.name, lambda _job: work(), f"{seen.steps} {viewer.name} {what}"
    )
    return _answer(request, response, job)


def _answer(request: Request, response: Response, job: Job) -> Work:
    if job.state in (JobState.WAITING, JobState.RUNNING):
        response.status_code = 202
    return _work(request, job)


def _work(request: Request, job: Job) -> Work:
    raise_failure(job)
    finished = job.state is JobState.DONE
    run = _run(request, job.result) if finished and isinstance(job.result, RunName) else None
    return Work(run=run, job_id=job.job_id, state=job.state, done=job.done, total=job.total)


def _run(request: Request, name: RunName) -> Run:
    return Run.of(services_of(request).bills.run(name))
