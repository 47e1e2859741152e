"""How far the time of a record can be trusted: a grade, and how many seconds the truth may lie before or after it.

A controller's clock is never corrected afterwards: what it wrote stands. What is known about it is the offset that the
gateway measured when it read the record, how good the gateway's own clock was then, and what the record says itself.

    never_set   began_clock_s are seconds since power-up: see `anchored`; else when it was read must do
    lost        the clock had lost its time: it may be anything, a day is taken
    uncertain   no offset was measured, or the gateway's clock itself was unset
    rtc, ntp    set; the offset was measured by a gateway with a battery-backed, with a disciplined clock
    derived     a gateway made the record from a bare counter: the pour came before the reading that showed it

The law of this file: numbers in, values out. Decision 18 says where the numbers come from.
"""

from enum import StrEnum
from typing import NamedTuple

from wastelock.record import ClockStatus, Flag

GOOD_WITHIN_S = 900  # up to here a record's local day is taken as known, but near a change of something
_NTP_S = 2  # whole seconds on both sides
_RTC_S = 60
_UNCERTAIN_S = 3600
_LOST_S = 86_400
_DERIVED_S = 900
_NEVER_SET_S = 86_400  # about when it was read, which is all that is known
_DRIFT = 20_000  # 50 ppm: one second in so many between the pour and the reading that measured the offset
_STATUS_BITS = 0b11


class ClockGrade(StrEnum):
    """Best first."""

    NTP = "ntp"
    RTC = "rtc"
    DERIVED = "derived"
    UNCERTAIN = "uncertain"
    LOST = "lost"
    NEVER_SET = "never_set"


class ClockQuality(NamedTuple):
    """`uncertainty_s`: the true instant lies within so many seconds of the nominal one."""

    grade: ClockGrade
    uncertainty_s: int

    @property
    def is_good(self) -> bool:
        """True if the record's local day is known, but near a change."""
        return self.grade is not ClockGrade.NEVER_SET and self.uncertainty_s <= GOOD_WITHIN_S


def grade_clock(
    flags: int, began_clock_s: int, read_s: int, clock_offset_s: int | None, gateway_clock: str | None
) -> ClockQuality:
    """Return how far `began_clock_s` of a record can be trusted.

    `flags`: the record's flag byte. `read_s`: when the gateway read it (unix seconds), `clock_offset_s`: controller
    minus gateway, measured then. `gateway_clock`: `ntp`, `rtc` or `unset`, None where the page doesn't say.
    """
    status = flags & _STATUS_BITS
    if status == ClockStatus.NEVER_SET:
        return ClockQuality(ClockGrade.NEVER_SET, _NEVER_SET_S)
    offset = abs(clock_offset_s or 0)
    if status != ClockStatus.SET:
        return ClockQuality(ClockGrade.LOST, _LOST_S + offset)
    if flags & Flag.DERIVED:
        return ClockQuality(ClockGrade.DERIVED, _DERIVED_S)
    known = offset + abs(read_s - began_clock_s) // _DRIFT
    if clock_offset_s is None or gateway_clock not in ("ntp", "rtc"):
        return ClockQuality(ClockGrade.UNCERTAIN, _UNCERTAIN_S + known)
    if gateway_clock == "rtc":
        return ClockQuality(ClockGrade.RTC, _RTC_S + known)
    return ClockQuality(ClockGrade.NTP, _NTP_S + known)


def anchored(anchor: ClockQuality) -> ClockQuality:
    """Return the quality of an instant that was reckoned back from a clock-set record of this quality.

    The grade stays `never_set`: a person looks at each of these.
    """
    return ClockQuality(ClockGrade.NEVER_SET, anchor.uncertainty_s + _NTP_S)
