"""A Raspberry Pi with eMMC, as the files by which Linux tells of it; each can be changed by a test."""

from pathlib import Path

from edge_agent.machine.sources import Sources

_CPUINFO = "\n\n".join(f"processor\t: {number}\nBogoMIPS\t: 108.00" for number in range(4))
_STAT = "    5211     1310   401234    2011    90210     8812  2097152   410211        0    60100   412222"


class Raspberry:
    """Lies below `root`; the spool is in `root`/data, which its mountinfo has on partition 2 of the eMMC."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory = root / "data"
        self.directory.mkdir(parents=True)
        self.sources = Sources(root)
        self.write("sys/firmware/devicetree/base/model", "Raspberry Pi Compute Module 4 Rev 1.1\0")
        self.write("proc/uptime", "86461.52 300112.08\n")
        self.write("proc/loadavg", "1.20 0.90 0.80 2/213 4711\n")
        self.write("proc/cpuinfo", _CPUINFO)
        self.write(
            "proc/meminfo", "MemTotal:        1894568 kB\nMemFree: 81234 kB\nMemAvailable:    1204456 kB\n"
        )
        self.write("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
        self.write("sys/class/thermal/thermal_zone0/temp", "48312\n")
        self.write("sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
        self.write("sys/class/hwmon/hwmon1/name", "rpi_volt\n")
        self.dip(False)
        self._lay_out_the_disk()
        self.mount("rw,noatime")

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def dip(self, dips: bool) -> None:
        """The supply's voltage is too low now, or isn't."""
        self.write("sys/class/hwmon/hwmon1/in0_lcrit_alarm", f"{int(dips)}\n")

    def heat(self, degrees: float) -> None:
        self.write("sys/class/thermal/thermal_zone0/temp", f"{round(degrees * 1000)}\n")

    def wear(self, life_time: str, spare: str = "0x01") -> None:
        self.write("sys/devices/emmc2/mmc0/mmc0:0001/life_time", f"{life_time}\n")
        self.write("sys/devices/emmc2/mmc0/mmc0:0001/pre_eol_info", f"{spare}\n")

    def mount(self, options: str, of: str = "rw", kind: str = "ext4") -> None:
        """How the spool's disk is mounted, and (`of`) its file system."""
        self.write(
            "proc/self/mountinfo",
            f"24 1 179:2 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
            f"26 24 0:5 / /proc rw - proc proc rw\n"
            f"88 24 179:2 / {self.directory.resolve()} {options} shared:7 "
            f"- {kind} /dev/mmcblk0p2 {of},errors=remount-ro\n",
        )

    def _lay_out_the_disk(self) -> None:
        disk = "sys/devices/emmc2/mmc0/mmc0:0001/block/mmcblk0"
        self.write(f"{disk}/stat", _STAT)
        self.write(f"{disk}/mmcblk0p2/partition", "2\n")
        self.wear("0x01 0x02")
        (self.root / disk / "device").symlink_to(self.root / "sys/devices/emmc2/mmc0/mmc0:0001")
        by_number = self.root / "sys/dev/block"
        by_number.mkdir(parents=True)
        (by_number / "179:2").symlink_to(self.root / disk / "mmcblk0p2")
