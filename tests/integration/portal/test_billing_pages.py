"""Billing's pages in a real browser, over real books: a run's whole way, its correction, its papers."""

import io
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from pypdf import PdfReader

from billing_aggregator.invoice.book import InvoiceBook
from billing_aggregator.invoice.drafting import draft_invoice
from billing_aggregator.model import DayRange
from billing_aggregator.runs.books import open_books
from portal.billing_door import RunName, Seen
from portal.roles import Role
from tests.integration.portal.billing_desk import PARK_RUN, RUN, person, running_portal
from tests.support.billed_estate import APPROVER, CLERK, EstateFiles
from tests.support.browser import PHONE, open_page
from tests.support.portal import Portal

YEAR = DayRange(date(2025, 1, 1), date(2026, 1, 1))
PAGES = (
    "/billing", "/billing/runs", "/billing/invoices", "/billing/properties/lindenhof", RUN, f"{RUN}/reviews",
    f"{RUN}/history", f"{RUN}/correction", f"{RUN}/rows/WE05/T06", PARK_RUN, f"{PARK_RUN}/reviews",
    "/billing/links?property=lindenhof&row=WE04/T05",
)  # fmt: skip


@pytest.fixture(scope="module")
def portal(built_estate: EstateFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal over a copy of the estate; parkhof's run is taken on its way by one of these tests."""
    directory = tmp_path_factory.mktemp("pages")
    with running_portal(built_estate.copy(directory), directory) as running:
        yield running


def state_of(page: Page) -> str:
    return page.locator(".head .badge").first.inner_text()


def test_a_run_goes_from_reviews_to_sent_and_only_somebody_else_approves_it(
    portal: Portal, browser: Browser
) -> None:
    with open_page(browser, portal.url, person(portal, Role.CLERK, CLERK)) as page:
        page.goto("/billing")
        page.get_by_role("link", name="2 reviews open").click()
        expect(page.get_by_text("Chamber volume disagrees")).to_be_visible()
        page.get_by_label("The controller holds").check()
        page.locator(".decision input[name=reason]").fill("the chamber was exchanged in October")
        page.get_by_role("button", name="Decide for all 2").click()
        expect(page.get_by_text("Nothing waits for a decision.")).to_be_visible()
        expect(page.locator("main")).to_contain_text("the chamber was exchanged in October")
        page.goto(PARK_RUN)
        # Deciding has calculated anew, with a day of receipt that lies ahead again.
        page.get_by_role("button", name="Calculate again").click()
        page.get_by_role("button", name="Hand in").click()
        assert state_of(page) == "in review"
        expect(page.get_by_text(f"{CLERK} isn't listed as an approver")).to_be_visible()
        expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    with open_page(browser, portal.url, person(portal, Role.CLERK, APPROVER)) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(PARK_RUN)
        page.get_by_role("button", name="Approve").click()
        page.get_by_role("button", name="Finalize").click()
        assert state_of(page) == "finalized"
        page.get_by_role("button", name="Note as sent").click()
        assert state_of(page) == "delivered"
        page.goto(f"{PARK_RUN}/history")
        page.get_by_text("Enter receipts").click()
        page.get_by_label("Received on").fill("2026-11-25")
        page.locator(".chip", has_text="P1/Q1").click()
        page.get_by_role("button", name="Enter receipt").click()
        expect(page.locator("#receipts table")).to_contain_text("30 Nov 2027")
    events = portal.services.bills.sheet(RunName("parkhof", date(2025, 1, 1), 1), "").view.events
    done = [(each.event, each.actor) for each in events]
    assert ("decided", CLERK) in done and ("submitted", CLERK) in done
    assert done[-4:] == [
        ("approved", APPROVER), ("finalized", APPROVER), ("delivered", APPROVER), ("received", APPROVER)
    ]  # fmt: skip


def test_whoever_handed_in_is_told_why_he_cannot_approve(
    built_estate: EstateFiles, tmp_path: Path, browser: Browser
) -> None:
    with running_portal(built_estate.copy(tmp_path), tmp_path) as portal:
        bills, name = portal.services.bills, RunName("lindenhof", date(2025, 1, 1), 1)
        seen = bills.sheet(name, "")
        second = bills.revise(Seen(name, seen.record.steps), APPROVER, "a pour came late")
        bills.submit(Seen(second, bills.run(second).steps), APPROVER, "")
        with open_page(browser, portal.url, person(portal, Role.CLERK, APPROVER)) as page:
            page.goto("/billing/runs/lindenhof/2025-01-01/2")
            expect(page.get_by_text("somebody else has to approve it")).to_be_visible()
            expect(page.get_by_role("button", name="Approve")).to_have_count(0)
            expect(page.get_by_role("button", name="Send back")).to_be_visible()


def test_a_correction_shows_who_moves_by_how_much_before_anything_is_begun(
    portal: Portal, browser: Browser
) -> None:
    with open_page(browser, portal.url, person(portal, Role.CLERK, CLERK)) as page:
        page.goto(f"{RUN}/correction")
        expect(page.get_by_role("heading", name="A correction is due")).to_be_visible()
        rows = page.locator("table.moves tbody tr")
        expect(rows.first).to_contain_text("WE03/T04")
        expect(rows.first).to_contain_text("+€2.25")
        expect(rows.first).to_contain_text("own volume")
        assert rows.count() == 8
        expect(page.locator("table.moves tfoot")).to_contain_text("the sum is zero")
        assert len(portal.services.bills.sheet(RunName("lindenhof", date(2025, 1, 1), 1), "").revisions) == 1


def test_a_row_is_told_down_to_each_pour(portal: Portal, browser: Browser) -> None:
    with open_page(browser, portal.url, person(portal, Role.OPERATOR, "olga")) as page:
        page.goto(RUN)
        expect(page.locator(".checks")).to_contain_text("€2,812.90 = costs €2,812.90")
        expect(page.get_by_text("Steps are taken by clerks")).to_be_visible()
        assert page.locator("form.step").count() == 0
        page.get_by_role("link", name="WE04/T05").click()
        expect(page.locator("#pours h2")).to_contain_text("105 · 1,590 l")
        first = page.locator("#pours tbody tr").first
        expect(first).to_contain_text("1/4")
        link = first.get_by_role("link", name="1/4")
        assert link.get_attribute("href") == "/locks/1f00a1?before=1-5-0#journal-card"
        page.get_by_role("link", name="Next").click()
        expect(page.locator("#pours .pager")).to_contain_text("51–100 of 105")


def test_a_replay_says_that_the_bytes_are_the_same(portal: Portal, browser: Browser) -> None:
    with open_page(browser, portal.url, person(portal, Role.OPERATOR, "olga")) as page:
        page.goto(f"{RUN}/history")
        page.get_by_role("button", name="Calculate it again now").click()
        expect(page.get_by_text("Identical, byte for byte.")).to_be_visible()


def test_nothing_is_wider_than_a_phone(portal: Portal, browser: Browser) -> None:
    with open_page(
        browser, portal.url, person(portal, Role.CLERK, CLERK), size=PHONE, language="de-DE"
    ) as page:
        wide = []
        for path in PAGES:
            page.goto(path)
            page.locator(".working").wait_for(state="detached")
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                wide.append(path)
        assert wide == []


def test_papers_are_what_billing_itself_prints(portal: Portal) -> None:
    with portal.browser(Role.OPERATOR) as client:
        statement = client.get(f"{RUN}/statements/WE04/T05.pdf")
        assert statement.headers["content-type"] == "application/pdf"
        text = PdfReader(io.BytesIO(statement.content)).pages[0].extract_text()
        assert "Sofia Rossi" in text and "95,04" in text and "02.03.2026" in text
        assert client.get(f"{RUN}/statements/WE04/T99.pdf").status_code == 404
        assert client.get(f"{RUN}/overview.pdf", headers={"Accept-Language": "en"}).content[:5] == b"%PDF-"
        made = client.post(f"{RUN}/statements", follow_redirects=True)
        file = client.get(f"{made.url}/file")
        with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
            assert len(archive.namelist()) == 9
            assert archive.read("statement-WE04-T05-r1.pdf") == statement.content
        made = client.post(f"{RUN}/export", follow_redirects=True)
        with zipfile.ZipFile(io.BytesIO(client.get(f"{made.url}/file").content)) as archive:
            assert archive.read("revision.json") == client.get(f"{RUN}/revision.json").content
            assert {"pours.csv", "recompute_run.py"} <= set(archive.namelist())


def test_a_step_is_meant_for_the_run_as_it_was_seen(portal: Portal) -> None:
    with portal.browser(Role.CLERK, CLERK) as client:
        client.headers["Accept-Language"] = "en"
        answer = client.post(f"{RUN}/settle", data={"steps": 1})
        assert answer.status_code == 409 and "has moved on" in answer.text
        assert (
            client.post(f"{RUN}/settle", data={"steps": 1}, headers={"X-CSRF-Token": "x"}).status_code == 403
        )
        refused = client.post(f"{RUN}/submit", data={"steps": 8})
        assert refused.status_code == 409 and "what can happen now is" in refused.text
    assert portal.services.bills.run(RunName("lindenhof", date(2025, 1, 1), 1)).steps == 8


def test_every_step_is_in_the_log_of_writes(portal: Portal) -> None:
    with portal.browser(Role.CLERK, CLERK) as client:
        client.post(f"{RUN}/settle", data={"steps": 1})
    event = portal.services.accounts.audit.page(limit=1)[0]
    assert (event.actor, event.outcome) == (CLERK, 409)
    assert event.action == "POST /billing/runs/{property_id}/{first}/{revision}/settle"
    assert event.subject == "first=2025-01-01 property_id=lindenhof revision=1"


def test_long_work_shows_its_progress_and_leads_on(
    portal: Portal, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.billing_desk.PATIENCE_S", 0)
    with open_page(browser, portal.url, person(portal, Role.OPERATOR, "olga")) as page:
        page.goto(RUN)
        page.get_by_role("button", name="All as ZIP").click()
        expect(page.get_by_role("heading", name="Typesetting statements")).to_be_visible()
        expect(
            page.get_by_role("link", name="Download statements-lindenhof-2025-01-01-1.zip")
        ).to_be_visible()
    with open_page(browser, portal.url, person(portal, Role.OPERATOR, "olga")) as page:
        page.goto(f"{RUN}/correction")
        expect(page.locator("table.moves")).to_be_visible()


def test_an_invoice_is_shown_with_what_was_issued(portal: Portal) -> None:
    bills = portal.services.bills
    with open_books(bills.config, bills.clock) as books:
        book = InvoiceBook(books.database, books.config.operator, books.now)
        draft = draft_invoice(books.masterdata.snapshot("lindenhof"), YEAR, books.config.invoicing)
        number = book.issue(str(book.draft(draft, CLERK)), CLERK).invoice.number
        kept = book.documents(number)
    with portal.browser(Role.OPERATOR) as client:
        client.headers["Accept-Language"] = "en"
        listed = client.get("/billing/invoices", params={"property": "lindenhof"}).text
        assert number in listed and "Wohnbau Elbe eG" in listed and "issued" in listed
        assert number in client.get(f"/billing/invoices/{number}").text
        assert client.get(f"/billing/invoices/{number}/xrechnung.xml").content == kept.xml
        assert client.get(f"/billing/invoices/{number}/zugferd.pdf").content == kept.pdf
        assert client.get("/billing/invoices/R-1999-0001/zugferd.pdf").status_code == 404
    with portal.machine(Role.CLERK) as client:
        (found,) = client.get("/api/v1/billing/invoices").json()["items"]
        assert (found["number"], found["gross_cents"]) == (number, draft.totals.gross_cents)
        assert client.get(f"/api/v1/billing/invoices/{number}/zugferd").content == kept.pdf


def test_a_clerk_makes_a_link_that_opens_once_it_is_given_and_ends_when_revoked(
    portal: Portal, browser: Browser
) -> None:
    with open_page(browser, portal.url, person(portal, Role.CLERK, CLERK)) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto("/billing/properties/lindenhof?period=2026-01-01")
        expect(page.get_by_text("of the period that runs")).to_be_visible()
        page.locator("tr", has_text="Oskar Lindqvist").get_by_role("link", name="Access link").click()
        page.get_by_role("button", name="Make a link").click()
        link = page.locator("#secret").inner_text()
        with open_page(browser, portal.url, size=PHONE, forgiven=("401",)) as phone:
            phone.goto(link)
            expect(phone.get_by_role("heading", name="Hello, Oskar Lindqvist")).to_be_visible()
            assert link.rpartition("/")[2] not in phone.url
            page.goto("/billing/links?property=lindenhof&row=WE08/T09")
            expect(page.locator("table")).to_contain_text("1 Feb 2026")
            assert link.rpartition("/")[2] not in page.content()
            page.get_by_role("button", name="Revoke").click()
            expect(page.locator("table")).to_contain_text("revoked")
            phone.goto("/household")
            expect(phone.get_by_role("heading", name="Hello, Oskar Lindqvist")).to_have_count(0)


def test_the_api_says_the_same_as_the_pages(portal: Portal) -> None:
    base = "/api/v1/billing/runs/lindenhof/2025-01-01/1"
    with portal.machine(Role.CLERK) as client:
        run = client.get(base).json()
        assert run["total_cents"] == run["charged_cents"] == 281_290
        rows = client.get(f"{base}/rows").json()
        assert sum(row["charged_cents"] for row in rows["items"]) == run["charged_cents"]
        pours = client.get(f"{base}/rows/WE04/T05/pours", params={"offset": 100}).json()
        assert (len(pours["items"]), pours["total"], pours["volume_ml"]) == (5, 105, 1_590_000)
        assert client.get(f"{base}/correction").json()["sum_cents"] == 0
        assert client.post(f"{base}/settle", json={"steps": 1}).status_code == 409
        found = client.get("/api/v1/billing/properties", params={"text": "park hamburg", "limit": 1}).json()
        assert [each["property_id"] for each in found["items"]] == ["parkhof"] and found["next"] is None
