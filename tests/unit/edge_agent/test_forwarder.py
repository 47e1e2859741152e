"""Spool, forwarder and uplink against a real mosquitto and a ledger that keeps to the contract."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from edge_agent.alarms import Alarms
from edge_agent.config import MqttSettings
from edge_agent.forwarder import Forwarder
from edge_agent.spool import Spool
from edge_agent.spool_pages import Sealer
from edge_agent.uplink import Session, Uplink
from tests.support.broker import Broker
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import KEY, TOPICS, Clock, make_spool, opened, visit
from tests.unit.edge_agent.ledger import Ledger


class Gateway:
    """Spool, uplink and forwarder, each in its thread."""

    def __init__(
        self, path: Path, broker_port: int, clock: Clock | None = None, **spool_options: float
    ) -> None:
        self.wake = threading.Event()
        self.alarms = Alarms()
        self.spool: Spool = make_spool(path, clock, on_sealed=self.wake.set, **spool_options)  # type: ignore[arg-type]
        settings = MqttSettings(host="127.0.0.1", port=broker_port)
        session = Session(TOPICS.gateway, TOPICS, b"will", lambda: b"farewell")
        self.uplink = Uplink(settings, session, Random(1), self.wake)
        self.forwarder = Forwarder(
            self.spool, self.uplink, Sealer(TOPICS, KEY), self.alarms, Random(2), self.wake
        )

    @contextmanager
    def running(self) -> Iterator["Gateway"]:
        stop = threading.Event()
        failures: list[BaseException] = []
        with opened(self.spool):
            threads = [
                threading.Thread(target=_guarded, args=(part.run, stop, failures))
                for part in (self.uplink, self.forwarder)
            ]
            for thread in threads:
                thread.start()
            try:
                yield self
            finally:
                stop.set()
                self.wake.set()
                for thread in threads:
                    thread.join(10)
                    assert not thread.is_alive()
        assert failures == []


def _guarded(run, stop, failures):  # type: ignore[no-untyped-def]
    try:
        run(stop)
    except BaseException as error:  # noqa: BLE001 - a thread of a test: told to the test
        failures.append(error)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


def seal(gateway: Gateway, first: int, last: int) -> None:
    for seq in range(first, last + 1):
        gateway.spool.seal(visit(seq=seq))


def test_pages_sealed_while_the_broker_is_down_arrive_when_it_is_there(path: Path, tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker")
    with Gateway(path, broker.port).running() as gateway:
        seal(gateway, 1, 50)
        with broker, Ledger(broker.port) as ledger:
            wait_until(lambda: len(ledger.record_ids()) == 50, 20, "50 records in the ledger")
            assert sorted(set(ledger.record_ids())) == [("1f00a1", 1, n) for n in range(1, 51)]


def test_a_restarted_gateway_goes_on_where_the_receipts_ended(path: Path, broker: Broker) -> None:
    with Ledger(broker.port) as ledger:
        with Gateway(path, broker.port).running() as gateway:
            seal(gateway, 1, 20)
            wait_until(lambda: len(ledger.record_ids()) == 20, 10, "the first 20")
        seen = len(ledger.order)
        with Gateway(path, broker.port).running() as gateway:
            assert gateway.spool.cursor("1f00a1").seq == 20  # type: ignore[union-attr]
            seal(gateway, 21, 25)
            wait_until(lambda: len(ledger.record_ids()) == 25, 10, "five more")
        assert len(ledger.order) - seen < 20, "what was received is not sent again"


def test_a_page_lost_on_the_way_is_sent_again_soon_because_later_ones_arrived(
    path: Path, broker: Broker
) -> None:
    with Ledger(broker.port) as ledger, Gateway(path, broker.port).running() as gateway:
        ledger.lose = {3, 7}
        seal(gateway, 1, 40)
        wait_until(lambda: len(ledger.record_ids()) == 40, 15, "all 40 records")
        assert gateway.spool.failure is None
