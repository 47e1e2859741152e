"""What is told of a lock, and when: at once where something changed, now and then where only counters moved."""

from datetime import UTC, datetime

import pytest

from edge_agent.errors import LineDown, NoAnswer, UnitResting
from edge_agent.lock_report import PROGRESS_INTERVAL_S, LockView, lock_state
from tests.support.controller import Controller
from tests.support.lock_rig import LockRig
from wastelock.registers import decode_status

AT = datetime(2026, 11, 22, 9, 31, tzinfo=UTC)


@pytest.fixture
def rig() -> LockRig:
    rig = LockRig(trusted=False)
    rig.visit()
    return rig


def test_first_visit_tells_all_that_is_known(rig: LockRig) -> None:
    state = rig.state
    assert (state.lock, state.driver, state.reachable, state.problem) == ("1f00a1", "wlc-1", True, None)
    assert (state.model, state.firmware, state.epoch, state.state) == (2, "1.2.3", 7, "locked")
    assert [(c.number, c.volume_ml, c.enabled) for c in state.chambers] == [(1, 5000, True), (2, 20000, True)]
    assert (state.fill_permille, state.battery_mv, state.temperature_dc) == (250, 3600, 185)


def test_nothing_new_is_told_once_per_interval(rig: LockRig) -> None:
    for _ in range(299):
        rig.visit()
    assert len(rig.states) == 1
    rig.visit()
    assert len(rig.states) == 2


def test_change_is_told_at_once(rig: LockRig) -> None:
    rig.controller.enable_mask = 0b01
    rig.visit()
    assert [chamber.enabled for chamber in rig.state.chambers] == [True, False]
    rig.controller.clock_offset_s = 5
    rig.visit()
    assert abs((rig.state.clock_offset_s or 0) - 5) <= 1
    assert len(rig.states) == 3


def test_changed_chamber_volume_is_noticed_within_the_hour(rig: LockRig) -> None:
    rig.controller.volumes_ml = (5000, 15_000)
    rig.clock.seconds += 3600
    rig.visit()
    assert [chamber.volume_ml for chamber in rig.state.chambers] == [5000, 15_000]


def test_counters_of_a_drain_are_told_now_and_then_and_at_its_end(rig: LockRig) -> None:
    for _ in range(200):
        rig.controller.pour()
        rig.clock.seconds -= 0.9
        rig.visit()
    assert len(rig.states) <= 2 + 20 / PROGRESS_INTERVAL_S
    rig.clock.seconds += PROGRESS_INTERVAL_S
    rig.visit()
    assert rig.state.confirmed_seq == rig.state.spooled_seq == 200


def test_offset_that_swings_by_a_second_is_no_news(rig: LockRig) -> None:
    for number in range(50):
        rig.controller.clock_offset_s = 0.9 if number % 2 else 0.0
        rig.visit()
    assert len(rig.states) == 1


def test_lock_that_falls_silent_is_told_with_since_when_and_its_last_values(rig: LockRig) -> None:
    def silent(address: int, words: int) -> None:
        raise NoAnswer("unit 3: no answer")

    rig.registers.before_read = silent
    rig.visit()
    since = rig.state.unreachable_since
    assert since == rig.clock.utc()
    assert (rig.state.reachable, rig.state.problem, rig.state.battery_mv) == (
        False,
        "unit 3: no answer",
        3600,
    )
    rig.visit()
    assert rig.state.unreachable_since == since
    assert len(rig.states) == 2
    rig.registers.before_read = lambda address, words: None
    rig.visit()
    assert rig.state.reachable
    assert rig.state.unreachable_since is None
    assert rig.state.problem is None


def test_resting_unit_keeps_the_reason_for_which_it_rests(rig: LockRig) -> None:
    errors = iter([LineDown("no such device"), *[UnitResting(3, rig.clock.seconds + 30)] * 3])

    def fail(address: int, words: int) -> None:
        raise next(errors)

    rig.registers.before_read = fail
    rig.visit()
    outcome = rig.visit()
    assert rig.state.problem == "no such device"
    assert outcome.wait_s == 28


def test_states_and_faults_that_the_map_does_not_know_are_told_by_number() -> None:
    controller = Controller()
    words = list(controller._status())
    words[0], words[1], words[2] = 9, 0x8000, 0b11
    state = lock_state(LockView("1f00a1", "wlc-1", True, status=decode_status(words)), AT)
    assert state.state == "unknown-9"
    assert state.faults == ("chamber_blocked", "container_full", "unknown-31")


def test_bare_counter_is_told_without_what_it_does_not_know() -> None:
    view = LockView("c0ffee", "counter-1", False, status=decode_status(Controller()._status()))
    state = lock_state(view, AT)
    assert (state.state, state.battery_mv, state.clock_status, state.faults) == (None, None, None, ())
    assert state.epoch == 7


def test_lock_never_seen_is_told_as_such() -> None:
    view = LockView("1f00a1", "wlc-1", True, unreachable_since=AT, problem="no answer")
    state = lock_state(view, AT)
    assert (state.reachable, state.epoch, state.chambers) == (False, None, ())
