"""Where live events come from: new entries of the ledger, and what changed in the twins."""

from collections.abc import Sequence

from portal.live import LiveEvent
from portal.sink_door import Entry, SinkDoor
from wastelock.page import format_instant
from wastelock.record import Kind, PourResult

_AT_ONCE = 500  # events of one look: what is left comes with the next one


class SinkSource:
    """Reads after two cursors, from the newest of either on. One thread alone may use it."""

    def __init__(self, door: SinkDoor) -> None:
        self._door = door
        self.position = 0

    def start(self) -> None:
        """Begin at the newest entry."""
        self.position = self._door.last_position()

    def poll(self) -> Sequence[LiveEvent]:
        """Return the next entries as events."""
        entries = self._door.entries_after(self.position, _AT_ONCE)
        if entries:
            self.position = entries[-1].position
        return [record_event(entry) for entry in entries]


def record_event(entry: Entry) -> LiveEvent:
    """Return an entry as an event. `complete`: it is a pour that is charged. Instants in UTC, volume in millilitres."""
    return LiveEvent(
        kind="record",
        site=entry.site,
        lock=entry.lock,
        credential=entry.credential,
        data={
            "position": entry.position,
            "site": entry.site,
            "lock": entry.lock,
            "epoch": entry.epoch,
            "seq": entry.seq,
            "kind": _name(Kind, entry.kind),
            "result": _name(PourResult, entry.result) if entry.kind == Kind.POUR else None,
            "complete": entry.is_complete_pour,
            "chamber": entry.chamber,
            "volume_ml": entry.volume_ml,
            "began_at": None if entry.began_at is None else format_instant(entry.began_at),
            "committed_at": format_instant(entry.committed_at),
        },
    )


def _name(names: type[Kind] | type[PourResult], value: int) -> str:
    """Return a record's word in lower case; its number where this release has no word for it."""
    try:
        return names(value).name.lower()
    except ValueError:
        return str(value)
