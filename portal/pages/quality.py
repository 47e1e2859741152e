"""Data quality: worst locks first, pages that are missing, disputes, quarantine; each with what to do about it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from portal import quality
from portal.access import require
from portal.pages.locks import read_twin
from portal.rendering import render
from portal.roles import Permission, Viewer
from portal.services import services_of

router = APIRouter()
Reads = Annotated[Viewer, Depends(require(Permission.FLEET_READ))]
Cursor = Annotated[str, Query(max_length=100)]
_PAGE = 50


@router.get("/quality")
def show_locks(request: Request, viewer: Reads, after: Cursor = "") -> Response:
    """Show locks, least complete first."""
    sink = services_of(request).sink
    counts = sink.overview().counts
    values = {"page": quality.list_worst(sink, after or None, _PAGE), "counts": counts}
    return render(request, viewer, "quality.html", values)


@router.get("/quality/pages")
def show_pages(request: Request, viewer: Reads, after: Cursor = "") -> Response:
    """Show which pages of which gateway are missing."""
    page = quality.list_page_gaps(services_of(request).sink, after or None, _PAGE)
    return render(request, viewer, "quality_pages.html", {"page": page})


@router.get("/quality/disputes")
def show_disputes(request: Request, viewer: Reads, after: Cursor = "") -> Response:
    """Show open disputes."""
    page = quality.list_disputes(services_of(request).sink, after or None, _PAGE)
    return render(request, viewer, "quality_disputes.html", {"page": page})


@router.get("/quality/quarantine")
def show_quarantine(request: Request, viewer: Reads, after: Cursor = "") -> Response:
    """Show what wasn't taken or can't be read."""
    page = quality.list_quarantine(services_of(request).sink, after or None, _PAGE)
    return render(request, viewer, "quality_quarantine.html", {"page": page})


@router.get("/quality/locks/{lock}")
def show_lock(request: Request, viewer: Reads, lock: Annotated[str, Path(max_length=64)]) -> Response:
    """Show one lock's gaps and the reconciliation of its registers."""
    twin = read_twin(request, lock, None)
    values = {"twin": twin, "proof": quality.prove_lock(services_of(request).sink, lock)}
    return render(request, viewer, "quality_lock.html", values)
