"""A pour's entry and its number in the feed -> the CloudEvents event that a billing backend gets. Pure.

The same entry always becomes the same event, whether it is published now or read again years later.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from cloud_sink.reading import Entry
from wastelock.clock_grade import grade_clock
from wastelock.messages import FeedEvent, PourData
from wastelock.record import Flag

SEQUENCE_DIGITS = (
    12  # sequences are text in CloudEvents: with zeros in front their order as text is that of numbers
)
CONTENT_TYPE = "application/cloudevents+json"
BATCH_CONTENT_TYPE = "application/cloudevents-batch+json"


class Numbered(NamedTuple):
    """A row of the feed: which number of which site's feed the entry at a position is."""

    position: int
    site: str
    sequence: int


def filed_at(entry: Entry) -> datetime:
    """Return when a pour began by the controller's clock; where that was never set, when it was read."""
    return entry.read_at if entry.began_at is None else entry.began_at


def make_event(numbered: Numbered, entry: Entry, fraction: str | None) -> FeedEvent:
    """Return the event. `fraction`: of the chamber at that time, None where nobody has described the lock."""
    read_s = int(entry.read_at.timestamp())
    quality = grade_clock(entry.flags, entry.began_clock_s, read_s, entry.clock_offset_s, entry.gateway_clock)
    data = PourData(
        site=numbered.site,
        lock=entry.lock,
        chamber=entry.chamber,
        volume_ml=entry.volume_ml,
        weight_g=entry.weight_g,
        fraction=fraction,
        credential=entry.credential,
        result=entry.result,
        clock_quality=quality.grade.value,
        register=entry.register_after,
        service=bool(entry.flags & Flag.SERVICE),
    )
    return FeedEvent(
        source=f"/wl/{numbered.site}/{entry.lock}",
        id=f"{entry.lock}/{entry.epoch}/{entry.seq}",
        subject=entry.credential,
        time=filed_at(entry),
        sequence=f"{numbered.sequence:0{SEQUENCE_DIGITS}d}",
        recordedtime=entry.committed_at,
        data=data,
    )


def to_batch(events: Sequence[FeedEvent]) -> bytes:
    """Return events as one document in CloudEvents' JSON batch format."""
    return b"[" + b",".join(event.to_json() for event in events) + b"]"
