"""Errors become answers: problem documents (RFC 9457) for the API, pages in the viewer's language for people.

Each of our errors has one status and one word; what failed inside is never told to the outside.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from portal import errors
from portal.access import API, safe_next
from portal.rendering import is_fragment, render, viewer_so_far, words_of
from portal.route_names import methods_of, template_of
from portal.security import HEADERS
from portal.services import services_of

log = structlog.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"


class FieldProblem(BaseModel):
    """What is wrong with one part of a request."""

    where: str
    message: str


class Problem(BaseModel):
    """A problem document as RFC 9457 has it."""

    type: str = Field(description="about:blank: the status says it all")
    title: str
    status: int
    detail: str | None = None
    errors: list[FieldProblem] | None = None


def document_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a router's `responses` say of these answers."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


PROBLEMS = document_problems(400, 401, 403, 404, 405, 409, 413, 422, 429, 503)

# From the particular to the general: status, and the word by which pages tell it.
_ANSWERS: tuple[tuple[type[errors.PortalError], int, str], ...] = (
    (errors.Invalid, 422, "error.invalid"),
    (errors.Refused, 409, "error.refused"),
    (errors.NotThere, 404, "error.not_there"),
    (errors.NotSignedIn, 401, "error.not_signed_in"),
    (errors.Forged, 403, "error.forged"),
    (errors.NotAllowed, 403, "error.not_allowed"),
    (errors.TooMany, 429, "error.too_many"),
    (errors.Unavailable, 503, "error.unavailable"),
)
_STATUS_WORDS = {404: "error.not_there", 405: "error.not_there", 413: "error.invalid", 422: "error.invalid"}


def register(app: FastAPI) -> None:
    """Make the application answer errors this way."""
    handlers: tuple[tuple[type[Exception], Callable[[Request, Any], Response]], ...] = (
        (errors.PortalError, _answer_ours),
        (RequestValidationError, _answer_invalid),
        (HTTPException, _answer_http),
        (Exception, _answer_unexpected),
    )
    for kind, handler in handlers:
        app.add_exception_handler(kind, handler)


def _answer_ours(request: Request, error: errors.PortalError) -> Response:
    status, word = next((status, word) for kind, status, word in _ANSWERS if isinstance(error, kind))
    headers = {}
    if isinstance(error, errors.TooMany):
        headers["Retry-After"] = str(error.retry_after_s)
        services_of(request).metrics.refusals.labels("rate").inc()
    if isinstance(error, errors.Unavailable):
        headers["Retry-After"] = "5"
        log.warning("can't answer now", route=template_of(request.scope), error=str(error))
    if _is_api(request):
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return answer_problem(status, _detail(request, error), headers=headers)
    if isinstance(error, errors.NotSignedIn) and not request.url.path.startswith("/household"):
        return _to_sign_in(request)
    if isinstance(error, errors.MustChangePassword):
        return RedirectResponse("/account/password", status_code=303)
    values = {"word": word, "detail": _detail(request, error), "status": status}
    page = render(request, viewer_so_far(request), "error.html", values, status)
    page.headers.update(headers)
    return page


def _answer_invalid(request: Request, error: RequestValidationError) -> Response:
    found = [
        FieldProblem(where=".".join(str(part) for part in each["loc"]), message=str(each["msg"]))
        for each in error.errors()[:20]
    ]
    if _is_api(request):
        return answer_problem(422, None, found)
    detail = "; ".join(f"{each.where}: {each.message}" for each in found)
    values = {"word": "error.invalid", "detail": detail, "status": 422}
    return render(request, viewer_so_far(request), "error.html", values, 422)


def _answer_http(request: Request, error: HTTPException) -> Response:
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(methods_of(request.app, request.url.path))
    if _is_api(request):
        return answer_problem(error.status_code, None, headers=headers)
    word = _STATUS_WORDS.get(error.status_code, "error.other")
    values = {"word": word, "detail": "", "status": error.status_code}
    page = render(request, viewer_so_far(request), "error.html", values, error.status_code)
    page.headers.update(headers)
    return page


def _answer_unexpected(request: Request, _error: Exception) -> Response:
    """Say that something went wrong, without saying what; the server logs it, with where it happened.

    Nothing stands around this answer any more: it brings the headers itself, and looks nothing up that may be broken.
    """
    services_of(request).metrics.refusals.labels("error").inc()
    headers = {**HEADERS, "Cache-Control": "no-store"}
    if _is_api(request):
        return answer_problem(500, None, headers=headers)
    words = services_of(request).words[services_of(request).settings.shown.language]
    text = f"{words.t('error.other')}. {words.t('error.other.remedy')}"
    return PlainTextResponse(text, 500, headers)


def answer_problem(
    status: int,
    detail: str | None,
    fields: list[FieldProblem] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Return a problem document."""
    problem = Problem(
        type="about:blank", title=HTTPStatus(status).phrase, status=status, detail=detail, errors=fields
    )
    return JSONResponse(problem.model_dump(exclude_none=True), status, headers=headers, media_type=MEDIA_TYPE)


def _to_sign_in(request: Request) -> Response:
    """Lead to the form and back. A part of a page can't show the form: htmx is told to load the whole page."""
    if is_fragment(request):
        around = urlsplit(request.headers.get("HX-Current-URL", ""))  # the page that the part is of
        return Response(status_code=401, headers={"HX-Redirect": _sign_in(around.path, around.query)})
    if request.method != "GET":
        return RedirectResponse("/login", status_code=303)
    return RedirectResponse(_sign_in(request.url.path, request.url.query), status_code=303)


def _sign_in(path: str, query: str) -> str:
    """Return the address of the form that leads back to a page."""
    target = safe_next(f"{path}?{query}" if query else path)
    return "/login" if target == "/" else f"/login?next={quote(target, safe='')}"


def _detail(request: Request, error: errors.PortalError) -> str | None:
    if isinstance(error, errors.Refused):
        return words_of(request, viewer_so_far(request)).t(error.word, **error.values)
    return None


def _is_api(request: Request) -> bool:
    return request.url.path.startswith(API)
