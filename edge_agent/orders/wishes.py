"""What the cloud wants this gateway's locks to be: kept in the spool's database, newest revision only.

    down/desired ──▶ newer than what is kept? ──▶ kept (committed) ──▶ `Wishes`, which the threads of the buses look at

An access list is held packed, ten bytes for each entry: of a large estate it is the largest thing in memory.
"""

import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

import msgspec
from pydantic import ValidationError

from edge_agent.drivers.base import ListEntry, ListMark, pack_list
from wastelock.orders import Desired, DesiredLock

KEPT = "SELECT revision, payload FROM desired WHERE topic = ?"
KEEP = """
INSERT INTO desired (id, topic, revision, payload) VALUES (1, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET topic = excluded.topic, revision = excluded.revision, payload = excluded.payload
"""


@dataclass(frozen=True, slots=True)
class LockWish:
    """What one lock should be; None: as it is. `list_mark` tells `packed_list` as a status would."""

    list_mark: ListMark | None = None
    packed_list: bytes = b""
    enable_mask: int | None = None
    poll_interval_s: int | None = None


@dataclass(frozen=True, slots=True)
class Wishes:
    """A desired state as it is followed. `revision`: None where there never was one."""

    revision: int | None = None
    locks: Mapping[str, LockWish] = field(default_factory=dict)

    def of(self, lock: str) -> LockWish:
        return self.locks.get(lock, _NONE)


class UnreadableDesired(ValueError):
    """These bytes are no desired state that this program can read."""


class Newness(Enum):
    """How a desired state compares with the one that is kept."""

    NEWER = auto()
    SAME = auto()
    OLDER = auto()
    CONTRADICTING = auto()


class _Envelope(msgspec.Struct):
    """A desired state whose locks aren't read yet: a large estate's lists would fill the memory all at once."""

    v: int
    revision: int
    at: str
    locks: dict[str, msgspec.Raw]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of a desired state. `unknown`: locks in it that aren't of this gateway."""

    wishes: Wishes
    unknown: tuple[str, ...]


def read_desired(payload: bytes, locks: Collection[str]) -> Reading:
    """Return what these bytes want of the locks of this gateway, or raise UnreadableDesired."""
    try:
        envelope = _decode(payload)
        head = {"v": envelope.v, "revision": envelope.revision, "at": envelope.at}
        Desired.model_validate({**head, "locks": dict.fromkeys(envelope.locks, DesiredLock())})
        wishes = {
            lock: _lock_wish(DesiredLock.model_validate_json(bytes(wanted)))
            for lock, wanted in envelope.locks.items()
            if lock in locks
        }
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValidationError) as error:
        # Never the error's own text: it quotes what it found, and that may be a transponder's number.
        raise UnreadableDesired(type(error).__name__) from None
    unknown = tuple(sorted(envelope.locks.keys() - wishes.keys()))
    return Reading(Wishes(envelope.revision, wishes), unknown)


def keep_newer(connection: sqlite3.Connection, topic: str, revision: int, payload: bytes) -> Newness:
    """Keep these bytes if their revision is newer than that of the ones that are kept for this topic."""
    row = connection.execute(KEPT, (topic,)).fetchone()
    if row is not None and revision <= row[0]:
        if revision < row[0]:
            return Newness.OLDER
        return Newness.SAME if row[1] == payload else Newness.CONTRADICTING
    connection.execute(KEEP, (topic, revision, payload))
    return Newness.NEWER


def kept_wishes(connection: sqlite3.Connection, topic: str) -> bytes | None:
    """Return the payload that is kept, None where there is none for this topic (a gateway that was renamed)."""
    row = connection.execute(KEPT, (topic,)).fetchone()
    return bytes(row[1]) if row is not None else None


def _lock_wish(wanted: DesiredLock) -> LockWish:
    mark, packed = None, b""
    if wanted.access_list is not None and wanted.access_list_version is not None:
        packed = pack_list(ListEntry(int(e.uid, 16), e.service, e.blocked) for e in wanted.access_list)
        mark = ListMark.of(wanted.access_list_version, packed)
    return LockWish(mark, packed, wanted.enable_mask, wanted.poll_interval_s)


_NONE = LockWish()
_decode = msgspec.json.Decoder(_Envelope).decode
