"""A household's page: its own data live, nobody else's ever, whatever it asks for, before and after it has moved."""

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect
from pypdf import PdfReader

from portal.billing_desk import BillingDesk
from portal.billing_door import BillingDoor, RunName, Seen
from portal.household_now import is_own
from portal.live import LiveEvent
from portal.roles import Household
from tests.integration.portal.billing_desk import (
    DEMIR,
    PETERSEN,
    ROSSI,
    VOSS,
    WENDT,
    lodger,
    running_portal,
)
from tests.support.billed_estate import CLERK, LOCK, NOW, PARK_LOCK, SITE, EstateFiles
from tests.support.browser import PHONE, open_page
from tests.support.portal import HouseholdOf, Portal
from tests.support.waiting import wait_until
from tests.unit.billing_aggregator.pour_estates import pseudonym

ROUTES = (
    "/household", "/household/now", "/household/standing", "/household/statements/2025-01-01/1.pdf",
    "/api/v1/household", "/api/v1/household/pours", "/api/v1/household/statements",
)  # fmt: skip
OTHERS = {
    "Krüger": "WE01", "Wendt": "T02", "Demir": "T03", "Petersen": "WE03", "Nguyen": "WE05", "Nowak": "WE06",
    "Albrecht": "WE07", "Lindqvist": "WE08",
}  # fmt: skip


@pytest.fixture(scope="module")
def files(built_estate: EstateFiles, tmp_path_factory: pytest.TempPathFactory) -> EstateFiles:
    return built_estate.copy(tmp_path_factory.mktemp("households"))


@pytest.fixture(scope="module")
def portal(files: EstateFiles) -> Iterator[Portal]:
    with running_portal(files, files.directory) as running:
        yield running


def standing_of(client: httpx.Client) -> dict[str, object]:
    """Return the standing once it has been counted."""
    for _ in range(20):
        found = client.get("/api/v1/household").json()
        if not found["pending"]:
            return dict(found)
    raise AssertionError("the standing is never counted")


def test_its_own_pour_is_on_the_page_at_once_and_anothers_is_not(
    portal: Portal, files: EstateFiles, browser: Browser
) -> None:
    at = NOW - timedelta(minutes=1)
    with open_page(browser, portal.url, lodger(portal, ROSSI), size=PHONE, language="de-DE") as page:
        page.goto("/household")
        expect(page.get_by_role("heading", name="Guten Tag, Sofia Rossi")).to_be_visible()
        expect(page.locator("[data-live-state]")).to_have_attribute("data-state", "on")
        before = page.locator("#pours > ul > li").first.inner_text()
        page.evaluate(
            "window.heard = []; document.addEventListener('live:record', (e) => heard.push(e.detail))"
        )
        files.pour(at, "WE03/T04", 2)
        files.pour(at, "WE04/T05", 2)
        expect(page.locator("#pours > ul > li").first).to_contain_text("17:59")
        assert page.locator("#pours > ul > li").first.inner_text() != before
        expect(page.locator("[data-own=residual]")).to_have_text("105\u00a0l")
        heard = page.evaluate("heard")
        assert len(heard) == 1 and "credential" not in heard[0]
        assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


def test_nothing_of_others_is_in_any_answer(portal: Portal, built_estate: EstateFiles) -> None:
    with portal.household(ROSSI) as client:
        standing_of(client)
        for route in ROUTES:
            answer = client.get(route)
            assert answer.status_code == 200, route
            text = answer.text
            if route.endswith(".pdf"):
                pages = PdfReader(io.BytesIO(answer.content)).pages
                text = "\n".join(page.extract_text() for page in pages)
                assert "Sofia Rossi" in text
            found = [name for name, place in OTHERS.items() if name in text or place in text]
            assert found == [], f"{route} tells of {found}"
            assert "credential" not in text, route
        own = client.get("/api/v1/household/pours").json()
        theirs = {(each["lock"], each["epoch"], each["seq"]) for each in own}
    with portal.household(PETERSEN) as client:
        others = client.get("/api/v1/household/pours").json()
        assert theirs.isdisjoint((each["lock"], each["epoch"], each["seq"]) for each in others)


def test_the_comparison_is_over_five_others_at_least(portal: Portal) -> None:
    with portal.household(ROSSI) as client:
        months = standing_of(client)["standing"]["months"]  # type: ignore[index]
        assert months and all(each["others_ml"] % 1000 == 0 for each in months)
    with portal.household(VOSS) as client:
        months = standing_of(client)["standing"]["months"]  # type: ignore[index]
        assert months and all(each["others_ml"] is None for each in months)
        assert "fewer than five other households" in client.get(
            "/household", headers={"Accept-Language": "en", "Cookie": f"portal-language=en; {_cookie(client)}"}
        ).text  # fmt: skip


def test_who_has_moved_out_sees_his_own_time_alone(portal: Portal) -> None:
    with portal.household(WENDT) as client:
        found = standing_of(client)
        assert found["lives_here"] is False
        assert found["standing"]["months"] == [] and found["standing"]["band"] is None  # type: ignore[index]
        pours = client.get("/api/v1/household/pours").json()
        assert pours and all("2025-08-01" <= each["at"] < "2025-09-01" for each in pours)
        (statement,) = client.get("/api/v1/household/statements").json()
        assert statement["balance_cents"] == 10_275
        text = (
            PdfReader(io.BytesIO(client.get("/household/statements/2025-01-01/1.pdf").content))
            .pages[0]
            .extract_text()
        )
        assert "Jonas Wendt" in text and "Demir" not in text
    with portal.household(DEMIR) as client:
        assert all(each["at"] >= "2025-09-01" for each in client.get("/api/v1/household/pours").json())
    # A link that was made for too many days shows no more than the occupancy.
    greedy = HouseholdOf("lindenhof", "WE02", "T02", WENDT.since, None)
    with portal.household(greedy) as client:
        assert client.get("/api/v1/household/pours").json() == pours


def test_guessed_names_lead_nowhere(portal: Portal) -> None:
    with portal.household(ROSSI) as client:
        for path in (
            "/household/statements/2025-01-01/2.pdf", "/household/statements/2026-01-01/1.pdf",
            "/household/statements/2025-01-01/99.pdf",
        ):  # fmt: skip
            assert client.get(path).status_code == 404, path
        for path in (
            "/household/statements/WE03/T04.pdf", "/household/2025-01-01", "/household/statements/2025-01-01/0.pdf",
        ):  # fmt: skip
            assert client.get(path).status_code in (404, 422), path
        names = {"row": "WE03/T04", "property_id": "parkhof", "dwelling": "WE03", "party": "T04"}
        assert client.get("/api/v1/household", params=names).status_code == 422
        page = client.get("/household", params=names)
        assert "Sofia Rossi" in page.text and "Petersen" not in page.text
        for path in ("/billing", "/api/v1/billing/runs", "/billing/runs/lindenhof/2025-01-01/1"):
            assert client.get(path).status_code in (303, 401), path


def test_a_statement_that_was_not_sent_is_not_shown(
    portal: Portal, built_estate: EstateFiles, tmp_path: Path
) -> None:
    with running_portal(built_estate.copy(tmp_path), tmp_path) as own, own.household(ROSSI) as client:
        bills, name = own.services.bills, RunName("lindenhof", NOW.date().replace(2025, 1, 1), 1)
        bills.revise(Seen(name, bills.run(name).steps), CLERK, "a pour came late")
        assert client.get("/household/statements/2025-01-01/2.pdf").status_code == 404
        assert [each["revision"] for each in client.get("/api/v1/household/statements").json()] == [1]


def test_a_revoked_link_shows_nothing_any_more(portal: Portal) -> None:
    links = portal.services.accounts.links
    with portal.household(PETERSEN) as client:
        assert client.get("/household").status_code == 200
        with client.stream("GET", "/api/v1/household/live") as stream:
            assert stream.status_code == 200
        number = max(link.household.link_no for link in links.page("lindenhof", "WE03"))
        links.revoke(number, CLERK)
        for route in (*ROUTES, "/api/v1/household/live"):
            assert client.get(route).status_code == 401, route


def test_a_household_of_nobody_is_not_there(portal: Portal) -> None:
    for stranger in (HouseholdOf("lindenhof", "WE09", "T99"), HouseholdOf("lindenhof", "WE08", "owner")):
        with portal.household(stranger) as client:
            assert client.get("/household").status_code == 404
            assert json.loads(client.get("/api/v1/household/pours").text)["status"] == 404


def test_a_live_event_is_judged_at_once_and_never_by_old_master_data(built_estate: EstateFiles) -> None:
    now = [0.0]
    desk = BillingDesk(BillingDoor(built_estate.billing_config, lambda: NOW), lambda: NOW, lambda: now[0])
    rossi = Household(1, "lindenhof", "WE04", "T05", ROSSI.since, None)

    def hear(uid: int = 5, lock: str = LOCK, complete: bool = True) -> bool:
        at = NOW.isoformat()
        data = {"complete": complete, "began_at": None, "committed_at": at}
        return is_own(desk, rossi, LiveEvent("record", SITE, lock, data, pseudonym(uid)))

    assert not hear()  # nothing is known yet: it is being read
    wait_until(hear, what="the household is read")
    assert not hear(uid=4) and not hear(lock=PARK_LOCK) and not hear(complete=False)
    now[0] = 200
    assert hear()  # a little old, and read anew meanwhile
    now[0] = 1000
    assert not hear()
    wait_until(hear, what="the household is read anew")
    desk.close()


def _cookie(client: httpx.Client) -> str:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())
