"""What keeps a run from being handed in and finalized, each with what to do about it. Four eyes: `approval.py`."""

from collections.abc import Iterator
from datetime import date

from billing_aggregator.model import Review, ReviewKind
from billing_aggregator.runs.document import RevisionDocument, open_reviews

_MANY = 20


def find_obstacles(document: RevisionDocument, today: date) -> tuple[str, ...]:
    """Return everything that stands in the way, in words for a person. `today`: the property's local day."""
    return tuple(_obstacles(document, today))


def _obstacles(document: RevisionDocument, today: date) -> Iterator[str]:
    end = document.period.end
    run = f"{document.property}/{document.period.first}"
    if end is None or today < end:
        yield f"the period isn't over: it ends before {end}; look at it meanwhile with `billing-aggregator provisional`"
    if document.usage.buffered_pours:
        yield (
            f"{document.usage.buffered_pours} pours or records are still on their way: wait for the gateway, "
            "`cloud-sink gaps` says where they are; nothing is estimated for them"
        )
    if not document.costs:
        yield f"no costs are recorded for this period: import cost items, then `billing-aggregator run new {run}`"
    if today > document.receipt_on:
        yield (
            f"the planned day of receipt {document.receipt_on} has passed: calculate again with "
            f"`billing-aggregator run new {run} --receipt-on DATE` (send it back first if it is in review)"
        )
    waiting = open_reviews(document)
    for review in waiting[:_MANY]:
        yield _describe(review, run)
    if len(waiting) > _MANY:
        yield f"and {len(waiting) - _MANY} more reviews: `billing-aggregator run review {run}` lists them"
    known = {(review.lock, review.chamber) for review in document.reviews if _is_register(review)}
    for register in document.usage.registers:
        if register.unexplained and (register.lock, register.chamber) not in known:
            yield (
                f"lock {register.lock} chamber {register.chamber}: {register.unexplained} pours of its register are "
                f"unexplained: find out with `billing-aggregator reconcile {run}`"
            )


def _describe(review: Review, run: str) -> str:
    group = f" (or its group {review.group})" if review.group else ""
    return (
        f"review {review.review}{group}, {review.kind}: {review.detail}. Decide: "
        f"`billing-aggregator run decide {run} {review.review} {'|'.join(review.choices)} --reason …`"
    )


def _is_register(review: Review) -> bool:
    return review.kind is ReviewKind.REGISTER_UNEXPLAINED
