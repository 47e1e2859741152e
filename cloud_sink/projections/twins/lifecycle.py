"""A lock's lifecycle. The table below is the law: what isn't in it isn't possible.

    planned ──▶ commissioning ──▶ in_service ⇄ degraded ⇄ out_of_service        by itself: what the lock itself tells
                     │                └────────▲──┬──────────────┘
                     ▼                  maintenance ◀┘                          by people, or a service key on site
               decommissioned ◀── people, from anywhere

People decide where a lock stands (`PEOPLE`); while it serves, its own state decides how well (`AUTOMATIC`). The two are
kept apart and laid over each other by `settle`, so that it doesn't matter which of them was heard of first.
"""

from enum import StrEnum


class Lifecycle(StrEnum):
    PLANNED = "planned"
    COMMISSIONING = "commissioning"
    IN_SERVICE = "in_service"
    DEGRADED = "degraded"
    OUT_OF_SERVICE = "out_of_service"
    MAINTENANCE = "maintenance"
    DECOMMISSIONED = "decommissioned"


class LifecycleEvent(StrEnum):
    """What moves a lock. The last six come by themselves, from records and reports."""

    COMMISSION = "commission"
    PUT_IN_SERVICE = "put_in_service"
    BEGIN_MAINTENANCE = "begin_maintenance"
    DECOMMISSION = "decommission"
    PLAN = "plan"
    SEEN = "seen"
    RECOVERED = "recovered"
    IMPAIRED = "impaired"
    FAILED = "failed"
    SERVICE_BEGUN = "service_begun"
    SERVICE_ENDED = "service_ended"


_S, _E = Lifecycle, LifecycleEvent

# By people: the event's name is where it leads.
PEOPLE: dict[LifecycleEvent, Lifecycle] = {
    _E.PLAN: _S.PLANNED,
    _E.COMMISSION: _S.COMMISSIONING,
    _E.PUT_IN_SERVICE: _S.IN_SERVICE,
    _E.BEGIN_MAINTENANCE: _S.MAINTENANCE,
    _E.DECOMMISSION: _S.DECOMMISSIONED,
}
AUTOMATIC = frozenset(LifecycleEvent) - frozenset(PEOPLE)

_SERVING = {
    _E.BEGIN_MAINTENANCE: _S.MAINTENANCE,
    _E.DECOMMISSION: _S.DECOMMISSIONED,
    _E.COMMISSION: _S.COMMISSIONING,
    _E.SERVICE_BEGUN: _S.MAINTENANCE,
}
TRANSITIONS: dict[Lifecycle, dict[LifecycleEvent, Lifecycle]] = {
    _S.PLANNED: {
        _E.COMMISSION: _S.COMMISSIONING,
        _E.SEEN: _S.COMMISSIONING,
        _E.DECOMMISSION: _S.DECOMMISSIONED,
    },
    _S.COMMISSIONING: {
        _E.PUT_IN_SERVICE: _S.IN_SERVICE,
        _E.PLAN: _S.PLANNED,
        _E.DECOMMISSION: _S.DECOMMISSIONED,
    },
    _S.IN_SERVICE: {**_SERVING, _E.IMPAIRED: _S.DEGRADED, _E.FAILED: _S.OUT_OF_SERVICE},
    _S.DEGRADED: {**_SERVING, _E.RECOVERED: _S.IN_SERVICE, _E.FAILED: _S.OUT_OF_SERVICE},
    _S.OUT_OF_SERVICE: {**_SERVING, _E.RECOVERED: _S.IN_SERVICE, _E.IMPAIRED: _S.DEGRADED},
    _S.MAINTENANCE: {
        _E.PUT_IN_SERVICE: _S.IN_SERVICE,
        _E.COMMISSION: _S.COMMISSIONING,
        _E.DECOMMISSION: _S.DECOMMISSIONED,
        _E.SERVICE_ENDED: _S.IN_SERVICE,
    },
    # What comes back is another installation: it is planned anew.
    _S.DECOMMISSIONED: {_E.PLAN: _S.PLANNED},
}


class IllegalMove(ValueError):
    """A lock can't go there from where it is; the message says where it can go."""


def move(current: Lifecycle, event: LifecycleEvent) -> Lifecycle:
    """Return where an event leads, or raise IllegalMove."""
    try:
        return TRANSITIONS[current][event]
    except KeyError:
        raise IllegalMove(f"{event.value} isn't possible for a lock that is {current.value}") from None


def moves_from(current: Lifecycle) -> tuple[Lifecycle, ...]:
    """Return where people can move a lock from here, in the order of the lifecycle."""
    reached = {PEOPLE[event] for event in TRANSITIONS[current] if event in PEOPLE}
    return tuple(state for state in Lifecycle if state in reached)


def check_move(current: Lifecycle, to: Lifecycle) -> None:
    """Raise IllegalMove unless people can move a lock from `current` to `to`."""
    possible = moves_from(current)
    if to not in possible:
        names = ", ".join(state.value for state in possible)
        raise IllegalMove(f"a lock that is {current.value} can't be moved to {to.value}: expected {names}")


def settle(decided: Lifecycle | None, own: LifecycleEvent | None) -> Lifecycle:
    """Lay what a lock tells of itself over what people decided.

    `decided`: by the latest move that people made, None if they never made one: a lock that was at work before
    anybody described it serves once it is seen. `own`: the latest automatic event, None if nothing was ever heard.
    """
    if decided is None:
        decided = Lifecycle.PLANNED if own is None else Lifecycle.IN_SERVICE
    if own is None:
        return decided
    # A lock that was seen at all, and then what it says of itself.
    seen = TRANSITIONS[decided].get(LifecycleEvent.SEEN, decided)
    return TRANSITIONS[seen].get(own, seen) if seen is Lifecycle.IN_SERVICE else seen
