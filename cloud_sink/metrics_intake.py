"""What the intake counts of itself: a few additions for each batch, none of which asks the database or anybody else."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from cloud_sink.checking import Reason, Rejected
from cloud_sink.ledger.book import Outcome

_N = "wastelock_sink"
_COMMIT_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BATCH_PAGES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)

disable_created_metrics()  # type: ignore[no-untyped-call]  # when a count began is the process's start, which is told anyway


class IntakeFigures:
    """Counters and histograms of one sink. `note_…` are called by the writing thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._pages = self._counter(
            "pages", "Pages that custody was taken of, new or known already.", "outcome"
        )
        self._rejected = self._counter(
            "rejected_messages", "Messages that were not taken, by reason.", "reason"
        )
        self._entries = self._counter("entries", "Records that became entries.")
        self._disputes = self._counter("disputes", "Contradictions that were noticed.")
        self._unread = self._counter("unread_records", "Records taken custody of that can't be read.")
        self._without_room = self._counter("unkept_messages", "Messages that found no room in quarantine.")
        self._receipts = self._counter(
            "receipts", "Receipts for gateways, sent or unsent (the broker was away).", "outcome"
        )
        self._requests = self._counter("resend_requests", "Requests for missing pages.")
        self._commit_s = self._histogram(
            "commit_duration_seconds", "Time that a batch's transaction took.", _COMMIT_S
        )
        self._batch_pages = self._histogram("batch_pages", "Pages of a batch.", _BATCH_PAGES)
        # From 0 on, so that the first of a kind is seen as an increase.
        for reason in Reason:
            self._rejected.labels(reason.value)
        for outcome in ("sent", "unsent"):
            self._receipts.labels(outcome)
        for outcome in ("new", "known"):
            self._pages.labels(outcome)

    def note_batch(self, pages: int, rejected: Sequence[Rejected], outcome: Outcome, took_s: float) -> None:
        """A batch of so many pages is committed. `took_s`: its transaction, waiting for the database included."""
        self._pages.labels("new").inc(outcome.pages)
        self._pages.labels("known").inc(pages - outcome.pages)
        for item in rejected:
            self._rejected.labels(item.reason.value).inc()
        self._entries.inc(outcome.entries)
        self._disputes.inc(outcome.disputes)
        self._unread.inc(outcome.unread)
        self._without_room.inc(outcome.without_room)
        self._commit_s.observe(took_s)
        self._batch_pages.observe(pages)

    def note_receipt(self, is_sent: bool) -> None:
        self._receipts.labels("sent" if is_sent else "unsent").inc()

    def note_request(self) -> None:
        self._requests.inc()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_N}_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(f"{_N}_{name}", text, buckets=buckets, registry=self.registry)
