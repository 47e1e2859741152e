"""Choosing the language: kept in a cookie, and with the account of who is signed in."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse

from portal import cookies
from portal.access import identify, safe_next
from portal.roles import ViewerKind
from portal.services import services_of

router = APIRouter()


@router.post("/language")
def choose(
    request: Request,
    language: Annotated[Literal["de", "en"], Form()],
    next: Annotated[str, Form(max_length=500)] = "/",
) -> RedirectResponse:
    """Keep the language, and go back to where one was."""
    services = services_of(request)
    viewer = identify(request)
    if viewer.kind is ViewerKind.PERSON:
        services.accounts.users.set_language(viewer.name, language)
    response = RedirectResponse(safe_next(next), status_code=303)
    cookies.set_language(response, services.settings.web, language)
    return response
