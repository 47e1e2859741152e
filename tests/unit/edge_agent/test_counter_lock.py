"""A legacy counter visited like any lock: derived records and memo in one page, restarts, resets, and what is told."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edge_agent.drivers.counter_1 import Counter1Driver, CounterRegister
from edge_agent.errors import SpoolFull
from edge_agent.lock_report import LockReport
from edge_agent.lock_visitor import LockVisitor, Time
from tests.support.lock_rig import HandClock, MemorySpool
from tests.unit.edge_agent.test_counter_1 import NARROW, SERIAL, WIDE, CounterRegisters
from wastelock.messages import LockState
from wastelock.record import Kind, decode_record


class CounterLock:
    """One counter, its visitor and a spool in memory."""

    def __init__(self, chamber: CounterRegister = WIDE) -> None:
        self.chamber = chamber
        self.clock = HandClock()
        self.registers = CounterRegisters()
        self.spool = MemorySpool()
        self.states: list[LockState] = []
        self.trusted = True
        self.set(1000)
        self.restart()

    def set(self, value: int) -> None:
        self.value = value
        self.registers.set(self.chamber, value)

    def restart(self) -> None:
        driver = Counter1Driver(
            self.registers,
            SERIAL,
            [self.chamber],
            lambda: self.trusted,
            self.clock.unix_s,
            self.clock.monotonic,
        )
        time = Time(self.clock.utc, self.clock.monotonic, lambda: self.trusted)
        report = LockReport(self.states.append, self.clock.utc, self.clock.monotonic, lambda: 300)
        self.visitor = LockVisitor("c0ffee", driver, 1.0, self.spool, report, time, 30)

    def visit(self, after_s: float = 10.0) -> None:
        self.clock.seconds += after_s
        while self.visitor.visit(lambda: False).has_more:
            pass

    def kinds(self) -> list[int]:
        return [decode_record(record.raw).kind for _, record in self.spool.records()]


@pytest.fixture
def counter() -> CounterLock:
    return CounterLock()


def test_pours_are_sealed_with_the_memo_that_belongs_to_them(counter: CounterLock) -> None:
    counter.visit()
    counter.set(1003)
    counter.visit(after_s=30)
    assert counter.kinds() == [Kind.REGISTER_REPORT, Kind.POUR, Kind.POUR, Kind.POUR]
    assert b'"count":1003' in (counter.spool.cursors["c0ffee"].memo or b"")
    assert counter.spool.visits[0].driver == "counter-1"
    assert abs(counter.spool.visits[0].clock_offset_s or 0) <= 1
    state = counter.states[-1]
    assert (state.driver, state.reachable, state.problem, state.state) == ("counter-1", True, None, None)


def test_restart_goes_on_with_the_memo(counter: CounterLock) -> None:
    counter.visit()
    counter.restart()
    counter.set(1100)
    counter.visit(after_s=3600)
    assert counter.spool.seqs() == list(range(1, 102))
    assert counter.kinds()[1:] == [Kind.POUR] * 100


def test_more_than_a_page_of_pours_is_sealed_in_several_pages(counter: CounterLock) -> None:
    counter.visit()
    counter.set(2300)
    counter.restart()
    counter.visit(after_s=20_000)
    assert [len(visit.records) for visit in counter.spool.visits] == [1, 500, 500, 300]


def test_reset_is_told_and_begins_a_new_epoch(counter: CounterLock) -> None:
    counter.visit()
    counter.set(4)
    for _ in range(4):
        counter.visit()
    assert counter.kinds() == [Kind.REGISTER_REPORT, Kind.REGISTER_REPORT]
    epochs = [epoch for epoch, _ in counter.spool.records()]
    assert epochs[0] < epochs[1]
    assert "reset or swapped" in (counter.states[-1].problem or "")
    counter.set(5)
    counter.visit()
    assert counter.kinds()[-1] == Kind.POUR
    assert counter.spool.records()[-1][0] == epochs[1]


def test_full_spool_derives_nothing_twice(counter: CounterLock) -> None:
    counter.visit()
    counter.spool.refusal = SpoolFull("no room")
    for _ in range(6):
        counter.set(counter.value + 1)
        counter.visit()
    counter.spool.refusal = None
    counter.visit()
    counter.visit()
    assert counter.kinds() == [Kind.REGISTER_REPORT] + [Kind.POUR] * 6


def test_gateway_without_a_clock_waits_and_says_so(counter: CounterLock) -> None:
    counter.trusted = False
    counter.visit()
    assert counter.spool.visits == []
    assert "waiting for it" in (counter.states[-1].problem or "")
    counter.trusted = True
    counter.visit()
    assert counter.kinds() == [Kind.REGISTER_REPORT]


def test_quiet_counter_keeps_its_memo_young() -> None:
    """Else a restart after quiet weeks would take a 16-bit register for one that may have wrapped."""
    counter = CounterLock(NARROW)
    for _ in range(8 * 24):
        counter.visit(after_s=3600)
    cursor = counter.spool.cursors["c0ffee"]
    counter.spool.cursors["c0ffee"] = replace(cursor, memo=counter.spool.memos["c0ffee"])
    counter.restart()
    counter.set(1001)
    counter.visit()
    assert counter.states[-1].problem is None
    assert counter.kinds()[-1] == Kind.POUR


def test_times_of_derived_pours_are_the_gateways(counter: CounterLock) -> None:
    counter.visit()
    counter.set(1001)
    counter.visit()
    record = decode_record(counter.spool.records()[-1][1].raw)
    assert datetime.fromtimestamp(record.began_clock_s, UTC) == counter.clock.utc().replace(microsecond=0)
