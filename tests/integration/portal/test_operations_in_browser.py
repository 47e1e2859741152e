"""The operational pages in a real browser, over a real ledger and its twins: live, by phone and keyboard."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from cloud_sink.operating import Author
from portal import cookies
from portal.roles import Role
from tests.support.browser import DESK, PHONE, open_page
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.portal import Portal, write_sink_config
from tests.support.twins import TwinRig
from wastelock.record import Kind
from wastelock.registers import Fault

AUTHOR = Author("t.lindner", "as ordered")
# A key without words would be shown as it is.
KEY = re.compile(
    r"\b(fleet|lock|site|quality|alarms?|journal|registers|drift|lifecycle|history|balance|charts|reconcile|cause|record)"
    r"\.[a-z_]{3,}"
)
PATHS = (
    "/fleet", "/fleet?view=list&sort=worst", "/sites/estate-1", "/locks/{lock}", "/alarms", "/alarms?state=closed",
    "/quality", "/quality/locks/{lock}", "/quality/pages", "/quality/disputes", "/quality/quarantine",
)  # fmt: skip


class Estate:
    """Four locks behind one gateway, with some pours, heard of and described; a portal whose clock is the twins'."""

    def __init__(self, directory: Path) -> None:
        self.gateway = FakeGateway()
        self.locks = [FakeLock(0x1F00A1 + n) for n in range(4)]
        self.ledger = Ledger(
            f"sqlite:///{directory / 'ledger.sqlite'}", directory, [self.gateway], self.locks
        )
        self.rig = TwinRig(self.ledger)
        for number, lock in enumerate(self.locks):
            place = {"label": f"Yard {number + 1}", "site": "estate-1", "row": 1, "column": number + 1}
            self.rig.operations.describe_lock(lock.name, place, AUTHOR)
            self.ledger.take(self.gateway.seal(lock.pours(3)))
            self.rig.hear_lock(lock, self.gateway, fill_permille=400, battery_mv=3600)
        self.rig.hear_gateway(self.gateway)
        self.rig.hear_telemetry(self.gateway)
        self.rig.look()
        self.portal = Portal(directory, write_sink_config(directory, self.ledger.url), clock=self.rig.clock)

    def pour(self, lock: FakeLock) -> int:
        """Let somebody pour; return the record's number."""
        self.ledger.take(self.gateway.seal(lock.pours(1)))
        return lock.seq

    def fault(self, lock: FakeLock, kind: Kind, fault: Fault) -> None:
        """A fault begins or ends, by a record and by the lock's report."""
        self.rig.clock.go_on(seconds=5)
        at_s = int(self.rig.clock.at.timestamp())
        record = lock.record(kind=kind, duration_ds=fault, chamber=1, volume_ml=0, began_clock_s=at_s)
        self.ledger.take(self.gateway.seal([lock.page_record(record, read_at=self.rig.clock.at)]))
        there = (fault.name.lower(),) if kind is Kind.FAULT_RAISED else ()
        self.rig.hear_lock(lock, self.gateway, faults=there, fill_permille=400)
        self.rig.look()


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    made = Estate(tmp_path_factory.mktemp("operations"))
    with made.portal:
        yield made
    made.rig.close()
    made.ledger.close()


@contextmanager
def looking(
    browser: Browser,
    estate: Estate,
    role: Role,
    size: dict[str, int] = DESK,
    language: str = "en-GB",
    dark: bool = False,
) -> Iterator[Page]:
    session = (cookies.session_name(estate.portal.settings.web), estate.portal.session(role))
    with open_page(browser, estate.portal.url, session, size, dark, language) as page:
        yield page


def wait_live(page: Page) -> None:
    expect(page.locator('[data-live-state][data-state="on"]')).to_be_attached()


def test_a_pour_stands_on_its_locks_page_by_itself_with_who_has_it(browser: Browser, estate: Estate) -> None:
    lock = estate.locks[0]
    with looking(browser, estate, Role.TECHNICIAN) as page:
        page.goto(f"/locks/{lock.name}")
        wait_live(page)
        today = int(page.locator("#pours-today").inner_text())
        seq = estate.pour(lock)
        line = page.locator(f'#journal tr[data-seq="1-{seq}"]')
        expect(line).to_contain_text("Pour · complete")
        expect(line).to_contain_text("in the ledger")
        estate.rig.catch_up()
        expect(page.locator("#pours-today")).to_have_text(str(today + 1))


def test_a_pour_stands_on_its_sites_page_by_itself(browser: Browser, estate: Estate) -> None:
    lock = estate.locks[1]
    with looking(browser, estate, Role.READER) as page:
        page.goto("/sites/estate-1")
        wait_live(page)
        estate.pour(lock)
        first = page.locator("#latest li").first
        expect(first).to_contain_text(lock.name)
        expect(first).to_contain_text("5 l")


def test_an_alarm_opens_is_acknowledged_and_closes_on_the_page(browser: Browser, estate: Estate) -> None:
    lock = estate.locks[2]
    with looking(browser, estate, Role.TECHNICIAN) as page:
        page.goto("/fleet")
        wait_live(page)
        expect(page.locator("#open-alarms")).to_contain_text("No alarm is open.")
        estate.fault(lock, Kind.FAULT_RAISED, Fault.FLAP_OPEN)
        alarm = page.locator("#open-alarms .alarm")
        expect(alarm).to_contain_text("Flap open")
        expect(alarm).to_contain_text("Unmetered waste possible")
        alarm.locator("summary").click()
        alarm.get_by_label("Reason").fill("technician is on the way")
        with page.expect_response("**/acknowledgement"):
            alarm.get_by_role("button", name="Acknowledge").click()
        estate.rig.look()
        expect(page.locator("#open-alarms .alarm")).to_contain_text("Seen by technician")
        wait_live(page)
        estate.fault(lock, Kind.FAULT_CLEARED, Fault.FLAP_OPEN)
        expect(page.locator("#open-alarms")).to_contain_text("No alarm is open.")
        page.goto("/alarms?state=closed")
        expect(page.locator("#alarm-list .alarm").first).to_contain_text("Flap open")
        expect(page.locator("#alarm-list .alarm").first).to_contain_text("Closed")


def test_a_form_that_is_open_isnt_taken_away_by_what_happens_meanwhile(
    browser: Browser, estate: Estate
) -> None:
    lock, other = estate.locks[3], estate.locks[1]
    estate.fault(lock, Kind.FAULT_RAISED, Fault.CHAMBER_BLOCKED)
    with looking(browser, estate, Role.TECHNICIAN) as page:
        page.goto("/fleet")
        wait_live(page)
        alarm = page.locator("#open-alarms .alarm").first
        alarm.locator("summary").click()
        alarm.get_by_label("Reason").fill("half a sent")
        before = page.locator("#figure-pours-today").inner_text()
        estate.pour(other)
        estate.rig.catch_up()
        expect(page.locator("#figure-pours-today")).not_to_have_text(before)
        expect(alarm.get_by_label("Reason")).to_have_value("half a sent")
    estate.fault(lock, Kind.FAULT_CLEARED, Fault.CHAMBER_BLOCKED)


def test_a_technician_moves_a_lock_and_the_page_says_who_and_why(browser: Browser, estate: Estate) -> None:
    lock = estate.locks[1]
    with looking(browser, estate, Role.TECHNICIAN) as page:
        page.goto(f"/locks/{lock.name}")
        page.locator("summary", has_text="Move").click()
        page.locator('.deed[open] [name="to"]').select_option("maintenance")
        page.locator(".deed[open]").get_by_label("Reason").fill("flap is replaced")
        with page.expect_response("**/lifecycle"):
            page.get_by_role("button", name="Move").click()
        estate.rig.catch_up()
        page.goto(f"/locks/{lock.name}")
        expect(page.locator(".steps li").first).to_contain_text("Maintenance")
        expect(page.locator(".steps li").first).to_contain_text("technician: flap is replaced")
    with looking(browser, estate, Role.READER) as page:
        page.goto(f"/locks/{lock.name}")
        expect(page.locator("details.deed")).to_have_count(0)


def test_what_isnt_possible_is_said_and_nothing_happens(browser: Browser, estate: Estate) -> None:
    lock = estate.locks[0]
    with estate.portal.browser(Role.TECHNICIAN) as client:
        answer = client.post(f"/locks/{lock.name}/lifecycle", data={"to": "planned", "reason": "why not"})
        assert answer.status_code == 409
        assert "planned" in answer.text
    with looking(browser, estate, Role.READER) as page:
        page.goto(f"/locks/{lock.name}")
        expect(page.locator(".badges")).to_contain_text("In service")


def test_a_lock_is_shown_as_it_was_at_an_instant(browser: Browser, estate: Estate) -> None:
    lock = estate.locks[2]
    before = estate.rig.clock.at
    estate.rig.clock.go_on(minutes=10)
    estate.fault(lock, Kind.FAULT_RAISED, Fault.DOOR_OPEN)
    estate.rig.clock.go_on(minutes=10)
    zone = estate.portal.settings.shown.zone
    with looking(browser, estate, Role.READER) as page:
        page.goto(f"/locks/{lock.name}")
        expect(page.locator(".faults")).to_contain_text("Door open")
        page.get_by_label("As of").fill(before.astimezone(zone).strftime("%Y-%m-%dT%H:%M"))
        page.get_by_role("button", name="Look back").click()
        expect(page.locator(".banner.info")).to_be_visible()
        expect(page.locator("#lock-live")).to_contain_text("No faults.")
        expect(page.locator("[data-live]")).to_have_count(0)
    estate.fault(lock, Kind.FAULT_CLEARED, Fault.DOOR_OPEN)


def test_records_that_are_on_their_way_say_where_they_are(browser: Browser, estate: Estate) -> None:
    lock = estate.locks[3]
    estate.rig.hear_lock(lock, estate.gateway, newest_seq=lock.seq + 4, spooled_seq=lock.seq)
    estate.rig.catch_up()
    with looking(browser, estate, Role.READER) as page:
        page.goto(f"/locks/{lock.name}")
        line = page.locator("#journal tbody tr").first
        expect(line).to_contain_text("4 records aren’t in the ledger")
        expect(line).to_contain_text("in the lock")
    estate.rig.hear_lock(lock, estate.gateway)
    estate.rig.catch_up()


def test_disputes_and_quarantine_say_what_to_do(browser: Browser, estate: Estate) -> None:
    stranger = FakeGateway("gw-9999", "estate-9", seed=9)
    estate.ledger.take(stranger.seal(FakeLock(0x1F0999).pours(1)))
    lock = estate.locks[0]
    twice = FakeLock(lock.serial, seq=lock.seq - 1, register=77)
    estate.ledger.take(estate.gateway.seal(twice.pours(1)))
    with looking(browser, estate, Role.READER) as page:
        page.goto("/quality/quarantine")
        expect(page.locator("tbody")).to_contain_text("Unknown gateway")
        expect(page.locator("tbody")).to_contain_text("List it in gateways.toml")
        page.goto("/quality/disputes")
        expect(page.locator("tbody")).to_contain_text("Two different records with one number")
        expect(page.locator("tbody")).to_contain_text("Compare both in their pages")


def test_the_map_is_walked_by_keyboard(browser: Browser, estate: Estate) -> None:
    with looking(browser, estate, Role.READER) as page:
        page.goto("/fleet")
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        page.locator(".map a").first.focus()
        page.keyboard.press("Tab")
        expect(page.locator(".map a").nth(1)).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/locks/{estate.locks[1].name}")


def test_a_new_part_of_a_page_does_not_take_the_place_of_what_the_keyboard_has_come_to(
    browser: Browser, estate: Estate
) -> None:
    with looking(browser, estate, Role.READER) as page:
        page.goto("/fleet")
        expect(page.locator("[data-live-state]").first).to_have_attribute("data-state", "on")
        page.wait_for_load_state("networkidle")
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        page.route("**/fleet/map*", hold)
        with page.expect_request("**/fleet/map*"):
            page.evaluate("htmx.trigger('#map', 'refresh')")
        page.keyboard.press("Tab")
        page.locator(".map a").first.focus()
        page.locator("#map").evaluate("element => { element.dataset.seen = 'before' }")
        with page.expect_response("**/fleet/map*"):
            held.pop().continue_()
        page.unroute("**/fleet/map*")
        expect(page.locator(".map a").first).to_be_focused()
        page.locator("h1").click()  # away from the map
        expect(page.locator("#map")).not_to_have_attribute("data-seen", "before")


def test_the_list_is_searched_and_ordered(browser: Browser, estate: Estate) -> None:
    with looking(browser, estate, Role.READER) as page:
        page.goto("/fleet?view=list")
        page.get_by_role("searchbox").fill("Yard 3")
        page.keyboard.press("Enter")
        expect(page.locator("#list tbody tr")).to_have_count(1)
        expect(page.locator("#list tbody tr")).to_contain_text(estate.locks[2].name)


@pytest.mark.parametrize("language", ["de-DE", "en-GB"])
def test_every_page_fits_a_phone_in_both_languages(browser: Browser, estate: Estate, language: str) -> None:
    with looking(browser, estate, Role.OPERATOR, PHONE, language, dark=language == "de-DE") as page:
        for path in PATHS:
            page.goto(path.format(lock=estate.locks[2].name))
            page.wait_for_load_state("networkidle") if "data-live" not in page.content() else None
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= PHONE["width"], f"{path} is {width} wide"
            assert page.locator("html").get_attribute("lang") == language[:2], path
            left = KEY.search(page.locator("body").inner_text())
            assert left is None, f"{path}: {left and left.group()} has no words"


def test_charts_are_drawn(browser: Browser, estate: Estate) -> None:
    with looking(browser, estate, Role.READER) as page:
        page.goto(f"/locks/{estate.locks[0].name}")
        expect(page.locator(".chart canvas")).to_have_count(4)


def test_a_reader_sees_no_pseudonym_and_a_technician_does(estate: Estate) -> None:
    path = f"/api/v1/locks/{estate.locks[0].name}/journal"
    with estate.portal.machine(Role.READER) as reader, estate.portal.machine(Role.TECHNICIAN) as technician:
        hidden = [line["record"]["credential"] for line in reader.get(path).json()["items"] if line["record"]]
        shown = [
            line["record"]["credential"] for line in technician.get(path).json()["items"] if line["record"]
        ]
    assert set(hidden) == {None}
    assert all(len(each) == 32 for each in shown)


def test_what_a_program_writes_reaches_the_twin(estate: Estate) -> None:
    lock = estate.locks[0]
    with estate.portal.machine(Role.TECHNICIAN) as client:
        assert (
            client.post(f"/api/v1/locks/{lock.name}/notes", json={"text": "hinge is loose"}).status_code
            == 204
        )
        wish = {"value": 9, "deadline_at": "2026-11-30T00:00:00Z", "reason": "new tenants"}
        path = f"/api/v1/locks/{lock.name}/desired/access_list_version"
        assert client.put(path, json=wish).status_code == 204
        estate.rig.catch_up()
        history = client.get(f"/api/v1/locks/{lock.name}/history", params={"property": "note"}).json()[
            "items"
        ]
        assert history[0]["value"] == "hinge is loose"
        assert history[0]["actor"].startswith("token:technician")
        (wished,) = client.get(f"/api/v1/locks/{lock.name}").json()["desired"]
        assert (wished["property"], wished["value"], wished["drift"]) == ("access_list_version", "9", True)
