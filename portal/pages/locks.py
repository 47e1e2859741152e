"""One lock: how it is now or was at an instant, its registers, its journal, its past."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from portal.access import require
from portal.errors import Invalid, NotThere
from portal.pages.orders import access_of, forms_of, orders_of
from portal.paging import cut, numbers_of
from portal.records import page_of_journal
from portal.rendering import render
from portal.roles import Permission, Viewer
from portal.services import services_of
from portal.sink_door import LockTwin, WishedProperty, moves_from

router = APIRouter()
Reads = Annotated[Viewer, Depends(require(Permission.FLEET_READ))]
Lock = Annotated[str, Path(max_length=64)]
Cursor = Annotated[str, Query(max_length=100)]
_JOURNAL = 25
_HISTORY = 25
_ALARMS = 20
_LOCAL = "%Y-%m-%dT%H:%M"


@router.get("/locks/{lock}")
def show_lock(request: Request, viewer: Reads, lock: Lock, at: Cursor = "", before: Cursor = "") -> Response:
    """Show a lock, now or as it was at an instant of the past."""
    services = services_of(request)
    zone = services.settings.shown.zone
    instant = local_instant(request, at) if at else None
    twin = read_twin(request, lock, instant)
    values = {
        **_twin(request, twin, instant),
        **_journal(request, viewer, lock, before),
        **_history(request, lock, ""),
        "zone": services.settings.shown.time_zone,
        "at_local": at[:16] if at else services.clock().astimezone(zone).strftime(_LOCAL),
        "now_local": services.clock().astimezone(zone).strftime(_LOCAL),
        "moves": moves_from(twin.summary.lifecycle),
        "properties": list(WishedProperty),
    }
    if instant is None:
        values |= {**orders_of(request, lock), **access_of(request, viewer, lock), **forms_of(request, twin)}
    return render(request, viewer, "lock.html", values)


@router.get("/locks/{lock}/live")
def show_live(request: Request, viewer: Reads, lock: Lock) -> Response:
    """Show what changes from moment to moment alone."""
    return render(request, viewer, "lock_live.html", _twin(request, read_twin(request, lock, None), None))


@router.get("/locks/{lock}/desired")
def show_desired(request: Request, viewer: Reads, lock: Lock) -> Response:
    """Show what the lock should be, and isn't, alone."""
    values = {**_twin(request, read_twin(request, lock, None), None), "properties": list(WishedProperty)}
    return render(request, viewer, "lock_drift.html", values)


@router.get("/locks/{lock}/journal")
def show_journal(request: Request, viewer: Reads, lock: Lock, before: Cursor = "") -> Response:
    """Show a page of the journal alone."""
    values = {"at": None, **_journal(request, viewer, lock, before)}
    return render(request, viewer, "lock_journal.html", values)


@router.get("/locks/{lock}/history")
def show_history(request: Request, viewer: Reads, lock: Lock, before: Cursor = "") -> Response:
    """Show a page of the changes alone."""
    return render(request, viewer, "lock_history.html", _history(request, lock, before))


def read_twin(request: Request, lock: str, at: datetime | None) -> LockTwin:
    """Return a lock's twin; NotThere if it is unknown, Invalid if nothing was known of it at that instant."""
    with services_of(request).sink.twins() as reader:
        twin = reader.lock(lock, at)
        if twin is None and at is not None and reader.lock(lock) is not None:
            raise Invalid("lock.unknown_then")
    if twin is None:
        raise NotThere(f"no lock {lock}")
    return twin


def local_instant(request: Request, text: str) -> datetime:
    """Return the instant that somebody chose in local time, or Invalid."""
    try:
        chosen = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid("deed.instant") from None
    zoned = chosen if chosen.tzinfo else chosen.replace(tzinfo=services_of(request).settings.shown.zone)
    try:
        return zoned.astimezone(UTC)
    except OverflowError:
        raise Invalid("deed.instant") from None


def _twin(request: Request, twin: LockTwin, at: datetime | None) -> dict[str, Any]:
    alarms = []
    if at is None:
        with services_of(request).sink.twins() as reader:
            alarms = reader.alarms(lock=twin.summary.lock, limit=_ALARMS)
    return {"twin": twin, "lock": twin.summary, "at": at, "alarms": alarms}


def _journal(request: Request, viewer: Viewer, lock: str, before: str) -> dict[str, Any]:
    pseudonyms = viewer.may(Permission.PSEUDONYMS_READ)
    page = page_of_journal(services_of(request).sink, lock, before or None, _JOURNAL, pseudonyms)
    return {"journal": page, "before": before, "lock_name": lock}


def _history(request: Request, lock: str, before: str) -> dict[str, Any]:
    start = numbers_of(before, 1)[0] if before else None
    with services_of(request).sink.twins() as reader:
        changes = reader.changes(lock, before=start, limit=_HISTORY + 1)
    return {"history": cut(changes, _HISTORY, lambda change: str(change.change_no)), "lock_name": lock}
