"""What a page does with its stream in a real browser: it comes back by itself, and ends with the session."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from portal import cookies, live
from portal.roles import Role
from tests.support.browser import open_page
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.portal import Portal, write_sink_config
from tests.support.twins import TwinRig


@pytest.fixture
def sink(tmp_path: Path, ledger: Ledger, gateway: FakeGateway, lock: FakeLock) -> Path:
    """A sink with one lock that is well."""
    rig = TwinRig(ledger)
    ledger.take(gateway.seal(lock.pours(3)))
    rig.hear_gateway(gateway)
    rig.hear_lock(lock, gateway)
    rig.catch_up()
    return write_sink_config(tmp_path, ledger.url)


def test_a_page_whose_session_ended_asks_to_sign_in_and_leads_back(
    tmp_path: Path, sink: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_HEARTBEAT_S", 0.2)
    with Portal(tmp_path, sink) as portal:
        session_id = portal.session(Role.READER)
        cookie = (cookies.session_name(portal.settings.web), session_id)
        with open_page(browser, portal.url, cookie, forgiven=("401",)) as page:
            page.goto("/fleet")
            expect(page.locator("[data-live-state]").first).to_have_attribute("data-state", "on")
            portal.services.accounts.sessions.close(session_id, "reader")
            expect(page).to_have_url(f"{portal.url}/login?next=%2Ffleet")


def test_a_page_shows_that_the_portal_is_away_and_comes_back_by_itself(
    tmp_path: Path, sink: Path, browser: Browser
) -> None:
    first = Portal(tmp_path, sink).start()
    cookie = (cookies.session_name(first.settings.web), first.session(Role.READER))
    try:
        with open_page(browser, first.url, cookie, forgiven=("net::",)) as page:
            page.goto("/fleet")
            state = page.locator("[data-live-state]").first
            expect(state).to_have_attribute("data-state", "on")
            first.stop()
            expect(state).to_have_attribute("data-state", "off")
            with Portal(tmp_path, sink, port=first.port):
                expect(state).to_have_attribute("data-state", "on")
    finally:
        first.services.close()
