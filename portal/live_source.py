"""Where live events come from: new entries of the ledger, what changed in the twins, and alarms."""

import time
from collections.abc import Callable, Sequence

from portal.errors import Unavailable
from portal.live import LiveEvent
from portal.live_alarms import AlarmWatch
from portal.sink_door import Change, Entry, SinkDoor
from wastelock.page import format_instant
from wastelock.record import Kind, PourResult

_AT_ONCE = 500  # events of one look: what is left comes with the next one
_MOVES = frozenset({"site", "gateway"})  # what a lock's site follows from
_SITES_AGAIN_S = 5.0  # the fleet is looked at that seldom
_TWINS_AGAIN_S = 5.0  # after twins couldn't be read


class SinkSource:
    """Reads after two cursors, from the newest of either on. One thread alone may use it."""

    def __init__(self, door: SinkDoor, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._door = door
        self._monotonic = monotonic
        self.position = 0
        self._build: str | None = None  # another one after twins were built anew: their numbers begin again
        self._change_no = 0
        self._alarms = AlarmWatch(door)
        self._twins_not_before_s = 0.0
        self._sites: dict[str, str | None] = {}  # whose lock is where; a change of a lock doesn't say
        self._sites_not_before_s = 0.0

    def start(self) -> None:
        """Begin at the newest entry."""
        self.position = self._door.last_position()

    def poll(self) -> Sequence[LiveEvent]:
        """Return the next entries, changes and alarms. Twins that can't be read hold up no entry."""
        entries = self._door.entries_after(self.position, _AT_ONCE)
        if entries:
            self.position = entries[-1].position
        return [*map(record_event, entries), *self._of_twins()]

    def _of_twins(self) -> list[LiveEvent]:
        events: list[LiveEvent] = []
        if self._monotonic() < self._twins_not_before_s:
            return events
        try:
            events += [change_event(change, self._site_of(change)) for change in self._changes()]
            events += self._alarms.poll()
        except Unavailable:
            self._twins_not_before_s = self._monotonic() + _TWINS_AGAIN_S
        return events

    def _site_of(self, change: Change) -> str | None:
        """Return where it happened, for whoever follows one site: of locks as the fleet has them."""
        if change.lock is None or change.site is not None:
            return change.site
        unknown = change.lock not in self._sites or change.property in _MOVES
        if unknown and self._monotonic() >= self._sites_not_before_s:
            self._sites = {each.lock: each.site for each in self._door.overview().locks}
            self._sites_not_before_s = self._monotonic() + _SITES_AGAIN_S
        return self._sites.get(change.lock)

    def _changes(self) -> Sequence[Change]:
        with self._door.twins() as twins:
            build, newest = twins.last_change()
            if build != self._build:
                self._build, self._change_no = build, newest
            if newest == self._change_no:
                return ()
            changes = twins.changes_after(self._change_no, _AT_ONCE)
        if changes:
            self._change_no = changes[-1].change_no
        return changes


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


def change_event(change: Change, site: str | None) -> LiveEvent:
    """Return a change of a twin as an event: which property of whom became what, and since when."""
    return LiveEvent(
        kind="twin",
        site=site,
        lock=change.lock,
        data={
            "site": site,
            "lock": change.lock,
            "gateway": change.gateway,
            "property": change.property,
            "value": change.value,
            "at": format_instant(change.at),
        },
    )


def _name(names: type[Kind] | type[PourResult], value: int) -> str:
    """Return a record's word in lower case; its number where this release has no word for it."""
    try:
        return names(value).name.lower()
    except ValueError:
        return str(value)
