"""Who has access: users, API tokens, and the log of all writes. Secrets that were made are shown once."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from portal.access import require
from portal.paging import LARGEST
from portal.rendering import render
from portal.roles import GRANTS, Permission, Role, Viewer
from portal.services import services_of

router = APIRouter(prefix="/accounts")
Reads = Annotated[Viewer, Depends(require(Permission.ACCOUNTS_READ))]
Writes = Annotated[Viewer, Depends(require(Permission.ACCOUNTS_WRITE))]
Before = Annotated[int | None, Query(ge=1, le=LARGEST)]
Name = Annotated[str, Form(min_length=1, max_length=100)]
_EVENTS = 50


@router.get("")
def list_users(request: Request, viewer: Reads) -> Response:
    """Show all users."""
    return _users(request, viewer)


@router.post("/users")
def add_user(
    request: Request,
    viewer: Writes,
    name: Name,
    role: Annotated[Role, Form()],
    display_name: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Add a user and show his one-time password."""
    password = services_of(request).accounts.users.add(name, role, viewer.name, display_name)
    return _users(request, viewer, (name, password))


@router.post("/users/{name}/role")
def change_role(request: Request, viewer: Writes, name: str, role: Annotated[Role, Form()]) -> Response:
    """Give a user another role."""
    services_of(request).accounts.users.set_role(name, role, viewer.name)
    return RedirectResponse("/accounts", status_code=303)


@router.post("/users/{name}/reset")
def reset_password(request: Request, viewer: Writes, name: str) -> Response:
    """Replace a forgotten password and show the new one-time password."""
    password = services_of(request).accounts.users.reset_password(name, viewer.name)
    return _users(request, viewer, (name, password))


@router.post("/users/{name}/disabled")
def set_disabled(request: Request, viewer: Writes, name: str, disabled: Annotated[bool, Form()]) -> Response:
    """Lock a user out, or let him in again."""
    services_of(request).accounts.users.set_disabled(name, disabled, viewer.name)
    return RedirectResponse("/accounts", status_code=303)


@router.get("/tokens")
def list_tokens(request: Request, viewer: Reads) -> Response:
    """Show all API tokens."""
    return _tokens(request, viewer)


@router.post("/tokens")
def add_token(
    request: Request,
    viewer: Writes,
    name: Name,
    role: Annotated[Role, Form()],
    days: Annotated[int, Form(ge=1)],
    permissions: Annotated[list[Permission] | None, Form(max_length=len(Permission))] = None,
) -> Response:
    """Add a token and show it."""
    tokens = services_of(request).accounts.tokens
    token = tokens.add(name, role, days, viewer.name, permissions or ())
    return _tokens(request, viewer, (name, token))


@router.post("/tokens/{name}/revoke")
def revoke_token(request: Request, viewer: Writes, name: str) -> Response:
    """End a token."""
    services_of(request).accounts.tokens.revoke(name, viewer.name)
    return RedirectResponse("/accounts/tokens", status_code=303)


@router.get("/log")
def show_log(request: Request, viewer: Reads, before: Before = None) -> Response:
    """Show who wrote what, newest first."""
    events = services_of(request).accounts.audit.page(before, _EVENTS)
    older = events[-1].event_no if len(events) == _EVENTS else None
    return render(request, viewer, "accounts_log.html", {"events": events, "older": older})


def _users(request: Request, viewer: Viewer, made: tuple[str, str] | None = None) -> Response:
    users = services_of(request).accounts.users.all()
    values = {"users": users, "roles": list(Role), "made": made}
    return render(request, viewer, "accounts.html", values)


def _tokens(request: Request, viewer: Viewer, made: tuple[str, str] | None = None) -> Response:
    tokens = services_of(request).accounts.tokens.all()
    values = {
        "tokens": tokens,
        "roles": list(Role),
        "permissions": list(Permission),
        "grants": GRANTS,
        "made": made,
    }
    return render(request, viewer, "accounts_tokens.html", values)
