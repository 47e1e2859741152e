"""Whatever happens in whatever order: nothing is confirmed that isn't on disk, and in the end all is on disk."""

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_agent.errors import BrokenAnswer, LineDown, NoAnswer, SpoolFull, SpoolUnavailable
from tests.support.controller import Controller
from tests.support.lock_rig import LockRig

ACK, RING = 0x100, 0x4000
CAPACITY = 32
ERRORS = {"silence": NoAnswer, "noise": BrokenAnswer, "line": LineDown}


class CustodyMachine(RuleBasedStateMachine):
    """One controller, a gateway that crashes and fills up, a line that fails; and now and then a second gateway."""

    @initialize(first_seq=st.sampled_from([0, 0, 2**32 - 500]))
    def begin(self, first_seq: int) -> None:
        controller = Controller(capacity=CAPACITY, newest=first_seq, confirmed=first_seq)
        if first_seq:  # a ring that has gone round many times
            for seq in range(first_seq - CAPACITY + 1, first_seq + 1):
                controller.newest = seq - 1
                controller.confirmed = seq - 1
                controller.pour()
            controller.confirmed = first_seq
        self.rig = LockRig(controller)
        self.made: dict[tuple[int, int], bytes] = {}
        self.by_others: set[tuple[int, int]] = set()
        self.failing: list[tuple[int, str]] = []
        self.answers_lost = 0
        self.reads = 0
        self.rig.registers.before_read = self._before_read
        self.rig.registers.before_write = self._before_write
        self.rig.registers.after_write = self._after_write
        self.first_seq = first_seq
        for seq in range(max(1, controller.oldest), controller.newest + 1):
            self.made[controller.epoch, seq] = controller.raw(seq)
        self.by_others.update(self.made)  # confirmed to somebody before our time

    # ---- what happens ----

    @rule(count=st.integers(1, 20))
    def pours(self, count: int) -> None:
        c = self.rig.controller
        for _ in range(min(count, CAPACITY - (c.newest - c.confirmed))):
            seq = c.pour()
            self.made[c.epoch, seq] = c.raw(seq)

    @rule(steps=st.integers(1, 8))
    def visit(self, steps: int) -> None:
        self.rig.visit(steps)

    @rule()
    def crash_and_restart(self) -> None:
        self.rig.restart()

    @rule()
    def lose_the_spool(self) -> None:
        self.by_others |= set(self.kept())  # those were the cloud's already, or are in the ring
        self.rig.spool.visits.clear()
        self.rig.spool.cursors.clear()
        self.rig.restart()

    @rule(full=st.booleans(), in_doubt=st.booleans())
    def spool_refuses(self, full: bool, in_doubt: bool) -> None:
        self.rig.spool.refusal = SpoolFull("full") if full else SpoolUnavailable("I/O error")
        self.rig.spool.keeps_in_spite = in_doubt and not full

    @rule()
    def spool_takes_again(self) -> None:
        self.rig.spool.refusal, self.rig.spool.keeps_in_spite = None, False

    @rule(after=st.integers(0, 12), what=st.sampled_from(sorted(ERRORS)))
    def line_will_fail(self, after: int, what: str) -> None:
        self.failing.append((self.reads + after, what))

    @rule()
    def next_answer_to_a_write_gets_lost(self) -> None:
        self.answers_lost = 1

    @rule()
    def power_up(self) -> None:
        self.rig.controller.power_up()

    @rule(share=st.floats(0, 1))
    def other_gateway_confirms(self, share: float) -> None:
        c = self.rig.controller
        upto = c.confirmed + int(share * (c.newest - c.confirmed))
        self.by_others |= self.made_until(upto)
        c.confirmed = upto

    @precondition(lambda self: self.rig.controller.epoch < 12)
    @rule()
    def new_epoch(self) -> None:
        c = self.rig.controller
        self.by_others |= self.made_until(c.newest)  # gone with its memory
        c.begin_epoch(c.epoch + 1)

    @rule()
    def time_passes(self) -> None:
        self.rig.clock.seconds += 30

    # ---- what must hold ----

    @invariant()
    def nothing_on_disk_was_made_up(self) -> None:
        for key, raw in self.kept().items():
            assert raw == self.made[key]

    def teardown(self) -> None:
        """After the last trouble all that the controller still has comes onto the disk, and is confirmed."""
        if not hasattr(self, "rig"):
            return
        self.spool_takes_again()
        self.failing.clear()
        self.answers_lost = 0
        c = self.rig.controller
        for _ in range(30):
            self.time_passes()
            self.rig.visit()
        assert c.confirmed == c.newest
        kept = self.kept()
        missing = [key for key in self.made if key not in kept and key not in self.by_others]
        assert missing == []
        assert self.rig.state.problem is None
        assert self.rig.state.unverified_records == 0

    # ---- the line between ----

    def made_until(self, seq: int) -> set[tuple[int, int]]:
        epoch = self.rig.controller.epoch
        return {key for key in self.made if key[0] == epoch and key[1] <= seq}

    def kept(self) -> dict[tuple[int, int], bytes]:
        return {(epoch, record.seq): record.raw for epoch, record in self.rig.spool.records()}

    def _before_read(self, address: int, count: int) -> None:
        self._tick()

    def _before_write(self, address: int, words: Sequence[int]) -> None:
        self._tick()
        if address == ACK:
            seq = words[2] << 16 | words[3]
            kept, c = self.kept(), self.rig.controller
            for number in range(c.confirmed + 1, seq + 1):
                key = (c.epoch, number)
                assert key in kept or key in self.by_others, f"{key} confirmed but not on disk"

    def _after_write(self, address: int) -> None:
        if self.answers_lost:
            self.answers_lost = 0
            raise NoAnswer("the answer got lost")

    def _tick(self) -> None:
        self.reads += 1
        for failing in self.failing:
            if failing[0] <= self.reads:
                self.failing.remove(failing)
                raise ERRORS[failing[1]](failing[1])


TestCustodyMachine = CustodyMachine.TestCase
TestCustodyMachine.settings = settings(max_examples=30, stateful_step_count=40)
