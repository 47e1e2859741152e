"""What the machine's figures mean: supply, heat, memory, disk, mount options, clock. Pure: figures -> findings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from edge_agent.clock import ClockTrust
from edge_agent.machine.conditions import CONDITIONS
from edge_agent.machine.storage import Mount
from edge_agent.technician.doctor.findings import Finding, Sure, good, notice, trouble
from wastelock.messages import MachineHealth

_AT_ONCE_S = 60.0  # what has to last longer can't be told by one look: the agent's alarm tells it
_GIB = 1 << 30
_WRITES_A_DAY_BYTES = 20 * _GIB
_DAY_S, _HOUR_S = 86_400, 3_600
_BAD_KINDS = (
    (
        frozenset({"tmpfs", "ramfs", "devtmpfs"}),
        "spool_in_memory",
        "the spool is in memory: a power cut takes every page",
        "let spool.path lead to a disk",
    ),
    (
        frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.sshfs"}),
        "spool_on_network",
        "the spool is on a network share, which SQLite can't trust",
        "let spool.path lead to a local disk",
    ),
    (
        frozenset({"vfat", "msdos", "exfat", "ext2"}),
        "spool_without_journal",
        "this file system keeps no journal: a power cut may damage the spool",
        "put the spool on ext4",
    ),
)
_UNSAFE_OPTIONS = frozenset({"nobarrier", "barrier=0", "data=writeback", "noflush"})
_CLOCKS_OFF_S, _CLOCKS_AGREE_S = 120, 30


@dataclass(frozen=True, slots=True)
class MachineFigures:
    """`directory`: where the spool is, on `mount`. `card`: what an SD card says of itself, None where it is none."""

    directory: str
    health: MachineHealth
    mount: Mount | None
    card: str | None = None


def with_agents_view(figures: MachineFigures, seen: MachineHealth | None) -> MachineFigures:
    """Return the figures with what only the running agent knows: dips of the voltage, whether it can write."""
    if seen is None:
        return figures
    known = {"undervoltage", "undervoltage_seen", "disk_read_only"}
    told = seen.model_dump(include=known, exclude_none=True)
    return replace(figures, health=figures.health.model_copy(update=told))


def judge_machine(figures: MachineFigures, alarms: frozenset[str] = frozenset()) -> list[Finding]:
    """Return what is to be said of supply, heat, memory and disk. `alarms`: names of those that the agent raised."""
    health = figures.health
    found = []
    for condition in CONDITIONS:
        if condition.alarm in alarms or condition.raise_after_s > _AT_ONCE_S:
            continue
        if condition.is_beyond(condition.figure(health)):
            what, _, remedy = condition.text(health).partition(": ")
            area = "disk" if condition.alarm.startswith("disk") else "machine"
            found.append(
                trouble(area, condition.alarm.replace(" ", "_"), what, _machine_words(health), remedy)
            )
    if health.undervoltage_seen and not health.undervoltage and "power low" not in alarms:
        found.append(
            notice(
                "machine",
                "power_was_low",
                "the supply's voltage was too low at some time since the agent's start",
                "",
                "use the board's own supply and a short cable",
            )
        )
    found += _disk(figures)
    for area, words in (("machine", _machine_words(health)), ("disk", _disk_words(figures))):
        if not any(finding.area == area for finding in found):
            found.append(good(area, "nothing is wrong with it", words))
    return found


def _disk(figures: MachineFigures) -> Iterator[Finding]:
    health = figures.health
    if figures.mount is not None:
        yield from _mount(figures.mount, figures.directory)
    written, uptime_s = health.disk_written_bytes, health.uptime_s
    if written is not None and uptime_s is not None and uptime_s > _HOUR_S:
        a_day = written * _DAY_S // uptime_s
        if a_day > _WRITES_A_DAY_BYTES:
            yield notice(
                "disk",
                "much_written",
                f"{a_day / _GIB:.0f} GiB a day are written to the disk; the agent takes some MiB",
                f"{written / _GIB:.1f} GiB in {uptime_s // _HOUR_S} h",
                "see with `iotop -ao` who writes: it wears the disk",
            )
    if figures.card is not None:
        yield notice(
            "disk",
            "sd_card",
            "an SD card doesn't tell how worn it is",
            figures.card,
            "replace it every few years, or use eMMC, which tells",
        )


def _mount(mount: Mount, where: str) -> Iterator[Finding]:
    """What is to be said of how the spool's disk is mounted: what is confirmed to a lock must survive a power cut."""
    evidence = f"{where} is on {mount.source}, {mount.kind}, mounted at {mount.point} with {_options(mount)}"
    for kinds, name, what, remedy in _BAD_KINDS:
        if mount.kind in kinds:
            yield trouble("disk", name, f"{what} ({mount.kind})", evidence, remedy)
    if mount.kind == "overlay":
        yield notice(
            "disk",
            "spool_on_overlay",
            "the spool is on an overlay: where its upper layer is in memory, so is the spool",
            evidence,
            "let spool.path lead to a disk of its own",
        )
    unsafe = sorted(mount.options & _UNSAFE_OPTIONS)
    if unsafe:
        what = f"mounted with {', '.join(unsafe)}: what was written through may be gone after a power cut"
        yield trouble("disk", "unsafe_mount", what, evidence, "take that out of /etc/fstab and reboot")
    if "strictatime" in mount.options:
        yield notice(
            "disk",
            "writes_when_read",
            "each reading of a file is written to the disk",
            evidence,
            "mount it with noatime",
        )


def judge_clock(
    trust: ClockTrust, source: str, offsets_s: Sequence[int], alarms: frozenset[str] = frozenset()
) -> list[Finding]:
    """Return what is to be said of the clock. `offsets_s`: how far each lock's clock is ahead of this machine's."""
    found = []
    if trust == "unset" and "clock unset" not in alarms:
        found.append(
            trouble(
                "clock",
                "clock_unset",
                "this machine doesn't know what time it is",
                f"kept by: {source}",
                "see to NTP (`timedatectl`), or fit a battery-backed clock; no lock's clock is set meanwhile",
            )
        )
    if trust == "rtc" and "clock alone" not in alarms:
        found.append(
            notice(
                "clock",
                "clock_alone",
                "no time server keeps the clock now; it goes by its battery",
                "",
                "see to NTP: `timedatectl` says which servers are asked",
            )
        )
    off = [offset for offset in offsets_s if abs(offset) > _CLOCKS_OFF_S]
    if len(off) > 1 and len(off) == len(offsets_s) and max(off) - min(off) <= _CLOCKS_AGREE_S:
        found.append(
            trouble(
                "clock",
                "clock_wrong",
                "this machine's clock is probably wrong: all locks agree on another time",
                f"{len(off)} locks are {min(off)} to {max(off)} s ahead",
                "set it, and see to NTP: `timedatectl`",
                Sure.LIKELY,
            )
        )
    if not found and not alarms & {"clock unset", "clock alone"}:
        found.append(
            good(
                "clock", f"kept by {source}", f"{len(offsets_s)} locks' clocks compared" if offsets_s else ""
            )
        )
    return found


def _machine_words(health: MachineHealth) -> str:
    parts = [
        health.model,
        None if health.temperature_dc is None else f"{health.temperature_dc / 10:.0f} °C",
        None
        if health.load_permille is None
        else f"load {health.load_permille / 1000:.2f} for each processor",
        None
        if health.memory_available_bytes is None
        else f"{health.memory_available_bytes >> 20} MiB of memory left",
        None if health.undervoltage is None else "voltage too low" if health.undervoltage else "voltage good",
    ]
    return ", ".join(part for part in parts if part)


def _disk_words(figures: MachineFigures) -> str:
    health, mount = figures.health, figures.mount
    parts = [
        None if health.disk_free_permille is None else f"{health.disk_free_permille / 10:.0f} % free",
        None if health.disk_total_bytes is None else f"of {health.disk_total_bytes / _GIB:.1f} GiB",
        None if mount is None else f"{mount.kind}, {_options(mount)}",
        None
        if health.disk_wear_permille is None
        else f"{health.disk_wear_permille // 10} % of its life used",
    ]
    return ", ".join(part for part in parts if part)


def _options(mount: Mount) -> str:
    return ",".join(sorted(option for option in mount.options if "/" not in option))
