"""Orders from the cloud to a lock: a real broker, the agent as a process, a controller on real Modbus."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker import Broker
from tests.support.controller import Controller
from tests.support.modbus_peers import TcpPeer
from tests.support.mqtt import TestClient
from tests.support.order_issuer import PUBLIC_ORDER_KEY, OrderIssuer, command
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import KEY, TOPICS
from tests.unit.edge_agent.installation import Installation
from wastelock.page import signature_holds

ACTIONS = ("sync_clock", "enable_chambers", "self_test", "clear_faults", "reboot", "read_now")


class Site:
    """One gateway with one lock, and the cloud's side of its orders."""

    def __init__(
        self, directory: Path, broker: Broker, client: TestClient, bus_port: int, controller: Controller
    ) -> None:
        more = f'orders = {{ keys = ["{PUBLIC_ORDER_KEY}"] }}\nclock = {{ source = "ntp" }}'
        self.installation = Installation(directory, broker.port, bus_port, more)
        self.controller = controller
        self.cloud = OrderIssuer(client, TOPICS)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("orders")
    controller, port = Controller(capacity=512), free_port()
    with (
        Broker(directory / "broker") as broker,
        TcpPeer({1: controller}, port),
        TestClient(broker.port, "cloud") as client,
    ):
        site = Site(directory, broker, client, port, controller)
        with site.installation.running():
            wait_until(lambda: site.cloud.lock_state().get("reachable"), 20, "the lock's state")
            yield site


def test_each_command_is_accepted_carried_out_and_answered_with_the_lock_as_it_is_then(site: Site) -> None:
    for action in ACTIONS:
        mask = 1 if action == "enable_chambers" else None
        site.cloud.send(command(f"each-{action}", action, enable_mask=mask))
    for action in ACTIONS:
        final = site.cloud.final(f"each-{action}")
        assert final.outcome == "done", final
        assert [told.outcome for told in site.cloud.outcomes(f"each-{action}")] == ["accepted", "done"]
        assert final.state is not None and final.state.chambers[0].enabled
    assert [code for _, code in site.controller.commands] == [2, 1, 3]
    assert site.controller.enable_mask == 1
    for message in site.cloud.client.received:
        if message.topic == TOPICS.result:
            user = dict(message.properties.UserProperty)
            assert user["kid"] == KEY.kid
            assert signature_holds(KEY.private.public_key(), message.topic, message.payload, user["sig"])
            assert message.properties.CorrelationData.startswith(b"each-")
