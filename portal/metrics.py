"""What the portal counts of itself, for Prometheus: requests by route and status, their time, streams, refusals."""

from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import choose_encoder

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """A registry of its own for each application, so that two in one process don't count each other."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        build = Info("wastelock_portal_build", "Which release runs", registry=self.registry)
        build.info({"version": version("wastelock")})
        self.requests = Counter(
            "wastelock_portal_requests",
            "Requests answered",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "wastelock_portal_request_duration_seconds",
            "Time to answer, of streams: until they ended",
            ["route"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.live_streams = Gauge(
            "wastelock_portal_live_streams", "Live streams open now", registry=self.registry
        )
        self.live_resets = Counter(
            "wastelock_portal_live_resets",
            "Streams told to begin anew: they were too slow",
            registry=self.registry,
        )
        self.live_cursor = Gauge(
            "wastelock_portal_live_ledger_position",
            "Newest ledger entry given to streams",
            registry=self.registry,
        )
        self.live_failures = Counter(
            "wastelock_portal_live_poll_failures", "Looks for new entries that failed", registry=self.registry
        )
        self.access_waiting = Gauge(
            "wastelock_portal_access_lists_waiting",
            "Access lists that stay as they are until somebody does something",
            registry=self.registry,
        )
        self.access_failures = Counter(
            "wastelock_portal_access_look_failures",
            "Looks at master data and locks that failed: access lists stay as they are",
            registry=self.registry,
        )
        self.refusals = Counter(
            "wastelock_portal_refusals",
            "Refused: a wrong password or link, a forged request, a rate limit",
            ["kind"],
            registry=self.registry,
        )

    def exposition(self, accept: str) -> tuple[str, bytes]:
        """Return content type and text of all of it, in the format that an Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self.registry)
