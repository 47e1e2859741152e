"""Locks are brought to what is desired: at once, when they are met again, and whenever they stray from it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.drivers.base import ListMark, pack_list, unpack_list
from edge_agent.orders.target import Progress
from tests.support.order_issuer import entries
from tests.unit.edge_agent.orders.rig import LOCK, OrderRig, SlowController
from tests.unit.edge_agent.orders.test_carrying_out import be_away, come_back
from wastelock.registers import LIST_BEGIN_ADDRESS as LIST_BEGIN


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[OrderRig]:
    rig = OrderRig(tmp_path / "spool.db")
    with rig.running():
        yield rig


def test_a_desired_state_is_brought_about_at_once(rig: OrderRig) -> None:
    rig.lock.visit()
    rig.send(
        rig.desired(
            1, access_list_version=7, access_list=entries(1, 2, blocked=2), enable_mask=2, poll_interval_s=9
        )
    )
    rig.runner.step()
    assert rig.controller.list_in_force[:2] == (7, 2)
    assert rig.controller.enable_mask == 2
    assert rig.lock.visitor.poll_interval_s == 9
    rig.work(3)
    assert (rig.lock.state.access_list_version, rig.lock.state.poll_interval_s) == (7, 9)
    assert [chamber.enabled for chamber in rig.lock.state.chambers] == [False, True]


def test_while_nothing_strays_nothing_is_asked_on_the_bus(rig: OrderRig) -> None:
    rig.lock.visit()
    rig.send(rig.desired(1, access_list_version=7, access_list=entries(1, 2), enable_mask=2))
    rig.work(5)
    before = len(rig.controller.log)
    for _ in range(100):
        rig.runner.step()
        rig.clock.seconds += 1
    assert len(rig.controller.log) == before


def test_a_lock_that_strays_is_brought_back(rig: OrderRig) -> None:
    rig.send(rig.desired(1, access_list_version=7, access_list=entries(1, 2), enable_mask=2))
    rig.work(5)
    rig.controller.enable_mask = 3
    rig.controller.list_in_force = (0, 0, 0)  # swapped, or set back by hand
    rig.work(5)
    assert rig.controller.enable_mask == 2
    assert rig.controller.list_in_force[:2] == (7, 2)


def test_a_lock_that_was_away_is_brought_there_when_it_is_met_again(rig: OrderRig) -> None:
    rig.lock.visit()
    be_away(rig)
    rig.send(rig.desired(1, enable_mask=1))
    rig.work(200)
    assert rig.controller.enable_mask == 3
    come_back(rig)
    rig.lock.visitor.view.unreachable_since = rig.clock.utc()
    rig.runner.step()
    rig.lock.visit()
    rig.runner.step()
    assert rig.controller.enable_mask == 1


def test_what_is_not_desired_any_more_stays_as_it_is_and_the_interval_is_the_configured_one_again(
    rig: OrderRig,
) -> None:
    rig.send(rig.desired(1, enable_mask=1, poll_interval_s=30))
    rig.work(3)
    rig.send(rig.desired(2))
    rig.work(3)
    assert rig.controller.enable_mask == 1
    assert rig.lock.visitor.poll_interval_s == 1.0
    rig.controller.enable_mask = 2
    rig.work(3)
    assert rig.controller.enable_mask == 2


def test_a_list_that_is_too_long_leaves_the_one_in_force_raises_an_alarm_and_is_the_locks_problem(
    rig: OrderRig,
) -> None:
    rig.controller.access_list_max = 2
    rig.send(rig.desired(1, access_list_version=7, access_list=entries(1, 2)))
    rig.work(3)
    rig.send(rig.desired(2, access_list_version=8, access_list=entries(1, 2, 3)))
    rig.work(5)
    assert rig.controller.list_in_force[:2] == (7, 2)
    assert "3 entries: this lock takes 2" in str(rig.lock.state.problem)
    assert "have it swapped" in str(rig.lock.state.problem)
    assert rig.alarm_names() == ("desired not in force",) and LOCK in rig.alarms.texts()[0]
    rig.send(rig.desired(3, access_list_version=9, access_list=entries(3)))
    rig.work(5)
    assert rig.controller.list_in_force[:2] == (9, 1)
    assert rig.lock.state.problem is None and rig.alarm_names() == ()


def test_another_list_of_the_same_version_is_told_with_what_to_do(rig: OrderRig) -> None:
    rig.controller.list_in_force = (7, 1, 0xDEAD)
    rig.send(rig.desired(1, access_list_version=7, access_list=entries(1, 2)))
    rig.work(10)
    assert "give the list a new version" in str(rig.lock.state.problem)


def test_a_problem_that_only_people_can_mend_is_not_tried_all_the_time(rig: OrderRig) -> None:
    rig.controller.capabilities = 0
    rig.send(rig.desired(1, enable_mask=1))
    rig.work(5)
    before = len(rig.registers.controller.log)
    for _ in range(60):
        rig.runner.step()
        rig.clock.seconds += 1
    assert len(rig.registers.controller.log) == before
    rig.controller.capabilities = 0b10100
    for _ in range(300):
        rig.runner.step()
        rig.clock.seconds += 1
    assert rig.controller.enable_mask == 1


def test_an_empty_list_is_a_list(rig: OrderRig) -> None:
    rig.send(rig.desired(1, access_list_version=7, access_list=entries(1)))
    rig.work(3)
    rig.send(rig.desired(2, access_list_version=8, access_list=()))
    rig.work(3)
    assert rig.controller.list_in_force == (8, 0, 0)


def test_a_packed_list_is_what_the_lock_tells_it_by() -> None:
    packed = pack_list(unpack_list(pack_list(unpack_list(bytes(range(40))))))
    assert packed[:2] == b"\x00\x01" and len(packed) == 40
    assert ListMark.of(7, b"") == ListMark(7, 0, 0)


def test_however_many_commands_are_under_way_a_blocked_transponder_is_written_at_the_next_turn(
    tmp_path: Path,
) -> None:
    rig = OrderRig(tmp_path / "row.db", SlowController())
    rig.locks = (LOCK, *(f"1f00b{number}" for number in range(8)))
    with rig.running():
        rig.lock.visit()
        targets = [replace(rig.target, lock=lock) for lock in rig.locks]
        runner = rig.make_runner(targets[0], Progress(), *targets[1:])
        for lock in rig.locks:
            rig.send(rig.command(f"order-{lock}", "self_test", lock=lock))
        began_s = rig.clock.seconds
        runner.step()
        rig.send(rig.desired(1, access_list_version=7, access_list=entries(1, 2, blocked=2)))
        runner.step()
        assert rig.controller.list_in_force[:2] == (7, 2)
        assert rig.clock.seconds == began_s  # nobody has waited for a command that runs


def test_what_is_desired_goes_before_each_order_that_is_served(tmp_path: Path) -> None:
    rig = OrderRig(tmp_path / "before.db")
    rig.locks = (LOCK, "1f00b1")
    with rig.running():
        rig.lock.visit()
        targets = [replace(rig.target, lock=lock) for lock in rig.locks]
        runner = rig.make_runner(targets[0], Progress(), *targets[1:])
        for lock in rig.locks:
            rig.send(rig.command(f"order-{lock}", "self_test", lock=lock))

        def change_what_is_desired(_address: int) -> None:
            rig.registers.after_write = lambda _address: None
            rig.send(rig.desired(1, enable_mask=1))

        rig.registers.after_write = change_what_is_desired  # while the first lock's order is carried out
        rig.controller.log.clear()
        runner.step()
        assert [address for kind, address, _ in rig.controller.log if kind == "write"] == [
            0x109,
            0x108,
            0x109,
        ]


def test_a_controller_that_restarts_in_the_midst_of_its_list_gets_it_again_soon_and_nobody_is_alarmed(
    rig: OrderRig,
) -> None:
    restarts = iter([True])

    def restart(address: int) -> None:
        if address == LIST_BEGIN and next(restarts, False):
            rig.controller.power_up()

    rig.lock.visit()
    rig.registers.after_write = restart
    rig.send(rig.desired(1, access_list_version=7, access_list=entries(1, 2, 3)))
    rig.work(1)
    assert rig.controller.list_in_force == (0, 0, 0)
    assert rig.alarm_names() == () and rig.lock.visitor.order_problem is None
    rig.work(4)
    assert rig.controller.list_in_force[:2] == (7, 3)


def test_a_controller_that_refuses_a_list_again_and_again_is_told_as_the_locks_problem(rig: OrderRig) -> None:
    rig.lock.visit()
    rig.registers.after_write = lambda address: rig.controller.power_up() if address == LIST_BEGIN else None
    rig.send(rig.desired(1, access_list_version=7, access_list=entries(1, 2, 3)))
    rig.work(10)
    assert "Modbus exception 4" in str(rig.lock.visitor.order_problem)
    assert rig.alarm_names() == ("desired not in force",)


def test_a_list_that_is_too_long_keeps_no_chamber_from_being_locked(rig: OrderRig) -> None:
    rig.controller.access_list_max = 2
    rig.lock.visit()
    rig.send(rig.desired(1, access_list_version=7, access_list=entries(1, 2, 3), enable_mask=0))
    rig.runner.step()
    assert rig.controller.enable_mask == 0
    assert "3 entries: this lock takes 2" in str(rig.lock.visitor.order_problem)
    rig.work(5)
    rig.controller.enable_mask = 3  # by hand, while the list is left alone
    rig.work(5)
    assert rig.controller.enable_mask == 0


def test_two_wishes_that_cannot_be_fulfilled_are_both_told(rig: OrderRig) -> None:
    rig.controller.capabilities = 0
    rig.lock.visit()
    rig.send(rig.desired(1, access_list_version=7, access_list=entries(1), enable_mask=0))
    rig.work(5)
    problem = str(rig.lock.state.problem)
    assert "keep an access list" in problem and "enable chambers" in problem


def test_a_list_is_never_shortened_here_though_its_last_entries_are_blocked(rig: OrderRig) -> None:
    rig.controller.access_list_max = 3
    rig.send(rig.desired(1, access_list_version=7, access_list=entries(1, 2, 3)))
    rig.work(5)
    rig.send(rig.desired(2, access_list_version=8, access_list=entries(1, 2, 5, 3, blocked=3)))
    rig.work(5)
    assert rig.controller.list_in_force[:2] == (7, 3)
    assert "4 entries: this lock takes 3" in str(rig.lock.state.problem)
    assert rig.lock.state.access_list_max == 3  # by which the cloud makes one that fits
