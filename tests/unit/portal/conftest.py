"""Fixtures of the accounts' tests: a clock that is set by hand, and accounts on either database."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from portal.accounts.book import Accounts
from portal.config import AccountsSection
from tests.support.portal import QUICK


class HandClock:
    """A clock that stands still until somebody moves it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def move(self, **how_far: float) -> None:
        self.at += timedelta(**how_far)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def accounts(tmp_path: Path, clock: HandClock) -> Iterator[Accounts]:
    """Accounts in an SQLite file of this test's own."""
    opened = open_accounts(f"sqlite:///{tmp_path / 'accounts.sqlite'}", clock)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def either_accounts(request: pytest.FixtureRequest, tmp_path: Path, clock: HandClock) -> Iterator[Accounts]:
    """Accounts on SQLite, then on PostgreSQL."""
    url = f"sqlite:///{tmp_path / 'accounts.sqlite'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    opened = open_accounts(url, clock)
    yield opened
    opened.close()


def open_accounts(url: str, clock: Callable[[], datetime]) -> Accounts:
    accounts = Accounts(AccountsSection(url=url), clock, QUICK)
    accounts.prepare()
    return accounts
