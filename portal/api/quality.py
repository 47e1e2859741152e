"""Data quality: what is missing and why, whether pours add up to registers, disputes, quarantine."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict

from portal import quality
from portal.api.parameters import READS, Cursor, Limit, LockName
from portal.paging import Page
from portal.services import services_of
from portal.sink_door import DisputeLine, LockSummary, PageGap, QuarantineLine, RecordGap

router = APIRouter(prefix="/quality", tags=["quality"], dependencies=[READS])
Few = Annotated[
    int, Query(ge=1, le=20, description="locks of a page, at most: each is read from its entries")
]


class _View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Step(_View):
    """Between two records the register moved by `pours` more than the pours that are here."""

    after_seq: int
    before_seq: int
    pours: int
    explained: bool


class Stretch(_View):
    """An unbroken stretch of a chamber's register."""

    epoch: int
    chamber: int
    verdict: str
    first_seq: int
    last_seq: int
    start_register: int
    end_register: int
    pours: int
    register_pours: int
    explained: int
    unexplained: int
    ended_by: str | None
    steps: list[Step]


class Proof(_View):
    """What is missing of a lock's records, and whether its pours add up."""

    lock: str
    gaps: list[RecordGap]
    runs: list[Stretch]


@router.get("/locks", summary="Locks, least complete first")
def read_worst(request: Request, after: Cursor = None, limit: Limit = 50) -> Page[LockSummary]:
    """All locks by how complete their records are."""
    return quality.list_worst(services_of(request).sink, after, limit)


@router.get("/reconciliation", summary="Gaps and reconciliation, lock by lock")
def read_proofs(request: Request, after: Cursor = None, limit: Few = 10) -> Page[Proof]:
    """The proofs of locks in the order of their names. Each is made anew from the lock's entries."""
    page = quality.prove_locks(services_of(request).sink, after, limit)
    return Page(items=[Proof.model_validate(each) for each in page.items], next=page.next)


@router.get("/reconciliation/{lock}", summary="One lock's gaps and reconciliation")
def read_proof(request: Request, lock: LockName) -> Proof:
    """What is missing of one lock's records and why; its registers against its pours."""
    return Proof.model_validate(quality.prove_lock(services_of(request).sink, lock))


@router.get("/pages", summary="Missing pages")
def read_pages(request: Request, after: Cursor = None, limit: Limit = 100) -> Page[PageGap]:
    """Ranges of pages that aren't here, by gateway and journal."""
    return quality.list_page_gaps(services_of(request).sink, after, limit)


@router.get("/disputes", summary="Open disputes")
def read_disputes(request: Request, after: Cursor = None, limit: Limit = 100) -> Page[DisputeLine]:
    """Two truths that exclude each other, oldest first; both are kept."""
    return quality.list_disputes(services_of(request).sink, after, limit)


@router.get("/quarantine", summary="What wasn't taken or can't be read")
def read_quarantine(request: Request, after: Cursor = None, limit: Limit = 100) -> Page[QuarantineLine]:
    """Messages without custody, then records and pages that can't be read; never their content."""
    return quality.list_quarantine(services_of(request).sink, after, limit)
