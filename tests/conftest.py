"""Fixtures for all tests. Each worker of pytest-xdist has servers of its own; a missing server fails, never skips."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from tests.support.broker import Broker
from tests.support.postgres import Postgres

# A shared, busy machine says nothing about speed: examples are bounded by count alone. The same examples each time,
# so that a red run can be repeated; few of them, for the suite's time: WASTELOCK_EXAMPLES=500 finds more.
EXAMPLES = int(os.environ.get("WASTELOCK_EXAMPLES", "25"))
settings.register_profile("suite", deadline=None, derandomize=True, max_examples=EXAMPLES)
settings.load_profile("suite")


def pytest_runtest_teardown() -> None:
    """A command run inside a test sets up its log, onto a standard error that ends with the test."""
    structlog.reset_defaults()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A fresh mosquitto of this test's own, running: it starts within some 20 ms, so nobody has to share."""
    with Broker(tmp_path / "broker") as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """This worker's PostgreSQL server. Don't stop it in a test: make a `Postgres()` of your own for that."""
    with Postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """SQLAlchemy URL of an empty PostgreSQL database of this test's own."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """SQLAlchemy URL of an SQLite file of this test's own; the file isn't there yet."""
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
