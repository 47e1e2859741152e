"""Processor, memory and supply: what Linux tells of a small computer, and of a Raspberry Pi in particular."""

from edge_agent.machine.sources import Sources

_MODEL_LENGTH = 64
_MODEL_FILES = ("sys/firmware/devicetree/base/model", "sys/class/dmi/id/product_name")
# Of several thermal zones the processor's counts; boards name it differently.
_PROCESSOR_ZONES = ("cpu", "soc", "x86_pkg")


def model(sources: Sources) -> str | None:
    """Return what the board calls itself, e.g. `Raspberry Pi 4 Model B Rev 1.5`."""
    told = (sources.text(path) for path in _MODEL_FILES)
    return next((text[:_MODEL_LENGTH] for text in told if text), None)


def uptime_s(sources: Sources) -> int | None:
    """Return for how long the machine has run."""
    uptime = _first_number(sources.text("proc/uptime"))
    return None if uptime is None else int(uptime)


def load_permille(sources: Sources) -> int | None:
    """Return the load of the last minute for each processor; 1000: all of them are busy."""
    load, processors = _first_number(sources.text("proc/loadavg")), _processors(sources)
    return None if load is None or not processors else round(1000 * load / processors)


def memory_available_bytes(sources: Sources) -> int | None:
    """Return what programs may still take without swapping."""
    return _memory(sources, "MemAvailable")


def memory_total_bytes(sources: Sources) -> int | None:
    return _memory(sources, "MemTotal")


def temperature_dc(sources: Sources) -> int | None:
    """Return the processor's temperature in 0.1 °C; where no zone is named so, the hottest zone's."""
    zones = {
        str(zone): (sources.text(zone / "type") or "", sources.number(zone / "temp"))
        for zone in sources.find("sys/class/thermal/thermal_zone*")
    }
    known = [(kind, millidegrees) for kind, millidegrees in zones.values() if millidegrees is not None]
    processor = [m for kind, m in known if any(word in kind for word in _PROCESSOR_ZONES)]
    measured = processor or [m for _, m in known]
    return round(max(measured) / 100) if measured else None


def undervoltage(sources: Sources) -> bool | None:
    """Return whether the supply's voltage was too low within the last 2 s (a Raspberry Pi's firmware: 4.63 V)."""
    for name in sources.find("sys/class/hwmon/hwmon*/name"):
        if sources.text(name) == "rpi_volt":
            alarm = sources.number(name.parent / "in0_lcrit_alarm")
            return None if alarm is None else alarm != 0
    return None


def _processors(sources: Sources) -> int:
    lines = (sources.text("proc/cpuinfo") or "").splitlines()
    return sum(line.partition(":")[0].strip() == "processor" for line in lines)


def _memory(sources: Sources, name: str) -> int | None:
    for line in (sources.text("proc/meminfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            kib = _first_number(value)
            return None if kib is None else int(kib) * 1024
    return None


def _first_number(text: str | None) -> float | None:
    try:
        return float((text or "").split()[0])
    except (IndexError, ValueError):
        return None
