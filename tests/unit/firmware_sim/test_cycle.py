"""The pour cycle's table, walked in full."""

import itertools
from pathlib import Path

import pytest

from firmware_sim.cycle import MID_CYCLE, TRANSITIONS, Event, Phase, follow
from firmware_sim.errors import IllegalEvent
from firmware_sim.pour import PourCycle
from tests.unit.firmware_sim.rig import RESIDENT, Rig

P, E = Phase, Event
WAY_TO = {
    P.IDLE: [],
    P.AUTHORISED: [E.AUTHORISED],
    P.OPEN: [E.AUTHORISED, E.FLAP_OPENED],
    P.DISCHARGING: [E.AUTHORISED, E.FLAP_OPENED, E.FLAP_CLOSED],
    P.PASSED: [E.AUTHORISED, E.FLAP_OPENED, E.FLAP_CLOSED, E.POINT_PASSED],
    P.JAMMED: [E.AUTHORISED, E.FLAP_OPENED, E.FLAP_CLOSED, E.JAMMED],
}


def happen(pours: PourCycle, event: Event) -> None:
    """Let an event happen to a real pour."""
    {
        E.AUTHORISED: lambda: pours.authorise(1, RESIDENT, 0),
        E.TIMED_OUT: pours.time_out,
        E.FLAP_OPENED: pours.open_flap,
        E.FLAP_CLOSED: pours.close_flap,
        E.GIVEN_UP: lambda: pours.give_up(40),
        E.POINT_PASSED: pours.pass_discharge_point,
        E.ENDED: lambda: pours.complete(80),
        E.JAMMED: lambda: pours.jam(60),
        E.RETRIED: pours.retry,
        E.ABANDONED: pours.abandon,
    }[event]()


@pytest.mark.parametrize(("phase", "event"), [*itertools.product(Phase, Event)])
def test_each_event_in_each_phase_does_what_the_table_says_or_changes_nothing(
    tmp_path: Path, phase: Phase, event: Event
) -> None:
    rig = Rig(tmp_path / "lock").start()
    for step in WAY_TO[phase]:
        happen(rig.lock.pours, step)
    assert rig.lock.pours.phase is phase
    before = rig.journal.memory
    if event in TRANSITIONS[phase]:
        happen(rig.lock.pours, event)
        assert rig.lock.pours.phase is TRANSITIONS[phase][event] is follow(phase, event)
    else:
        with pytest.raises(IllegalEvent, match=event.name):
            happen(rig.lock.pours, event)
        assert rig.lock.pours.phase is phase
        assert rig.journal.memory == before


def test_every_phase_is_reached_and_left() -> None:
    reached = {target for events in TRANSITIONS.values() for target in events.values()}
    assert reached == set(Phase) == set(TRANSITIONS)
    assert {P.IDLE, P.JAMMED}.isdisjoint(MID_CYCLE) and len(MID_CYCLE) == len(Phase) - 2
