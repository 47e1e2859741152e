"""Orders to a lock: commands with what became of them; its access list as versions and counts."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field, StrictInt

from portal.access import require
from portal.api.locks import Reason
from portal.api.parameters import READS, Limit, LockName, Reads, Writes
from portal.errors import NotThere
from portal.ordering import (
    AccessListNow,
    list_commands,
    read_access_list,
    release_access_list,
    request_command,
)
from portal.paging import Page, cut
from portal.roles import Permission
from portal.services import services_of
from portal.sink_door import (
    DEFAULT_TTL_S,
    LONGEST_TTL_S,
    AccessListView,
    Action,
    Author,
    CommandView,
    ListedTransponder,
)

router = APIRouter(tags=["orders"])
_ID = r"^[A-Za-z0-9._-]{1,64}$"
CommandId = Annotated[str, Path(pattern=_ID, examples=["Jx0w2mQm8bq3VtRk"])]


class NewCommand(BaseModel):
    """What a lock is to do once, and why."""

    action: Action
    enable_mask: Annotated[int, Field(ge=0, le=15)] | None = Field(
        default=None,
        description="of enable_chambers, and only there: bit 0 is chamber 1; it stays so from now on",
    )
    ttl_s: Annotated[StrictInt, Field(ge=10, le=LONGEST_TTL_S)] = Field(
        default=DEFAULT_TTL_S, description="so long it may be carried out; never after that"
    )
    id: Annotated[str, Field(pattern=_ID)] | None = Field(
        default=None, description="asked for again under the same id, it isn't ordered a second time"
    )
    reason: Reason


class Withdrawal(BaseModel):
    """Why a command isn't needed any more."""

    reason: Reason


class Release(BaseModel):
    """That a list is meant. 409 if the master data want another one by now."""

    admitted: int = Field(ge=0, description="`masterdata_admitted` as it was read")
    reason: Reason


@router.post("/locks/{lock}/commands", status_code=201, summary="Order a lock to do something once")
def order(request: Request, viewer: Writes, lock: LockName, command: NewCommand) -> CommandView:
    """It is signed and sent to the lock's gateway at once, and again until an outcome is known or it has expired."""
    author = Author(viewer.name, command.reason)
    return request_command(
        services_of(request), lock, command.action, author, command.enable_mask, command.ttl_s, command.id
    )


@router.get("/locks/{lock}/commands", dependencies=[READS], summary="Commands to a lock, newest first")
def read_commands(
    request: Request,
    lock: LockName,
    before: Annotated[
        str | None, Query(pattern=_ID, description="`next` of the page before; without it the first page")
    ] = None,
    limit: Limit = 50,
) -> Page[CommandView]:
    """What was ordered, by whom and why, and what became of it."""
    return cut(list_commands(services_of(request), lock, before, limit + 1), limit, lambda each: each.id)


@router.get("/commands/{command_id}", dependencies=[READS], summary="One command")
def read_command(request: Request, command_id: CommandId) -> CommandView:
    """How far it has come: waiting, sent, accepted, then done, rejected, expired, failed or unanswered."""
    with services_of(request).sink.orders() as orders:
        found = orders.command(command_id)
    if found is None:
        raise NotThere(f"no command {command_id}")
    return found


@router.post("/commands/{command_id}/withdrawal", summary="Take a command back")
def withdraw(request: Request, viewer: Writes, command_id: CommandId, withdrawal: Withdrawal) -> CommandView:
    """Take it back; 409 once it was sent: what was sent may be carried out."""
    read_command(request, command_id)
    with services_of(request).sink.orders() as orders:
        return orders.withdraw(command_id, Author(viewer.name, withdrawal.reason))


@router.get("/locks/{lock}/access-list", summary="A lock's access list in figures")
def read_list(request: Request, viewer: Reads, lock: LockName) -> AccessListNow:
    """Which version is wanted, which the lock has, what the master data want; never a transponder's number."""
    return read_access_list(services_of(request), lock, viewer.may(Permission.PSEUDONYMS_READ))


@router.get("/locks/{lock}/access-list/versions", dependencies=[READS], summary="Versions of an access list")
def read_versions(request: Request, lock: LockName, limit: Limit = 50) -> list[AccessListView]:
    """The newest versions first: since when, set by whom and why, how many transponders."""
    with services_of(request).sink.orders() as orders:
        return orders.access_lists(lock, limit)


@router.get(
    "/locks/{lock}/access-list/transponders",
    dependencies=[Depends(require(Permission.PSEUDONYMS_READ))],
    summary="Who is in an access list, by pseudonym",
)
def read_transponders(request: Request, lock: LockName) -> list[ListedTransponder]:
    """The wanted list, at most 2,048 transponders in the order of their pseudonyms. 404 while nobody has set one."""
    with services_of(request).sink.orders() as orders:
        found = orders.access_list(lock)
    if found is None:
        raise NotThere(f"nobody has set an access list for lock {lock}")
    return list(found.transponders)


@router.post("/locks/{lock}/access-list/release", summary="Let a held list through")
def release_list(request: Request, viewer: Writes, lock: LockName, release: Release) -> AccessListNow:
    """Say that a list is meant which was held back: it drops many at once, or it is the lock's first from here."""
    services = services_of(request)
    release_access_list(services, lock, release.admitted, Author(viewer.name, release.reason))
    return read_access_list(services, lock, viewer.may(Permission.PSEUDONYMS_READ))
