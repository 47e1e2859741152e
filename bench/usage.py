"""What a process uses: CPU time, memory. Linux; the process is known by its pid."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """RSS counts what is shared with other processes in full, PSS by its share. Bytes.

    `own`: the part of PSS that belongs to no file: heap and stacks. Other processes that come and go don't move it.
    """

    rss: int
    pss: int
    own: int


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used so far, all its threads together, in user and system mode."""
    # What stands in front of the last bracket is the program's name, which may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / _TICKS_PER_S


def family_cpu_s(pid: int) -> float:
    """Return the CPU time of a process and of those that it has started and that still run."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return sum(map(cpu_s, [pid, *children]))


def memory(pid: int) -> Memory:
    """Return what a process holds in RAM now."""
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if value.endswith("kB"):
            sizes[name] = int(value.split()[0]) * 1024
    return Memory(sizes["Rss"], sizes["Pss"], sizes["Pss_Anon"])
