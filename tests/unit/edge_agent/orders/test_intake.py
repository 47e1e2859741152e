"""What comes as an order: only what the cloud signed for this gateway has any effect, the rest raises an alarm."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.arrival import Arrival
from edge_agent.errors import SpoolUnavailable
from edge_agent.orders.inbox import OrderInbox
from edge_agent.orders.intake import COMMAND_BYTES_MAX, DESIRED_BYTES_MAX
from edge_agent.orders.order_alarms import LASTS_S, OrderAlarms
from edge_agent.orders.trust import OrderTrust
from tests.support.order_issuer import FOREIGN_KEY, ORDER_KEY, entries
from tests.unit.edge_agent.gateway import TOPICS
from tests.unit.edge_agent.orders.rig import LOCK, SECRET_UID, OrderRig
from wastelock.topics import GatewayTopics


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[OrderRig]:
    rig = OrderRig(tmp_path / "spool.db")
    with rig.running():
        rig.lock.visit()
        yield rig


def assert_nothing_but(rig: OrderRig, alarm: str, *, told: tuple[str, ...] = ()) -> None:
    """Only the alarm was raised, and these outcomes were told; nothing was written to the lock."""
    writes = [entry for entry in rig.controller.log if entry[0] == "write"]
    rig.work(2)
    assert [entry for entry in rig.controller.log if entry[0] == "write"] == writes
    assert rig.alarm_names() == (alarm,)
    assert tuple(rig.line.words("bad")) == told


def test_an_order_signed_by_another_key_does_nothing_but_raise_an_alarm(rig: OrderRig) -> None:
    assert not rig.intake.take(rig.arrival(rig.command("bad"), key=FOREIGN_KEY))
    assert not rig.intake.take(rig.arrival(rig.desired(9, enable_mask=0), key=FOREIGN_KEY))
    assert_nothing_but(rig, "order forged")
    assert rig.intake.wishes.revision is None


@pytest.mark.parametrize(
    "topic",
    [
        GatewayTopics(TOPICS.site, "gw-0002").command,
        GatewayTopics("site-2", TOPICS.gateway).command,
        TOPICS.desired,
        TOPICS.page,
    ],
)
def test_an_order_that_was_signed_for_another_topic_does_nothing_but_raise_an_alarm(
    rig: OrderRig, topic: str
) -> None:
    rig.intake.take(rig.arrival(rig.command("bad"), topic=topic))
    assert_nothing_but(rig, "order forged")


def test_an_order_with_one_bit_altered_does_nothing_but_raise_an_alarm(rig: OrderRig) -> None:
    good = rig.arrival(rig.command("bad"))
    for altered in (
        replace(good, payload=good.payload.replace(b"self_test", b"reboot")),
        replace(good, kid=""),
        replace(good, signature=""),
        replace(good, signature="!" * 86),
    ):
        assert not rig.intake.take(altered)
    assert_nothing_but(rig, "order forged")


def test_an_expired_command_does_nothing_but_raise_an_alarm_and_is_answered(rig: OrderRig) -> None:
    late = rig.command("bad", ttl_s=5)
    rig.clock.seconds += 5
    rig.send(late)
    assert_nothing_but(rig, "order expired", told=("expired",))


def test_a_command_for_a_lock_of_another_gateway_does_nothing_but_raise_an_alarm_and_is_answered(
    rig: OrderRig,
) -> None:
    rig.send(rig.command("bad", lock="1f00a9"))
    assert_nothing_but(rig, "order rejected", told=("rejected",))


def test_a_command_from_before_a_new_card_does_nothing_but_raise_an_alarm_and_is_answered(
    rig: OrderRig,
) -> None:
    rig.clock.seconds += 100
    rig.send(rig.command("bad", ago_s=110))
    assert_nothing_but(rig, "order rejected", told=("rejected",))


def test_a_replayed_command_is_not_carried_out_again_and_raises_an_alarm(rig: OrderRig) -> None:
    arrival = rig.arrival(rig.command("once", "reboot"))
    rig.intake.take(arrival)
    rig.work()
    assert rig.line.words("once") == ["accepted", "done"] and rig.alarm_names() == ()
    rig.intake.take(replace(arrival, dup=True))
    assert rig.alarm_names() == ()  # the broker said itself that it may have delivered it before
    rig.intake.take(arrival)
    rig.work()
    assert rig.line.words("once") == ["accepted", "done"] and rig.alarm_names() == ("order replayed",)
    assert len(rig.controller.commands) == 1


def test_a_later_attempt_is_answered_and_not_carried_out_again(rig: OrderRig) -> None:
    first = rig.command("asked", "reboot")
    rig.send(first)
    rig.send(first.model_copy(update={"attempt": 2}))  # before it was carried out
    rig.work()
    assert rig.line.words("asked") == ["accepted", "done"]
    rig.send(first.model_copy(update={"attempt": 3}))
    rig.work()
    assert rig.line.words("asked") == ["accepted", "done", "done"] and rig.alarm_names() == ()
    assert len(rig.controller.commands) == 1


def test_without_keys_an_order_does_nothing_and_the_alarm_says_what_to_do(rig: OrderRig) -> None:
    rig.intake._trust = OrderTrust([], None)
    rig.send(rig.command("bad"))
    assert "enroll --renew" in rig.alarms.texts()[0] and "[orders] keys" in rig.alarms.texts()[0]
    assert_nothing_but(rig, "orders without keys")


def test_without_a_set_clock_a_command_is_rejected_with_the_reason(rig: OrderRig) -> None:
    rig.clock_is_set = False
    rig.send(rig.command("early"))
    rig.clock_is_set = True
    rig.work(2)
    (told,) = rig.line.told("early")
    assert told.outcome == "rejected" and "clock isn't set" in str(told.reason)
    assert rig.controller.commands == []


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (TOPICS.command, b"\xff\x00"),
        (TOPICS.command, b'{"v":2}'),
        (TOPICS.command, b'{"v":1,"id":"bad","action":"open_all","lock":"1f00a1"}'),
        (TOPICS.command, b" " * (COMMAND_BYTES_MAX + 1)),
        (TOPICS.desired, b'{"v":1,"revision":1,"at":"2026-11-25T00:00:00Z","locks":{"1f00a1":{"access_list":[]}}}'),
        (TOPICS.desired, b" " * (DESIRED_BYTES_MAX + 1)),
    ],
    ids=["bytes", "version", "action", "large command", "list without version", "large desired"],
)  # fmt: skip
def test_what_cannot_be_read_although_it_is_signed_raises_an_alarm_that_quotes_nothing_of_it(
    rig: OrderRig, topic: str, payload: bytes
) -> None:
    assert not rig.intake.take(Arrival(topic, payload, False, ORDER_KEY.kid, ORDER_KEY.sign(topic, payload)))
    assert_nothing_but(rig, "order not understood")
    assert "open_all" not in rig.alarms.texts()[0]


def test_only_a_newer_desired_state_counts_and_an_older_one_raises_an_alarm(rig: OrderRig) -> None:
    third, other_third = rig.desired(3, enable_mask=1), rig.desired(3, enable_mask=2)
    assert rig.send(third)
    assert not rig.send(third)  # each session begins with what is retained
    assert rig.alarm_names() == ()
    for replayed, told in ((rig.desired(2, enable_mask=3), "came again"), (other_third, "another content")):
        assert not rig.send(replayed)
        assert rig.alarm_names() == ("order replayed",) and told in rig.alarms.texts()[0]
        rig.alarms.clear("order replayed")
        rig.clock.seconds += 100
    assert (rig.intake.wishes.revision, rig.intake.wishes.of(LOCK).enable_mask) == (3, 1)
    assert rig.send(rig.desired(4, enable_mask=2))
    assert rig.intake.wishes.of(LOCK).enable_mask == 2


def test_a_desired_state_is_followed_after_a_restart_without_hearing_it_again(
    rig: OrderRig, tmp_path: Path
) -> None:
    rig.send(rig.desired(3, enable_mask=1))
    again = OrderRig(tmp_path / "copy.db")
    again.path.write_bytes(rig.path.read_bytes())
    again.path.with_name("copy.db-wal").write_bytes(rig.path.with_name("spool.db-wal").read_bytes())
    with again.running():
        assert (again.intake.wishes.revision, again.intake.wishes.of(LOCK).enable_mask) == (3, 1)
        assert not again.send(again.desired(2))
        assert again.alarm_names() == ("order replayed",)


def test_a_desired_state_that_is_taken_back_at_the_broker_stays_in_force_here(rig: OrderRig) -> None:
    rig.send(rig.desired(3, enable_mask=1))
    assert not rig.intake.take(Arrival(TOPICS.desired, b""))
    assert rig.intake.wishes.revision == 3 and rig.alarm_names() == ()


def test_locks_that_are_desired_but_not_here_are_named(rig: OrderRig) -> None:
    rig.send(rig.desired(1, lock="1f00a9", enable_mask=1))
    assert "1f00a9" in rig.alarms.texts()[0] and rig.alarm_names() == ("desired unknown locks",)
    rig.send(rig.desired(2, enable_mask=3))
    assert rig.alarm_names() == ()


def test_an_alarm_of_something_that_happened_ends_an_hour_after_the_last_time(rig: OrderRig) -> None:
    forged = rig.arrival(rig.command("bad"), key=FOREIGN_KEY)
    for _ in range(3):
        rig.intake.take(forged)
        rig.clock.seconds += LASTS_S - 1
        rig.order_alarms.forget_old()
        assert rig.alarm_names() == ("order forged",)
    rig.clock.seconds += 2
    rig.order_alarms.forget_old()
    assert rig.alarm_names() == ()


def test_alarms_of_an_agent_that_began_afresh_end_too(rig: OrderRig) -> None:
    rig.intake.take(rig.arrival(rig.command("bad"), key=FOREIGN_KEY))
    rig.send(rig.desired(1, lock="1f00a9", enable_mask=1))
    assert rig.alarm_names() == ("desired unknown locks", "order forged")
    again = OrderAlarms(rig.alarms, rig.clock.monotonic)
    assert rig.alarm_names() == ("order forged",)
    rig.clock.seconds += LASTS_S + 1
    again.forget_old()
    assert rig.alarm_names() == ()


def test_a_flood_of_forged_orders_is_one_alarm_that_is_worded_once_a_minute(rig: OrderRig) -> None:
    version = rig.alarms.version
    for number in range(500):
        rig.intake.take(
            replace(rig.arrival(rig.command(f"x-{number}"), key=FOREIGN_KEY), topic=f"topic {number}")
        )
        rig.clock.seconds += 0.2
    assert rig.alarms.version - version == 2
    assert rig.line.published == [] and rig.book.untold(10) == []


def test_a_transponders_number_stands_in_no_log_line_alarm_or_outcome(
    rig: OrderRig, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    rig.controller.access_list_max = 1
    uids = (SECRET_UID, SECRET_UID + 1)
    rig.send(rig.desired(1, access_list_version=7, access_list=entries(*uids)))
    rig.send(rig.desired(1, access_list_version=8, access_list=entries(*uids)))
    rig.send(rig.command("write", "write_access_list"))
    rig.work()
    assert rig.alarm_names() == ("desired not in force", "order replayed")
    printed = capsys.readouterr()
    seen = "".join([
        printed.out, printed.err, caplog.text, *rig.alarms.texts(), str(rig.line.published), str(rig.lock.states),
    ])  # fmt: skip
    assert "order ended" in seen
    for uid in uids:
        for spelling in (f"{uid:x}", f"{uid:X}", str(uid)):
            assert spelling not in seen


def test_the_inbox_is_bounded_and_gives_desired_states_first(rig: OrderRig) -> None:
    inbox = OrderInbox(TOPICS)
    command, desired = rig.arrival(rig.command("x")), rig.arrival(rig.desired(1))
    for _ in range(1000):
        inbox.listeners[TOPICS.command](command)
    for _ in range(1000):
        inbox.listeners[TOPICS.desired](desired)
    first = inbox.next()
    assert first is desired and inbox.wake.is_set()
    inbox.put_back(desired)
    taken = []
    while (arrival := inbox.next()) is not None:
        taken.append(arrival.topic)
    assert len(taken) < 300 and taken[0] == TOPICS.desired and taken[-1] == TOPICS.command


def test_a_disk_that_takes_nothing_loses_no_order(rig: OrderRig) -> None:
    arrival = rig.arrival(rig.command("kept"))
    rig.spool.close()
    with pytest.raises(SpoolUnavailable):
        rig.intake.take(arrival)
    assert rig.line.published == []
