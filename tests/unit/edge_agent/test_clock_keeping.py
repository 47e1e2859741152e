"""A controller's clock: its offset is kept with each visit; it is set sparingly, from a trusted clock only."""

import pytest

from edge_agent.clock_keeper import clock_offset_s
from edge_agent.errors import NoAnswer
from tests.support.controller import Controller
from tests.support.lock_rig import LockRig
from wastelock.record import Kind
from wastelock.registers import decode_status

CLOCK = 0x106


def rig_with(offset_s: float, clock_status: int = 1, trusted: bool = True) -> LockRig:
    return LockRig(Controller(clock_offset_s=offset_s, clock_status=clock_status), trusted)


def settings_of(rig: LockRig) -> int:
    return sum(1 for what, address, _ in rig.controller.log if what == "write" and address == CLOCK)


@pytest.mark.parametrize("offset_s", [-90_000, -3, 0, 2, 29])
def test_offset_is_kept_with_the_records_as_it_was_when_they_were_read(offset_s: int) -> None:
    rig = rig_with(offset_s, trusted=False)
    rig.controller.pour()
    rig.visit()
    assert abs((rig.spool.visits[0].clock_offset_s or 0) - offset_s) <= 1
    assert abs((rig.state.clock_offset_s or 0) - offset_s) <= 1


def test_offset_of_a_clock_that_was_never_set_is_unknown() -> None:
    status = decode_status(rig_with(0, clock_status=0).controller._status())
    assert clock_offset_s(status, 1_795_000_000.0) is None


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 0.75, 0.999])
def test_clock_that_is_right_is_off_by_nothing_whatever_the_fraction_of_the_second(fraction: float) -> None:
    controller = Controller(wall=lambda: 1_795_000_000 + fraction)
    assert clock_offset_s(decode_status(controller._status()), 1_795_000_000 + fraction) == 0


def test_clock_within_the_threshold_is_left_alone() -> None:
    rig = rig_with(29)
    for _ in range(5):
        rig.visit()
    assert settings_of(rig) == 0


def test_clock_beyond_the_threshold_is_set_and_looked_at_again() -> None:
    rig = rig_with(-500)
    rig.visit()
    assert settings_of(rig) == 1
    assert abs(rig.controller.clock_offset_s) <= 1
    assert abs(rig.state.clock_offset_s or 0) <= 1
    rig.visit()
    assert [rig.controller.raw(seq)[10] for seq in rig.spool.seqs()] == [Kind.CLOCK_SET]


def test_drifting_clock_is_set_at_most_once_an_hour() -> None:
    rig = rig_with(0)
    for _ in range(4 * 3600 // 60):
        rig.controller.clock_offset_s += 100
        rig.visit()
        rig.clock.seconds += 59
    assert 4 <= settings_of(rig) <= 5


def test_gateway_without_a_trusted_clock_sets_none() -> None:
    rig = rig_with(-500, clock_status=0, trusted=False)
    for _ in range(5):
        rig.visit()
        rig.clock.seconds += 3600
    assert settings_of(rig) == 0
    rig.trusted = True
    rig.visit()
    assert settings_of(rig) == 1


@pytest.mark.parametrize("clock_status", [0, 2])
def test_clock_without_time_is_set_at_once_and_again_after_each_power_up_that_loses_it(
    clock_status: int,
) -> None:
    rig = rig_with(-1_700_000_000, clock_status)
    rig.visit()
    assert settings_of(rig) == 1
    for settings in (2, 3):
        rig.clock.seconds += 120
        rig.controller.power_up()
        rig.controller.clock_status, rig.controller.clock_offset_s = clock_status, -1_700_000_000
        rig.visit()
        assert settings_of(rig) == settings


def test_controller_that_says_at_once_that_its_clock_is_lost_again_is_not_set_over_and_over() -> None:
    rig = rig_with(0, clock_status=2)
    for _ in range(30):
        rig.visit()
        rig.controller.clock_status = 2
        rig.clock.seconds += 59
    assert settings_of(rig) == 1


def test_refusal_for_want_of_room_is_told_and_tried_again_when_there_is_room() -> None:
    rig = LockRig(Controller(clock_offset_s=-500, capacity=32))
    for _ in range(32):
        rig.controller.pour()
    rig.registers.before_write = lambda address, _: setattr(rig.controller, "confirmed", 0)
    rig.visit()
    assert rig.controller.confirmed == 0
    assert "clock not set" in (rig.state.problem or "")
    assert rig.state.reachable
    rig.registers.before_write = lambda address, _: None
    rig.visit()
    assert settings_of(rig) == 1, "not again within the minute"
    rig.clock.seconds += 60
    rig.visit()
    assert abs(rig.controller.clock_offset_s) <= 1
    assert rig.state.problem is None


def test_setting_whose_answer_got_lost_counts_as_one() -> None:
    rig = rig_with(-500)

    def lose(address: int) -> None:
        rig.controller.clock_offset_s = -500  # it drifts at once: is it set again within the hour?
        raise NoAnswer("the answer got lost")

    rig.registers.after_write = lambda address: lose(address) if address == CLOCK else None
    for _ in range(30):
        rig.visit()
        rig.clock.seconds += 60
    assert settings_of(rig) == 1


def test_time_that_passes_between_asking_and_deciding_is_no_offset() -> None:
    rig = rig_with(0)
    rig.registers.before_read = lambda address, _: rig.clock.sleep(3)
    rig.controller.pour()
    rig.visit()
    assert abs(rig.spool.visits[0].clock_offset_s or 0) <= 1
