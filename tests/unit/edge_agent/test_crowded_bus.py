"""Where a bus can't carry all visits in time: a glance first, and a whole visit where it is worth it, or due."""

import pytest

from edge_agent.errors import NoAnswer, Refused
from edge_agent.journal_keeper import Outcome
from edge_agent.lock_visitor import WHOLE_VISIT_S
from tests.support.lock_rig import HandClock, LockRig
from tests.unit.edge_agent.test_poller import PlayedVisitor, poller_of, run
from wastelock.registers import NEWEST_SEQ_ADDRESS, NEWEST_SEQ_WORDS, STATUS_ADDRESS

GLANCE = (NEWEST_SEQ_ADDRESS, NEWEST_SEQ_WORDS)


@pytest.fixture
def rig() -> LockRig:
    """A lock whose journal is on disk and confirmed, met a moment ago."""
    rig = LockRig()
    rig.pours(3)
    rig.patiently(3)
    return rig


def hasten(rig: LockRig, after_s: float = 0.5) -> list[tuple[int, int]]:
    """Visit in haste; return address and length of what was read."""
    reads: list[tuple[int, int]] = []
    rig.registers.before_read = lambda address, count: reads.append((address, count))
    rig.clock.seconds += after_s
    rig.visitor.visit(lambda: False, in_haste=True)
    return reads


def test_a_quiet_lock_gets_a_glance_and_nothing_more(rig: LockRig) -> None:
    assert hasten(rig) == [GLANCE]
    assert hasten(rig) == [GLANCE]


def test_a_glance_that_shows_a_pour_becomes_a_whole_visit(rig: LockRig) -> None:
    rig.pours(1)
    reads = hasten(rig)
    assert reads[0] == GLANCE
    assert STATUS_ADDRESS in [address for address, _ in reads]
    assert rig.whole_journal_is_kept()
    assert rig.controller.confirmed == rig.controller.newest


def test_a_lock_is_looked_at_as_a_whole_after_a_while_all_the_same(rig: LockRig) -> None:
    assert GLANCE not in hasten(rig, 2 * WHOLE_VISIT_S)
    assert hasten(rig) == [GLANCE]


def test_what_was_never_met_is_looked_at_as_a_whole() -> None:
    rig = LockRig()
    rig.pours(1)
    assert GLANCE not in hasten(rig)
    assert rig.whole_journal_is_kept()


def test_what_isnt_confirmed_yet_is_looked_at_as_a_whole(rig: LockRig) -> None:
    rig.pours(1)

    def fail(address: int) -> None:
        raise NoAnswer("no answer to a write")

    rig.registers.before_write = lambda address, words: fail(address)
    rig.visit()
    rig.registers.before_write = lambda address, words: None
    assert GLANCE not in hasten(rig)
    assert rig.controller.confirmed == rig.controller.newest


def test_a_glance_without_answer_leaves_it_to_a_whole_visit_to_find_out(rig: LockRig) -> None:
    def silent(address: int, count: int) -> None:
        raise NoAnswer("no answer")

    rig.registers.before_read = silent
    rig.clock.seconds += 0.5
    rig.visitor.visit(lambda: False, in_haste=True)
    assert rig.visitor.view.unreachable_since is not None
    assert GLANCE not in hasten(rig)


def test_a_controller_that_gives_its_status_only_as_a_whole_is_asked_for_a_glance_once(rig: LockRig) -> None:
    def refuse(address: int, count: int) -> None:
        if (address, count) == GLANCE:
            asked.append(address)
            raise Refused(2, "a part of the status")

    asked: list[int] = []
    rig.registers.before_read = refuse
    for _ in range(3):
        rig.clock.seconds += 0.5
        rig.visitor.visit(lambda: False, in_haste=True)
    assert len(asked) == 1
    assert rig.visitor.view.unreachable_since is None


@pytest.mark.parametrize("shown", [0, 1, 2**32 - 1])
def test_a_wrong_glance_costs_a_whole_visit_and_no_record(rig: LockRig, shown: int) -> None:
    rig.registers.alter = lambda address, block: (
        shown.to_bytes(4, "big") if address == NEWEST_SEQ_ADDRESS else block
    )
    assert (STATUS_ADDRESS, 40) in hasten(rig)
    rig.pours(1)
    hasten(rig)
    assert rig.whole_journal_is_kept()


class Hastened(PlayedVisitor):
    """Counts how often it was asked to hurry."""

    hurried = 0

    def visit(self, is_over: object, in_haste: bool = False) -> Outcome:
        self.hurried += in_haste
        return super().visit(is_over, in_haste)  # type: ignore[arg-type]  # as it was handed over


@pytest.mark.parametrize(("locks", "hurries"), [(2, False), (60, True)])
def test_only_a_crowded_bus_is_in_haste(locks: int, hurries: bool) -> None:
    clock = HandClock()
    visitors = [Hastened(f"lock-{n}", clock) for n in range(locks)]
    run(poller_of(clock, *visitors), clock, 10)
    assert any(visitor.hurried for visitor in visitors) is hurries
