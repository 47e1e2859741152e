"""The live stream of operations: records as they are committed, twins as they change; of one site or lock if named."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from portal.access import require
from portal.live import Audience, LiveEvent
from portal.roles import Permission, Viewer
from portal.streaming import LiveResponse, open_stream

router = APIRouter(tags=["live"])
Name = Annotated[str | None, Query(max_length=64)]


@router.get("/live", response_class=LiveResponse)
def follow_operations(
    request: Request,
    viewer: Annotated[Viewer, Depends(require(Permission.FLEET_READ))],
    site: Name = None,
    lock: Name = None,
) -> LiveResponse:
    """Server-sent events `record`, `twin`, `alarm`, each with an id for `Last-Event-ID`; `reset`: load the page anew.

    Pseudonyms of transponders are in it for those who may read them.
    """

    def accepts(event: LiveEvent) -> bool:
        return site in (None, event.site) and lock in (None, event.lock)

    return open_stream(request, viewer, Audience(accepts, viewer.may(Permission.PSEUDONYMS_READ)))
