"""What keeps a run from being handed in and finalized, each with what to do about it. Four eyes: `approval.py`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from billing_aggregator.model import Review, ReviewKind
from billing_aggregator.runs.document import RevisionDocument, open_reviews

_MANY = 20


class ObstacleKind(StrEnum):
    """What keeps a run back."""

    PERIOD_RUNS = "period_runs"
    ON_THE_WAY = "on_the_way"
    NO_COSTS = "no_costs"
    RECEIPT_PASSED = "receipt_passed"
    REVIEW = "review"
    MORE_REVIEWS = "more_reviews"
    REGISTER = "register"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """`text`: what it is and what to do about it, for the command line. `subject`: day, count, review or chamber."""

    kind: ObstacleKind
    subject: str
    text: str


def find_obstacles(document: RevisionDocument, today: date) -> tuple[str, ...]:
    """Return everything that stands in the way, in words for a person. `today`: the property's local day."""
    return tuple(obstacle.text for obstacle in list_obstacles(document, today))


def list_obstacles(document: RevisionDocument, today: date) -> Iterator[Obstacle]:
    """Yield everything that stands in the way. `today`: the property's local day."""
    end = document.period.end
    run = f"{document.property}/{document.period.first}"
    kinds = ObstacleKind
    if end is None or today < end:
        yield Obstacle(
            kinds.PERIOD_RUNS,
            str(end),
            f"the period isn't over: it ends before {end}; look at it meanwhile with `billing-aggregator provisional`",
        )
    if document.usage.buffered_pours:
        yield Obstacle(
            kinds.ON_THE_WAY,
            str(document.usage.buffered_pours),
            f"{document.usage.buffered_pours} pours or records are still on their way: wait for the gateway, "
            "`cloud-sink gaps` says where they are; nothing is estimated for them",
        )
    if not document.costs:
        yield Obstacle(
            kinds.NO_COSTS,
            "",
            f"no costs are recorded for this period: import cost items, then `billing-aggregator run new {run}`",
        )
    if today > document.receipt_on:
        yield Obstacle(
            kinds.RECEIPT_PASSED,
            str(document.receipt_on),
            f"the planned day of receipt {document.receipt_on} has passed: calculate again with "
            f"`billing-aggregator run new {run} --receipt-on DATE` (send it back first if it is in review)",
        )
    yield from _review_obstacles(document, run)
    yield from _register_obstacles(document, run)


def _review_obstacles(document: RevisionDocument, run: str) -> Iterator[Obstacle]:
    waiting = open_reviews(document)
    for review in waiting[:_MANY]:
        yield Obstacle(ObstacleKind.REVIEW, review.review, _describe(review, run))
    if len(waiting) > _MANY:
        more = len(waiting) - _MANY
        yield Obstacle(
            ObstacleKind.MORE_REVIEWS,
            str(more),
            f"and {more} more reviews: `billing-aggregator run review {run}` lists them",
        )


def _register_obstacles(document: RevisionDocument, run: str) -> Iterator[Obstacle]:
    known = {(review.lock, review.chamber) for review in document.reviews if _is_register(review)}
    for register in document.usage.registers:
        if register.unexplained and (register.lock, register.chamber) not in known:
            yield Obstacle(
                ObstacleKind.REGISTER,
                f"{register.lock}/{register.chamber}",
                f"lock {register.lock} chamber {register.chamber}: {register.unexplained} pours of its register are "
                f"unexplained: find out with `billing-aggregator reconcile {run}`",
            )


def _describe(review: Review, run: str) -> str:
    group = f" (or its group {review.group})" if review.group else ""
    return (
        f"review {review.review}{group}, {review.kind}: {review.detail}. Decide: "
        f"`billing-aggregator run decide {run} {review.review} {'|'.join(review.choices)} --reason …`"
    )


def _is_register(review: Review) -> bool:
    return review.kind is ReviewKind.REGISTER_UNEXPLAINED
