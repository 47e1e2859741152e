"""A bus seen by a person: any unit may be asked, now; each unit's requests are counted; a lent line is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bus import Bus
from edge_agent.bus_counts import UnitCounts
from edge_agent.errors import BrokenAnswer, BusError, LineDown, NoAnswer, Refused, UnitResting
from edge_agent.line import LineCounters
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


OUTCOMES = st.sampled_from(["answered", "refused", "silent", "broken", "line down"])


@given(st.lists(st.tuples(st.integers(1, 3), OUTCOMES, st.booleans()), max_size=60))
def test_counts_of_units_add_up_whatever_happens(asked: list[tuple[int, str, bool]]) -> None:
    clock = HandClock()
    line = PlayedLine(clock)
    bus = Bus("yard", line, clock.monotonic)
    errors = {
        "refused": Refused(2, "reading"),
        "silent": NoAnswer(""),
        "broken": BrokenAnswer(""),
        "line down": LineDown(""),
    }
    for unit, outcome, is_guest in asked:
        line.script.append(errors.get(outcome))
        try:
            (bus.guest(unit) if is_guest else bus.unit(unit)).write(0x108, [1])
        except UnitResting:
            line.script.pop()
        except BusError:
            bus.take_back()
    counts, bus_counts = bus.unit_counts(), bus.counts()
    for one in counts.values():
        outcomes = (one.answered, one.exceptions, one.timeouts, one.broken, one.line_downs)
        assert one.requests == sum(outcomes)
        assert (one.round_trip_s is None) == (one.answered + one.exceptions == 0)
    assert sum(one.requests for one in counts.values()) == bus_counts.requests == len(line.asked)
    assert sum(one.timeouts for one in counts.values()) == bus_counts.timeouts
    assert sum(one.exceptions for one in counts.values()) == bus_counts.exceptions


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


def test_what_is_seen_of_a_unit_adds_up_also_while_a_request_is_under_way() -> None:
    counts, line = UnitCounts(), LineCounters()
    with counts.counting(line, lambda: 0.0):
        assert counts.copy() == UnitCounts() and counts.requests == 0
    with pytest.raises(NoAnswer), counts.counting(line, lambda: 0.0):
        raise NoAnswer("silent")
    assert (counts.requests, counts.answered, counts.timeouts) == (2, 1, 1)
