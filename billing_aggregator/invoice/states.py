"""The life of an invoice, as one table: draft → issued → paid | cancelled (design 4)."""

from enum import StrEnum

from billing_aggregator.errors import IllegalStep


class InvoiceState(StrEnum):
    """Where an invoice stands."""

    DRAFT = "draft"
    ISSUED = "issued"
    PAID = "paid"
    CANCELLED = "cancelled"


class InvoiceEvent(StrEnum):
    """What may happen to an invoice."""

    ISSUE = "issue"
    PAY = "pay"
    CANCEL = "cancel"


S, E = InvoiceState, InvoiceEvent

# The table is the truth: a test walks every (state, event) pair and checks that an illegal one raises.
TRANSITIONS: dict[InvoiceState, dict[InvoiceEvent, InvoiceState]] = {
    S.DRAFT: {E.ISSUE: S.ISSUED},
    S.ISSUED: {E.PAY: S.PAID, E.CANCEL: S.CANCELLED},
    S.PAID: {},
    S.CANCELLED: {},
}

_REMEDY = {
    S.DRAFT: "issue it first",
    S.ISSUED: "it was issued already, and what was sent stays as it is: cancel it and draft another one",
    S.PAID: "it is paid, which ends it: settle a difference on the next invoice",
    S.CANCELLED: "its reversal stands against it: draft another one",
}


def advance(state: InvoiceState, event: InvoiceEvent) -> InvoiceState:
    """Return the state after this event, or raise IllegalStep and say what can be done instead."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalStep(f"can't {event} an invoice that is {state}: {_REMEDY[state]}") from None
