"""The disk that holds the spool: how it is mounted, what is below it, how worn it is, and whether it takes a byte now.

    directory ──mountinfo──▶ mount ──/sys/dev/block/MAJ:MIN──▶ partition, volume ──▶ disk: wear, bytes written

Wear is told by eMMC (its life time in tenths, and how many of its spare blocks are gone). SD cards don't tell it, and
NVMe tells it to nobody but root: there it is None.
"""

import errno
import os
import re
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_agent.machine.sources import Sources

_SECTOR_BYTES = 512
_LAYERS_MAX = 4  # partition on volume on encryption on a disk
# pre_eol_info of eMMC (JEDEC 84-B51): 2: 80 % of the spare blocks are gone, 3: 90 %.
_SPARE_PERMILLE = {2: 800, 3: 950}
_READ_ONLY_OPTIONS = frozenset({"ro", "emergency_ro"})
_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
_ESCAPED = re.compile(r"\\([0-7]{3})")
# That this process may not, or has no descriptor left, tells nothing of the disk.
_OTHER_ERRNOS = frozenset({errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE})
_PROBE = ".write-probe"
_LEFT_BEHIND_S = 3600.0


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a file system is mounted. `device`: MAJOR:MINOR; `options`: of the mount and of what it mounts."""

    point: str
    device: str
    kind: str
    source: str
    options: frozenset[str]

    @property
    def is_read_only(self) -> bool:
        return bool(self.options & _READ_ONLY_OPTIONS)


def mount_of(directory: Path, sources: Sources) -> Mount | None:
    """Return the mount that `directory` lies on: the last one among those at the longest way to it."""
    path, found = os.path.realpath(directory), None
    for line in (sources.text("proc/self/mountinfo") or "").splitlines():
        mount = _parse_mount(line)
        if mount is None or not _lies_below(path, mount.point):
            continue
        if found is None or len(mount.point) >= len(found.point):
            found = mount
    return found


def disks_of(device: str, sources: Sources) -> list[Path]:
    """Return the directories in /sys of the disks below a device, through partitions and volumes."""
    found, layer = [], [sources.root / "sys" / "dev" / "block" / device]
    for _ in range(_LAYERS_MAX):
        below: list[Path] = []
        for path in layer:
            disk = Path(os.path.realpath(path))
            if (disk / "partition").exists():
                disk = disk.parent
            slaves = list(sources.find(f"{_relative(disk, sources)}/slaves/*"))
            below += slaves
            if not slaves and disk.exists():
                found.append(disk)
        layer = below
    return sorted(set(found))


def wear_permille(disk: Path, sources: Sources) -> int | None:
    """Return how much of its life a disk has used, as it says itself; 1000: all."""
    life = sources.text(disk / "device" / "life_time")
    spare = sources.text(disk / "device" / "pre_eol_info")
    try:
        tenths = [int(part, 16) for part in (life or "").split()]
        used = [min(1000, 100 * each) for each in tenths if each]
        used += [_SPARE_PERMILLE[level] for level in [int(spare or "0", 16)] if level in _SPARE_PERMILLE]
    except ValueError:
        return None
    return max(used, default=None)


def written_bytes(disk: Path, sources: Sources) -> int | None:
    """Return how much was written to a disk since the machine started."""
    try:
        return int((sources.text(disk / "stat") or "").split()[6]) * _SECTOR_BYTES
    except (IndexError, ValueError):
        return None


def try_to_write(directory: Path) -> str | None:
    """Write a file, through to the disk, and delete it; return why that can't be done, None if it can.

    A full disk isn't an answer here: it can be written once there is room. Nor is a directory of somebody else's.
    """
    try:
        _clear_away(directory)
        # A name of its own: agent and doctor may try at once, as two users.
        fd, name = tempfile.mkstemp(prefix=f"{_PROBE}-", dir=directory)
        try:
            os.write(fd, b"written to see whether that can be done\n")
            os.fsync(fd)
        finally:
            os.close(fd)
            Path(name).unlink()
    except OSError as error:
        return None if error.errno in _FULL_ERRNOS | _OTHER_ERRNOS else error.strerror or str(error)
    return None


def _clear_away(directory: Path) -> None:
    """Delete what somebody left who was killed while trying."""
    for path in directory.glob(f"{_PROBE}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFT_BEHIND_S:
                path.unlink()


def room(directory: Path) -> tuple[int | None, int | None]:
    """Return the size of the disk that holds `directory`, and what of it this user may still write (permille)."""
    try:
        stat = os.statvfs(directory)
    except OSError:
        return None, None
    total = stat.f_blocks * stat.f_frsize
    return total, 1000 * stat.f_bavail // stat.f_blocks if stat.f_blocks else None


def _parse_mount(line: str) -> Mount | None:
    """One line of mountinfo: `id parent maj:min root point options [tags …] - kind source superoptions`."""
    head, separator, tail = line.partition(" - ")
    fields, more = head.split(), tail.split()
    if not separator or len(fields) < 6 or len(more) < 3:
        return None
    options = frozenset({*fields[5].split(","), *more[2].split(",")})
    return Mount(_unescape(fields[4]), fields[2], more[0], _unescape(more[1]), options)


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)


def _lies_below(path: str, point: str) -> bool:
    return path == point or path.startswith(point if point.endswith("/") else f"{point}/")


def _relative(path: Path, sources: Sources) -> str:
    root = os.path.realpath(sources.root)
    return os.path.relpath(path, root)
