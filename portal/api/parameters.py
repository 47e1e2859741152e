"""Parameters that many routes have: names as the contract allows them, cursors, bounds."""

import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Path, Query, Request
from pydantic import AwareDatetime, BeforeValidator
from starlette.responses import Response

from portal.access import require
from portal.errors import Invalid
from portal.roles import Permission, Viewer
from wastelock.registers import LOCK_ID_PATTERN

_NAME = r"^[A-Za-z0-9._-]{1,64}$"
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]")
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

# For routes that don't ask who it is that reads.
READS = Depends(require(Permission.FLEET_READ))
Reads = Annotated[Viewer, READS]
Writes = Annotated[Viewer, Depends(require(Permission.LOCK_WRITE))]
LockName = Annotated[
    str,
    Path(
        pattern=f"^({LOCK_ID_PATTERN})$",
        description="serial number, lower-case hexadecimal",
        examples=["1f00a1"],
    ),
]
SiteName = Annotated[str, Path(pattern=_NAME, examples=["lindenhof"])]
GatewayName = Annotated[str, Path(pattern=_NAME, examples=["gw-0001"])]
Cursor = Annotated[
    str | None, Query(max_length=200, description="`next` of the page before; without it the first page")
]
Limit = Annotated[int, Query(ge=1, le=200, description="items of a page, at most")]
Days = Annotated[int, Query(ge=1, le=400, description="days back from today")]


def _only_text(value: object) -> object:
    """Refuse numbers, which pydantic would take as seconds since 1970: the description says text alone."""
    if (isinstance(value, str) and not _INSTANT.match(value)) or isinstance(value, int | float):
        raise ValueError("expected an instant such as 2026-11-25T09:30:00Z")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_only_text)]
At = Annotated[
    Instant | None,
    Query(description="as it was at this instant; without it now", examples=["2026-11-25T09:30:00Z"]),
]


def instant_of(at: datetime | None) -> datetime | None:
    """Return an instant in UTC; Invalid where no lock can have been there."""
    if at is not None and not _EARLIEST <= at <= _LATEST:
        raise Invalid("deed.instant")
    return None if at is None else at.astimezone(UTC)


def answer_tagged(request: Request, body: bytes, media_type: str) -> Response:
    """Return a document with its ETag; 304 without it where the asker has the same already."""
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    known = {each.strip().removeprefix("W/") for each in request.headers.get("If-None-Match", "").split(",")}
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in known:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)
