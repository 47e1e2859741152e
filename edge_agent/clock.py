"""How far the gateway's own clock can be trusted: every page says so, because a pour's time may decide a bill.

ntp    the kernel's clock is disciplined by a time source (adjtimex: not STA_UNSYNC); a service that may not ask the
       kernel (systemd's ProtectClock) goes by when systemd-timesyncd set it last
rtc    not disciplined now, but it was set from a battery-backed clock at boot
unset  neither: after a power cut such a clock may stand days behind
"""

import ctypes
import errno
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

ClockTrust = Literal["ntp", "rtc", "unset"]

# No gateway runs this program before it was written: an earlier clock has lost its time, whatever its source.
_EARLIEST_BELIEVABLE = datetime(2026, 1, 1, tzinfo=UTC)
_TIME_ERROR = 5
_STA_UNSYNC = 0x0040
_RTC_CLASS = Path("/sys/class/rtc")
_TIMESYNCD_FLAG = Path("/run/systemd/timesync/synchronized")
# The kernel itself takes so long to give a clock up: its error grows by 500 ppm up to 16 s.
_DISCIPLINED_FOR_S = 32_000
_AHEAD_S = 60  # the file was touched just before the clock was stepped


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2); only `status` is read, the rest gives the kernel room to write."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_byte * 256),
    )


def kernel_clock_is_synchronised() -> bool:
    """True if the kernel says that its clock is disciplined (needs no privilege: modes 0 only reads)."""
    libc = ctypes.CDLL(None, use_errno=True)
    timex = _Timex()
    state = libc.adjtimex(ctypes.byref(timex))
    if state < 0 and ctypes.get_errno() == errno.EPERM:
        return was_set_by_timesyncd(utc_now())
    return 0 <= state != _TIME_ERROR and not timex.status & _STA_UNSYNC


def was_set_by_timesyncd(now: datetime, flag: Path = _TIMESYNCD_FLAG) -> bool:
    """True if systemd-timesyncd, which touches this file each time, synchronised the clock lately."""
    try:
        age_s = now.timestamp() - flag.stat().st_mtime
    except OSError:
        return False
    return -_AHEAD_S <= age_s <= _DISCIPLINED_FOR_S


def was_set_from_rtc(rtc_class: Path = _RTC_CLASS) -> bool:
    """True if the kernel set its clock at boot from a battery-backed one."""
    for flag in sorted(rtc_class.glob("rtc*/hctosys")):
        try:
            if flag.read_text().strip() == "1":
                return True
        except OSError:
            continue  # this one can't say; another may
    return False


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class GatewayClock:
    """The time, and how far to trust it. `source`: `auto` asks the kernel; `ntp` or `rtc` is the operator's word."""

    source: Literal["auto", "ntp", "rtc"] = "auto"
    now: Callable[[], datetime] = utc_now
    is_synchronised: Callable[[], bool] = kernel_clock_is_synchronised
    has_rtc: Callable[[], bool] = was_set_from_rtc

    def trust(self) -> ClockTrust:
        """Return the grade of this moment's clock; a clock before 2026 is `unset` whatever anybody says."""
        if self.now() < _EARLIEST_BELIEVABLE:
            return "unset"
        if self.source != "auto":
            return self.source
        if self.is_synchronised():
            return "ntp"
        return "rtc" if self.has_rtc() else "unset"
