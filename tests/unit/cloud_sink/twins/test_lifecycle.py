"""A lock's lifecycle: the table is walked whole; what a lock tells is laid over what people decided."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sink.projections.twins.lifecycle import (
    AUTOMATIC,
    PEOPLE,
    TRANSITIONS,
    IllegalMove,
    Lifecycle,
    LifecycleEvent,
    check_move,
    move,
    moves_from,
    settle,
)

S, E = Lifecycle, LifecycleEvent
SERVING = {S.IN_SERVICE, S.DEGRADED, S.OUT_OF_SERVICE}


@given(st.sampled_from(Lifecycle), st.sampled_from(LifecycleEvent))
def test_each_event_leads_where_the_table_says_and_any_other_is_refused(
    here: Lifecycle, event: LifecycleEvent
) -> None:
    there = TRANSITIONS[here].get(event)
    if there is None:
        with pytest.raises(IllegalMove, match=here.value):
            move(here, event)
    else:
        assert move(here, event) is there
        assert there is not here, "an event that leads nowhere is no event"


@given(st.sampled_from(Lifecycle), st.sampled_from(Lifecycle))
def test_people_move_a_lock_only_by_events_of_their_own(here: Lifecycle, to: Lifecycle) -> None:
    by_people = {PEOPLE[event] for event in TRANSITIONS[here] if event in PEOPLE}
    if to in by_people:
        check_move(here, to)
    else:
        with pytest.raises(IllegalMove, match="expected"):
            check_move(here, to)
    assert set(moves_from(here)) == by_people


def test_people_and_the_lock_itself_share_no_event_and_leave_none_out() -> None:
    assert set(PEOPLE) | AUTOMATIC == set(LifecycleEvent)
    assert not set(PEOPLE) & AUTOMATIC


def test_every_state_can_be_reached_from_planned_and_left_again() -> None:
    reached, todo = {S.PLANNED}, [S.PLANNED]
    while todo:
        for there in set(TRANSITIONS[todo.pop()].values()) - reached:
            reached.add(there)
            todo.append(there)
    assert reached == set(Lifecycle)
    assert all(TRANSITIONS[state] for state in Lifecycle)


def test_wherever_a_lock_serves_people_can_move_it_alike() -> None:
    """So it doesn't matter to them, or to the command line, how well it serves at the moment."""
    assert len({moves_from(state) for state in SERVING}) == 1


@given(st.sampled_from(Lifecycle), st.sampled_from(sorted(AUTOMATIC)))
def test_what_a_lock_tells_moves_it_only_along_the_table(decided: Lifecycle, own: LifecycleEvent) -> None:
    here = settle(decided, own)
    steps = {decided, TRANSITIONS[decided].get(E.SEEN, decided), TRANSITIONS[decided].get(own, decided)}
    assert here in steps
    if decided not in (S.PLANNED, S.IN_SERVICE):
        assert here is decided, "people have the last word"


def test_a_lock_that_nobody_moved_serves_once_it_is_seen_and_a_planned_one_begins_commissioning() -> None:
    assert settle(None, None) is S.PLANNED
    assert settle(None, E.RECOVERED) is S.IN_SERVICE
    assert settle(None, E.IMPAIRED) is S.DEGRADED
    assert settle(S.PLANNED, E.FAILED) is S.COMMISSIONING
    assert settle(S.IN_SERVICE, E.FAILED) is S.OUT_OF_SERVICE
    assert settle(S.IN_SERVICE, E.SERVICE_BEGUN) is S.MAINTENANCE
