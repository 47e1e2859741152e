"""Fixtures for the sink as a process: a real broker, and a ledger on SQLite and on PostgreSQL."""

import pytest

from tests.support.fake_gateway import FakeGateway, FakeLock


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
    return FakeLock(key=bytes(range(16)))
