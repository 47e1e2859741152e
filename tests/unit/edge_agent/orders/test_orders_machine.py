"""Whatever happens in whatever order: replays, restarts, power cuts, wrong clocks. No command is carried out twice."""

import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge_agent.arrival import Arrival
from tests.unit.edge_agent.orders.rig import Instants, OrderRig, PowerCut
from wastelock.orders import Command

DAY_S = 86_400.0


class OrdersMachine(RuleBasedStateMachine):
    """A gateway and its lock, a cloud that asks again, somebody who replays what he has heard, and clocks that jump."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(mkdtemp(prefix="orders-machine-"))
        self.rig = OrderRig(self.directory / "spool.db")
        self.instants = Instants()
        self.running = ExitStack()
        self.running.enter_context(self.rig.running_quickly(self.instants))
        self.sent: dict[str, Command] = {}
        self.heard: list[Arrival] = []
        self.card_was_lost = False

    def teardown(self) -> None:
        self.running.close()
        shutil.rmtree(self.directory)

    # ---- what happens ----

    @rule(ttl_s=st.sampled_from([1, 60, DAY_S, DAY_S]), action=st.sampled_from(["self_test", "reboot"]))
    def a_new_command(self, ttl_s: float, action: str) -> None:
        command = self.rig.command(f"order-{len(self.sent)}", action, ttl_s=ttl_s)
        self.sent[command.id] = command
        self._take(self.rig.arrival(command))

    @rule(choice=st.randoms(use_true_random=False))
    def the_cloud_asks_again(self, choice: Random) -> None:
        if self.sent:
            number = choice.choice(sorted(self.sent))
            again = self.sent[number].model_copy(update={"attempt": self.sent[number].attempt + 1})
            self.sent[number] = again
            self._take(self.rig.arrival(again))

    @rule(choice=st.randoms(use_true_random=False), dup=st.booleans())
    def somebody_replays(self, choice: Random, dup: bool) -> None:
        if self.heard:
            self._take(replace(choice.choice(self.heard), dup=dup))

    @rule(seconds=st.sampled_from([1, 30, 3600, 2 * DAY_S]))
    def time_passes(self, seconds: float) -> None:
        self.rig.clock.seconds += seconds

    @rule(off_by_s=st.sampled_from([0.0, 0.0, 0.0, -3 * DAY_S, 3 * DAY_S, -60.0]))
    def the_gateways_clock_jumps(self, off_by_s: float) -> None:
        # With the card lost and the clock behind for days nobody can tell what was carried out in those days.
        self.rig.off_by_s = max(0.0, off_by_s) if self.card_was_lost else off_by_s
        if self.rig.off_by_s == 0:
            self._guarded(lambda: self.rig.book.begin(is_certain=True))

    @rule()
    def orders_are_worked_on(self) -> None:
        self._guarded(lambda: self.rig.work(3))

    @rule()
    def everything_heard_is_replayed(self) -> None:
        for arrival in tuple(self.heard):
            self._guarded(lambda: self.rig.intake.take(arrival))  # noqa: B023 - called at once

    @rule()
    def old_orders_are_forgotten(self) -> None:
        self._guarded(self.rig.book.forget_old)

    @rule(after=st.integers(1, 16))
    def power_is_cut_while_an_order_is_carried_out(self, after: int) -> None:
        self.instants.cut_at = self.instants.passed + after
        self.a_new_command(DAY_S, "self_test")
        self.orders_are_worked_on()
        self.instants.cut_at = 0

    @rule()
    def the_agent_restarts(self) -> None:
        self._restart()

    @rule()
    def the_card_is_lost(self) -> None:
        self.running.close()
        for file in self.directory.iterdir():
            file.unlink()
        self.card_was_lost = True
        self.rig.off_by_s = max(0.0, self.rig.off_by_s)
        self._restart()

    # ---- what holds ----

    @invariant()
    def none_is_carried_out_twice(self) -> None:
        carried_out = Counter(self.rig.started[token] for token, _ in self.rig.controller.commands)
        assert all(count == 1 for count in carried_out.values()), carried_out
        for number in self.sent:
            ends = [word for word in self.rig.line.words(number) if word != "accepted"]
            if ends and ends[0] == "done":
                assert carried_out[number] == 1
            if ends and ends[0] in ("expired", "rejected") and not self.card_was_lost:
                assert carried_out[number] == 0

    # ---- how ----

    def _take(self, arrival: Arrival) -> None:
        self.heard.append(arrival)
        self._guarded(lambda: self.rig.intake.take(arrival))

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
        except PowerCut:
            self._restart()

    def _restart(self) -> None:
        self.running.close()
        self.instants.cut_at = 0
        self.running.enter_context(self.rig.running_quickly(self.instants))


TestOrdersMachine = OrdersMachine.TestCase
TestOrdersMachine.settings = settings(max_examples=15, stateful_step_count=40)
