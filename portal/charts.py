"""What charts show: instants in unix seconds and values beside them, as the pages' charts and the API have it."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field

from portal.sink_door import DayPours, SinkDoor
from wastelock.record import Kind

_LATEST = 400  # records whose latency is drawn
_BATTERY = 400
_POINTS = 1500


class Chart(BaseModel):
    """`series[n][i]` is the value of the n-th series at `x[i]`; null where there is none."""

    x: list[int] = Field(description="unix seconds, ascending", examples=[[1795600800, 1795687200]])
    series: list[list[float | None]] = Field(examples=[[[12, 31]]])
    labels: list[str] = Field(description="of the series, where there are several", examples=[["1"]])


def draw_pours(
    door: SinkDoor, zone: ZoneInfo, now: datetime, days: int, lock: str | None = None, site: str | None = None
) -> Chart:
    """Return complete pours by local day, a series for each chamber; a day without pours is 0."""
    last = now.astimezone(zone).date()
    first = last - timedelta(days=days - 1)
    with door.twins() as reader:
        found = reader.daily_pours(first, last, lock=lock, site=site)
    all_days = [first + timedelta(days=n) for n in range(days)]
    chambers = sorted({each.chamber for each in found}) or [1]
    counts = _counts(found)
    series: list[list[float | None]] = [
        [counts.get((day, chamber), 0) for day in all_days] for chamber in chambers
    ]
    return Chart(
        x=[_noon(day, zone) for day in all_days], series=series, labels=[str(each) for each in chambers]
    )


def draw_fill(door: SinkDoor, now: datetime, days: int, lock: str) -> Chart:
    """Return how full the container was, in per cent."""
    with door.twins() as reader:
        points = reader.fill_history(lock, now - timedelta(days=days), now, _POINTS)
    return Chart(
        x=[int(point.at.timestamp()) for point in points],
        series=[[point.fill_permille / 10 for point in points]],
        labels=[],
    )


def draw_latency(door: SinkDoor, lock: str) -> Chart:
    """Return how long the latest pours took from the flap to the ledger, in seconds."""
    rows = door.lock_journal(lock, None, _LATEST)
    found = sorted(
        (row.entry.began_at.timestamp(), row.entry.committed_at.timestamp())
        for row in rows
        if row.entry is not None and row.entry.began_at is not None and row.entry.kind == Kind.POUR
    )
    return Chart(
        x=[int(began_s) for began_s, _ in found],
        series=[[round(max(committed_s - began_s, 0), 1) for began_s, committed_s in found]],
        labels=[],
    )


def draw_battery(door: SinkDoor, now: datetime, days: int, lock: str) -> Chart:
    """Return the battery's voltage, in volts."""
    with door.twins() as reader:
        reports = reader.reports(lock, now - timedelta(days=days), now, _BATTERY)
    found = sorted(
        (int(each.at.timestamp()), each.battery_mv) for each in reports if each.battery_mv is not None
    )
    volts: list[float | None] = [millivolts / 1000 for _, millivolts in found]
    return Chart(x=[at_s for at_s, _ in found], series=[volts], labels=[])


def _counts(found: Sequence[DayPours]) -> dict[tuple[date, int], int]:
    counts: dict[tuple[date, int], int] = {}
    for each in found:
        key = (each.day, each.chamber)
        counts[key] = counts.get(key, 0) + each.pours
    return counts


def _noon(day: date, zone: ZoneInfo) -> int:
    """Return the second in the middle of a day: a bar stands there."""
    return int(datetime.combine(day, time(12), zone).timestamp())
