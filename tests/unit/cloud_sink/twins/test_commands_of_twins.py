"""Commands in a lock's twin: how far they are, what became of them, now and in the past; and when that is an alarm."""

from datetime import timedelta

from cloud_sink.orders.model import CommandState
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.twins import TECHNICIAN, TwinRig

FAILED, UNANSWERED = "command_failed", "command_unanswered"


def hear(rig: TwinRig, gateway: FakeGateway, lock: FakeLock) -> None:
    rig.hear_gateway(gateway)
    rig.hear_telemetry(gateway)
    rig.hear_lock(lock, gateway)


def commands_open(rig: TwinRig) -> set[tuple[str, str]]:
    return {each for each in rig.look() if each[0].startswith("command")}


def test_a_lock_shows_its_commands_with_their_deadline_and_what_became_of_them(
    any_rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    hear(any_rig, gateway, lock)
    first = any_rig.order(lock, "read_now")
    any_rig.answer(first, "accepted", "done")
    second = any_rig.order(lock, "sync_clock", ttl_s=60)
    told = any_rig.twin(lock).commands
    assert [(each.id, each.state) for each in told] == [
        (second, CommandState.WAITING), (first, CommandState.DONE),
    ]  # fmt: skip
    assert told[0].expires_at == any_rig.clock.at + timedelta(seconds=60)
    changes = any_rig.reader.changes(lock.name)
    assert {(each.property, each.value, each.actor) for each in changes if "command" in each.property} == {
        ("command.read_now", "requested", "t.lindner"),
        ("command.read_now", "accepted", None),
        ("command.read_now", "done", None),
        ("command.sync_clock", "requested", "t.lindner"),
    }


def test_the_past_knows_of_a_command_what_was_known_then(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    hear(rig, gateway, lock)
    rig.clock.go_on(minutes=1)
    command_id = rig.order(lock, "read_now", ttl_s=60)
    asked_at = rig.clock.at
    rig.answer(command_id, "accepted", "failed", reason="no answer")
    rig.clock.go_on(hours=1)
    twins = {seconds: rig.twin(lock, asked_at + timedelta(seconds=seconds)) for seconds in (0, 1, 2, 3)}
    states = {seconds: [(each.state, each.told) for each in twin.commands] for seconds, twin in twins.items()}
    assert states == {
        0: [(CommandState.WAITING, None)],
        1: [(CommandState.ACCEPTED, None)],
        2: [(CommandState.FAILED, "no answer")],
        3: [(CommandState.FAILED, "no answer")],
    }
    assert rig.twin(lock, asked_at - timedelta(seconds=1)).commands == ()


def test_an_alarm_about_a_command_closes_when_the_same_is_ordered_again(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    hear(rig, gateway, lock)
    rig.answer(rig.order(lock, "self_test"), "failed", reason="the flap is open")
    rig.order(lock, "reboot", ttl_s=10)
    rig.clock.go_on(seconds=70)
    assert commands_open(rig) == {(FAILED, "self_test"), (UNANSWERED, "reboot")}
    details = {alarm.kind.value: alarm.detail for alarm in rig.reader.alarms()}
    assert details[FAILED].endswith("failed: the flap is open") and details[UNANSWERED].endswith("not sent")
    again = rig.order(lock, "self_test")
    assert commands_open(rig) == {(UNANSWERED, "reboot")}
    rig.answer(again, "done")
    assert commands_open(rig) == {(UNANSWERED, "reboot")}


def test_an_answer_that_comes_late_ends_the_alarm_that_nobody_answered(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    hear(rig, gateway, lock)
    command_id = rig.order(lock, "reboot", ttl_s=10)
    rig.clock.go_on(seconds=69)
    assert commands_open(rig) == set(), "its gateway may just be saying so"
    rig.clock.go_on(seconds=1)
    assert commands_open(rig) == {(UNANSWERED, "reboot")}
    rig.answer(command_id, "done")
    assert commands_open(rig) == set()


def test_what_was_taken_back_is_no_failure_and_what_failed_is_one_for_a_week(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    hear(rig, gateway, lock)
    rig.answer(rig.order(lock, "reboot"), "rejected")
    taken_back = rig.order(lock, "reboot")
    assert commands_open(rig) == set(), "another one is under way"
    rig.ordering.withdraw(taken_back, TECHNICIAN)
    assert commands_open(rig) == {(FAILED, "reboot")}
    rig.clock.go_on(days=7)
    assert commands_open(rig) == set()


def test_twins_built_anew_tell_the_same_of_commands(
    any_rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    hear(any_rig, gateway, lock)
    any_rig.answer(any_rig.order(lock, "read_now"), "accepted", "done")
    any_rig.answer(any_rig.order(lock, "self_test"), "expired")
    twin, before = any_rig.twin(lock), any_rig.projection.digest()
    any_rig.projection.prepare(anew=True)
    assert any_rig.twin(lock) == twin
    assert any_rig.projection.digest() == before
