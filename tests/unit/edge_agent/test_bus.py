"""The bus: breakers, reopening and statistics around a line; the line itself is played here, its own tests are real."""

import threading
from collections import deque

import pytest

from edge_agent.bus import REOPEN_MOST_S, Bus
from edge_agent.errors import BrokenAnswer, BusError, LineDown, NoAnswer, Refused, UnitResting
from edge_agent.line import LineCounters
from edge_agent.modbus import READ_INPUT, Request
from tests.support.lock_rig import HandClock
from tests.support.waiting import wait_until

TRANSACTION_S, TIME_OUT_S = 0.05, 0.45


class PlayedLine:
    """Answers every request with zeros, unless `script` holds an error for it or its unit is dead."""

    has_wire = True

    def __init__(self, clock: HandClock) -> None:
        self.counters = LineCounters()
        self.is_open = False
        self.script: deque[BusError | None] = deque()
        self.dead: set[int] = set()
        self.is_there = True
        self.opened = 0
        self.asked: list[int] = []
        self._clock = clock

    def open(self) -> None:
        self.opened += 1
        if not self.is_there:
            raise LineDown("no such device")
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def exchange(self, request: Request) -> bytes:
        self.asked.append(request.unit)
        error = self.script.popleft() if self.script else None
        if request.unit in self.dead:
            error = NoAnswer("dead")
        self._clock.seconds += TIME_OUT_S if isinstance(error, NoAnswer) else TRANSACTION_S
        self.counters.wire_s += 0.03
        if error is not None:
            if isinstance(error, LineDown):
                self.is_open = False
            raise error
        return bytes(request.answer_bytes - 2)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def line(clock: HandClock) -> PlayedLine:
    return PlayedLine(clock)


@pytest.fixture
def bus(line: PlayedLine, clock: HandClock) -> Bus:
    return Bus("yard", line, clock.monotonic)


def read(bus: Bus, unit: int = 1) -> bytes:
    return bus.unit(unit).read(READ_INPUT, 0x40, 4)


def test_line_is_opened_with_the_first_request(bus: Bus, line: PlayedLine) -> None:
    assert read(bus) == bytes(8)
    assert line.opened == 1


def test_failed_read_is_asked_once_more(bus: Bus, line: PlayedLine) -> None:
    line.script.extend([BrokenAnswer("noise"), None])
    assert read(bus) == bytes(8)
    line.script.extend([NoAnswer("late"), NoAnswer("late again")])
    with pytest.raises(NoAnswer, match="late again"):
        read(bus)
    assert line.asked == [1, 1, 1, 1]


def test_write_is_never_sent_twice_by_itself(bus: Bus, line: PlayedLine) -> None:
    line.script.append(NoAnswer("late"))
    with pytest.raises(NoAnswer):
        bus.unit(1).write(0x108, [1])
    assert line.asked == [1]


def test_middle_of_the_transaction_is_known(bus: Bus, clock: HandClock) -> None:
    unit = bus.unit(1)
    began = clock.seconds
    unit.read(READ_INPUT, 0x40, 4)
    assert unit.exchanged_at == pytest.approx(began + TRANSACTION_S / 2)


def test_dead_unit_rests_and_costs_the_others_little(bus: Bus, line: PlayedLine, clock: HandClock) -> None:
    line.dead.add(2)
    began, polls = clock.seconds, 0
    while clock.seconds < began + 600:
        for unit in (1, 2, 3):
            try:
                read(bus, unit)
                polls += 1
            except (NoAnswer, UnitResting):
                continue
        clock.seconds += 1
    share = line.asked.count(2) * TIME_OUT_S / 600
    assert share < 0.03
    assert bus.statistics().breaker_open_units == (2,)
    assert polls > 1000


def test_resting_unit_is_not_asked_at_all(bus: Bus, line: PlayedLine) -> None:
    line.dead.add(2)
    for _ in range(2):
        with pytest.raises(NoAnswer):
            read(bus, 2)
    asked = len(line.asked)
    with pytest.raises(UnitResting) as resting:
        read(bus, 2)
    assert len(line.asked) == asked
    assert resting.value.until == bus.rests_until(2)


def test_unit_that_answers_its_probe_is_back(bus: Bus, line: PlayedLine, clock: HandClock) -> None:
    line.dead.add(2)
    for _ in range(2):
        with pytest.raises(NoAnswer):
            read(bus, 2)
    line.dead.clear()
    until = bus.rests_until(2)
    assert until is not None
    clock.seconds = until
    assert read(bus, 2) == bytes(8)
    assert bus.rests_until(2) is None


def test_exceptions_are_answers_and_open_no_breaker(bus: Bus, line: PlayedLine) -> None:
    line.script.extend([Refused(6, "reading")] * 5)
    for _ in range(5):
        with pytest.raises(Refused):
            read(bus)
    assert bus.rests_until(1) is None
    assert bus.statistics().exceptions == 5


def test_lost_line_is_no_units_fault_and_is_opened_again_at_growing_intervals(
    bus: Bus, line: PlayedLine, clock: HandClock
) -> None:
    read(bus)
    line.is_there = False
    line.script.append(LineDown("unplugged"))
    for _ in range(2000):
        with pytest.raises(LineDown):
            read(bus)
        clock.seconds += 0.1
    assert 200 / REOPEN_MOST_S <= line.opened - 1 <= 200 / REOPEN_MOST_S + 6
    assert bus.statistics().breaker_open_units == ()
    line.is_there = True
    clock.seconds += REOPEN_MOST_S
    assert read(bus) == bytes(8)


def test_reset_connection_is_opened_again_soon(bus: Bus, line: PlayedLine, clock: HandClock) -> None:
    read(bus)
    line.script.append(LineDown("reset by peer"))
    with pytest.raises(LineDown):
        read(bus)
    clock.seconds += 0.6
    assert read(bus) == bytes(8)


def test_statistics_count_since_the_start_and_the_wire_since_the_last_time(
    bus: Bus, line: PlayedLine, clock: HandClock
) -> None:
    read(bus)
    line.script.extend([NoAnswer("silence"), None])
    read(bus)
    line.counters.late_or_foreign, line.counters.crc_errors = 4, 5
    clock.seconds += 1 - (2 * TRANSACTION_S + TIME_OUT_S)
    statistics = bus.statistics()
    assert (statistics.bus, statistics.requests, statistics.timeouts) == ("yard", 3, 1)
    assert (statistics.late_or_foreign_replies, statistics.crc_errors) == (4, 5)
    assert statistics.wire_busy_permille == 90
    clock.seconds += 1
    assert bus.statistics().wire_busy_permille == 0


def test_tcp_has_no_wire_to_be_busy(bus: Bus, line: PlayedLine) -> None:
    line.has_wire = False
    read(bus)
    assert bus.statistics().wire_busy_permille is None


class HeldLine(PlayedLine):
    """Holds each exchange until it is let go."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__(clock)
        self.go = threading.Semaphore(0)

    def exchange(self, request: Request) -> bytes:
        data = super().exchange(request)
        assert self.go.acquire(timeout=10)
        return data


def test_order_waits_for_the_transaction_under_way_and_no_other(clock: HandClock) -> None:
    line = HeldLine(clock)
    bus = Bus("yard", line, clock.monotonic)

    def poll() -> None:
        for _ in range(3):
            bus.unit(1).read(READ_INPUT, 0x40, 4)

    poller = threading.Thread(target=poll)
    order = threading.Thread(target=lambda: bus.unit(2, urgent=True).write(0x108, [1]))
    poller.start()
    wait_until(lambda: line.asked == [1], what="the first poll to be under way")
    order.start()
    wait_until(lambda: bus._arbiter._waiting[True], what="the order to wait")
    for _ in range(4):
        line.go.release()
    poller.join(10)
    order.join(10)
    assert line.asked[:2] == [1, 2]


def test_closing_waits_for_the_transaction_under_way(clock: HandClock) -> None:
    line = HeldLine(clock)
    bus = Bus("yard", line, clock.monotonic)
    poller = threading.Thread(target=lambda: read(bus))
    poller.start()
    wait_until(lambda: line.asked == [1], what="the poll to be under way")
    closer = threading.Thread(target=bus.close)
    closer.start()
    wait_until(lambda: bus._arbiter._waiting[True], what="closing to wait")
    assert line.is_open
    line.go.release()
    poller.join(10)
    closer.join(10)
    assert not line.is_open
