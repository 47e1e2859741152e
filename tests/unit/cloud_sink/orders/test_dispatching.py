"""The orders thread goes on, whatever the database refuses."""

import threading
from random import Random

import pytest
from prometheus_client import CollectorRegistry

from cloud_sink.ledger.tables import commands
from cloud_sink.orders.dispatching import Dispatching
from cloud_sink.orders.order_figures import OrderFigures
from cloud_sink.orders.settings import OrdersSection
from cloud_sink.patience import Patience
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.twins import TwinRig
from tests.support.waiting import wait_until
from tests.unit.cloud_sink.orders.outbox import Outbox, commanding, desiring
from tests.unit.cloud_sink.orders.test_desiring import KEY, wish


def dispatching(rig: TwinRig, outbox: Outbox) -> Dispatching:
    return Dispatching(
        rig.ledger.database,
        outbox,  # type: ignore[arg-type]  # all of a session that is needed
        lambda: rig.ledger.keys,
        commanding(rig, outbox, KEY),
        desiring(rig, outbox, KEY),
        OrdersSection(),
        rig.clock,
        Patience(Random(1)),
        OrderFigures(CollectorRegistry()),
    )


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_what_the_database_refuses_of_commands_doesnt_keep_desired_states_from_going_out(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.order(lock, "read_now")
    with rig.ledger.database.writing() as connection:
        connection.execute(commands.update().values(attempt=2**31 - 1))  # the next one is out of its range
    wish(rig, lock, "enable_mask", 1)
    outbox, stop = Outbox(), threading.Event()
    work = dispatching(rig, outbox)
    thread = threading.Thread(target=work.run, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: outbox.desired, what="the first desired state")
        wish(rig, lock, "enable_mask", 2)
        wait_until(lambda: len(outbox.desired) == 2, what="the next one, after it was refused again")
    finally:
        stop.set()
        thread.join()
    assert outbox.commands == []
    assert capsys.readouterr().out.count("the database refuses what orders need") == 1
