"""Chromium for tests of pages. A missing browser fails; so does a page that breaks its content policy, or a script."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

EXECUTABLE = Path("/usr/bin/chromium")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_TIMEOUT_MS = 15_000


@contextmanager
def launch_browser() -> Iterator[Browser]:
    """A Chromium of one's own, without a window."""
    if not EXECUTABLE.exists():
        raise AssertionError(f"{EXECUTABLE} isn't installed: run `make setup`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=EXECUTABLE, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(
    browser: Browser,
    base_url: str,
    session: tuple[str, str] | None = None,
    size: dict[str, int] | None = None,
    dark: bool = False,
    language: str = "en-GB",
    forgiven: tuple[str, ...] = (),
) -> Iterator[Page]:
    """A page in a context of its own. `session`: name and id of a cookie. What goes wrong in it fails at the end.

    `forgiven`: parts of messages on the console that a test brings about on purpose.
    """
    context = _context(browser, base_url, size or DESK, dark, language)
    if session is not None:
        context.add_cookies([{"name": session[0], "value": session[1], "url": base_url}])
    page = context.new_page()
    page.set_default_timeout(_TIMEOUT_MS)
    faults: list[str] = []
    page.on("console", lambda message: _note(message, faults))
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    try:
        yield page
    finally:
        context.close()
    left = [fault for fault in faults if not any(part in fault for part in forgiven)]
    assert not left, "\n".join(["the page complains:", *left])


def _context(
    browser: Browser, base_url: str, size: dict[str, int], dark: bool, language: str
) -> BrowserContext:
    options: dict[str, Any] = {
        "viewport": size,
        "color_scheme": "dark" if dark else "light",
        "locale": language,
    }
    return browser.new_context(base_url=base_url, reduced_motion="reduce", **options)


def _note(message: ConsoleMessage, faults: list[str]) -> None:
    if message.type in ("error", "warning"):
        faults.append(f"{message.type}: {message.text}")
