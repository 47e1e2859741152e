"""Orders to a legacy counter, which can do nothing but be read: each is answered, with the reason."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.drivers.counter_1 import Counter1Driver
from edge_agent.orders import memory
from edge_agent.orders.target import Progress, Target
from tests.support.order_issuer import entries
from tests.unit.edge_agent.orders.rig import LOCK, OrderRig
from tests.unit.edge_agent.test_counter_1 import SERIAL
from tests.unit.edge_agent.test_counter_lock import CounterLock


class CounterRig(OrderRig):
    """The lock of the orders is a counter; it is visited when somebody asks for it, if `is_visited`."""

    is_visited = True

    def use_counter(self) -> None:
        self.counter = CounterLock()
        self.counter.clock = self.clock
        self.counter.restart()
        self.counter.visit()
        chambers, clock = [self.counter.chamber], self.clock
        driver = Counter1Driver(
            self.counter.registers, SERIAL, chambers, lambda: True, clock.unix_s, clock.monotonic
        )
        self.runner = self.make_runner(
            Target(LOCK, driver, self.counter.visitor, 1.0, self._visit), Progress()
        )

    def _visit(self) -> None:
        if self.is_visited:
            self.counter.visit()

    def work(self, seconds: float = 5.0) -> None:
        end = self.clock.seconds + seconds
        while self.clock.seconds < end:
            self.clock.seconds += max(0.1, self.runner.step())
            self.results.look_again()
            self.results.step()
        self.results.step()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[CounterRig]:
    rig = CounterRig(tmp_path / "spool.db")
    with rig.running():
        rig.use_counter()
        yield rig


@pytest.mark.parametrize("action", ["sync_clock", "enable_chambers", "self_test", "clear_faults", "reboot"])
def test_what_a_counter_cannot_do_is_rejected_with_the_reason(rig: CounterRig, action: str) -> None:
    rig.send(rig.command("asked", action, enable_mask=1 if action == "enable_chambers" else None))
    rig.work()
    told = rig.line.told("asked")[-1]
    assert told.outcome == "rejected" and "legacy counter" in str(told.reason)


def test_a_counter_is_read_now_by_the_poller_which_alone_may_derive_pours(rig: CounterRig) -> None:
    records = len(rig.counter.spool.records())
    rig.counter.set(1001)
    rig.send(rig.command("read", "read_now"))
    rig.work(15)
    told = rig.line.told("read")[-1]
    assert told.outcome == "done" and told.state is not None
    assert told.state.chambers[-1].register_count == 1001
    assert len(rig.counter.spool.records()) == records + 1  # one pour, made once


def test_a_counter_that_is_not_read_in_time_is_tried_again(rig: CounterRig) -> None:
    rig.is_visited = False
    rig.send(rig.command("read", "read_now"))
    rig.work(40)
    assert rig.line.words("read") == ["accepted"]
    rig.is_visited = True
    rig.work(30)
    assert rig.line.words("read") == ["accepted", "done"]


def test_a_desired_access_list_is_the_counters_problem_and_its_interval_is_followed(rig: CounterRig) -> None:
    rig.send(rig.desired(1, access_list_version=7, access_list=entries(1), poll_interval_s=9))
    rig.work()
    assert "legacy counter has no access list" in str(rig.counter.visitor.order_problem)
    assert "legacy counter has no access list" in str(rig.counter.states[-1].problem)
    assert rig.counter.states[-1].poll_interval_s == 9
    assert rig.alarm_names() == ("desired not in force",)


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("action", ["sync_clock", "self_test", "reboot"])
def test_an_order_that_was_begun_before_a_counter_took_the_locks_place_ends_at_the_first_turn_after_a_start(
    tmp_path: Path, action: str, is_late: bool
) -> None:
    rig = CounterRig(tmp_path / "spool.db")
    with rig.running():
        rig.send(rig.command("begun", action))
        tokens = (None, None) if action == "sync_clock" else (1, 0)
        rig.spool.transact(lambda connection: memory.note_started(connection, "begun", *tokens))
    rig.clock.seconds += 1000 if is_late else 0
    with rig.running():
        rig.use_counter()
        rig.runner.step()  # within the second in which no derived journal may begin
        rig.work(1)
    told = rig.line.told("begun")[-1]
    assert told.outcome == "failed" and "isn't known" in str(told.reason)
