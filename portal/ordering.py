"""What pages and API do alike: order something of a lock, and tell how it stands with its access list."""

from pydantic import BaseModel, Field

from portal.access_standing import ListState
from portal.errors import NotThere, Refused
from portal.services import Services
from portal.sink_door import AccessListView, Author, CommandView


class AccessListNow(BaseModel):
    """A lock's access list: what is wanted, what the lock has, what the master data want. Transponders by pseudonym.

    `wanted`: the list that was set last; null: nobody has set one. `state`: what became of the list that the master
    data want; null where the lock doesn't get its list from them.
    """

    lock: str
    wanted: AccessListView | None
    admitted: int = Field(description="transponders that open the lock, of the wanted list")
    reported_version: int | None = Field(description="which version the lock has, as it says")
    in_force: bool = Field(description="the lock has the wanted one")
    properties: list[str] = Field(description="whose master data it is made of")
    state: ListState | None
    masterdata_admitted: int | None = Field(
        description="so many the master data admit of those whose numbers are known"
    )
    held: int = Field(
        description="in the list though the master data admit them no more, until somebody lets them go"
    )
    unknown: int = Field(
        description="the master data admit them, but no list can name them: their numbers were never added"
    )
    lacks_numbers: bool = Field(
        description="the list isn't let through before more numbers are added: it would lock people out"
    )
    capacity: int | None = Field(description="entries that the lock takes, as it says")
    left_out: int = Field(
        description="blocked ones for which the lock has no room: it refuses them as unknown"
    )
    said: str = Field(description="why the list was refused")
    held_transponders: list[str] | None = Field(description="null without the permission to read pseudonyms")
    unknown_transponders: list[str] | None = Field(
        description="null without the permission to read pseudonyms"
    )


def request_command(
    services: Services,
    lock: str,
    action: str,
    author: Author,
    enable_mask: int | None = None,
    ttl_s: int | None = None,
    command_id: str | None = None,
) -> CommandView:
    """Order a lock to do something once; Refused where nothing can be ordered from here."""
    if not services.sink.signs_orders:
        raise Refused("order.unsigned")
    with services.sink.orders() as orders:
        lasts = {} if ttl_s is None else {"ttl_s": ttl_s}
        return orders.request_command(lock, action, author, enable_mask, command_id=command_id, **lasts)


def list_commands(services: Services, lock: str, before: str | None, limit: int) -> list[CommandView]:
    """Return the newest commands to a lock, or those before one."""
    with services.sink.orders() as orders:
        return orders.commands(lock=lock, before=before, limit=limit)


def read_access_list(services: Services, lock: str, pseudonyms: bool) -> AccessListNow:
    """Return how it stands with a lock's list. `pseudonyms`: whether the viewer may see whose transponders they are."""
    with services.sink.orders() as orders:
        wanted = orders.access_list(lock)
    standing = None if services.access is None else services.access.standing(lock)
    reported = services.sink.reported_list_version(lock) if wanted is None else wanted.reported_version
    held = [] if standing is None else sorted(standing.held)
    unknown = [] if standing is None else list(standing.unknown)
    return AccessListNow(
        lock=lock,
        wanted=None if wanted is None else wanted.view,
        admitted=0 if wanted is None else wanted.view.entries - wanted.view.blocked,
        reported_version=reported,
        in_force=wanted is not None and reported == wanted.view.version,
        properties=[] if standing is None else list(standing.properties),
        state=None if standing is None else standing.state,
        masterdata_admitted=None if standing is None else standing.admitted,
        held=len(held),
        unknown=len(unknown),
        lacks_numbers=standing is not None and standing.lacks_numbers,
        capacity=None if standing is None else standing.capacity,
        left_out=0 if standing is None else standing.left_out,
        said="" if standing is None else standing.said,
        held_transponders=held if pseudonyms else None,
        unknown_transponders=unknown if pseudonyms else None,
    )


def release_access_list(services: Services, lock: str, admitted: int, author: Author) -> None:
    """Let a lock have the list that the master data want. `admitted`: so many transponders, as its page showed."""
    if services.access is None:
        raise NotThere("locks don't get their access lists from here: [access] follow_masterdata")
    services.access.release(lock, admitted, author)
