"""The machine's figures for Prometheus: its health as it was last measured. What isn't told has no value."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from wastelock.messages import MachineHealth

_N = "wastelock_agent_machine"
# name, what it is, which field, and by what it is divided to have the unit that its name says
_FIGURES = (
    ("uptime_seconds", "For how long the machine has run.", "uptime_s", 1),
    ("load_ratio", "Load of the last minute for each processor; 1: all are busy.", "load_permille", 1000),
    ("memory_available_bytes", "What programs may still take.", "memory_available_bytes", 1),
    ("temperature_celsius", "The processor's temperature.", "temperature_dc", 10),
    ("undervoltage", "1 if the supply's voltage was too low since the last look.", "undervoltage", 1),
    ("disk_free_ratio", "What is free of the spool's disk, 0 to 1.", "disk_free_permille", 1000),
    ("disk_read_only", "1 while nothing can be written where the spool is.", "disk_read_only", 1),
    ("disk_wear_ratio", "What the spool's disk has used of its life, 0 to 1.", "disk_wear_permille", 1000),
)


def machine_figures(health: MachineHealth | None) -> Iterator[Metric]:
    """Yield the figures; before the first measurement all are without a value."""
    told = health or MachineHealth()
    for name, text, field, divisor in _FIGURES:
        gauge, value = GaugeMetricFamily(f"{_N}_{name}", text, labels=[]), getattr(told, field)
        if value is not None:
            gauge.add_metric([], value / divisor)
        yield gauge
    written = CounterMetricFamily(
        f"{_N}_disk_written_bytes", "Written to the spool's disk since the machine started.", labels=[]
    )
    if told.disk_written_bytes is not None:
        written.add_metric([], told.disk_written_bytes)
    yield written
    clock = GaugeMetricFamily(f"{_N}_clock_source", "1 for who keeps the gateway's clock.", labels=["source"])
    if told.clock_source is not None:
        clock.add_metric([told.clock_source], 1)
    yield clock
    saving = GaugeMetricFamily(
        f"{_N}_saving",
        "1 for each thing that the agent does less of now, for the machine's sake.",
        labels=["what"],
    )
    for what in told.saving:
        saving.add_metric([what], 1)
    yield saving
