"""What one demonstration is about: the estate, the period, who lived where, and where it all runs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from demo.estate import demo_estate
from demo.estate_config import DemoEstate, read_estate
from demo.layout import Layout
from demo.period import BillingPeriod, last_full_months
from demo.tenancies import Dwelling, Stay, households, read_stays


@dataclass(frozen=True, slots=True)
class Case:
    """Everything follows from the seed and the day."""

    estate: DemoEstate
    period: BillingPeriod
    stays: tuple[Stay, ...]
    layout: Layout
    seed: int
    now: datetime

    @property
    def backlog_days(self) -> float:
        """How many days before `now` the locks' life begins."""
        return self.period.backlog_days(self.now)

    @property
    def dwellings(self) -> tuple[Dwelling, ...]:
        return tuple({stay.dwelling.dwelling: stay.dwelling for stay in self.stays}.values())

    @property
    def parties(self) -> int:
        """How many parties live there in the period."""
        period = self.period
        return len(
            {
                stay.party
                for stay in self.stays
                if stay.party and stay.first < period.end and (stay.end is None or stay.end > period.first)
            }
        )


def make_case(directory: Path, now: datetime, months: int, seed: int, free_port: Callable[[], int]) -> Case:
    """Return the case whose period are the last `months` full months before `now`."""
    estate = read_estate()
    period = last_full_months(now, months, ZoneInfo(estate.property.time_zone))
    stays = read_stays(period, seed)
    chambers = {use.lock: use.chambers_ml for use in estate.locks}
    layout = Layout(directory, demo_estate(chambers, households(stays, seed)), free_port)
    return Case(estate, period, stays, layout, seed, now)
