"""Orders on a lock that is away, busy, or says no; and what of them is told to the cloud."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_agent.errors import NoAnswer, SpoolUnavailable
from edge_agent.metrics_orders import order_figures
from edge_agent.orders.book import OrderBook
from edge_agent.orders.results import IN_HAND_MAX
from edge_agent.uplink import NO_MATCHING_SUBSCRIBERS
from tests.support.order_issuer import entries
from tests.unit.edge_agent.gateway import KEY, TOPICS
from tests.unit.edge_agent.orders.rig import LOCK, OrderRig, SlowController
from wastelock.page import signature_holds


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[OrderRig]:
    rig = OrderRig(tmp_path / "spool.db")
    with rig.running():
        rig.lock.visit()
        yield rig


def be_away(rig: OrderRig) -> None:
    def no_answer(*_: object) -> None:
        raise NoAnswer("nobody there")

    rig.registers.before_read = no_answer
    rig.registers.before_write = no_answer


def come_back(rig: OrderRig) -> None:
    rig.registers.before_read = lambda _address, _count: None
    rig.registers.before_write = lambda _address, _words: None


def test_a_lock_out_of_reach_is_tried_until_it_answers(rig: OrderRig) -> None:
    be_away(rig)
    rig.send(rig.command("patient", "self_test"))
    rig.work(60)
    assert rig.line.words("patient") == ["accepted"]
    come_back(rig)
    rig.work(15)
    assert rig.line.words("patient") == ["accepted", "done"]


def test_a_lock_that_stays_away_lets_the_order_expire_with_the_reason(rig: OrderRig) -> None:
    be_away(rig)
    rig.send(rig.command("patient", "self_test", ttl_s=30))
    rig.work(60)
    assert rig.line.words("patient") == ["accepted", "expired"]
    assert "nobody there" in str(rig.line.told("patient")[-1].reason)
    come_back(rig)
    rig.work(15)
    assert rig.controller.commands == []


def test_a_lock_that_goes_away_in_the_midst_of_a_command_and_never_comes_back_leaves_it_unknown(
    rig: OrderRig,
) -> None:
    rig.registers.after_write = lambda _address: be_away(rig)
    rig.send(rig.command("lost", "self_test", ttl_s=60))
    rig.work(200)
    told = rig.line.told("lost")[-1]
    assert told.outcome == "failed" and "isn't known" in str(told.reason)
    assert len(rig.controller.commands) == 1


def test_another_command_of_somebody_elses_in_between_is_told_and_nothing_is_repeated(rig: OrderRig) -> None:
    def somebody_else(_address: int) -> None:
        rig.controller.last_command = (rig.controller.last_command[0] + 500, 0)

    rig.registers.after_write = somebody_else
    rig.send(rig.command("overtaken", "self_test"))
    rig.work(10)
    told = rig.line.told("overtaken")[-1]
    assert told.outcome == "failed" and "result is lost" in str(told.reason)
    assert len(rig.controller.commands) == 1


@pytest.mark.parametrize(
    ("result", "reason"), [(1, "refuses it in its present state"), (2, "tells that it failed")]
)
def test_what_the_controller_says_of_a_command_is_told(rig: OrderRig, result: int, reason: str) -> None:
    def ends_with(_address: int) -> None:
        rig.controller.last_command = (rig.controller.last_command[0], result)

    rig.registers.after_write = ends_with
    rig.send(rig.command("tried", "self_test"))
    rig.work()
    told = rig.line.told("tried")[-1]
    assert told.outcome == "failed" and reason in str(told.reason)


def test_a_busy_controller_is_asked_again(rig: OrderRig) -> None:
    rig.controller.busy = True
    rig.send(rig.command("busy", "enable_chambers", enable_mask=2))
    rig.work(5)
    assert rig.line.words("busy") == ["accepted"]
    rig.controller.busy = False
    rig.work(20)
    assert rig.line.words("busy") == ["accepted", "done"] and rig.controller.enable_mask == 2


def test_a_controller_that_refuses_again_and_again_ends_the_order(rig: OrderRig) -> None:
    rig.controller.newest, rig.controller.confirmed = 40, 0  # no room for the record of a clock that is set
    rig.controller.clock_offset_s = -20.0
    rig.send(rig.command("no-room", "sync_clock"))
    for _ in range(60):
        rig.clock.seconds += max(0.1, rig.runner.step())
    rig.results.step()
    assert rig.line.words("no-room") == ["accepted", "failed"]


def test_what_the_lock_cannot_do_is_rejected_with_the_reason(rig: OrderRig) -> None:
    rig.controller.capabilities = 0
    rig.send(rig.command("mask", "enable_chambers", enable_mask=1))
    rig.send(rig.command("list", "write_access_list"))
    rig.work()
    assert rig.line.words("mask") == ["accepted", "rejected"]
    assert "capability" in str(rig.line.told("mask")[-1].reason)
    assert "no access list is desired" in str(rig.line.told("list")[-1].reason)


def test_a_command_against_the_desired_state_is_rejected_since_that_would_undo_it(rig: OrderRig) -> None:
    rig.send(rig.desired(1, enable_mask=3))
    rig.send(rig.command("against", "enable_chambers", enable_mask=1))
    rig.send(rig.command("with", "enable_chambers", enable_mask=3))
    rig.work(10)
    assert rig.line.words("against") == ["accepted", "rejected"]
    assert "change that instead" in str(rig.line.told("against")[-1].reason)
    assert rig.line.words("with") == ["accepted", "done"]


def test_a_command_that_is_quicker_than_the_desired_state_that_goes_with_it_waits_for_it(
    rig: OrderRig,
) -> None:
    rig.send(rig.desired(1, enable_mask=3))
    rig.send(rig.command("quick", "enable_chambers", enable_mask=1))
    rig.runner.step()
    rig.send(rig.desired(2, enable_mask=1))
    rig.work(5)
    assert rig.line.words("quick") == ["accepted", "done"] and rig.controller.enable_mask == 1


def test_the_lock_as_it_is_afterwards_comes_with_the_outcome_and_the_poller_looks_soon(rig: OrderRig) -> None:
    rig.send(rig.desired(1, access_list_version=7, access_list=entries(1, 2, 3)))
    rig.send(rig.command("list", "write_access_list"))
    rig.work()
    state = rig.line.told("list")[-1].state
    assert state is not None and state.access_list_version == 7 and state.reachable
    assert rig.hastened > 0


def test_orders_of_one_lock_are_carried_out_one_after_the_other_in_their_order(rig: OrderRig) -> None:
    for number, action in enumerate(("self_test", "clear_faults", "reboot", "self_test")):
        rig.send(rig.command(f"order-{number}", action))
    rig.work(20)
    assert [code for _, code in rig.controller.commands] == [2, 1, 3, 2]
    assert len({token for token, _ in rig.controller.commands}) == 4


def test_results_are_signed_carry_the_correlation_data_and_are_sent_again_until_the_broker_takes_them(
    rig: OrderRig,
) -> None:
    rig.line.takes = NO_MATCHING_SUBSCRIBERS
    rig.send(rig.command("told", "read_now"))
    rig.work(5)
    assert rig.alarm_names() == ("results not taken",) and set(rig.line.words("told")) == {"accepted", "done"}
    sent = len(rig.line.published)
    rig.line.takes = 0
    rig.work(20)
    assert rig.line.words("told")[sent:] == ["accepted", "done"] and rig.alarm_names() == ()
    rig.work(100)
    assert len(rig.line.published) == sent + 2
    for payload, kid, signature, correlation in rig.line.published:
        assert (kid, correlation) == (KEY.kid, b"corr")
        assert signature_holds(KEY.private.public_key(), TOPICS.result, payload, signature)


def test_results_that_nobody_acknowledges_are_few_in_hand_and_kept_through_a_restart(rig: OrderRig) -> None:
    rig.line.takes = None
    for number in range(5):
        rig.send(rig.command(f"order-{number}", "read_now"))
    rig.work(20)
    assert len(rig.line.published) == IN_HAND_MAX
    assert len(rig.book.untold(100)) == 10
    rig.work(70)  # paho may have forgotten what it had in its hands
    assert len(rig.line.published) == 2 * IN_HAND_MAX


def test_an_order_for_a_lock_that_was_taken_out_of_the_configuration_ends(tmp_path: Path) -> None:
    rig = OrderRig(tmp_path / "other.db")
    with rig.running():
        rig.lock.visit()
        rig.send(rig.command("orphan", "self_test"))
    rig.locks = ("1f00a9",)
    with rig.running():
        rig.results.step()
        rig.results.step()
    assert rig.line.words("orphan") == ["accepted", "rejected"]
    assert "taken out of this gateway's configuration" in str(rig.line.told("orphan")[-1].reason)


def test_an_action_that_this_release_does_not_know_ends_the_order_and_not_the_agent(rig: OrderRig) -> None:
    order = rig.command("newer", "self_test")
    rig.send(order)
    rig.spool.transact(lambda connection: connection.execute("UPDATE command SET action = 'open_sesame'"))
    rig.book.load(rig.locks)
    rig.work()
    assert rig.line.words("newer") == ["accepted", "rejected"]


def test_without_a_session_nothing_is_handed_over(rig: OrderRig) -> None:
    rig.line.is_connected = False
    rig.send(rig.command("offline", "read_now"))
    rig.work()
    assert rig.line.published == []
    rig.line.is_connected = True
    rig.work()
    assert rig.line.words("offline") == ["accepted", "done"]


def test_no_order_is_begun_while_nobody_can_say_whether_it_has_expired(rig: OrderRig) -> None:
    rig.send(rig.command("waits", "self_test"))
    rig.clock_is_set = False
    rig.work(10)
    assert rig.controller.commands == []
    rig.clock_is_set = True
    rig.work(10)
    assert len(rig.controller.commands) == 1


def test_a_command_that_runs_long_is_looked_at_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    controller = SlowController()
    rig = OrderRig(tmp_path / "slow.db", controller)
    with rig.running():
        rig.lock.visit()
        rig.send(rig.command("slow", "self_test"))
        began_s, looks = rig.clock.seconds, len(controller.log)
        for _ in range(20):
            assert 0 < rig.runner.step() <= 1
        assert rig.clock.seconds == began_s
        assert len(controller.log) - looks <= 4  # and not at each turn of the loop
        rig.work(20)
        assert rig.line.words("slow") == ["accepted"]
        controller.end_command()
        rig.work(2)
        assert rig.line.words("slow") == ["accepted", "done"] and len(controller.commands) == 1


def test_a_command_that_never_ends_is_looked_for_a_while_after_its_time_and_told_as_failed(
    tmp_path: Path,
) -> None:
    controller = SlowController()
    rig = OrderRig(tmp_path / "endless.db", controller)
    with rig.running():
        rig.lock.visit()
        rig.send(rig.command("endless", "self_test", ttl_s=30))
        rig.work(80)
        assert rig.line.words("endless") == ["accepted"]
        rig.work(15)
    told = rig.line.told("endless")[-1]
    assert told.outcome == "failed" and "hasn't ended since" in str(told.reason)
    assert len(controller.commands) == 1


def test_an_order_that_has_ended_while_the_memory_could_not_be_loaded_is_not_carried_out_again(
    rig: OrderRig,
) -> None:
    rig.send(rig.command("orphan", "self_test"))
    rig.send(rig.command("mine", "self_test"))
    rig.spool.transact(
        lambda connection: connection.execute("UPDATE command SET lock = '1f00a9' WHERE id = 'orphan'")
    )
    transact, calls = rig.spool.transact, iter([False, True])

    def fails_midway(work: Any) -> Any:
        if next(calls, False):
            raise SpoolUnavailable("the disk doesn't take it")
        return transact(work)

    book = OrderBook(rig.spool, rig.utc)
    rig.spool.transact = fails_midway  # type: ignore[method-assign]
    with pytest.raises(SpoolUnavailable):
        book.load(rig.locks)
    assert book.next_for(LOCK) is None  # else a runner would begin with what is loaded once more later
    book.load(rig.locks)
    order = book.next_for(LOCK)
    assert order is not None and order.id == "mine" and book.waiting() == 1


def test_a_reboot_whose_end_cannot_be_written_is_not_done_twice(rig: OrderRig) -> None:
    finish, failures = rig.book.finish, iter([True] * 3)

    def finish_later(*arguments: Any) -> None:
        if next(failures, False):
            raise SpoolUnavailable("the disk doesn't take it")
        finish(*arguments)

    rig.book.finish = finish_later  # type: ignore[method-assign,assignment]
    rig.send(rig.command("once", "reboot"))
    rig.work(20)
    assert rig.line.words("once") == ["accepted", "done"] and len(rig.controller.commands) == 1


def test_what_waits_and_what_has_ended_is_counted(rig: OrderRig) -> None:
    rig.send(rig.command("good", "self_test"))
    rig.send(rig.command("late", "self_test", ago_s=20, ttl_s=10))
    desk: Any = SimpleNamespace(book=rig.book, alarms=rig.order_alarms)

    def figures() -> dict[str, float]:
        samples = [sample for family in order_figures(desk) for sample in family.samples]
        return {" ".join((each.name, *each.labels.values())): each.value for each in samples if each.value}

    late = {
        "wastelock_agent_commands_ended_total expired": 1,
        "wastelock_agent_orders_refused_total order expired": 1,
    }
    assert figures() == late | {"wastelock_agent_commands_waiting": 1}
    rig.work()
    assert figures() == late | {"wastelock_agent_commands_ended_total done": 1}
