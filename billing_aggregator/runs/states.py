"""The life of a run, as one table. Nothing else decides which step is allowed; `store.py` appends what happened.

    open ─▶ collecting ─▶ draft ◀─▶ in_review ─▶ finalized ─▶ delivered ─▶ (objected) ─▶ settled
                                                    └──────────┴───────────────┴───────────┴─▶ superseded

What must hold besides (four eyes, gates) is asked before a step: `approval.py`, `gates.py`.
"""

from enum import StrEnum

from billing_aggregator.errors import IllegalStep


class RunState(StrEnum):
    """Where a run (one revision of a property and period) is."""

    OPEN = "open"  # the period isn't over yet
    COLLECTING = "collecting"  # it is over; records are still on their way
    DRAFT = "draft"  # calculated; may be calculated again, reviews are being decided
    IN_REVIEW = "in_review"  # handed in; another person looks at it
    FINALIZED = "finalized"  # its bytes are fixed for ever
    DELIVERED = "delivered"  # statements are on their way or there
    OBJECTED = "objected"  # somebody objects
    SETTLED = "settled"
    SUPERSEDED = "superseded"  # a later revision stands in its place: `superseded_by`


class RunEvent(StrEnum):
    """What can happen to a run. Each is kept with who, when and why."""

    PERIOD_ENDED = "period_ended"
    WAITED = "waited"  # calculated for a look only: something is still on its way
    CALCULATED = "calculated"
    DECIDED = "decided"  # a person decided a review
    SUBMITTED = "submitted"
    SENT_BACK = "sent_back"
    APPROVED = "approved"  # by somebody else than who handed it in; finalizing is the next step
    FINALIZED = "finalized"
    DELIVERED = "delivered"  # sent out
    RECEIVED = "received"  # a person's entry: this party got it on that day
    OBJECTED = "objected"
    SETTLED = "settled"
    SUPERSEDED = "superseded"


_S, _E = RunState, RunEvent

# The table is the truth: a test walks every (state, event) pair and checks that an illegal one raises and changes
# nothing. Receipts can become known late, even after a later revision has taken over: the cap depends on them.
TRANSITIONS: dict[RunState, dict[RunEvent, RunState]] = {
    _S.OPEN: {_E.PERIOD_ENDED: _S.COLLECTING},
    _S.COLLECTING: {_E.WAITED: _S.COLLECTING, _E.CALCULATED: _S.DRAFT},
    _S.DRAFT: {_E.CALCULATED: _S.DRAFT, _E.DECIDED: _S.DRAFT, _E.SUBMITTED: _S.IN_REVIEW},
    _S.IN_REVIEW: {_E.SENT_BACK: _S.DRAFT, _E.APPROVED: _S.IN_REVIEW, _E.FINALIZED: _S.FINALIZED},
    _S.FINALIZED: {_E.DELIVERED: _S.DELIVERED, _E.SUPERSEDED: _S.SUPERSEDED},
    _S.DELIVERED: {
        _E.RECEIVED: _S.DELIVERED,
        _E.OBJECTED: _S.OBJECTED,
        _E.SETTLED: _S.SETTLED,
        _E.SUPERSEDED: _S.SUPERSEDED,
    },
    _S.OBJECTED: {
        _E.RECEIVED: _S.OBJECTED,
        _E.OBJECTED: _S.OBJECTED,
        _E.SETTLED: _S.SETTLED,
        _E.SUPERSEDED: _S.SUPERSEDED,
    },
    _S.SETTLED: {_E.RECEIVED: _S.SETTLED, _E.OBJECTED: _S.OBJECTED, _E.SUPERSEDED: _S.SUPERSEDED},
    _S.SUPERSEDED: {_E.RECEIVED: _S.SUPERSEDED},
}

# From here on a revision's bytes are fixed.
FINAL_STATES = frozenset({_S.FINALIZED, _S.DELIVERED, _S.OBJECTED, _S.SETTLED, _S.SUPERSEDED})


# What a person calls for a step; the others happen by themselves.
_COMMANDS = {
    _E.CALCULATED: "run new",
    _E.DECIDED: "run decide",
    _E.SUBMITTED: "run submit",
    _E.SENT_BACK: "run send-back",
    _E.APPROVED: "run approve",
    _E.FINALIZED: "run finalize",
    _E.DELIVERED: "run deliver",
    _E.RECEIVED: "run deliver --received-on",
    _E.OBJECTED: "run object",
    _E.SETTLED: "run settle",
    _E.SUPERSEDED: "run revise",
}


def next_state(state: RunState, event: RunEvent) -> RunState:
    """Return the state after this event; IllegalStep, saying what can be done instead, if it isn't allowed."""
    allowed = TRANSITIONS[state]
    if event not in allowed:
        possible = ", ".join(_COMMANDS[each] for each in allowed if each in _COMMANDS) or "waiting"
        names = f"a run that is {state} can't be {event}".replace("_", " ")
        raise IllegalStep(f"{names}: what can happen now is {possible}")
    return allowed[event]
