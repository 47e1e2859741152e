"""What people do to locks and alarms, by the forms on their pages. Each becomes an operator event."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Path, Request
from starlette.responses import RedirectResponse

from portal.access import require, safe_next
from portal.errors import Invalid
from portal.operating import acknowledge_alarm
from portal.pages.locks import local_instant
from portal.roles import Permission, Viewer
from portal.services import services_of
from portal.sink_door import Author, SubjectKind, WishedProperty

router = APIRouter()
Writes = Annotated[Viewer, Depends(require(Permission.LOCK_WRITE))]
Lock = Annotated[str, Path(max_length=64)]
Reason = Annotated[str, Form(min_length=1, max_length=500)]
Line = Annotated[str, Form(max_length=200)]
Number = Annotated[str, Form(max_length=12, pattern=r"^\d*$")]


@router.post("/locks/{lock}/lifecycle")
def move_lock(request: Request, viewer: Writes, lock: Lock, to: Line, reason: Reason) -> RedirectResponse:
    """Move a lock along its lifecycle."""
    with services_of(request).sink.operations() as operations:
        operations.move(lock, to, Author(viewer.name, reason))
    return _back(lock)


@router.post("/locks/{lock}/notes")
def keep_note(
    request: Request, viewer: Writes, lock: Lock, text: Annotated[str, Form(min_length=1, max_length=2000)]
) -> RedirectResponse:
    """Keep a note about a lock."""
    with services_of(request).sink.operations() as operations:
        operations.note(SubjectKind.LOCK, lock, text, Author(viewer.name))
    return _back(lock)


@router.post("/locks/{lock}/desired")
def set_desired(
    request: Request,
    viewer: Writes,
    lock: Lock,
    prop: Annotated[WishedProperty, Form(alias="property")],
    reason: Reason,
    value: Annotated[str, Form(max_length=64)] = "",
    deadline: Annotated[str, Form(max_length=32)] = "",
) -> RedirectResponse:
    """Say what a property of a lock should be; an empty value takes the wish back."""
    at: datetime | None = local_instant(request, deadline) if deadline else None
    fields = {"property": prop, "value": _value(prop, value.strip()), "deadline_at": at}
    with services_of(request).sink.operations() as operations:
        operations.wish(SubjectKind.LOCK, lock, fields, Author(viewer.name, reason))
    return _back(lock)


@router.post("/locks/{lock}/description")
def describe_lock(
    request: Request,
    viewer: Writes,
    lock: Lock,
    reason: Reason,
    site: Line,
    label: Line = "",
    property_id: Line = "",
    row: Number = "",
    column: Number = "",
    container_l: Number = "",
) -> RedirectResponse:
    """Say where a lock is and what it stands on."""
    changes: dict[str, Any] = {
        "label": label,
        "site": site,
        "property_id": property_id,
        "row": int(row) if row else None,
        "column": int(column) if column else None,
        "container_ml": int(container_l) * 1000 if container_l else None,
    }
    with services_of(request).sink.operations() as operations:
        operations.describe_lock(lock, changes, Author(viewer.name, reason))
    return _back(lock)


@router.post("/alarms/{alarm_id:path}/acknowledgement")
def acknowledge(
    request: Request,
    viewer: Writes,
    alarm_id: Annotated[str, Path(max_length=200)],
    reason: Reason,
    back: Line = "/alarms",
) -> RedirectResponse:
    """Say that somebody has seen an alarm, and what is being done."""
    acknowledge_alarm(services_of(request).sink, alarm_id, Author(viewer.name, reason))
    return RedirectResponse(safe_next(back), status_code=303)


def _value(prop: WishedProperty, text: str) -> int | str | None:
    if not text:
        return None
    if prop is WishedProperty.FIRMWARE:
        return text
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise Invalid("deed.number")
    return int(text)


def _back(lock: str) -> RedirectResponse:
    return RedirectResponse(f"/locks/{lock}", status_code=303)
