"""A dead or flickering unit loses its turn for a growing while, and gets it back with its first answer."""

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.breaker import BACKOFF_MOST_ALONE_S, BACKOFF_MOST_S, WASTE_BUDGET_S, WASTE_SHARE, Breaker

ATTEMPT_S = 0.45  # answer time and draining


def test_third_failure_in_a_row_opens_it() -> None:
    breaker = Breaker()
    for now in (0.0, 1.0):
        breaker.failed(now, ATTEMPT_S)
        assert breaker.allows(now)
    breaker.failed(2.0, ATTEMPT_S)
    assert not breaker.allows(2.9)
    assert breaker.is_open


def test_after_the_pause_one_probe_is_allowed_and_its_failure_doubles_the_pause() -> None:
    breaker = Breaker()
    for now in (0.0, 0.0, 0.0):
        breaker.failed(now, ATTEMPT_S)
    assert breaker.allows(1.0)
    breaker.failed(1.0, ATTEMPT_S)
    assert not breaker.allows(2.9)
    assert breaker.allows(3.0)


def test_first_answer_closes_it_and_forgets_the_failures() -> None:
    breaker = Breaker()
    for now in (0.0, 0.0, 0.0, 5.0):
        breaker.failed(now, ATTEMPT_S)
    breaker.succeeded()
    assert not breaker.is_open
    breaker.failed(30.0, ATTEMPT_S)
    breaker.failed(30.0, ATTEMPT_S)
    assert breaker.allows(30.0)


def test_pause_has_a_limit() -> None:
    breaker = Breaker()
    now = 0.0
    for _ in range(20):
        breaker.failed(now, ATTEMPT_S)
        now = breaker.open_until or now
    assert breaker.open_until is not None
    breaker.failed(now, ATTEMPT_S)
    assert breaker.open_until - now == BACKOFF_MOST_S


def test_unit_alone_on_its_bus_rests_only_shortly_and_has_no_budget() -> None:
    breaker, now = Breaker(), 0.0
    for _ in range(10):
        breaker.failed(now, ATTEMPT_S, is_alone=True)
        breaker.failed(now, ATTEMPT_S, is_alone=True)
        assert breaker.allows(now), "two failures in a row, and nobody whose time is wasted"
        breaker.succeeded()
    for _ in range(10):
        breaker.failed(now, ATTEMPT_S, is_alone=True)
        now = breaker.open_until or now
    breaker.failed(now, ATTEMPT_S, is_alone=True)
    assert breaker.open_until == now + BACKOFF_MOST_ALONE_S


@given(st.lists(st.booleans(), min_size=50, max_size=300))
def test_failing_unit_gets_no_more_of_the_bus_than_its_budget(answers: list[bool]) -> None:
    breaker, now, wasted = Breaker(), 0.0, 0.0
    for answered in answers:
        if not breaker.allows(now):
            assert breaker.open_until is not None
            now = breaker.open_until
        if answered:
            now += 0.05
            breaker.succeeded()
        else:
            now += ATTEMPT_S
            wasted += ATTEMPT_S
            breaker.failed(now, ATTEMPT_S)
    assert wasted <= WASTE_BUDGET_S + ATTEMPT_S * 4 + now * WASTE_SHARE * 2
