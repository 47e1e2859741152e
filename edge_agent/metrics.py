"""The agent's figures for Prometheus, taken at each scrape from what is there: nothing is counted twice for them.

Ages, not instants, since a gateway's clock may be unset. `lock` is a serial number; no figure knows of transponders.
Imported only where [metrics] is configured.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import monotonic

from prometheus_client import ProcessCollector
from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder

from edge_agent.alarms import Alarms
from edge_agent.bus import Bus
from edge_agent.errors import SpoolCorrupt, SpoolFull, SpoolUnavailable
from edge_agent.lock_report import lock_state
from edge_agent.lock_visitor import LockVisitor
from edge_agent.metrics_machine import machine_figures
from edge_agent.metrics_orders import order_figures
from edge_agent.poller import Poller
from edge_agent.sight import Sight
from edge_agent.spool_reader import SpoolReader
from edge_agent.spool_status import SpoolSummary, summarise
from edge_agent.vitals import disk_free_bytes
from wastelock.messages import BusStatistics, LockState
from wastelock.monitoring import Answer, Views, respond

_N = "wastelock_agent"
Family = GaugeMetricFamily | CounterMetricFamily
_Told = tuple[LockState, LockVisitor]


class Monitor:
    """What the agent tells monitoring: of the run that is under way, and that there is none between two."""

    def __init__(self, alarms: Alarms, now_s: Callable[[], float] = monotonic) -> None:
        self._sight: Sight | None = None
        self._alarms = alarms
        self._now_s = now_s
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def show(self, sight: Sight | None) -> None:
        """A run has begun, or (None) it is over."""
        self._sight = sight

    def respond(self, path: str, accept: str) -> Answer:
        """Return the answer to a GET of this path."""
        return respond(Views(self._text, self._stuck, self._missing), path, accept)

    def collect(self) -> Iterator[Metric]:
        """Yield all figures (prometheus_client's Collector)."""
        sight = self._sight
        yield InfoMetricFamily(f"{_N}_build", "Which release runs.", {"version": version("wastelock")})
        yield _gauge(
            "running", "1 while the agent works, 0 while it waits to begin again.", sight is not None
        )
        names = [
            name.partition(" ")[0] if name.startswith("quarantined ") else name
            for name in self._alarms.names()
        ]
        yield _labelled(
            _gauge("alarms", "What is wrong now, by name; the log has the texts.", labels=["alarm"]),
            (([name], names.count(name)) for name in sorted(set(names))),
        )
        if sight is None:
            return
        yield _gauge("incarnation", "How often an agent has started on this spool.", sight.spool.incarnation)
        yield from _uplink(sight)
        yield from _spool(sight)
        yield from machine_figures(sight.machine.health)
        yield from _buses(sight.field.buses)
        yield from _locks(sight.field.pollers, self._now_s())
        yield from order_figures(sight.desk)
        ages = sight.watchdog.ages_s(self._now_s())
        yield _labelled(
            _gauge("loop_idle_seconds", "How long ago each loop last came round.", labels=["loop"]),
            (([name], age_s) for name, age_s in ages.items()),
        )

    def _text(self, accept: str) -> tuple[str, bytes]:
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)

    def _stuck(self) -> list[str]:
        sight = self._sight
        stuck = sight.watchdog.stuck(self._now_s()) if sight else ()
        return [f"no progress: {name}" for name in stuck]

    def _missing(self) -> list[str]:
        sight = self._sight
        if sight is None:
            return ["spool: not open: the agent waits to begin again, its log says why"]
        reasons = self._stuck()
        if not sight.uplink.is_connected:
            reasons.append(f"broker: {sight.uplink.last_error}")
        if isinstance(why := _read_spool(sight.spool.path), str):
            reasons.append(f"spool: {why}")
        return reasons


def _uplink(sight: Sight) -> Iterator[Metric]:
    uplink, tally = sight.uplink, sight.forwarder.tally
    yield _gauge("mqtt_connected", "1 while there is a session with the broker.", uplink.is_connected)
    yield _counter("mqtt_sessions", "Sessions with the broker that came about.", uplink.sessions)
    yield _counter("pages_sent", "Pages handed to the broker, repetitions included.", tally.sent)
    yield _counter(
        "pages_received", "Pages of which a receipt told that the ledger has them.", tally.received
    )
    yield _counter("pages_lost", "Pages that were believed lost on their way, and sent again.", tally.lost)
    yield _counter("receipts", "Receipts of the ledger that were taken in.", tally.receipts)
    yield _gauge(
        "clock_set", "1 if the gateway's clock is synchronised or was set from a battery-backed one.",
        sight.clock.trust() != "unset",
    )  # fmt: skip


def _spool(sight: Sight) -> Iterator[Metric]:
    free = disk_free_bytes(sight.spool.path.parent)
    if free is not None:
        yield _gauge("disk_free_bytes", "What may still be written to the spool's disk.", free)
    yield _gauge("spool_max_bytes", "What the spool may take of it.", sight.max_bytes)
    summary = _read_spool(sight.spool.path)
    yield _gauge("spool_readable", "1 if the spool could be read for this.", not isinstance(summary, str))
    if isinstance(summary, str):
        return
    oldest = summary.oldest_unreceipted_at
    age_s = max(0.0, (datetime.now(UTC) - oldest).total_seconds()) if oldest else 0.0
    yield _gauge("spool_used_bytes", "What is in use of the spool's file.", summary.used_bytes)
    yield _gauge("spool_pages", "Pages in the spool.", summary.pages)
    yield _gauge("spool_unreceipted_pages", "Pages that this gateway alone has.", summary.unreceipted_pages)
    yield _gauge("spool_oldest_unreceipted_age_seconds", "For how long the oldest of them has waited.", age_s)


def _read_spool(path: Path) -> SpoolSummary | str:
    """Return the sums, or why there are none now."""
    try:
        reader = SpoolReader(path)
        try:
            return summarise(reader)
        finally:
            reader.close()
    except (SpoolUnavailable, SpoolCorrupt, SpoolFull) as error:
        return str(error)


def _buses(buses: Sequence[Bus]) -> Iterator[Metric]:
    counts = [bus.counts() for bus in buses]

    def counter(name: str, text: str, value: Callable[[BusStatistics], float]) -> Metric:
        family = _counter(f"bus_{name}", text, labels=["bus"])
        return _labelled(family, (([count.bus], value(count)) for count in counts))

    yield _labelled(
        _gauge("bus_open", "1 while the serial device or connection is open.", labels=["bus"]),
        (([bus.name], bus.is_open) for bus in buses),
    )
    yield counter("requests", "Requests sent.", lambda c: c.requests)
    yield counter("timeouts", "Requests that nobody answered in time.", lambda c: c.timeouts)
    yield counter("crc_errors", "Answers that came broken.", lambda c: c.crc_errors)
    yield counter(
        "late_replies",
        "Answers that came late or from another.",
        lambda c: c.late_or_foreign_replies,
    )
    yield counter("exceptions", "Answers by which a controller refused.", lambda c: c.exceptions)
    yield _labelled(
        _counter(
            "bus_wire_seconds",
            "For how long bytes were on the wire: its rate is how busy.",
            labels=["bus"],
        ),
        (([bus.name], bus.wire_s) for bus in buses if bus.wire_s is not None),
    )
    yield _labelled(
        _gauge(
            "bus_resting_units", "Units left alone for a while since they failed repeatedly.", labels=["bus"]
        ),
        (([count.bus], len(count.breaker_open_units)) for count in counts),
    )


def _locks(pollers: Sequence[Poller], now_s: float) -> Iterator[Metric]:
    now = datetime.now(UTC)
    told = [(lock_state(visitor.view, now), visitor) for poller in pollers for visitor in poller.visitors]
    label = ["lock"]

    def known(family: Family, value: Callable[[_Told], float | None]) -> Metric:
        values = (([one[0].lock], value(one)) for one in told)
        return _labelled(family, ((names, number) for names, number in values if number is not None))

    yield known(_gauge("lock_reachable", "1 while the lock answers.", labels=label), lambda t: t[0].reachable)
    yield known(
        _gauge("lock_answer_age_seconds", "How long ago the lock last answered.", labels=label),
        lambda t: None if t[1].met_at is None else now_s - t[1].met_at,
    )
    yield known(
        _gauge(
            "lock_has_problem", "1 while something is wrong with it; state/lock tells what.", labels=label
        ),
        lambda t: t[0].problem is not None,
    )
    yield known(
        _gauge("lock_unconfirmed_records", "Records in its ring that it may not forget yet.", labels=label),
        lambda t: _difference(t[0].newest_seq, t[0].confirmed_seq),
    )
    yield known(
        _gauge(
            "lock_unread_records", "Records in its ring that aren't on this gateway's disk.", labels=label
        ),
        lambda t: _difference(t[0].newest_seq, t[0].spooled_seq),
    )
    yield known(
        _gauge("lock_ring_records", "How many records its ring holds.", labels=label),
        lambda t: identity.capacity if (identity := t[1].view.identity) and t[1].view.has_journal else None,
    )
    yield known(
        _gauge("lock_clock_offset_seconds", "How far its clock is ahead of the gateway's.", labels=label),
        lambda t: t[0].clock_offset_s,
    )
    yield known(
        _gauge("lock_fill_ratio", "How full its container is, 0 to 1.", labels=label),
        lambda t: _thousandth(t[0].fill_permille),
    )
    yield known(
        _gauge("lock_battery_volts", "Its battery.", labels=label), lambda t: _thousandth(t[0].battery_mv)
    )
    yield known(
        _counter("lock_unverified_records", "Records whose CRC never held, since the start.", labels=label),
        lambda t: t[0].unverified_records,
    )
    yield known(
        _counter(
            "lock_overwritten_records", "Records gone from its ring before they were read.", labels=label
        ),
        lambda t: t[0].overwritten_records,
    )
    yield _labelled(
        _gauge("lock_fault", "1 for each fault that it reports.", labels=["lock", "fault"]),
        (([state.lock, fault], 1) for state, _ in told for fault in state.faults),
    )


def _difference(newer: int | None, older: int | None) -> int | None:
    return None if newer is None or older is None else max(0, newer - older)


def _thousandth(value: int | None) -> float | None:
    return None if value is None else value / 1000


def _gauge(
    name: str, text: str, value: float | None = None, labels: Sequence[str] | None = None
) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{_N}_{name}", text, value, labels)


def _counter(
    name: str, text: str, value: float | None = None, labels: Sequence[str] | None = None
) -> CounterMetricFamily:
    return CounterMetricFamily(f"{_N}_{name}", text, value, labels)


def _labelled(family: Family, values: Iterable[tuple[Sequence[str], float]]) -> Metric:
    for labels, value in values:
        family.add_metric(labels, value)
    return family
