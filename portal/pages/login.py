"""Signing in and out. A wrong name and a wrong password look the same, and take the same time."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from portal import cookies
from portal.access import address_of, identify, safe_next
from portal.accounts.password import LONGEST
from portal.errors import TooMany
from portal.rendering import render
from portal.roles import NOBODY, ViewerKind
from portal.services import services_of

router = APIRouter()


@router.get("/login")
def show_form(request: Request, next: str = "/") -> Response:
    """Show the form; who is signed in already goes on."""
    if identify(request).kind is ViewerKind.PERSON:
        return RedirectResponse(safe_next(next), status_code=303)
    return render(request, NOBODY, "login.html", {"next": safe_next(next), "name": "", "problem": None})


@router.post("/login")
def sign_in(
    request: Request,
    name: Annotated[str, Form(max_length=100)] = "",
    password: Annotated[str, Form(max_length=LONGEST)] = "",
    next: Annotated[str, Form(max_length=500)] = "/",
) -> Response:
    """Begin a session, or show the form again; slower and slower for who guesses, by account and by address."""
    services = services_of(request)
    name, address = name.strip().lower(), address_of(request)
    form = {"next": safe_next(next), "name": name, "problem": "login.wrong"}
    try:
        services.limiter.hit("login_per_address", address)
        services.limiter.hit("login_per_account", name)
    except TooMany as error:
        services.metrics.refusals.labels("rate").inc()
        page = render(request, NOBODY, "login.html", {**form, "problem": "login.too_many"}, 429)
        page.headers["Retry-After"] = str(error.retry_after_s)
        return page
    user = services.accounts.users.check(name, password)
    if user is None:
        services.metrics.refusals.labels("password").inc()
        return render(request, NOBODY, "login.html", form, 401)
    services.limiter.forget("login_per_account", name)
    web = services.settings.web
    old = cookies.read_session(request, web)
    if old is not None:  # whoever put it there: a session never outlives a signing in
        services.accounts.sessions.close(old, user.name)
    session_id = services.accounts.sessions.open_for_user(user.user_no, request.headers.get("User-Agent", ""))
    target = "/account/password" if user.must_change else safe_next(next)
    response = RedirectResponse(target, status_code=303)
    cookies.set_session(response, web, session_id)
    return response


@router.post("/logout")
def sign_out(request: Request) -> Response:
    """End the session."""
    services = services_of(request)
    web = services.settings.web
    viewer = identify(request)
    session_id = cookies.read_session(request, web)
    if viewer.kind is ViewerKind.PERSON and session_id is not None:
        services.accounts.sessions.close(session_id, viewer.name)
    response = RedirectResponse("/login", status_code=303)
    cookies.drop(response, web, cookies.session_name(web))
    response.headers["Clear-Site-Data"] = '"cache"'
    return response
