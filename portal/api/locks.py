"""One lock: now or at an instant, its journal with the custody of each record, its changes, charts, and deeds."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field, StrictInt

from portal.api.parameters import READS, At, Cursor, Days, Limit, LockName, Reads, Writes, instant_of
from portal.charts import Chart, draw_battery, draw_fill, draw_latency, draw_pours
from portal.errors import NotThere
from portal.paging import Page, cut, numbers_of
from portal.records import JournalLine, page_of_journal
from portal.roles import Permission
from portal.services import Services, services_of
from portal.sink_door import Author, Change, Lifecycle, LockTwin, SubjectKind, WishedProperty

router = APIRouter(tags=["locks"])
Reason = Annotated[str, Field(min_length=1, max_length=500, examples=["flap was replaced"])]


def _only_text(value: object) -> object:
    if isinstance(value, str):
        return value
    raise ValueError("expected an instant such as 2026-11-25T09:30:00Z")


# Numbers would be taken for unix seconds, which the description doesn't allow.
Deadline = Annotated[AwareDatetime, BeforeValidator(_only_text)]


class ChartName(StrEnum):
    POURS = "pours"
    FILL = "fill"
    LATENCY = "latency"
    BATTERY = "battery"


class Move(BaseModel):
    """A step of the lifecycle, and why."""

    to: Lifecycle
    reason: Reason


class Note(BaseModel):
    """Whatever is worth remembering."""

    text: str = Field(min_length=1, max_length=2000)


class Wish(BaseModel):
    """What a property should be; null: nothing in particular any more."""

    value: StrictInt | str | None = Field(examples=[30])
    deadline_at: Deadline | None = Field(default=None, description="an alarm opens if it isn't so by then")
    reason: Reason


class Chamber(BaseModel):
    """What goes into a chamber, and how much at once."""

    fraction: str = Field(min_length=1, max_length=64, examples=["residual"])
    volume_ml: int = Field(ge=1, le=1_000_000, examples=[5000])


class LockChanges(BaseModel):
    """What is said of a lock; what is left out stays as it is."""

    label: str | None = Field(default=None, max_length=200, examples=["Yard, left"])
    site: str | None = Field(default=None, min_length=1, max_length=64)
    property_id: str | None = Field(default=None, max_length=200)
    row: int | None = Field(default=None, ge=1, le=99)
    column: int | None = Field(default=None, ge=1, le=99)
    container_ml: int | None = Field(default=None, ge=1, le=100_000_000)
    chambers: dict[Annotated[int, Field(ge=1, le=4)], Chamber] | None = None
    reason: Reason


@router.get("/locks/{lock}", dependencies=[READS], summary="One lock's twin")
def read_lock(request: Request, lock: LockName, at: At = None) -> LockTwin:
    """All of a lock, as it is now or was at an instant."""
    with services_of(request).sink.twins() as reader:
        twin = reader.lock(lock, instant_of(at))
    if twin is None:
        raise NotThere(f"no lock {lock}")
    return twin


@router.get("/locks/{lock}/journal", summary="Records with the custody of each")
def read_journal(
    request: Request, viewer: Reads, lock: LockName, before: Cursor = None, limit: Limit = 50
) -> Page[JournalLine]:
    """A lock's journal, newest first. Records that aren't in the ledger stand between, with who has them and why."""
    pseudonyms = viewer.may(Permission.PSEUDONYMS_READ)
    return page_of_journal(services_of(request).sink, lock, before, limit, pseudonyms)


@router.get("/locks/{lock}/history", dependencies=[READS], summary="What changed")
def read_history(
    request: Request,
    lock: LockName,
    prop: Annotated[str | None, Query(alias="property", max_length=64)] = None,
    before: Cursor = None,
    limit: Limit = 100,
) -> Page[Change]:
    """Changes of a lock's properties as they were learnt of, newest first; of one property if named."""
    start = numbers_of(before, 1)[0] if before else None
    with services_of(request).sink.twins() as reader:
        changes = reader.changes(lock, prop, start, limit + 1)
    return cut(changes, limit, lambda change: str(change.change_no))


@router.get("/locks/{lock}/charts/{name}", dependencies=[READS], summary="Figures over time")
def read_chart(
    request: Request, lock: LockName, name: Annotated[ChartName, Path()], days: Days = 30
) -> Chart:
    """Pours per day by chamber; fill level in %; seconds from pour to ledger; battery in volts."""
    return _CHARTS[name](services_of(request), lock, days)


@router.post("/locks/{lock}/lifecycle", status_code=204, summary="Move a lock along its lifecycle")
def move_lock(request: Request, viewer: Writes, lock: LockName, move: Move) -> Response:
    """Move it. 409 says where it can go from where it is."""
    with services_of(request).sink.operations() as operations:
        operations.move(lock, move.to, Author(viewer.name, move.reason))
    return Response(status_code=204)


@router.post("/locks/{lock}/notes", status_code=204, summary="Keep a note")
def keep_note(request: Request, viewer: Writes, lock: LockName, note: Note) -> Response:
    """Keep a note about a lock, with its author."""
    with services_of(request).sink.operations() as operations:
        operations.note(SubjectKind.LOCK, lock, note.text, Author(viewer.name))
    return Response(status_code=204)


@router.put("/locks/{lock}/desired/{prop}", status_code=204, summary="Say what a property should be")
def set_desired(
    request: Request, viewer: Writes, lock: LockName, prop: Annotated[WishedProperty, Path()], wish: Wish
) -> Response:
    """Set a desired value; drift from it shows in the twin, and beyond the deadline as an alarm."""
    fields = {"property": prop, "value": wish.value, "deadline_at": wish.deadline_at}
    with services_of(request).sink.operations() as operations:
        operations.wish(SubjectKind.LOCK, lock, fields, Author(viewer.name, wish.reason))
    return Response(status_code=204)


@router.patch("/locks/{lock}/description", status_code=204, summary="Describe a lock")
def describe_lock(request: Request, viewer: Writes, lock: LockName, changes: LockChanges) -> Response:
    """Say where a lock is, what goes into its chambers, and what it stands on."""
    told: dict[str, Any] = changes.model_dump(exclude={"reason"}, exclude_unset=True)
    with services_of(request).sink.operations() as operations:
        operations.describe_lock(lock, told, Author(viewer.name, changes.reason))
    return Response(status_code=204)


def _pours(services: Services, lock: str, days: int) -> Chart:
    now: datetime = services.clock()
    return draw_pours(services.sink, services.settings.shown.zone, now, days, lock=lock)


_CHARTS: dict[ChartName, Callable[[Services, str, int], Chart]] = {
    ChartName.POURS: _pours,
    ChartName.FILL: lambda services, lock, days: draw_fill(services.sink, services.clock(), days, lock),
    ChartName.LATENCY: lambda services, lock, _days: draw_latency(services.sink, lock),
    ChartName.BATTERY: lambda services, lock, days: draw_battery(services.sink, services.clock(), days, lock),
}
