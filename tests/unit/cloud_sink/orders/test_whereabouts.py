"""Which gateway a lock is with, where several tell of it: orders and twins have to say the same."""

from datetime import timedelta

import pytest

from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.twins import TECHNICIAN, TwinRig
from tests.unit.cloud_sink.orders.outbox import Outbox, desiring
from tests.unit.cloud_sink.orders.test_desiring import KEY, turn, wish


@pytest.fixture
def moved(rig: TwinRig, lock: FakeLock) -> FakeGateway:
    """The gateway that took the lock over just now."""
    new = FakeGateway("gw-0002", seed=2)
    rig.hear_gateway(new)
    rig.hear_lock(lock, new)
    return new


def whereabouts(rig: TwinRig, lock: FakeLock) -> str:
    """Return with which gateway the lock is; that orders and twins agree on it."""
    command = rig.ordering.request_command(lock.name, "read_now", TECHNICIAN)
    rig.ordering.withdraw(command.id, TECHNICIAN)
    summary = rig.twin(lock).summary
    assert (summary.site, summary.gateway) == (command.site, command.gateway)
    return command.gateway


def test_a_lock_is_with_the_gateway_that_reached_it_last(
    rig: TwinRig, gateway: FakeGateway, moved: FakeGateway, lock: FakeLock
) -> None:
    assert whereabouts(rig, lock) == "gw-0002"
    rig.clock.go_on(seconds=10)
    rig.hear_lock(lock, gateway)
    assert whereabouts(rig, lock) == "gw-0001"


def test_an_old_report_that_the_broker_still_keeps_doesnt_take_a_lock_back(
    rig: TwinRig, gateway: FakeGateway, moved: FakeGateway, lock: FakeLock
) -> None:
    said_at = rig.clock.at - timedelta(days=30)
    rig.clock.go_on(days=1)
    rig.hear_lock(lock, gateway, retained=True, at=said_at)
    assert whereabouts(rig, lock) == "gw-0002"
    rig.hear_lock(lock, gateway, retained=True, at=rig.clock.at + timedelta(hours=1))
    assert whereabouts(rig, lock) == "gw-0002", "a clock that is ahead tells nothing of when"


def test_what_the_broker_kept_of_a_move_while_no_sink_was_there_is_believed(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    moved_at = rig.clock.go_on(hours=5)
    rig.clock.go_on(minutes=5)
    since = moved_at - timedelta(minutes=3)
    rig.hear_lock(lock, gateway, retained=True, reachable=False, unreachable_since=since)
    rig.hear_lock(lock, FakeGateway("gw-0002", seed=2), retained=True, at=moved_at)
    assert whereabouts(rig, lock) == "gw-0002"


def test_a_gateway_that_has_a_lock_in_its_configuration_and_cant_reach_it_doesnt_get_its_orders(
    rig: TwinRig, gateway: FakeGateway, moved: FakeGateway, lock: FakeLock
) -> None:
    outbox = Outbox()
    work = desiring(rig, outbox, KEY)
    wish(rig, lock, "enable_mask", 1)
    wish(rig, lock, "access_list_version", 7)
    turn(work)
    for _ in range(3):
        since = rig.clock.at - timedelta(days=1)
        rig.clock.go_on(seconds=290)
        rig.hear_lock(lock, gateway, reachable=False, unreachable_since=since, access_list_version=3)
        assert whereabouts(rig, lock) == "gw-0002"
        (listed,) = (each for each in rig.twin(lock).desired if each.property == "access_list_version")
        assert (listed.reported, listed.drift) == ("7", False)
        rig.clock.go_on(seconds=10)
        rig.hear_lock(lock, moved)
        turn(work)
    assert {topic.split("/")[3] for topic, *_ in outbox.sent} == {"gw-0002"}
    assert len({desired.revision for desired in outbox.desired}) == 1


def test_after_an_hour_without_a_word_a_lock_is_with_whoever_has_it_even_if_it_cant_be_reached(
    rig: TwinRig, gateway: FakeGateway, moved: FakeGateway, lock: FakeLock
) -> None:
    since = rig.clock.at - timedelta(days=1)
    rig.clock.go_on(minutes=59)
    rig.hear_lock(lock, gateway, reachable=False, unreachable_since=since)
    assert whereabouts(rig, lock) == "gw-0002"
    rig.clock.go_on(minutes=1)
    rig.hear_lock(lock, gateway, retained=True, reachable=False, unreachable_since=since)
    assert whereabouts(rig, lock) == "gw-0002", "what was kept may be as old as the other one's silence"
    rig.hear_lock(lock, gateway, reachable=False, unreachable_since=since)
    assert whereabouts(rig, lock) == "gw-0001"


def test_what_a_gateway_said_last_counts_even_if_it_was_kept_and_its_clock_is_behind(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.clock.go_on(hours=1)
    rig.hear_lock(lock, gateway, retained=True, at=rig.clock.at - timedelta(days=9), access_list_max=5)
    assert rig.ordering.most_entries(lock.name) == 5
