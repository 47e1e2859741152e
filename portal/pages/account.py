"""One's own account: password, language, sessions."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from portal import cookies
from portal.access import require_newcomer, require_person
from portal.accounts.password import LONGEST, SHORTEST
from portal.errors import Invalid
from portal.rendering import render
from portal.roles import Viewer
from portal.services import services_of

router = APIRouter()
Password = Annotated[str, Form(max_length=LONGEST)]


@router.get("/account")
def show_account(request: Request, viewer: Annotated[Viewer, Depends(require_person)]) -> Response:
    """Show who one is and where one is signed in."""
    sessions = services_of(request).accounts.sessions.of_user(viewer.name)
    return render(request, viewer, "account.html", {"sessions": sessions})


@router.get("/account/password")
def show_password_form(request: Request, viewer: Annotated[Viewer, Depends(require_newcomer)]) -> Response:
    """Show the form for another password."""
    return _form(request, viewer, None)


@router.post("/account/password")
def change_password(
    request: Request,
    viewer: Annotated[Viewer, Depends(require_newcomer)],
    old: Password = "",
    new: Password = "",
    again: Password = "",
) -> Response:
    """Change the password; all sessions end but a new one for this browser."""
    services = services_of(request)
    try:
        if new != again:
            raise Invalid("password.differs")
        services.limiter.hit("login_per_account", viewer.name)
        services.accounts.users.change_password(viewer.name, old, new)
    except Invalid as error:
        return _form(request, viewer, error)
    user = services.accounts.users.named(viewer.name)
    session_id = services.accounts.sessions.open_for_user(user.user_no, request.headers.get("User-Agent", ""))
    services.limiter.forget("login_per_account", viewer.name)
    response = RedirectResponse("/", status_code=303)
    cookies.set_session(response, services.settings.web, session_id)
    return response


@router.post("/account/sessions/end")
def end_other_sessions(request: Request, viewer: Annotated[Viewer, Depends(require_person)]) -> Response:
    """Sign out everywhere else."""
    services_of(request).accounts.sessions.close_others(viewer.name, viewer.session_key)
    return RedirectResponse("/account", status_code=303)


def _form(request: Request, viewer: Viewer, problem: Invalid | None) -> Response:
    values = {"problem": problem, "shortest": SHORTEST, "longest": LONGEST}
    return render(request, viewer, "account_password.html", values, 422 if problem else 200)
