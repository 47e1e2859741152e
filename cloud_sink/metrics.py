"""What `cloud-sink run` and `cloud-sink project` tell monitoring: figures, whether they live, what they lack."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from time import monotonic

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from cloud_sink.following import Follower
from cloud_sink.metrics_intake import IntakeFigures
from cloud_sink.metrics_ledger import LedgerWatch
from cloud_sink.metrics_server import MetricsServer
from cloud_sink.session import Session
from wastelock.monitoring import Address, Answer, Views, respond

STUCK_AFTER_S = 120.0


@dataclass(frozen=True, slots=True)
class SinkSight:
    """What of a sink is looked at: only to read. `loops`: when each last came round (monotonic s), by name."""

    session: Session
    figures: IntakeFigures
    loops: Mapping[str, Callable[[], float]]
    queues: Callable[[], Mapping[str, int]]
    quarantine_max_bytes: int


class SinkMonitor:
    """Of `cloud-sink run`."""

    def __init__(self, sight: SinkSight, watch: LedgerWatch, now_s: Callable[[], float] = monotonic) -> None:
        self._sight = sight
        self._watch = watch
        self._now_s = now_s
        self._registry = sight.figures.registry
        self._registry.register(self)
        self._registry.register(watch)
        ProcessCollector(registry=self._registry)

    def respond(self, path: str, accept: str) -> Answer:
        """Return the answer to a GET of this path."""
        return respond(Views(_texts_of(self._registry), self._stuck, self._missing), path, accept)

    def collect(self) -> Iterator[Metric]:
        """Yield what is known without asking anybody (prometheus_client's Collector)."""
        sight = self._sight
        yield _build("wastelock_sink")
        yield _sink_gauge(
            "mqtt_connected", "1 while there is a session with the broker.", sight.session.connected
        )
        yield _sink_gauge(
            "quarantine_max_bytes", "What quarantined messages may take.", sight.quarantine_max_bytes
        )
        queues = _sink_gauge("queued_messages", "Messages between two threads.", labels=["queue"])
        for name, length in sight.queues().items():
            queues.add_metric([name], length)
        idle = _sink_gauge("loop_idle_seconds", "How long ago each loop last came round.", labels=["loop"])
        for name, progressed_at in sight.loops.items():
            idle.add_metric([name], max(0.0, self._now_s() - progressed_at()))
        yield from (queues, idle)

    def _stuck(self) -> list[str]:
        return stuck_loops(self._sight.loops, self._now_s())

    def _missing(self) -> list[str]:
        reasons = self._stuck()
        if not self._watch.is_available:
            reasons.append("ledger: can't be asked: the log says why")
        if not self._sight.session.connected:
            reasons.append("broker: no session: the log says why")
        return reasons


class ProjectionsMonitor:
    """Of `cloud-sink project`."""

    def __init__(
        self,
        followers: Sequence[Follower],
        now_s: Callable[[], float] = monotonic,
        alarms: Callable[[], Mapping[tuple[str, str], int]] = dict,
    ) -> None:
        """`alarms`: how many of the twins' are open, by kind and severity."""
        self._followers = followers
        self._now_s = now_s
        self._alarms = alarms
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def respond(self, path: str, accept: str) -> Answer:
        """Return the answer to a GET of this path."""
        return respond(Views(_texts_of(self._registry), self._stuck, self._missing), path, accept)

    def collect(self) -> Iterator[Metric]:
        """Yield how each projection is doing (prometheus_client's Collector)."""
        yield _build("wastelock_projection")
        label = ["projection"]
        position = _projection_gauge("position", "How far it has come in what it follows.", label)
        waiting = _projection_gauge("waiting_entries", "What it hasn't taken yet.", label)
        lag = _projection_gauge("lag_seconds", "For how long the oldest of that has waited.", label)
        failing = _projection_gauge("failing", "1 while it has to begin anew after an error.", label)
        away = _projection_gauge("waiting_seconds", "For how long what it needs has been away.", label)
        idle = _projection_gauge("idle_seconds", "How long ago it last went on or tried to.", label)
        taken = CounterMetricFamily(
            "wastelock_projection_entries", "What it has taken since the start.", labels=label
        )
        failures = CounterMetricFamily("wastelock_projection_failures", "How often it failed.", labels=label)
        now, now_s = datetime.now(UTC), self._now_s()
        for follower in self._followers:
            standing = follower.standing
            name = [standing.name]
            if standing.lag is not None:
                since = standing.lag.waiting_since
                position.add_metric(name, standing.lag.position)
                waiting.add_metric(name, max(0, standing.lag.end - standing.lag.position))
                lag.add_metric(name, max(0.0, (now - since).total_seconds()) if since else 0.0)
            failing.add_metric(name, standing.problem is not None)
            waiting_since = follower.waiting_since
            away.add_metric(name, 0.0 if waiting_since is None else max(0.0, now_s - waiting_since))
            idle.add_metric(name, max(0.0, now_s - follower.progressed_at))
            taken.add_metric(name, standing.taken)
            failures.add_metric(name, standing.failures)
        alarms = GaugeMetricFamily(
            "wastelock_twin_alarms", "Open alarms of the twins.", labels=["kind", "severity"]
        )
        for (kind, severity), count in self._alarms().items():
            alarms.add_metric([kind, severity], count)
        yield from (position, waiting, lag, failing, away, idle, taken, failures, alarms)

    def _stuck(self) -> list[str]:
        loops = {each.standing.name: progress_of(each) for each in self._followers}
        return stuck_loops(loops, self._now_s())

    def _missing(self) -> list[str]:
        reasons = self._stuck()
        for follower in self._followers:
            standing = follower.standing
            if standing.problem is not None:
                reasons.append(f"{standing.name}: fails: {standing.problem}")
            elif standing.lag is None or follower.waiting_since is not None:
                reasons.append(f"{standing.name}: what it needs is away: the log says what")
        return reasons


def serve_in_background(
    address: Address, respond_to: Callable[[str, str], Answer], stop: threading.Event
) -> MetricsServer:
    """Serve in a thread of its own until `stop` is set."""
    server = MetricsServer(address, respond_to)
    threading.Thread(target=server.run, args=(stop,), name="metrics", daemon=True).start()
    return server


def _texts_of(registry: CollectorRegistry) -> Callable[[str], tuple[str, bytes]]:
    def text(accept: str) -> tuple[str, bytes]:
        encode, content_type = choose_encoder(accept)
        return content_type, encode(registry)

    return text


def stuck_loops(loops: Mapping[str, Callable[[], float]], now_s: float) -> list[str]:
    """Return what to say of each loop that hasn't come round for too long."""
    return [
        f"no progress: {name}"
        for name, progressed_at in loops.items()
        if now_s - progressed_at() > STUCK_AFTER_S
    ]


def progress_of(follower: Follower) -> Callable[[], float]:
    """Return what tells when this projection last went on, or began to wait for what it needs."""
    return lambda: follower.progressed_at


def _build(name: str) -> Metric:
    return InfoMetricFamily(f"{name}_build", "Which release runs.", {"version": version("wastelock")})


def _sink_gauge(
    name: str, text: str, value: float | None = None, labels: list[str] | None = None
) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"wastelock_sink_{name}", text, value, labels)


def _projection_gauge(name: str, text: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"wastelock_projection_{name}", text, labels=labels)
