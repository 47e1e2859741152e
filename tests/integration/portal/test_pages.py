"""Signing in and managing access in a real browser: by mouse, by keyboard, in both languages, on a desk and a phone."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from portal import cookies
from portal.roles import Role
from tests.support.browser import DESK, PHONE, open_page
from tests.support.fake_gateway import FakeGateway
from tests.support.ledger import Ledger
from tests.support.portal import PASSWORD, Portal, write_sink_config


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """One portal for all: each test has its own people."""
    directory = tmp_path_factory.mktemp("pages")
    ledger = Ledger(f"sqlite:///{directory / 'ledger.sqlite'}", directory, [FakeGateway()])
    with Portal(directory, write_sink_config(directory, ledger.url)) as running:
        yield running
    ledger.close()


def session_of(portal: Portal, role: Role) -> tuple[str, str]:
    return cookies.session_name(portal.settings.web), portal.session(role)


def sign_in(page: Page, name: str, password: str) -> None:
    page.goto("/login")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_a_newcomer_changes_the_one_time_password_and_works_with_his_own(
    portal: Portal, browser: Browser
) -> None:
    password = portal.services.accounts.users.add("ada", Role.OPERATOR, "test")
    with open_page(browser, portal.url, forgiven=("401", "422", "503")) as page:
        sign_in(page, "ada", "wrong")
        expect(page.get_by_role("alert")).to_have_text("User name or password is wrong.")
        sign_in(page, "ada", password)
        expect(page.get_by_role("heading", level=1)).to_have_text("Change password")
        page.goto("/accounts")
        expect(page).to_have_url(f"{portal.url}/account/password")
        for new, again in ((PASSWORD, PASSWORD + "!"), (PASSWORD, PASSWORD)):
            page.get_by_label("Current password").fill(password)
            page.get_by_label("New password", exact=True).fill(new)
            page.get_by_label("New password again").fill(again)
            page.get_by_role("button", name="Change password").click()
            if again != new:
                expect(page.get_by_role("alert")).to_have_text("The two new passwords differ.")
        page.goto("/account")
        expect(page.get_by_text("here", exact=True)).to_have_count(1)
        page.get_by_role("button", name="Sign out", exact=True).click()
        expect(page).to_have_url(f"{portal.url}/login")


def test_an_operator_gives_access_and_takes_it_back(portal: Portal, browser: Browser) -> None:
    with open_page(browser, portal.url, session_of(portal, Role.OPERATOR)) as page:
        page.goto("/accounts")
        page.get_by_label("User name").fill("eva")
        page.get_by_label("Display name").fill("Eva <script>alert(1)</script>")
        page.get_by_role("button", name="Add").click()
        expect(page.locator("#secret")).to_have_text(re.compile(r"^[a-z0-9]{5}(-[a-z0-9]{5}){3}$"))
        row = page.get_by_role("row").filter(has_text="eva")
        expect(row.locator("strong")).to_have_text("Eva <script>alert(1)</script>")
        page.once("dialog", lambda dialog: dialog.accept())
        row.get_by_role("button", name="Disable").click()
        expect(page.get_by_role("row").filter(has_text="eva").get_by_text("disabled")).to_be_visible()
        page.on("dialog", lambda dialog: dialog.dismiss())
        page.get_by_role("row").filter(has_text="eva").get_by_role("button", name="Reset password").click()
        expect(page.locator("#secret")).to_have_count(0)
        page.goto("/accounts/tokens")
        page.get_by_label("What it is for").fill("Grafana")
        page.get_by_role("button", name="Add").click()
        expect(page.locator("#secret")).to_have_text(re.compile(r"^wlt_[\w-]{43}$"))
        page.goto("/accounts/log")
        expect(page.get_by_role("row").filter(has_text="token add")).to_be_visible()


def test_the_language_is_chosen_and_stays(portal: Portal, browser: Browser) -> None:
    with open_page(browser, portal.url, language="de-DE") as page:
        page.goto("/login?next=%2Faccount")
        expect(page.locator("html")).to_have_attribute("lang", "de")
        expect(page.get_by_role("heading", level=1)).to_have_text("Anmelden")
        page.get_by_role("button", name="EN", exact=True).click()
        expect(page.locator("html")).to_have_attribute("lang", "en")
        page.goto("/login")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


@pytest.mark.parametrize(("size", "dark"), [(DESK, False), (PHONE, True)], ids=["desk", "phone, dark"])
def test_pages_fit_their_screen_and_have_their_landmarks(
    portal: Portal, browser: Browser, size: dict[str, int], dark: bool
) -> None:
    with open_page(
        browser, portal.url, session_of(portal, Role.OPERATOR), size, dark, forgiven=("404",)
    ) as page:
        for path in (
            "/account",
            "/account/password",
            "/accounts",
            "/accounts/tokens",
            "/accounts/log",
            "/nothing",
        ):
            page.goto(path)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= size["width"], f"{path} is {width} px wide"
            for landmark in ("banner", "main", "contentinfo"):
                expect(page.get_by_role(landmark)).to_have_count(1)
            expect(page.get_by_role("heading", level=1)).to_have_count(1)
            unnamed = page.eval_on_selector_all(
                "input:not([type=hidden]), select, textarea, button",
                "all => all.filter(e => !(e.labels?.length || e.textContent.trim() || e.ariaLabel))"
                ".map(e => e.outerHTML)",
            )
            assert unnamed == [], path


def test_the_keyboard_reaches_the_content_first(portal: Portal, browser: Browser) -> None:
    with open_page(browser, portal.url, session_of(portal, Role.OPERATOR)) as page:
        page.goto("/accounts")
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        expect(focused).to_have_text("Skip to content")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"


def test_places_are_shown_only_to_those_who_may_go_there(portal: Portal) -> None:
    shown = {}
    for role in Role:
        with portal.browser(role) as client:
            page = client.get("/account", headers={"Accept-Language": "en"}).text
        places = page.partition('<nav class="places"')[2].partition("</nav>")[0]
        shown[role] = re.findall(r">([^<]+)</a>", places)
    operations = ["Fleet", "Alarms", "Data quality"]
    assert shown == {
        Role.OPERATOR: [*operations, "Access"],
        Role.CLERK: operations,  # this portal runs without billing
        Role.TECHNICIAN: operations,
        Role.READER: operations,
    }


def test_everything_comes_from_the_portal_itself(portal: Portal, browser: Browser) -> None:
    with open_page(browser, portal.url, session_of(portal, Role.OPERATOR), forgiven=("503",)) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for path in ("/accounts", "/fleet"):
            page.goto(path)
            page.wait_for_load_state("load")
    assert len(asked) > 8
    assert [url for url in asked if not url.startswith(portal.url)] == []
