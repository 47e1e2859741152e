"""Commands and access lists by page, API and command line: who may, what is kept, and what it says in between."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from typer.testing import CliRunner

from billing_aggregator.errors import NotFound
from cloud_sink.operating import Author
from cloud_sink.orders.model import CommandState
from portal import cookies
from portal.access_standing import ListState
from portal.cli import app as portal_command
from portal.roles import Role
from tests.support.access_desk import LOCK, NEW, T1, T2, T3, T4, AccessDesk, open_access_desk
from tests.support.browser import DESK, PHONE, open_page
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.portal import Portal, write_sink_config
from tests.support.waiting import wait_until
from tests.unit.billing_aggregator.pour_estates import credential, local, pseudonym
from wastelock.messages import ChamberState

API = f"/api/v1/locks/{LOCK}"
SELF_TEST = {"action": "self_test", "reason": "the flap sticks"}
ANNA = Author("anna", "")
# A key without words would be shown as it is.
KEY = re.compile(r"\b(order|access|transponders|machine|property|changed)\.[a-z_]{3,}")
TRANSPONDERS = "/billing/transponders?property=P1&row="


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccessDesk]:
    directory = tmp_path_factory.mktemp("orders")
    gateway, lock = FakeGateway(), FakeLock()
    ledger = Ledger(f"sqlite:///{directory / 'ledger.sqlite'}", directory, [gateway], [lock])
    with open_access_desk(directory, ledger, gateway, lock) as opened:
        chambers = tuple(
            ChamberState(number=n, volume_ml=5000 * n, register_count=0, enabled=n == 1) for n in (1, 2)
        )
        opened.rig.hear_gateway(gateway)
        opened.rig.hear_lock(lock, gateway, access_list_version=0, chambers=chambers)
        opened.rig.catch_up()
        yield opened
    ledger.close()


@pytest.fixture(scope="module")
def portal(desk: AccessDesk) -> Iterator[Portal]:
    directory = desk.sink_config.parent
    with Portal(directory, desk.sink_config, desk.billing_config, clock=desk.clock) as running:
        wait_until(desk.list, 20, "the keeper's first look")
        yield running


def look_until_held(desk: AccessDesk, portal: Portal) -> None:
    """Two of three transponders vanish at once, and the portal's own thread finds out."""
    desk.end(T1, T3)
    access = portal.services.access
    assert access is not None
    access.hurry()
    wait_until(lambda: len(access.waiting()) == 1, 20, "the list to be held")


def test_a_command_is_ordered_read_and_withdrawn_by_the_api(desk: AccessDesk, portal: Portal) -> None:
    with portal.machine(Role.TECHNICIAN) as client:
        ordered = client.post(f"{API}/commands", json={**SELF_TEST, "ttl_s": 60, "id": "t-1"})
        assert ordered.status_code == 201, ordered.text
        command = ordered.json()
        assert (command["state"], command["reason"], command["id"]) == ("waiting", "the flap sticks", "t-1")
        assert command["requested_by"] == desk.orders.command("t-1").requested_by  # type: ignore[union-attr]
        again = client.post(f"{API}/commands", json={**SELF_TEST, "ttl_s": 60, "id": "t-1"})
        assert again.json() == command
        assert client.get("/api/v1/commands/t-1").json() == command
        page = client.get(f"{API}/commands", params={"limit": 1}).json()
        assert [each["id"] for each in page["items"]] == ["t-1"]
        withdrawn = client.post("/api/v1/commands/t-1/withdrawal", json={"reason": "not needed"})
        assert withdrawn.json()["state"] == "withdrawn"
        assert client.post("/api/v1/commands/t-1/withdrawal", json={"reason": "x"}).status_code == 409
        assert client.get("/api/v1/commands/nothing").status_code == 404
        assert client.post("/api/v1/commands/nothing/withdrawal", json={"reason": "x"}).status_code == 404


def test_pages_of_commands_follow_each_other(desk: AccessDesk, portal: Portal) -> None:
    ids = [desk.orders.request_command(LOCK, "read_now", ANNA).id for _ in range(3)]
    with portal.machine(Role.READER) as client:
        first = client.get(f"{API}/commands", params={"limit": 2}).json()
        assert [each["id"] for each in first["items"]] == ids[:0:-1]
        second = client.get(f"{API}/commands", params={"limit": 2, "before": first["next"]}).json()
        assert second["items"][0]["id"] == ids[0]
    for each in ids:
        desk.orders.withdraw(each, ANNA)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"action": "open_the_flap", "reason": "x"}, 422),
        ({"action": "self_test"}, 422),
        ({"action": "self_test", "reason": ""}, 422),
        ({"action": "enable_chambers", "reason": "x"}, 422),
        ({"action": "self_test", "enable_mask": 1, "reason": "x"}, 422),
        ({"action": "enable_chambers", "enable_mask": 16, "reason": "x"}, 422),
        ({"action": "reboot", "ttl_s": 90_000, "reason": "x"}, 422),
        ({"action": "reboot", "ttl_s": 1, "reason": "x"}, 422),
    ],
)
def test_what_is_no_command_is_refused(portal: Portal, body: dict[str, object], status: int) -> None:
    with portal.machine(Role.OPERATOR) as client:
        answer = client.post(f"{API}/commands", json=body)
    assert answer.status_code == status, answer.text


def test_nothing_can_be_ordered_of_a_lock_that_nobody_reported(portal: Portal) -> None:
    with portal.machine(Role.OPERATOR) as client:
        answer = client.post("/api/v1/locks/1f00ff/commands", json=SELF_TEST)
    assert answer.status_code == 409
    assert "no gateway has reported it" in answer.json()["detail"]


def test_without_a_key_nothing_is_ordered_and_it_says_why(ledger: Ledger, tmp_path: Path) -> None:
    with Portal(tmp_path, write_sink_config(tmp_path, ledger.url)) as plain:
        assert plain.services.access is None
        with plain.machine(Role.OPERATOR) as client:
            answer = client.post(f"{API}/commands", json=SELF_TEST)
    assert answer.status_code == 409
    assert "signing_key" in answer.json()["detail"]


def test_an_access_list_is_told_in_figures_and_by_pseudonyms_only_to_whom_may(
    desk: AccessDesk, portal: Portal
) -> None:
    desk.enter(credential(9, "WE3-T4"))
    access = portal.services.access
    assert access is not None
    access.hurry()
    wait_until(lambda: (s := access.standing(LOCK)) is not None and s.unknown, 20, "the new one to be found")
    with portal.machine(Role.READER) as reader, portal.machine(Role.TECHNICIAN) as technician:
        told, more = reader.get(f"{API}/access-list").json(), technician.get(f"{API}/access-list").json()
        versions = reader.get(f"{API}/access-list/versions").json()
        assert reader.get(f"{API}/access-list/transponders").status_code == 403
        listed = technician.get(f"{API}/access-list/transponders").json()
        assert {each["credential"]: each["blocked"] for each in listed} == {
            name: state == "blocked" for name, state in desk.list().items()
        }
        assert technician.get("/api/v1/locks/1f00ff/access-list/transponders").status_code == 404
    assert (told["admitted"], told["wanted"]["blocked"], told["masterdata_admitted"]) == (3, 1, 3)
    assert (told["state"], told["in_force"], told["unknown"], told["properties"]) == (
        "given",
        False,
        1,
        ["P1"],
    )
    assert (told["unknown_transponders"], more["unknown_transponders"]) == (None, [NEW])
    assert [each["version"] for each in versions] == [told["wanted"]["version"]]
    assert not any(name in json.dumps([told, versions]) for name in (T1, T2, T3, T4, NEW))


@pytest.fixture(scope="module")
def _session(portal: Portal) -> dict[Role, str]:
    return {role: portal.session(role) for role in (Role.TECHNICIAN, Role.CLERK)}


@pytest.fixture
def technician(browser: Browser, portal: Portal, _session: dict[Role, str]) -> Iterator[Page]:
    cookie = (cookies.session_name(portal.settings.web), _session[Role.TECHNICIAN])
    with open_page(browser, portal.url, cookie, DESK) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        yield page


def test_a_technician_orders_on_the_locks_page_and_sees_what_becomes_of_it(
    technician: Page, desk: AccessDesk, portal: Portal
) -> None:
    page = technician
    page.goto(f"/locks/{LOCK}")
    page.get_by_text("Give a command").click()
    form = page.locator(f"form[action='/locks/{LOCK}/commands']")
    form.get_by_label("Reason").fill("as asked by phone")
    form.get_by_role("button", name="Read now").click()
    line = page.locator("#lock-orders li").first
    expect(line).to_contain_text("Read now")
    expect(line).to_contain_text("waiting")
    expect(line).to_contain_text("technician: as asked by phone")
    command = desk.orders.commands(lock=LOCK, limit=1)[0]
    desk.orders.withdraw(command.id, ANNA)
    expect(line).to_contain_text("withdrawn")  # by itself, while it is looked at


def test_a_technician_switches_chambers(technician: Page, desk: AccessDesk) -> None:
    page = technician
    page.goto(f"/locks/{LOCK}")
    page.get_by_text("Switch chambers", exact=True).first.click()
    form = page.locator(f"form[action='/locks/{LOCK}/chambers']")
    expect(form.get_by_label("Chamber 1")).to_be_checked()
    form.get_by_label("Chamber 2").check()
    form.get_by_label("Reason").fill("chamber 2 is mended")
    form.get_by_role("button", name="Switch").click()
    expect(page.locator("#lock-orders li").first).to_contain_text("chamber 1, 2")
    command = desk.orders.commands(lock=LOCK, limit=1)[0]
    desk.rig.catch_up()
    wished = page.locator("#lock-drift tr", has_text="Chambers enabled")
    expect(wished).to_contain_text("chamber 1, 2")  # by itself, with until when
    expect(wished).to_contain_text("on its way")
    assert (command.action, command.enable_mask, command.state) == (
        "enable_chambers",
        3,
        CommandState.WAITING,
    )
    desk.orders.withdraw(command.id, ANNA)


def test_a_clerk_marks_a_transponder_lost_and_the_lock_s_list_follows(
    browser: Browser, desk: AccessDesk, portal: Portal, _session: dict[Role, str]
) -> None:
    cookie = (cookies.session_name(portal.settings.web), _session[Role.CLERK])
    desk.clock.go_on(minutes=1)
    with open_page(browser, portal.url, cookie, PHONE, language="de-DE") as page:
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto("/billing/properties/P1")
        page.locator("a[href*='transponders'][href*='WE3/T4']").click()
        line = page.locator("tbody tr", has_text=T4[:8])
        expect(line).to_contain_text("gilt")
        line.get_by_text("Verloren melden").click()
        line.get_by_label("Begründung").fill("beim Umzug verloren")
        line.get_by_role("button", name="Sperren").click()
        expect(page.locator("tbody tr", has_text=T4[:8])).to_contain_text("beim Umzug verloren")
        wait_until(lambda: desk.list().get(T4) == "blocked", 20, "the list")
        assert desk.masterdata.history("P1", "credential")[-1].actor == "clerk"
        desk.clock.go_on(minutes=1)
        page.reload()
        line = page.locator("tbody tr", has_text=T4[:8])
        line.get_by_text("Wiedergefunden").click()
        line.get_by_label("Begründung").fill("lag im Keller")
        line.get_by_role("button", name="Wieder zulassen").click()
        expect(page.locator("tbody tr", has_text=T4[:8]).first).to_contain_text("lag im Keller")
        wait_until(lambda: desk.list().get(T4) == "admitted", 20, "the list")


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.TECHNICIAN, Role.READER])
def test_nobody_but_a_clerk_blocks(portal: Portal, desk: AccessDesk, role: Role) -> None:
    body = {"property": "P1", "row": "WE1/T1", "credential": T1, "reason": "x"}
    with portal.browser(role) as client:
        assert client.post("/billing/transponders/block", data=body).status_code == 403
    with portal.browser(Role.CLERK) as client:
        page = client.get(f"{TRANSPONDERS}WE1/T1").text
    assert T1 in page


def test_a_held_list_is_told_on_page_and_fleet_and_let_through_by_a_person(
    technician: Page, desk: AccessDesk, portal: Portal
) -> None:
    desk.clock.go_on(minutes=1)
    look_until_held(desk, portal)
    page = technician
    page.goto("/fleet")
    page.locator(".banner").get_by_role("link", name=LOCK).click()
    held = page.locator("#lock-access")
    expect(held).to_contain_text("don't admit 2 transponders any more")
    listed = _listed(CliRunner().invoke(portal_command, ["access", "list", "--json", *_config(desk)]).stdout)
    assert [(each["lock"], each["state"], len(each["held"])) for each in listed] == [(LOCK, "held", 2)]
    assert "wastelock_portal_access_lists_waiting 1.0" in httpx.get(f"{portal.url}/metrics").text
    held.get_by_text("Let it through").first.click()
    held.get_by_label("Reason").fill("both moved out")
    held.get_by_role("button", name="Let the list of").click()
    expect(page.locator("#lock-access")).not_to_contain_text("don't admit")
    assert {desk.list()[each] for each in (T1, T3)} == {"blocked"}
    found = desk.orders.access_list(LOCK)
    assert found is not None and (found.view.set_by, found.view.reason) == ("technician", "both moved out")


def test_the_command_line_lets_a_list_through(desk: AccessDesk, portal: Portal) -> None:
    desk.add_numbers(11, 12, 13)
    since = local("2026-03-01 00:00")
    desk.enter(*(credential(uid, "WE3-T4", begins_at=since) for uid in (11, 12, 13)))
    wait_until(lambda: len(desk.list()) == 7, 20, "the new ones")
    desk.clock.go_on(minutes=1)
    names = [each for each, state in desk.list().items() if state == "admitted"]
    desk.end(*names)
    with suppress(NotFound):  # entered without a number, if a test before this one did so
        desk.end(NEW)
    done = CliRunner().invoke(
        portal_command, ["access", "release", LOCK, "--reason", "an empty house", *_config(desk)]
    )
    assert done.exit_code == 0, done.output
    assert {desk.list()[each] for each in names} == {"blocked"}
    neither = CliRunner().invoke(portal_command, ["access", "release", "--reason", "x", *_config(desk)])
    assert neither.exit_code == 2
    unknown = CliRunner().invoke(
        portal_command, ["access", "release", "1f00ff", "--reason", "x", *_config(desk)]
    )
    assert unknown.exit_code == 1 and "1f00ff" in unknown.stderr


def test_the_fleet_tells_live_which_lists_wait_and_the_lock_what_to_do(
    technician: Page, desk: AccessDesk, portal: Portal
) -> None:
    page, crowd = technician, range(80, 84)
    page.goto("/fleet")
    expect(page.locator("#access-waiting")).not_to_contain_text(LOCK)
    desk.rig.hear_lock(desk.lock, desk.gateway, access_list_version=0, access_list_max=2)
    desk.add_numbers(*crowd)
    desk.enter(*(credential(uid, "WE3-T4") for uid in crowd))
    wait_for_state(portal, ListState.TOO_MANY)
    expect(page.locator("#access-waiting")).to_contain_text(f"{LOCK} (too long)")
    page.locator("#access-waiting").get_by_role("link", name=LOCK).click()
    expect(page.locator("#lock-access .banner").first).to_contain_text("It takes 2.")
    for uid in crowd:
        desk.lose(pseudonym(uid))
    wait_for_state(portal, ListState.GIVEN)
    page.goto("/fleet")
    expect(page.locator("#access-waiting")).not_to_contain_text(LOCK)
    desk.rig.hear_lock(desk.lock, desk.gateway, access_list_version=0, access_list_max=2048)


def wait_for_state(portal: Portal, state: ListState) -> None:
    """Wait until the portal's own thread has found out."""
    access = portal.services.access
    assert access is not None
    access.hurry()
    wait_until(lambda: (found := access.standing(LOCK)) is not None and found.state is state, 20, state)


def test_a_release_of_what_nobody_keeps_is_not_found(portal: Portal) -> None:
    with portal.machine(Role.OPERATOR) as client:
        answer: httpx.Response = client.post(
            "/api/v1/locks/1f00ff/access-list/release", json={"admitted": 0, "reason": "x"}
        )
    assert answer.status_code == 404


def _config(desk: AccessDesk) -> list[str]:
    path = desk.sink_config.parent / "portal.toml"
    accounts = (
        desk.sink_config.parent / "other-accounts.sqlite"
    )  # of the real clock: sessions of the desk's end by it
    path.write_text(
        f'[sink]\nconfig = "{desk.sink_config}"\n[billing]\nconfig = "{desk.billing_config}"\n'
        f'[accounts]\nurl = "sqlite:///{accounts}"\n'
    )
    return ["--config", str(path)]


def _listed(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


@pytest.mark.parametrize("language", ["de-DE", "en-GB"])
def test_pages_with_orders_fit_a_phone_in_both_languages(
    browser: Browser, desk: AccessDesk, portal: Portal, _session: dict[Role, str], language: str
) -> None:
    command = desk.orders.request_command(LOCK, "reboot", ANNA)
    for role, path in ((Role.TECHNICIAN, f"/locks/{LOCK}"), (Role.CLERK, f"{TRANSPONDERS}WE3/T4")):
        cookie = (cookies.session_name(portal.settings.web), _session[role])
        with open_page(
            browser, portal.url, cookie, PHONE, dark=role is Role.CLERK, language=language
        ) as page:
            page.goto(path)
            for summary in page.locator("details.deed > summary").all():
                summary.click()
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            left = KEY.search(page.locator("body").inner_text())
            assert left is None, f"{path}: {left and left.group()} has no words"
    desk.orders.withdraw(command.id, ANNA)
