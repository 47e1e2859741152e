"""Watches the open alarms: what has opened, escalated, been acknowledged or closed since the last look."""

from portal.live import LiveEvent
from portal.sink_door import Alarm, SinkDoor
from wastelock.page import format_instant

_WATCHED_MOST = 2000  # open alarms; with more than these, what happens to the oldest isn't told one by one


class AlarmWatch:
    """Looks at the alarms only where something has moved: one small question tells. One thread alone may use it."""

    def __init__(self, door: SinkDoor) -> None:
        self._door = door
        self._mark: tuple[int, ...] | None = None
        self._open: dict[str, Alarm] = {}

    def poll(self) -> list[LiveEvent]:
        """Return what has happened since the last call; the first one only learns what there is."""
        with self._door.twins() as twins:
            mark = twins.alarm_mark()
            if mark == self._mark:
                return []
            now = {alarm.alarm_id: alarm for alarm in twins.alarms(limit=_WATCHED_MOST)}
        before, first = self._open, self._mark is None
        self._mark, self._open = mark, now
        if first:
            return []
        closed = [alarm_event(alarm, "closed") for key, alarm in before.items() if key not in now]
        moved = [
            (alarm, what) for alarm in now.values() if (what := _moved(before.get(alarm.alarm_id), alarm))
        ]
        return closed + [alarm_event(alarm, what) for alarm, what in moved]


def _moved(before: Alarm | None, now: Alarm) -> str | None:
    if before is None:
        return "opened"
    if before.escalated_at != now.escalated_at:
        return "escalated"
    if before.acknowledged_at != now.acknowledged_at:
        return "acknowledged"
    return None


def alarm_event(alarm: Alarm, happened: str) -> LiveEvent:
    """Return what happened to an alarm as an event."""
    return LiveEvent(
        kind="alarm",
        site=alarm.site,
        lock=alarm.lock,
        data={
            "alarm_id": alarm.alarm_id,
            "happened": happened,
            "kind": alarm.kind.value,
            "severity": alarm.severity.value,
            "site": alarm.site,
            "lock": alarm.lock,
            "gateway": alarm.gateway,
            "key": alarm.key,
            "opened_at": format_instant(alarm.opened_at),
        },
    )
