"""What is read of a machine: a Raspberry Pi laid out as files, this machine, and disks that are really mounted."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.clock import GatewayClock
from edge_agent.machine import storage
from edge_agent.machine.measuring import PROBE_EVERY_S, Machine
from edge_agent.machine.sources import Sources
from tests.unit.edge_agent.machine.raspberry import Raspberry


@pytest.fixture
def pi(tmp_path: Path) -> Raspberry:
    return Raspberry(tmp_path)


def machine(
    pi: Raspberry, clock: GatewayClock | None = None, now_s: Callable[[], float] = lambda: 0.0
) -> Machine:
    return Machine(
        pi.directory, clock or GatewayClock("auto", is_synchronised=lambda: True), pi.sources, now_s
    )


def test_a_raspberry_tells_model_load_memory_temperature_supply_and_disk(pi: Raspberry) -> None:
    health = machine(pi).measure()
    assert health.model == "Raspberry Pi Compute Module 4 Rev 1.1"
    assert (health.uptime_s, health.load_permille) == (86_461, 300)
    assert health.memory_available_bytes == 1_204_456 * 1024
    assert (health.temperature_dc, health.undervoltage, health.undervoltage_seen) == (483, False, False)
    assert (health.disk_wear_permille, health.disk_written_bytes) == (200, 2_097_152 * 512)
    assert health.disk_read_only is False
    assert health.disk_total_bytes == shutil.disk_usage(pi.directory).total
    assert 0 < (health.disk_free_permille or 0) < 1000


def test_a_dip_of_the_voltage_between_two_looks_is_told_once_and_remembered(pi: Raspberry) -> None:
    looked = machine(pi)
    pi.dip(True)
    assert looked.glance()
    pi.dip(False)
    looked.glance()
    first, second = looked.measure(), looked.measure()
    assert (first.undervoltage, first.undervoltage_seen) == (True, True)
    assert (second.undervoltage, second.undervoltage_seen) == (False, True)


@pytest.mark.parametrize(
    ("life_time", "spare", "permille"),
    [
        ("0x01 0x01", "0x01", 100),
        ("0x09 0x0a", "0x01", 1000),
        ("0x0b 0x0b", "0x01", 1000),
        ("0x02 0x02", "0x02", 800),
        ("0x02 0x02", "0x03", 950),
        ("0x00 0x00", "0x00", None),
        ("no number", "0x01", None),
    ],
)
def test_wear_is_the_worst_of_what_the_storage_says(
    pi: Raspberry, life_time: str, spare: str, permille: int | None
) -> None:
    pi.wear(life_time, spare)
    assert machine(pi).measure().disk_wear_permille == permille


@pytest.mark.parametrize(
    ("options", "of"), [("ro,noatime", "rw"), ("rw,noatime", "ro"), ("rw,noatime", "rw,emergency_ro")]
)
def test_a_mount_or_a_file_system_that_is_read_only_is_seen(pi: Raspberry, options: str, of: str) -> None:
    looked = machine(pi)
    assert looked.measure().disk_read_only is False
    pi.mount(options, of)
    assert looked.measure().disk_read_only is True
    pi.mount("rw,noatime")
    assert looked.measure().disk_read_only is False


def test_a_disk_that_refuses_a_byte_is_tried_at_once_again_and_else_rarely(pi: Raspberry) -> None:
    now, answers, tries = [0.0], ["Input/output error"], []

    def attempt(directory: Path) -> str | None:
        tries.append(directory)
        return answers[-1] or None

    looked = Machine(pi.directory, GatewayClock(), pi.sources, lambda: now[0], attempt)
    assert looked.measure().disk_read_only is True
    answers.append("")
    assert looked.measure().disk_read_only is False
    now[0] = PROBE_EVERY_S - 1
    looked.measure()
    assert len(tries) == 2
    now[0] = PROBE_EVERY_S
    looked.measure()
    assert len(tries) == 3


@pytest.mark.parametrize(
    ("marks", "source"),
    [
        (("run/systemd/timesync/synchronized",), "timesyncd"),
        (("run/chrony/chronyd.sock",), "chrony"),
        (("run/ntpd.pid",), "ntpd"),
        ((), "kernel"),
    ],
)
def test_who_keeps_the_clock_is_told_by_what_it_leaves(
    pi: Raspberry, marks: tuple[str, ...], source: str
) -> None:
    for mark in marks:
        pi.write(mark, "")
    assert machine(pi).measure().clock_source == source


@pytest.mark.parametrize(
    ("clock", "source"),
    [
        (GatewayClock("auto", is_synchronised=lambda: False, has_rtc=lambda: True), "rtc"),
        (GatewayClock("auto", is_synchronised=lambda: False, has_rtc=lambda: False), "none"),
        (GatewayClock("ntp"), "configured"),
    ],
)
def test_a_clock_that_nobody_disciplines_goes_by_its_battery_or_by_nothing(
    pi: Raspberry, clock: GatewayClock, source: str
) -> None:
    assert machine(pi, clock).measure().clock_source == source


def test_of_an_encrypted_volume_the_disk_below_counts(pi: Raspberry) -> None:
    pi.write("sys/devices/virtual/block/dm-0/stat", "0 0 0 0 0 0 1 0")
    slaves = pi.root / "sys/devices/virtual/block/dm-0/slaves"
    slaves.mkdir()
    partition = pi.root / "sys/devices/emmc2/mmc0/mmc0:0001/block/mmcblk0/mmcblk0p2"
    (slaves / "mmcblk0p2").symlink_to(partition)
    (pi.root / "sys/dev/block/254:0").symlink_to(pi.root / "sys/devices/virtual/block/dm-0")
    [disk] = storage.disks_of("254:0", pi.sources)
    assert disk.name == "mmcblk0"
    assert storage.wear_permille(disk, pi.sources) == 200


def test_what_another_user_left_or_does_at_the_same_time_makes_no_disk_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, under_way = tmp_path / ".write-probe", tmp_path / ".write-probe-root"
    for path in (left, under_way):
        path.touch(0o000)
    os.utime(left, (0, 0))
    opened, real = [], os.open

    def refuse(path: str, flags: int, *more: Any, **how: Any) -> int:
        opened.append(Path(path).name)
        if Path(path) in (left, under_way):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, *more, **how)

    monkeypatch.setattr(os, "open", refuse)  # as it is for everybody but root
    assert storage.try_to_write(tmp_path) is None
    assert opened and list(tmp_path.iterdir()) == [under_way]


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EACCES, None),
        (errno.EMFILE, None),
        (errno.EROFS, os.strerror(errno.EROFS)),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_only_what_the_disk_itself_refuses_makes_it_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, told: str | None
) -> None:
    def fail(*_: Any, **__: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", fail)
    assert storage.try_to_write(tmp_path) == told


def test_a_machine_that_tells_nothing_has_no_figures_and_no_error(tmp_path: Path) -> None:
    health = Machine(tmp_path, GatewayClock(), Sources(tmp_path / "nothing")).measure()
    told = health.model_dump(exclude_none=True)
    assert set(told) == {"disk_total_bytes", "disk_free_permille", "disk_read_only", "clock_source", "saving"}


def test_this_machine_is_measured_too(tmp_path: Path) -> None:
    health = Machine(tmp_path, GatewayClock()).measure()
    assert (health.uptime_s or 0) > 0 and (health.memory_available_bytes or 0) > 0
    assert health.load_permille is not None and health.disk_read_only is False
    mount = storage.mount_of(tmp_path, Sources())
    assert mount is not None and not mount.is_read_only


def test_the_service_may_see_what_is_measured() -> None:
    unit = (Path(__file__).parents[4] / "systemd" / "wastelock-edge-agent.service").read_text()
    hidden = (
        "ProcSubset=pid",
        "PrivateMounts=no",
        "InaccessiblePaths",
        "TemporaryFileSystem",
        "RootDirectory",
    )
    assert [line for line in unit.splitlines() if line.startswith(hidden)] == []


_ON_A_MOUNT = """
import json, sys
from pathlib import Path
from edge_agent.machine import storage
from edge_agent.machine.sources import Sources
directory = Path(sys.argv[1])
mount = storage.mount_of(directory, Sources())
print(json.dumps([mount.kind, mount.is_read_only, storage.try_to_write(directory)]))
"""


@pytest.mark.parametrize(
    ("mounting", "told"),
    [
        ("true", '["tmpfs", false, null]'),
        ("mount -o remount,ro DIR", '["tmpfs", true, "Read-only file system"]'),
        ("head -c 9m /dev/zero > DIR/fill", '["tmpfs", false, null]'),
    ],
    ids=["writable", "read-only", "full"],
)
def test_a_disk_is_tried_for_real(tmp_path: Path, mounting: str, told: str) -> None:
    directory = tmp_path / "a disk"  # with a blank, which mountinfo writes as \040
    directory.mkdir()
    quoted = f"'{directory}'"
    script = f'mount -t tmpfs -o size=8m x {quoted}; {mounting.replace("DIR", quoted)}; exec "$@"'
    child = [sys.executable, "-c", _ON_A_MOUNT, str(directory)]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", *child], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == told, done.stderr
    assert list(directory.iterdir()) == []
