"""Fixtures of billing's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.billing_aggregator.run_books import RunDesk


@pytest.fixture
def desk(tmp_path: Path, sqlite_url: str) -> Iterator[RunDesk]:
    opened = RunDesk(tmp_path, sqlite_url, f"sqlite:///{tmp_path / 'billing.sqlite'}")
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgres"])
def any_desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunDesk]:
    if request.param == "sqlite":
        yield request.getfixturevalue("desk")
        return
    postgres = request.getfixturevalue("postgres")
    ledger, billing = postgres.create_database(), postgres.create_database()
    opened = RunDesk(tmp_path, ledger, billing)
    yield opened
    opened.close()
    postgres.drop_database(ledger)
    postgres.drop_database(billing)
