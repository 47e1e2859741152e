"""Local days of a time zone and the instants in UTC at which they begin. Pure.

The rules of the zones are those of the pinned package `tzdata`, never the machine's: a day that two machines cut at
different instants would make two bills of the same pours. Importing this module sets that for the whole process.
"""

import zoneinfo
from calendar import monthrange
from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

import tzdata  # type: ignore[import-untyped]

zoneinfo.reset_tzpath(to=())
ZoneInfo.clear_cache()  # whoever asked before may have got the machine's rules

TZDATA_VERSION: str = tzdata.IANA_VERSION  # as `2026f`: a run's pins name it


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """Return the zone of this name, as `Europe/Berlin`; ValueError if the pinned rules know none."""
    try:
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is no time zone: expected a name of the tz database, as Europe/Berlin"
        ) from None


def begin_of_day(day: date, zone: str) -> datetime:
    """Return the instant (UTC) at which a local day begins.

    Where the clock is put forward at midnight, that is the instant of the change.
    """
    return datetime.combine(day, time(), zone_of(zone)).astimezone(UTC)


def day_of(at: datetime, zone: str) -> date:
    """Return the local day of an instant."""
    return at.astimezone(zone_of(zone)).date()


def add_months(day: date, months: int) -> date:
    """Return the same day so many months later, or the last one of a month that has no such day (§ 188 (3) BGB)."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def month_key(day: date) -> str:
    """Return a day's month as usage is kept by: `2025-03`."""
    return f"{day.year:04}-{day.month:02}"


def format_instant(at: datetime) -> str:
    """Return an instant as ISO 8601 has it in UTC: `2025-03-30T01:00:00Z`; parts of a second only if there are any."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
