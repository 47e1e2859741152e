"""Fixtures of the portal's tests: a ledger with one gateway and lock, a portal over it, and one browser for all."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.billed_estate import EstateFiles, build_estate
from tests.support.browser import launch_browser
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.portal import Portal, write_sink_config


@pytest.fixture
def lock() -> FakeLock:
    return FakeLock()


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def ledger(tmp_path: Path, sqlite_url: str, gateway: FakeGateway, lock: FakeLock) -> Iterator[Ledger]:
    """A ledger that knows this gateway; pages go into it by `ledger.take(…)`."""
    ledger = Ledger(sqlite_url, tmp_path, [gateway], [lock])
    yield ledger
    ledger.close()


@pytest.fixture
def portal(tmp_path: Path, ledger: Ledger) -> Iterator[Portal]:
    """A portal without billing, over this ledger."""
    with Portal(tmp_path, write_sink_config(tmp_path, ledger.url)) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """This worker's Chromium; each test opens pages of its own in it (tests.support.browser.open_page)."""
    with launch_browser() as running:
        yield running


@pytest.fixture(scope="session")
def built_estate(tmp_path_factory: pytest.TempPathFactory) -> EstateFiles:
    """Two billed properties, to be looked at or copied: `built_estate.copy(tmp_path)`."""
    return build_estate(tmp_path_factory.mktemp("billed"))
