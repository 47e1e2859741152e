"""The life of a run: every pair of state and event, and the way to the end."""

import itertools

import pytest

from billing_aggregator.errors import IllegalStep
from billing_aggregator.runs.states import FINAL_STATES, TRANSITIONS, RunEvent, RunState, next_state

# Written out apart from the table, so that a slip in the one shows in the other.
LEGAL = {
    ("open", "period_ended"): "collecting",
    ("collecting", "waited"): "collecting",
    ("collecting", "calculated"): "draft",
    ("draft", "calculated"): "draft",
    ("draft", "decided"): "draft",
    ("draft", "submitted"): "in_review",
    ("in_review", "sent_back"): "draft",
    ("in_review", "approved"): "in_review",
    ("in_review", "finalized"): "finalized",
    ("finalized", "delivered"): "delivered",
    ("finalized", "superseded"): "superseded",
    ("delivered", "received"): "delivered",
    ("delivered", "objected"): "objected",
    ("delivered", "settled"): "settled",
    ("delivered", "superseded"): "superseded",
    ("objected", "received"): "objected",
    ("objected", "objected"): "objected",
    ("objected", "settled"): "settled",
    ("objected", "superseded"): "superseded",
    ("settled", "received"): "settled",
    ("settled", "objected"): "objected",
    ("settled", "superseded"): "superseded",
    ("superseded", "received"): "superseded",
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(RunState, RunEvent)))
def test_each_event_in_each_state_is_a_known_step_or_refused(state: RunState, event: RunEvent) -> None:
    wanted = LEGAL.get((state, event))
    if wanted is None:
        with pytest.raises(IllegalStep, match="what can happen now is"):
            next_state(state, event)
    else:
        assert next_state(state, event) == wanted


def test_every_state_is_in_the_table_and_nothing_leads_back_behind_finalized() -> None:
    assert set(TRANSITIONS) == set(RunState)
    for state in FINAL_STATES:
        assert set(TRANSITIONS[state].values()) <= FINAL_STATES
