"""How the process and its machine are doing: CPU, memory, disk. Linux only; what can't be told is None."""

import os
from pathlib import Path

_STATM = Path("/proc/self/statm")


class CpuMeter:
    """Share of one core that this process used since the last reading."""

    def __init__(self, now_s: float) -> None:
        self._read_at_s = now_s
        self._used_s = _cpu_s()

    def read_permille(self, now_s: float) -> int | None:
        """`now_s`: monotonic seconds."""
        used_s, elapsed_s = _cpu_s(), now_s - self._read_at_s
        share = round(1000 * (used_s - self._used_s) / elapsed_s) if elapsed_s > 0 else None
        self._read_at_s, self._used_s = now_s, used_s
        return share


def memory_rss_bytes() -> int | None:
    """Return how much memory this process holds in RAM."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return None


def disk_free_bytes(directory: Path) -> int | None:
    """Return what this user may still write to the disk that holds `directory`."""
    try:
        stat = os.statvfs(directory)
    except OSError:
        return None
    return stat.f_bavail * stat.f_frsize


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system
