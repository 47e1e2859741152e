"""Fixtures for the sink's tests. Whatever takes `ledger_url` or `ledger` runs on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest) -> str:
    """URL of a ledger that isn't there yet, once for each kind of database."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def lock() -> FakeLock:
    """A lock without a key: its MACs can't be checked."""
    return FakeLock()


@pytest.fixture
def keyed_lock() -> FakeLock:
    """A lock whose key the ledger knows."""
    return FakeLock(serial=0x1F00A2, epoch=3, key=bytes(range(16)))


@pytest.fixture
def ledger(ledger_url: str, tmp_path: Path, gateway: FakeGateway, keyed_lock: FakeLock) -> Iterator[Ledger]:
    """A ledger that knows `gateway` and `keyed_lock`."""
    opened = Ledger(ledger_url, tmp_path, [gateway], [keyed_lock])
    yield opened
    opened.close()
