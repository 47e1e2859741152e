"""Figures of orders from the cloud for Prometheus: what waits, what became of commands, what was refused and why."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from edge_agent.orders.desk import OrderDesk

_N = "wastelock_agent"


def order_figures(desk: OrderDesk) -> Iterator[Metric]:
    """Yield the figures of one run."""
    yield GaugeMetricFamily(
        f"{_N}_commands_waiting", "Commands that were accepted and haven't ended.", desk.book.waiting()
    )
    ended = CounterMetricFamily(
        f"{_N}_commands_ended", "Commands that have ended, by what became of them.", labels=["outcome"]
    )
    for outcome, count in desk.book.ended().items():
        ended.add_metric([outcome], count)
    yield ended
    refused = CounterMetricFamily(
        f"{_N}_orders_refused",
        "Orders of which nothing was done, by the alarm that they raised.",
        labels=["alarm"],
    )
    for alarm, count in desk.alarms.counts().items():
        refused.add_metric([alarm], count)
    yield refused
