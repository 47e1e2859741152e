"""The period that the demonstration bills: the last full months before today, in the estate's local days."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_LEAD_IN_DAYS = 5  # the locks are there a little earlier: those pours belong to nobody's bill
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class BillingPeriod:
    """Local days from `first` up to, not including, `end`: whole months, at most twelve."""

    first: date
    end: date
    months: int
    zone: ZoneInfo

    @property
    def starts_at(self) -> datetime:
        """The local midnight with which the period begins."""
        return datetime.combine(self.first, time(), self.zone)

    def backlog_days(self, now: datetime) -> float:
        """Return how many days before `now` the locks' life must begin."""
        began = self.starts_at - timedelta(days=_LEAD_IN_DAYS)
        return (now.timestamp() - began.timestamp()) / DAY_S

    def month(self, number: int) -> date:
        """Return the first day of the period's month 1..; 13 is the day after a period of twelve."""
        return months_later(self.first, number - 1)


def last_full_months(now: datetime, months: int, zone: ZoneInfo) -> BillingPeriod:
    """Return the period of so many months that ended last."""
    end = now.astimezone(zone).date().replace(day=1)
    return BillingPeriod(months_later(end, -months), end, months, zone)


def months_later(first: date, months: int) -> date:
    """Return the first day of the month so many months after that of `first`."""
    number = first.year * 12 + first.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)
