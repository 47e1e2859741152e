"""The pour cycle as a table: which event leads from which phase to which. No I/O, no clock.

idle ─AUTHORISED─▶ authorised ─FLAP_OPENED─▶ open ─FLAP_CLOSED─▶ discharging ─POINT_PASSED─▶ passed ─ENDED─▶ idle
                        │                      │                     │
                    TIMED_OUT               GIVEN_UP               JAMMED ──▶ jammed ─RETRIED─▶ discharging
                        ▼                      ▼                                 └──ABANDONED──▶ idle
                      idle                   idle
"""

from enum import Enum, auto

from firmware_sim.errors import IllegalEvent


class Phase(Enum):
    """Where a pour is. PASSED: beyond the discharge point, the waste has fallen; the status block says discharging."""

    IDLE = auto()
    AUTHORISED = auto()
    OPEN = auto()
    DISCHARGING = auto()
    PASSED = auto()
    JAMMED = auto()


class Event(Enum):
    """What can happen to a pour."""

    AUTHORISED = auto()
    TIMED_OUT = auto()
    FLAP_OPENED = auto()
    FLAP_CLOSED = auto()
    GIVEN_UP = auto()
    POINT_PASSED = auto()
    ENDED = auto()
    JAMMED = auto()
    RETRIED = auto()
    ABANDONED = auto()


# The table is the truth: a test walks every (phase, event) pair and checks that an illegal one raises and changes
# nothing.
TRANSITIONS: dict[Phase, dict[Event, Phase]] = {
    Phase.IDLE: {Event.AUTHORISED: Phase.AUTHORISED},
    Phase.AUTHORISED: {Event.FLAP_OPENED: Phase.OPEN, Event.TIMED_OUT: Phase.IDLE},
    Phase.OPEN: {Event.FLAP_CLOSED: Phase.DISCHARGING, Event.GIVEN_UP: Phase.IDLE},
    Phase.DISCHARGING: {Event.POINT_PASSED: Phase.PASSED, Event.JAMMED: Phase.JAMMED},
    Phase.PASSED: {Event.ENDED: Phase.IDLE},
    Phase.JAMMED: {Event.RETRIED: Phase.DISCHARGING, Event.ABANDONED: Phase.IDLE},
}

# A pour is under way: a reboot is refused, and going out of service waits for its end.
MID_CYCLE = frozenset({Phase.AUTHORISED, Phase.OPEN, Phase.DISCHARGING, Phase.PASSED})


def follow(phase: Phase, event: Event) -> Phase:
    """Return the phase that `event` leads to, or raise IllegalEvent."""
    try:
        return TRANSITIONS[phase][event]
    except KeyError:
        raise IllegalEvent(f"{event.name} can't happen while the pour cycle is {phase.name}") from None
