"""The portal's cookies: a person's session, a household's session, and the language."""

from fastapi import Request, Response

from portal.config import WebSection

_PERSON, _HOUSEHOLD, _LANGUAGE = "portal-session", "portal-household", "portal-language"
_YEAR_S = 365 * 86400


def session_name(web: WebSection) -> str:
    """Return the name of the person's cookie. __Host- binds it to this very host, https and the path /."""
    return _named(web, _PERSON)


def household_name(web: WebSection) -> str:
    """Return the name of the household's cookie."""
    return _named(web, _HOUSEHOLD)


def language_name(web: WebSection) -> str:
    """Return the name of the language's cookie."""
    return _named(web, _LANGUAGE)


def read_session(request: Request, web: WebSection) -> str | None:
    """Return the id of the person's session, if the browser sent one."""
    return request.cookies.get(session_name(web))


def read_household(request: Request, web: WebSection) -> str | None:
    """Return the id of the household's session, if the browser sent one."""
    return request.cookies.get(household_name(web))


def set_session(response: Response, web: WebSection, session_id: str) -> None:
    """Give the browser a person's session; it ends with the browser, or earlier.

    Lax, not Strict: a link in a mail to an alarm's page must work.
    """
    response.set_cookie(
        session_name(web), session_id, path="/", secure=web.secure, httponly=True, samesite="lax"
    )


def set_household(response: Response, web: WebSection, session_id: str, lasts_s: int) -> None:
    """Give the browser a household's session."""
    response.set_cookie(
        household_name(web), session_id, max_age=lasts_s, path="/", secure=web.secure, httponly=True, samesite="lax"
    )  # fmt: skip


def set_language(response: Response, web: WebSection, language: str) -> None:
    """Keep the language that was chosen."""
    response.set_cookie(
        language_name(web), language, max_age=_YEAR_S, path="/", secure=web.secure, httponly=True, samesite="lax"
    )  # fmt: skip


def drop(response: Response, web: WebSection, name: str) -> None:
    """Take a cookie back."""
    response.delete_cookie(name, path="/", secure=web.secure, httponly=True, samesite="lax")


def _named(web: WebSection, name: str) -> str:
    return f"__Host-{name}" if web.secure else name
