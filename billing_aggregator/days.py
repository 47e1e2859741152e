"""Local days of a time zone and the instants at which they begin; months; the twelve months of the deadlines.

A billing day is a local day (design 4). Zones come from the pinned package `tzdata`, not from the machine: the same
rules on each of them, and a run can name the version that it was reckoned with.
"""

import importlib.metadata
import zoneinfo
from calendar import monthrange
from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

zoneinfo.reset_tzpath(to=())  # the machine's own database is never looked at


def tzdata_version() -> str:
    """Return the version of the time zone rules in use: `2026.6`."""
    return importlib.metadata.version("tzdata")


@lru_cache(64)
def zone_of(name: str) -> ZoneInfo:
    """Return the zone of this name, or raise ValueError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone: expected one such as Europe/Berlin") from None


def begin_of_day(day: date, zone: str) -> datetime:
    """Return the instant (UTC) at which a local day begins; where midnight is skipped, the first one after it."""
    local = datetime.combine(day, time(), zone_of(zone))
    return local.astimezone(UTC)


def local_day(at: datetime, zone: str) -> date:
    """Return the local day of an instant."""
    return at.astimezone(zone_of(zone)).date()


def month_key(day: date) -> str:
    """Return a day's month: `2025-03`."""
    return f"{day.year:04d}-{day.month:02d}"


def add_months(day: date, months: int) -> date:
    """Return the day so many months later; the last one of a shorter month (§ 188 (3) BGB)."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
