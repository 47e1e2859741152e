"""What pages and API do alike: acknowledge an alarm, whoever it is about."""

from portal.errors import NotThere, Refused
from portal.sink_door import Alarm, Author, SinkDoor, SubjectKind


def acknowledge_alarm(sink: SinkDoor, alarm_id: str, author: Author) -> None:
    """Note that an alarm was seen; NotThere if there is no such alarm, Refused if it has closed."""
    with sink.twins() as reader:
        alarm = reader.alarm(alarm_id)
    if alarm is None:
        raise NotThere(f"no alarm {alarm_id}")
    if alarm.closed_at is not None:
        raise Refused("alarms.closed_already")
    kind, subject = _subject(alarm)
    with sink.operations() as operations:
        operations.acknowledge(kind, subject, alarm_id, author)


def _subject(alarm: Alarm) -> tuple[SubjectKind, str]:
    """Return whom an alarm is about: the lock, else the gateway, else the site."""
    if alarm.lock is not None:
        return SubjectKind.LOCK, alarm.lock
    if alarm.gateway is not None:
        return SubjectKind.GATEWAY, f"{alarm.site}/{alarm.gateway}"
    if alarm.site is not None:
        return SubjectKind.SITE, alarm.site
    raise Refused("alarms.of_nobody")
