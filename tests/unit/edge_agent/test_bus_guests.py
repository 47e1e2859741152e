"""A bus seen by a person: any unit may be asked, now; each unit's requests are counted; a lent line is left alone."""

import pytest

from edge_agent.bus import Bus
from edge_agent.errors import BrokenAnswer, BusError, LineDown, NoAnswer, Refused, UnitResting
from tests.support.lock_rig import HandClock
from tests.unit.edge_agent.test_bus import TIME_OUT_S, TRANSACTION_S, PlayedLine


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def line(clock: HandClock) -> PlayedLine:
    return PlayedLine(clock)


@pytest.fixture
def bus(line: PlayedLine, clock: HandClock) -> Bus:
    return Bus("yard", line, clock.monotonic)


def test_a_person_may_ask_a_unit_that_rests_and_its_answer_ends_the_rest(bus: Bus, line: PlayedLine) -> None:
    poller, others = bus.unit(1), bus.unit(2)
    line.dead.add(1)
    for _ in range(2):
        with pytest.raises((NoAnswer, UnitResting)):
            poller.read(4, 0, 1)
    assert bus.is_resting(1)
    with pytest.raises(UnitResting):
        poller.read(4, 0, 1)
    line.dead.clear()
    assert bus.guest(1).read(4, 0, 1) == b"\0\0"
    assert not bus.is_resting(1)
    assert poller.read(4, 0, 1) == others.read(4, 0, 1) == b"\0\0"


def test_a_unit_that_nobody_visits_may_be_asked_and_leaves_no_breaker(bus: Bus, line: PlayedLine) -> None:
    bus.unit(1)
    line.dead.add(9)
    for _ in range(5):
        with pytest.raises(NoAnswer):
            bus.guest(9).read(4, 0, 1)
    assert not bus.is_resting(9)
    assert bus.counts().breaker_open_units == ()


def test_each_request_is_counted_once_and_by_its_unit(bus: Bus, line: PlayedLine) -> None:
    bus.unit(1)
    for error in (None, Refused(2, "reading"), NoAnswer("silence"), BrokenAnswer("crc"), LineDown("gone")):
        line.script.append(error)
        try:
            bus.guest(1).write(0x108, [1])
        except BusError as raised:
            assert raised is error
        bus.take_back()  # so that the line is opened again at once
    assert bus.guest(2).read(4, 0, 1) == b"\0\0"
    counts = bus.unit_counts()
    one = counts[1]
    told = (one.requests, one.answered, one.exceptions, one.timeouts, one.broken, one.line_downs)
    assert told == (5, 1, 1, 1, 1, 1)
    assert (counts[2].requests, counts[2].answered) == (1, 1)
    assert counts[2].round_trip_s == pytest.approx(TRANSACTION_S)
    assert one.slowest_s is not None and one.slowest_s < TIME_OUT_S  # of answers only
    assert (bus.times_opened, bus.times_broken) == (2, 1)


def test_what_the_line_counts_during_a_request_is_its_units(bus: Bus, line: PlayedLine) -> None:
    bus.unit(1)
    bus.guest(1).read(4, 0, 1)
    exchange = line.exchange

    def noisy(request: object) -> bytes:
        line.counters.crc_errors += 1
        line.counters.late_or_foreign += 2
        return exchange(request)  # type: ignore[arg-type]

    line.exchange = noisy  # type: ignore[method-assign]
    bus.guest(2).read(4, 0, 1)
    counts = bus.unit_counts()
    assert (counts[1].broken_crc, counts[1].late_or_foreign) == (0, 0)
    assert (counts[2].broken_crc, counts[2].late_or_foreign) == (1, 2)


def test_a_closed_bus_is_never_opened_again(bus: Bus, line: PlayedLine) -> None:
    unit = bus.unit(1)
    unit.read(4, 0, 1)
    bus.close()
    with pytest.raises(LineDown, match="closed"):
        unit.read(4, 0, 1)
    assert not line.is_open and line.opened == 1


def test_trouble_says_why_a_line_isnt_open(bus: Bus, line: PlayedLine) -> None:
    unit = bus.unit(1)
    line.is_there = False
    with pytest.raises(LineDown):
        unit.read(4, 0, 1)
    assert bus.trouble == "no such device"
    bus.lend("lent to anna")
    assert (bus.trouble, bus.lent_to) == ("lent to anna", "lent to anna")
    line.is_there = True
    bus.take_back()
    unit.read(4, 0, 1)
    assert bus.trouble is None
