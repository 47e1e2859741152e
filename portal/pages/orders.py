"""A lock's page: what was ordered of it and what became of it, its access list, and the forms for both."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Path, Request
from starlette.responses import RedirectResponse, Response

from portal.access import require
from portal.ordering import list_commands, read_access_list, release_access_list, request_command
from portal.rendering import render
from portal.roles import Permission, Viewer
from portal.services import services_of
from portal.sink_door import Action, Author, LockTwin

router = APIRouter()
Reads = Annotated[Viewer, Depends(require(Permission.FLEET_READ))]
Writes = Annotated[Viewer, Depends(require(Permission.LOCK_WRITE))]
Lock = Annotated[str, Path(max_length=64)]
Reason = Annotated[str, Form(min_length=1, max_length=500)]
# The access list goes to a lock by itself; chambers have a form of their own.
BUTTONS = tuple(each for each in Action if each is not Action.ENABLE_CHAMBERS)
_COMMANDS = 10


@router.get("/locks/{lock}/orders")
def show_orders(request: Request, viewer: Reads, lock: Lock) -> Response:
    """Show the latest commands alone."""
    return render(request, viewer, "lock_orders.html", orders_of(request, lock))


@router.get("/locks/{lock}/access-list")
def show_access_list(request: Request, viewer: Reads, lock: Lock) -> Response:
    """Show how it stands with the access list alone."""
    return render(request, viewer, "lock_access.html", access_of(request, viewer, lock))


@router.post("/locks/{lock}/commands")
def order(
    request: Request, viewer: Writes, lock: Lock, action: Annotated[Action, Form()], reason: Reason
) -> Response:
    """Order a lock to do something once."""
    request_command(services_of(request), lock, action, Author(viewer.name, reason))
    return _back(lock)


@router.post("/locks/{lock}/chambers")
def enable_chambers(
    request: Request,
    viewer: Writes,
    lock: Lock,
    reason: Reason,
    chamber: Annotated[list[Annotated[int, Form(ge=1, le=4)]] | None, Form(max_length=4)] = None,
) -> Response:
    """Let these chambers be used and no others, from now on."""
    mask = sum(1 << number - 1 for number in set(chamber or ()))
    request_command(
        services_of(request), lock, Action.ENABLE_CHAMBERS, Author(viewer.name, reason), enable_mask=mask
    )
    return _back(lock)


@router.post("/locks/{lock}/commands/{command_id}/withdrawal")
def withdraw(
    request: Request, viewer: Writes, lock: Lock, command_id: Annotated[str, Path(max_length=64)]
) -> Response:
    """Take back a command that wasn't sent yet."""
    with services_of(request).sink.orders() as orders:
        orders.withdraw(command_id, Author(viewer.name))
    return _back(lock)


@router.post("/locks/{lock}/access-list/release")
def release_list(
    request: Request,
    viewer: Writes,
    lock: Lock,
    reason: Reason,
    admitted: Annotated[int, Form(ge=0, le=10**6)],
) -> Response:
    """Let a list through that was held back."""
    release_access_list(services_of(request), lock, admitted, Author(viewer.name, reason))
    return _back(lock)


def orders_of(request: Request, lock: str) -> dict[str, Any]:
    """Return what the list of commands shows."""
    shown = list_commands(services_of(request), lock, None, _COMMANDS)
    return {"orders": shown, "under_way": any(each.state.is_under_way for each in shown), "lock_name": lock}


def access_of(request: Request, viewer: Viewer, lock: str) -> dict[str, Any]:
    """Return what is shown of the access list."""
    pseudonyms = viewer.may(Permission.PSEUDONYMS_READ)
    return {"access": read_access_list(services_of(request), lock, pseudonyms), "lock_name": lock}


def forms_of(request: Request, twin: LockTwin) -> dict[str, Any]:
    """Return what the forms show: which chambers there are, and whether anything can be ordered at all."""
    return {
        "buttons": BUTTONS,
        "signs_orders": services_of(request).sink.signs_orders,
        "chambers": [each for each in twin.chambers if each.enabled is not None],
    }


def _back(lock: str) -> Response:
    return RedirectResponse(f"/locks/{lock}#orders", status_code=303)
