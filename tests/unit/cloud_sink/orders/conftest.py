"""A ledger in which a gateway has reported a lock, and the door to orders, by a clock that stands still."""

from collections.abc import Iterator

import pytest

from cloud_sink.orders.ordering import Ordering
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.twins import TwinRig


@pytest.fixture
def rig(ledger: Ledger, gateway: FakeGateway, lock: FakeLock) -> Iterator[TwinRig]:
    made = TwinRig(ledger)
    made.hear_gateway(gateway)
    made.hear_lock(lock, gateway)
    yield made
    made.close()


@pytest.fixture
def ordering(rig: TwinRig) -> Ordering:
    return rig.ordering
