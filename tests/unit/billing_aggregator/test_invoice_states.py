"""The life of an invoice."""

from itertools import product

import pytest

from billing_aggregator.errors import IllegalStep
from billing_aggregator.invoice.states import TRANSITIONS, InvoiceEvent, InvoiceState, advance

ALLOWED = {
    (InvoiceState.DRAFT, InvoiceEvent.ISSUE): InvoiceState.ISSUED,
    (InvoiceState.ISSUED, InvoiceEvent.PAY): InvoiceState.PAID,
    (InvoiceState.ISSUED, InvoiceEvent.CANCEL): InvoiceState.CANCELLED,
}


@pytest.mark.parametrize(("state", "event"), list(product(InvoiceState, InvoiceEvent)))
def test_of_all_pairs_only_three_steps_are_allowed_and_the_others_say_what_to_do(
    state: InvoiceState, event: InvoiceEvent
) -> None:
    if (state, event) in ALLOWED:
        assert advance(state, event) is ALLOWED[state, event]
    else:
        with pytest.raises(IllegalStep, match=rf"can't {event} an invoice that is {state}: \w+"):
            advance(state, event)


def test_each_state_stands_in_the_table() -> None:
    assert set(TRANSITIONS) == set(InvoiceState)
