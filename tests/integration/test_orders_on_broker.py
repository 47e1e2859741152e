"""Orders from the cloud to a lock: a real broker, the agent as a process, a controller on real Modbus."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edge_agent.drivers.base import ListMark
from tests.support.broker import Broker
from tests.support.controller import Controller
from tests.support.deaf_link import DeafLink
from tests.support.modbus_peers import TcpPeer
from tests.support.mqtt import TestClient
from tests.support.order_issuer import FOREIGN_KEY, PUBLIC_ORDER_KEY, OrderIssuer, command, desired, entries
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import KEY, TOPICS
from tests.unit.edge_agent.installation import Installation
from wastelock.page import signature_holds
from wastelock.topics import GatewayTopics

ACTIONS = ("sync_clock", "enable_chambers", "self_test", "clear_faults", "reboot", "read_now")
LOCK = "1f00a1"
RUNNING = 0xFFFF


class SlowController(Controller):
    """A controller whose commands take until `result` is set."""

    result: int | None = 0

    def _command(self, words: Sequence[int]) -> int | None:
        code = super()._command(list(words))
        if self.result is None:
            self.last_command = (self.last_command[0], RUNNING)
        return code


class Site:
    """One gateway with one lock, and the cloud's side of its orders. The agent can be killed and started again."""

    def __init__(
        self, directory: Path, broker: Broker, client: TestClient, bus_port: int, link_port: int | None = None
    ) -> None:
        """`link_port`: where the agent reaches the broker, if not where it listens."""
        self.controller = SlowController(capacity=512, access_list_max=2048)
        self.bus = TcpPeer({1: self.controller}, bus_port)
        more = f'orders = {{ keys = ["{PUBLIC_ORDER_KEY}"] }}\nclock = {{ source = "ntp" }}'
        self.installation = Installation(directory, link_port or broker.port, bus_port, more)
        self.broker = broker
        self.cloud = OrderIssuer(client, TOPICS)
        self.agent: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the agent; returns once it has a session, which is also when it listens to orders."""
        before = self.births()
        self.agent = self.installation.start()
        wait_until(
            lambda: self.births() > before, 20, lambda: f"a birth\n{self.installation.log.read_text()}"
        )

    def kill(self) -> None:
        """kill -9"""
        assert self.agent is not None
        self.agent.kill()
        self.agent.wait()

    def births(self) -> int:
        return (
            self.installation.log.read_text().count("connected to") if self.installation.log.exists() else 0
        )

    def verdicts(self, number: str) -> list[str]:
        """Return what the agent made of each time that a command came."""
        whole = self.installation.log.read_text().rpartition("\n")[0]
        lines = [json.loads(line) for line in whole.splitlines()]
        return [
            line["verdict"] for line in lines if line["event"] == "order came" and line["order"] == number
        ]

    def writes(self) -> list[tuple[str, int, int]]:
        """Return what was written to the lock, but for confirmations."""
        with self.controller.guard:
            return [each for each in self.controller.log if each[0] == "write" and each[1] != 0x100]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("orders")
    with Broker(directory / "broker") as broker, TestClient(broker.port, "cloud", 3600) as client:
        site = Site(directory, broker, client, free_port())
        with site.bus:
            site.start()
            try:
                yield site
            finally:
                site.kill()


def test_each_command_is_accepted_carried_out_and_answered_with_the_lock_as_it_is_then(site: Site) -> None:
    for action in ACTIONS:
        site.cloud.send(
            command(f"each-{action}", action, enable_mask=1 if action == "enable_chambers" else None)
        )
    for action in ACTIONS:
        final = site.cloud.final(f"each-{action}")
        assert final.outcome == "done", final
        assert [told.outcome for told in site.cloud.outcomes(f"each-{action}")] == ["accepted", "done"]
        assert final.state is not None and final.state.chambers[0].enabled
    assert [code for _, code in site.controller.commands[-3:]] == [2, 1, 3]
    assert site.controller.enable_mask == 1
    for payload, user, correlation in site.cloud.signed_results():
        assert user["kid"] == KEY.kid
        assert signature_holds(KEY.private.public_key(), TOPICS.result, payload, user["sig"])
        assert correlation.startswith(b"each-")


def test_what_is_replayed_expired_forged_or_for_another_gateway_does_nothing_but_raise_an_alarm(
    site: Site,
) -> None:
    good = command("good", "clear_faults")
    site.cloud.send(good)
    assert site.cloud.final("good").outcome == "done"
    assert site.cloud.alarms() == {}
    before, commands = site.writes(), list(site.controller.commands)
    elsewhere = GatewayTopics(TOPICS.site, "gw-0002").command
    site.cloud.send(good)
    site.cloud.send(command("late", "reboot", issued_s_ago=1, ttl_s=0.5))
    site.cloud.send(command("forged", "reboot"), key=FOREIGN_KEY)
    site.cloud.send(command("elsewhere", "reboot"), signed_for=elsewhere)
    site.cloud.send(command("other-lock", "reboot", lock="1f00a9"))
    site.cloud.desire(desired(10, enable_mask=0), key=FOREIGN_KEY)
    site.cloud.send(command("last", "read_now"))
    assert site.cloud.final("last").outcome == "done"
    names = {"order replayed", "order expired", "order forged", "order rejected"}
    wait_until(lambda: set(site.cloud.alarms()) == names, 10, lambda: f"the alarms: {site.cloud.alarms()}")
    assert site.writes() == before and site.controller.commands == commands
    told = {name: [o.outcome for o in site.cloud.outcomes(name)] for name in ("late", "other-lock", "good")}
    assert told == {"late": ["expired"], "other-lock": ["rejected"], "good": ["accepted", "done"]}
    assert site.cloud.outcomes("forged") == site.cloud.outcomes("elsewhere") == []
    site.cloud.client.publish(TOPICS.desired, b"", retain=True)  # the forged one


def test_an_agent_killed_in_the_midst_of_a_command_does_not_carry_it_out_again(site: Site) -> None:
    before = len(site.controller.commands)
    site.controller.result = None
    order = command("killed", "self_test")
    site.cloud.send(order)
    wait_until(lambda: len(site.controller.commands) > before, 10, "the command at the controller")
    site.kill()
    site.start()
    site.cloud.send(order.model_copy(update={"attempt": 2}))
    wait_until(
        lambda: len(site.cloud.outcomes("killed")) >= 2, 10, lambda: f"{site.cloud.outcomes('killed')}"
    )
    site.controller.result = 0
    site.controller.last_command = (site.controller.last_command[0], 0)
    assert site.cloud.final("killed").outcome == "done"
    assert len(site.controller.commands) == before + 1


def test_a_desired_state_is_brought_about_told_kept_through_a_restart_and_restored_when_the_lock_strays(
    site: Site,
) -> None:
    wanted = entries(*range(1, 51), blocked=7)
    site.cloud.desire(
        desired(11, access_list_version=77, access_list=wanted, enable_mask=2, poll_interval_s=1)
    )
    wait_until(lambda: site.cloud.gateway_state().get("desired_revision") == 11, 10, "the revision")
    lock = wait_until(
        lambda: (state := site.cloud.lock_state()).get("access_list_version") == 77 and state,
        10,
        "the list in force",
    )
    assert lock and lock["poll_interval_s"] == 1 and [c["enabled"] for c in lock["chambers"]] == [False, True]
    in_force = ListMark(*site.controller.list_in_force)
    site.cloud.client.publish(TOPICS.desired, b"", retain=True)  # the broker forgets it; the gateway doesn't
    site.kill()
    site.controller.list_in_force, site.controller.enable_mask = (0, 0, 0), 3  # another controller, say
    site.start()
    wait_until(lambda: ListMark(*site.controller.list_in_force) == in_force, 10, "the list again")
    wait_until(lambda: site.controller.enable_mask == 2, 10, "the mask again")
    site.cloud.desire(desired(10, access_list_version=78, access_list=()))
    wait_until(lambda: "order replayed" in site.cloud.alarms(), 10, "the alarm of an older desired state")
    assert ListMark(*site.controller.list_in_force) == in_force


def test_outcomes_wait_for_a_broker_that_is_away(site: Site) -> None:
    before = len(site.controller.commands)
    site.controller.result = None
    site.cloud.send(command("away", "self_test"))
    wait_until(lambda: len(site.controller.commands) > before, 10, "the command at the controller")
    site.broker.stop()
    site.controller.result = 0
    site.controller.last_command = (site.controller.last_command[0], 0)
    log = site.installation.log
    wait_until(
        lambda: any("order ended" in line and '"away"' in line for line in log.read_text().splitlines()),
        10,
        log.read_text,
    )
    site.broker.start()
    assert site.cloud.final("away", 30).outcome == "done"


def test_what_the_broker_delivers_again_since_the_answer_was_lost_is_carried_out_once_and_alarms_nobody(
    tmp_path: Path,
) -> None:
    with (
        Broker(tmp_path / "broker") as broker,
        DeafLink(broker.port) as link,
        TestClient(broker.port, "cloud", 3600) as client,
    ):
        site = Site(tmp_path, broker, client, free_port(), link.port)
        with site.bus:
            site.start()
            try:
                link.mute = True
                site.cloud.send(command("again", "self_test"))
                wait_until(lambda: site.controller.commands, 10, "the command at the controller")
                assert link.swallowed > 0
                link.cut()
                link.mute = False
                log = site.installation.log.read_text
                wait_until(lambda: len(site.verdicts("again")) == 2, 20, log)
                assert site.verdicts("again") == ["accept", "ignore"]
                assert site.cloud.final("again").outcome == "done"
                site.cloud.send(command("last", "read_now"))
                assert site.cloud.final("last").outcome == "done"
                assert site.cloud.alarms() == {} and len(site.controller.commands) == 1
            finally:
                site.kill()
