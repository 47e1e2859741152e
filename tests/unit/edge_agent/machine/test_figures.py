"""The machine's figures for Prometheus: in the units that their names say, and none where nothing is told."""

from edge_agent.metrics_machine import machine_figures
from wastelock.messages import MachineHealth

HEALTH = MachineHealth(
    uptime_s=86_461, load_permille=1_250, memory_available_bytes=1 << 30, temperature_dc=483, undervoltage=True,
    disk_free_permille=620, disk_read_only=False, disk_wear_permille=200, disk_written_bytes=4096,
    clock_source="chrony", saving=("telemetry", "log"),
)  # fmt: skip


def samples(health: MachineHealth | None) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("wastelock_agent_machine_"), *sample.labels.values()): sample.value
        for family in machine_figures(health)
        for sample in family.samples
    }


def test_each_figure_has_the_unit_that_its_name_says() -> None:
    assert samples(HEALTH) == {
        ("uptime_seconds",): 86_461,
        ("load_ratio",): 1.25,
        ("memory_available_bytes",): 1 << 30,
        ("temperature_celsius",): 48.3,
        ("undervoltage",): 1,
        ("disk_free_ratio",): 0.62,
        ("disk_read_only",): 0,
        ("disk_wear_ratio",): 0.2,
        ("disk_written_bytes_total",): 4096,
        ("clock_source", "chrony"): 1,
        ("saving", "telemetry"): 1,
        ("saving", "log"): 1,
    }


def test_what_the_machine_doesnt_tell_has_no_value_but_is_explained() -> None:
    assert samples(None) == samples(MachineHealth()) == {}
    assert len(list(machine_figures(None))) == 11
