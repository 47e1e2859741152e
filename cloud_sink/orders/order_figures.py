"""What the sending of orders counts of itself, for monitoring."""

from prometheus_client import CollectorRegistry, Counter

_N = "wastelock_sink"
_OUTCOMES = ("accepted", "done", "rejected", "expired", "failed")


class OrderFigures:
    """Counters of one sink, there also where it sends none; `note_…` are called by the orders thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._sent = Counter(f"{_N}_commands_sent", "Attempts to send a command.", registry=registry)
        self._published = Counter(
            f"{_N}_desired_states_published", "Desired states that were published.", registry=registry
        )
        self._outcomes = Counter(
            f"{_N}_command_outcomes", "What gateways answered to commands.", ("outcome",), registry=registry
        )
        self._refused = Counter(
            f"{_N}_refused_answers",
            "Answers that weren't believed, or that nobody had asked for.",
            registry=registry,
        )
        for outcome in _OUTCOMES:  # from 0 on, so that the first of a kind is seen as an increase
            self._outcomes.labels(outcome)

    def note_commands(self, sent: int) -> None:
        self._sent.inc(sent)

    def note_desired(self, published: int) -> None:
        self._published.inc(published)

    def note_outcome(self, outcome: str) -> None:
        self._outcomes.labels(outcome).inc()

    def note_refused(self) -> None:
        self._refused.inc()
