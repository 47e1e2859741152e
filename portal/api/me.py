"""Who one is: for programs that want to know what their token lets them do."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from portal.access import identify, token_scheme
from portal.errors import MustChangePassword, NotSignedIn
from portal.roles import Permission, Role, ViewerKind

router = APIRouter(tags=["access"])


class Me(BaseModel):
    """The viewer of this request."""

    name: str
    kind: ViewerKind
    role: Role | None
    permissions: list[Permission]


@router.get("/me")
def read_me(request: Request, _token: Annotated[object, Depends(token_scheme)]) -> Me:
    """Return who asks, and what he may do."""
    viewer = identify(request)
    if viewer.kind is ViewerKind.NOBODY:
        raise NotSignedIn
    if viewer.must_change:
        raise MustChangePassword
    return Me(name=viewer.name, kind=viewer.kind, role=viewer.role, permissions=sorted(viewer.permissions))
