"""What each gateway's locks shall be, gathered from wishes and access lists; and which revision says so.

The bytes of a revision aren't kept, they would hold transponders' numbers: they follow from what is gathered here, and
`digest` tells whether they still do.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.instants import from_ms, to_ms
from cloud_sink.ledger.tables import (
    access_entries,
    access_lists,
    desired_states,
    lock_reports,
    lock_wishes,
    transponders,
)
from cloud_sink.ledger.upserting import upsert
from cloud_sink.operator_events import WishedProperty

_IN_CHUNK = 500
_WRITTEN = (WishedProperty.ENABLE_MASK.value, WishedProperty.POLL_INTERVAL_S.value)
d = desired_states.c


class Place(NamedTuple):
    """A gateway."""

    site: str
    gateway: str


class Marks(NamedTuple):
    """How far wishes and lists were looked at."""

    event_no: int = 0
    list_no: int = 0


class Entry(NamedTuple):
    """A transponder in a list, by its number."""

    uid: str
    service: bool
    blocked: bool


@dataclass(slots=True)
class WishedLock:
    """What a lock shall be; None of what isn't wished."""

    enable_mask: int | None = None
    poll_interval_s: int | None = None
    version: int | None = None
    entries: list[Entry] = field(default_factory=list)

    @property
    def is_wished(self) -> bool:
        return (self.enable_mask, self.poll_interval_s, self.version) != (None, None, None)


@dataclass(frozen=True, slots=True)
class Revision:
    """The newest desired state of a gateway. `publications`: how often it was published so far."""

    place: Place
    revision: int
    digest: str
    changed_at: datetime
    publications: int


def places_of_locks(connection: Connection) -> dict[str, Place]:
    """Return through which gateway each lock was heard last."""
    r = lock_reports.c
    rows = connection.execute(sa.select(r.lock, r.site, r.gateway))
    return {row.lock: Place(row.site, row.gateway) for row in rows}


def locks_changed_after(connection: Connection, after: Marks) -> tuple[set[str], Marks]:
    """Return the locks of which something else is wished since then, and how far that goes."""
    w, a = lock_wishes.c, access_lists.c
    wished = connection.execute(
        sa.select(w.lock, w.event_no).where(w.event_no > after.event_no, w.property.in_(_WRITTEN))
    ).all()
    listed = connection.execute(sa.select(a.lock, a.list_no).where(a.list_no > after.list_no)).all()
    marks = Marks(
        max((row.event_no for row in wished), default=after.event_no),
        max((row.list_no for row in listed), default=after.list_no),
    )
    return {row.lock for row in (*wished, *listed)}, marks


def wished_of(connection: Connection, locks: Collection[str]) -> dict[str, WishedLock]:
    """Return what is wished of these locks, of which anything is, with the numbers of their transponders."""
    found: dict[str, WishedLock] = defaultdict(WishedLock)
    names = sorted(locks)
    for start in range(0, len(names), _IN_CHUNK):
        some = names[start : start + _IN_CHUNK]
        _add_wishes(connection, some, found)
        _add_lists(connection, some, found)
    return {lock: wished for lock, wished in sorted(found.items()) if wished.is_wished}


def _add_wishes(connection: Connection, locks: Sequence[str], found: Mapping[str, WishedLock]) -> None:
    w = lock_wishes.c
    wished = w.lock.in_(locks), w.property.in_(_WRITTEN), w.value.is_not(None)
    for lock, name, value in connection.execute(sa.select(w.lock, w.property, w.value).where(*wished)):
        if name == WishedProperty.ENABLE_MASK:
            found[lock].enable_mask = int(value)
        else:
            found[lock].poll_interval_s = int(value)


def _add_lists(connection: Connection, locks: Sequence[str], found: Mapping[str, WishedLock]) -> None:
    a, e, t = access_lists.c, access_entries.c, transponders.c
    in_force = sa.select(a.list_no, a.lock, a.version).where(a.lock.in_(locks), a.until_ms.is_(None))
    by_number: dict[int, WishedLock] = {}
    for list_no, lock, version in connection.execute(in_force):
        found[lock].version = version
        by_number[list_no] = found[lock]
    entries = (
        sa.select(e.list_no, t.uid, e.service, e.blocked)
        .join(transponders, t.credential == e.credential)
        .where(e.list_no.in_(list(by_number)))
        .order_by(e.list_no, t.uid)
    )
    for list_no, uid, service, blocked in connection.execute(entries):
        by_number[list_no].entries.append(Entry(uid, bool(service), bool(blocked)))


def revision_of(connection: Connection, place: Place) -> Revision | None:
    """Return a gateway's newest revision, None while nothing was ever wished of its locks."""
    query = sa.select(desired_states).where(d.site == place.site, d.gateway == place.gateway)
    row = connection.execute(query).one_or_none()
    return None if row is None else _revision(row)


def put_revision(connection: Connection, place: Place, revision: int, digest: str, now: datetime) -> None:
    """Make this the newest; it is to be published at once."""
    row: dict[str, object] = {
        "gateway": place.gateway, "site": place.site, "revision": revision, "digest": digest,
        "changed_ms": to_ms(now), "publications": 0, "next_publish_ms": to_ms(now),
    }  # fmt: skip
    upsert(connection, desired_states, ["gateway", "site"], [row])


def due_revisions(connection: Connection, now: datetime, limit: int) -> list[Revision]:
    """Return those that are to be published now."""
    due = sa.select(desired_states).where(d.next_publish_ms <= to_ms(now))
    return [_revision(row) for row in connection.execute(due.order_by(d.next_publish_ms).limit(limit))]


def take_publication(connection: Connection, due: Revision, next_at: datetime) -> bool:
    """Take the next publication; False if somebody else was quicker, or there is a newer revision."""
    place = due.place
    taken = connection.execute(
        desired_states.update()
        .where(d.site == place.site, d.gateway == place.gateway)
        .where(d.revision == due.revision, d.publications == due.publications)
        .values(publications=d.publications + 1, next_publish_ms=to_ms(next_at))
    )
    return taken.rowcount == 1


def settle_revisions(connection: Connection, settled: Iterable[Revision]) -> None:
    """Leave it at what was published: these gateways have these revisions."""
    for each in settled:
        place = each.place
        mine = d.site == place.site, d.gateway == place.gateway, d.revision == each.revision
        connection.execute(desired_states.update().where(*mine).values(next_publish_ms=None))


def publish_again(connection: Connection, lost: Revision, now: datetime) -> None:
    """Have a revision published once more: its gateway says that it hasn't it (any more)."""
    place = lost.place
    mine = d.site == place.site, d.gateway == place.gateway, d.revision == lost.revision
    again = {"publications": 0, "next_publish_ms": to_ms(now)}
    connection.execute(desired_states.update().where(*mine, d.next_publish_ms.is_(None)).values(again))


def all_revisions(connection: Connection) -> list[tuple[Revision, bool]]:
    """Return the newest revision of each gateway, and whether it is still to be published."""
    rows = connection.execute(sa.select(desired_states))
    return [(_revision(row), row.next_publish_ms is not None) for row in rows]


def _revision(row: sa.Row[Any]) -> Revision:
    return Revision(
        Place(row.site, row.gateway), row.revision, row.digest, from_ms(row.changed_ms), row.publications
    )
