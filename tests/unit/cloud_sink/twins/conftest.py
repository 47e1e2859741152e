"""Twins of a ledger: `rig` on SQLite, `any_rig` on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.twins import TwinRig


@pytest.fixture
def rig(sqlite_url: str, tmp_path: Path, gateway: FakeGateway, keyed_lock: FakeLock) -> Iterator[TwinRig]:
    opened = Ledger(sqlite_url, tmp_path, [gateway], [keyed_lock])
    made = TwinRig(opened)
    yield made
    made.close()
    opened.close()


@pytest.fixture
def any_rig(ledger: Ledger) -> Iterator[TwinRig]:
    made = TwinRig(ledger)
    yield made
    made.close()
