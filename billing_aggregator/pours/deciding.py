"""What people decided, looked up by review: its own decision counts before one about its group, the latest of each."""

from collections.abc import Iterable, Sequence

from billing_aggregator.model import Decision, Review


class Decided:
    """The decisions in force."""

    def __init__(self, decisions: Iterable[Decision]) -> None:
        ordered = sorted(decisions, key=lambda decision: decision.decided_at)
        self._choices = {decision.review: decision.choice for decision in ordered}

    def choice(self, review: str, group: str, choices: Sequence[str]) -> str | None:
        """Return what was chosen, None while nobody has, or if it isn't among the choices (any more)."""
        for asked in (review, group):
            chosen = self._choices.get(asked) if asked else None
            if chosen in choices:
                return chosen
        return None

    def about(self, review: Review) -> str | None:
        """Return what was chosen about a review, None while it is open."""
        return self.choice(review.review, review.group, review.choices)
