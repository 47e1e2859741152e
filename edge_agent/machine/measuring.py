"""How the machine is doing, as one MachineHealth: board.py and storage.py put together, with who keeps the clock."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic

from edge_agent.clock import GatewayClock, was_set_by_timesyncd
from edge_agent.machine import board, storage
from edge_agent.machine.sources import Sources
from wastelock.messages import MachineHealth

# A disk that nobody writes to fails unnoticed, but each probe wears it a little.
PROBE_EVERY_S = 600.0
_TIMESYNCD_FLAG = "run/systemd/timesync/synchronized"
_TIMEKEEPERS = {"chrony": "run/chrony", "ntpd": "run/ntpd.pid", "ntpsec": "run/ntpsec"}


class Machine:
    """`directory`: where the spool is. Not thread-safe; the only thing that it keeps is what was seen of the supply."""

    def __init__(
        self,
        directory: Path,
        clock: GatewayClock,
        sources: Sources | None = None,
        now_s: Callable[[], float] = monotonic,
        try_to_write: Callable[[Path], str | None] = storage.try_to_write,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._sources = sources or Sources()
        self._now_s = now_s
        self._try_to_write = try_to_write
        self._probe_due_s = now_s()
        self._is_read_only = False
        self._voltage_dipped: bool | None = None
        self._voltage_dipped_once: bool | None = None

    def glance(self) -> bool:
        """Look at the supply's voltage, which the kernel tells for 2 s only; False where nobody measures it."""
        dips = board.undervoltage(self._sources)
        if dips is None:
            return False
        self._voltage_dipped = dips or bool(self._voltage_dipped)
        self._voltage_dipped_once = dips or bool(self._voltage_dipped_once)
        return True

    def measure(self) -> MachineHealth:
        """Return how the machine is doing; `undervoltage`: at some time since the last call."""
        sources = self._sources
        self.glance()
        dipped, self._voltage_dipped = self._voltage_dipped, None
        mount = storage.mount_of(self._directory, sources)
        disks = storage.disks_of(mount.device, sources) if mount else []
        wear = [each for disk in disks if (each := storage.wear_permille(disk, sources)) is not None]
        written = [each for disk in disks if (each := storage.written_bytes(disk, sources)) is not None]
        total, free_permille = storage.room(self._directory)
        return MachineHealth(
            model=board.model(sources),
            uptime_s=board.uptime_s(sources),
            load_permille=board.load_permille(sources),
            memory_available_bytes=board.memory_available_bytes(sources),
            temperature_dc=board.temperature_dc(sources),
            undervoltage=dipped,
            undervoltage_seen=self._voltage_dipped_once,
            disk_total_bytes=total,
            disk_free_permille=free_permille,
            disk_read_only=self._probe(mount is not None and mount.is_read_only),
            disk_wear_permille=max(wear, default=None),
            disk_written_bytes=sum(written) if written else None,
            clock_source=self.clock_source(),
        )

    def clock_source(self) -> str:
        """Return who keeps the gateway's clock."""
        trust = self._clock.trust()
        if self._clock.source != "auto" and trust != "unset":
            return "configured"
        if trust != "ntp":
            return "rtc" if trust == "rtc" else "none"
        if was_set_by_timesyncd(self._clock.now(), self._sources.root / _TIMESYNCD_FLAG):
            return "timesyncd"
        found = (name for name, path in _TIMEKEEPERS.items() if (self._sources.root / path).exists())
        return next(found, "kernel")

    def _probe(self, is_mounted_so: bool) -> bool:
        """Try now and then whether the disk takes a byte; a disk that doesn't is tried each time, until it does."""
        if is_mounted_so:
            self._is_read_only = True
        elif self._is_read_only or self._now_s() >= self._probe_due_s:
            self._probe_due_s = self._now_s() + PROBE_EVERY_S
            self._is_read_only = self._try_to_write(self._directory) is not None
        return self._is_read_only
