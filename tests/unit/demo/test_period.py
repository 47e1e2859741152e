"""The demonstration works on any day of the year: its period are whole local months that have ended."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from demo.period import last_full_months

BERLIN = ZoneInfo("Europe/Berlin")


_INSTANTS = st.integers(1_577_836_800, 2_208_988_800).map(lambda at_s: datetime.fromtimestamp(at_s, UTC))


@given(now=_INSTANTS, months=st.integers(1, 12))
def test_the_period_ends_at_this_months_first_local_midnight(now: datetime, months: int) -> None:
    period = last_full_months(now, months, BERLIN)
    local = now.astimezone(BERLIN)
    assert (period.end.year, period.end.month, period.end.day) == (local.year, local.month, 1)
    assert period.month(1) == period.first and period.month(months + 1) == period.end
    assert 28 * months <= (period.end - period.first).days <= 31 * months
    life_begins = now - timedelta(days=period.backlog_days(now))
    assert timedelta(days=4) < period.starts_at - life_begins < timedelta(days=6)


def test_the_last_hour_of_a_month_in_utc_is_the_next_month_in_berlin() -> None:
    period = last_full_months(datetime(2026, 2, 28, 23, 30, tzinfo=UTC), 12, BERLIN)
    assert (period.first, period.end) == (date(2025, 3, 1), date(2026, 3, 1))
