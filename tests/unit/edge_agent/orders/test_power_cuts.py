"""Whenever power is cut: each command is carried out once, and in the end it is told what became of it."""

from pathlib import Path

import pytest

from tests.support.order_issuer import entries
from tests.unit.edge_agent.orders.rig import LOCK, Instants, OrderRig, PowerCut
from wastelock.orders import Command

TOKENS = {"self_test": 2}  # the other commands of the controller go the same way
ACTIONS = (*TOKENS, "sync_clock", "enable_chambers", "write_access_list", "read_now")


def begin(rig: OrderRig, action: str) -> Command:
    """Have the gateway know what is desired, and return a command that it hasn't got yet."""
    rig.send(rig.desired(1, access_list_version=7, access_list=entries(0xA, 0xB)))
    rig.controller.clock_offset_s = -20.0
    return rig.command("only", action, enable_mask=1 if action == "enable_chambers" else None)


def carry_on_after_a_cut(path: Path, action: str, cut_at: int) -> bool:
    """Cut the power at that instant, then let the gateway go on; False if all had been done before it came."""
    rig, was_cut = OrderRig(path), False
    with rig.running_quickly(instants := Instants()):
        command = begin(rig, action)
        instants.cut_at = instants.passed + cut_at
        try:
            rig.send(command)
            rig.work(3)
        except PowerCut:
            was_cut = True
    with rig.running_quickly():
        rig.clock.seconds += 5
        rig.send(command.model_copy(update={"attempt": 2}))  # the cloud asks until it knows
        rig.work(5)
        assert rig.line.words("only")[-1] == "done", (action, cut_at, rig.line.told("only"))
        assert rig.book.next_for(LOCK) is None
    assert_carried_out_once(rig, action)
    return was_cut


def assert_carried_out_once(rig: OrderRig, action: str) -> None:
    lock = rig.controller
    assert [code for _, code in lock.commands] == ([TOKENS[action]] if action in TOKENS else [])
    assert lock.enable_mask == (1 if action == "enable_chambers" else 3)
    assert lock.list_in_force[:2] == (7, 2)  # it is desired, whether commanded or not
    assert abs(lock.clock_offset_s) <= 1 if action == "sync_clock" else lock.clock_offset_s == -20
    assert rig.alarm_names() == ()


@pytest.mark.parametrize("action", ACTIONS)
def test_power_may_be_cut_at_any_instant_of_a_command(action: str, tmp_path: Path) -> None:
    cut_at = 1
    while carry_on_after_a_cut(tmp_path / f"{cut_at}.db", action, cut_at):
        cut_at += 1
    assert cut_at > 8  # so many instants there were at least


def test_after_a_cut_a_command_that_somebody_elses_followed_is_told_as_unknown_and_not_sent_again(
    tmp_path: Path,
) -> None:
    rig = OrderRig(tmp_path / "spool.db")
    with rig.running_quickly(instants := Instants()):
        rig.registers.after_write = lambda _address: cut()  # it has arrived, nobody knows

        def cut() -> None:
            raise PowerCut

        rig.send(rig.command("followed", "self_test"))
        with pytest.raises(PowerCut):
            rig.work(3)
    rig.controller.last_command = (4711, 0)  # a technician's
    with rig.running_quickly(instants):
        rig.work(3)
    told = rig.line.told("followed")[-1]
    assert told.outcome == "failed" and "has had another command since" in str(told.reason)
    assert len(rig.controller.commands) == 1


def test_a_command_whose_time_runs_out_while_the_gateway_is_dark_is_looked_for_and_never_sent_again(
    tmp_path: Path,
) -> None:
    def ends_as(cut_at: int) -> tuple[str, int]:
        rig = OrderRig(tmp_path / f"{cut_at}.db")
        with rig.running_quickly(instants := Instants()):
            command = rig.command("late", "self_test", ttl_s=60)
            instants.cut_at = instants.passed + cut_at
            try:
                rig.send(command)
                rig.work(3)
            except PowerCut:
                pass
        with rig.running_quickly():
            rig.clock.seconds += 3600
            rig.work(3)
        return rig.line.words("late")[-1] if rig.line.words("late") else "never came", len(
            rig.controller.commands
        )

    outcomes = {ends_as(cut_at) for cut_at in range(1, 16)}
    assert outcomes == {("never came", 0), ("expired", 0), ("done", 1)}
