"""The feed of committed pours, read again from any sequence number on: for billing backends that missed something."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response

from portal.access import require
from portal.api.parameters import SiteName
from portal.roles import Permission
from portal.services import services_of
from portal.sink_door import BATCH_CONTENT_TYPE, FeedSite, to_batch
from wastelock.messages import FeedEvent

router = APIRouter(prefix="/feed", tags=["feed"], dependencies=[Depends(require(Permission.FEED_READ))])
_SEQUENCE_MOST = 10**12 - 1
_DOCUMENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "CloudEvents in JSON batch format; the next page in the header Link, while there is one",
        "content": {
            BATCH_CONTENT_TYPE: {"schema": {"type": "array", "items": FeedEvent.model_json_schema()}}
        },
    }
}


class FeedBatch(Response):
    """Several CloudEvents as one document."""

    media_type = BATCH_CONTENT_TYPE


@router.get("", summary="How far each site's feed goes")
def read_sites(request: Request) -> list[FeedSite]:
    """The number of each site's newest event, and of the newest one that the broker has confirmed."""
    with services_of(request).sink.feed() as reader:
        return reader.sites()


@router.get(
    "/{site}", response_class=FeedBatch, responses=_DOCUMENT, summary="A site's events after a number"
)
def read_events(
    request: Request,
    site: SiteName,
    after: Annotated[
        int, Query(ge=0, le=_SEQUENCE_MOST, description="sequence number of the last event that is known")
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> Response:
    """Events in the order of their numbers, without gaps; each byte for byte as it was published."""
    with services_of(request).sink.feed() as reader:
        events = reader.after(site, after, limit)
    response = FeedBatch(to_batch(events))
    if len(events) == limit:
        following = urlencode({"after": int(events[-1].sequence), "limit": limit})
        response.headers["Link"] = f'<{request.url.path}?{following}>; rel="next"'
    return response
