"""The days that § 556 (3) BGB counts, as pure functions on the property's local days.

A month is counted whole: what may happen until the end of the twelfth month may happen on that month's last day, be
it a Sunday or not (nobody should have to rely on § 193 BGB).
"""

from calendar import monthrange
from datetime import date, timedelta

from billing_aggregator.model import DayRange


def claim_until(period: DayRange) -> date:
    """Return the last day on which a statement is received in time: the 12th month after the period ends with it.

    § 556 (3) sentence 2 BGB. ValueError if the period has no end.
    """
    if period.end is None:
        raise ValueError(f"the period from {period.first} on has no end yet")
    return _end_of_twelfth_month_after(period.end - timedelta(days=1))


def objections_until(received_on: date) -> date:
    """Return the last day for objections to what was received on a day (§ 556 (3) sentence 5 BGB).

    A revision is received on a day of its own, and opens this time again for what it changed.
    """
    return _end_of_twelfth_month_after(received_on)


def is_in_time(received_on: date | None, period: DayRange) -> bool:
    """True if it is known that a statement was received in time; None, not known, isn't."""
    return received_on is not None and received_on <= claim_until(period)


def _end_of_twelfth_month_after(day: date) -> date:
    year = day.year + 1
    return date(year, day.month, monthrange(year, day.month)[1])
