"""Messages that no custody was taken of, kept with their bytes for people to look at and for `reprocess`.

Bounded by bytes, over all and per topic: whoever floods the sink with rubbish fills his own share and no more. What
finds no room is only counted: a true page among it is still in its gateway's spool and comes again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.checking import Message, Rejected
from cloud_sink.ledger.bulk import insert_rows
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.instants import from_ms, to_ms
from cloud_sink.ledger.tables import quarantine

_IN_CHUNK = 400
_TEXT_MAX = 300


@dataclass(frozen=True, slots=True)
class Quota:
    """Bytes that quarantined messages may take, in all and per topic."""

    total_bytes: int
    per_topic_bytes: int


def add(connection: Connection, rejected: Sequence[Rejected], quota: Quota) -> int:
    """Keep these messages, each once, and return how many found no room."""
    by_digest = {_digest(item): item for item in rejected}
    known = _known(connection, list(by_digest))
    _count_again(connection, [(digest, by_digest[digest].message.received_at) for digest in known])
    new = {digest: item for digest, item in by_digest.items() if digest not in known}
    if not new:
        return 0
    room = _Room(connection, quota)
    last = connection.scalar(sa.select(sa.func.coalesce(sa.func.max(quarantine.c.quarantine_no), 0))) or 0
    kept = [(digest, item) for digest, item in new.items() if room.take(_text(item.message.topic), item)]
    insert_rows(connection, quarantine, [_row(number, *pair) for number, pair in enumerate(kept, last + 1)])
    return len(new) - len(kept)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A message in quarantine that nothing came of so far."""

    number: int
    message: Message
    reason: str


def unresolved(database: Database, after: int, limit: int) -> list[Quarantined]:
    """Return the next messages after number `after`."""
    q = quarantine.c
    query = (
        sa.select(q.quarantine_no, q.topic, q.payload, q.kid, q.sig, q.first_ms, q.reason)
        .where(q.quarantine_no > after, q.resolved_ms.is_(None))
        .order_by(q.quarantine_no)
        .limit(limit)
    )
    with database.reading() as connection:
        return [
            Quarantined(
                row.quarantine_no,
                Message(row.topic, bytes(row.payload), row.kid, row.sig, from_ms(row.first_ms)),
                row.reason,
            )
            for row in connection.execute(query)
        ]


def resolve(connection: Connection, numbers: Sequence[int], now_ms: int) -> None:
    """These messages were taken after all: their bytes are in `pages` now and make room here."""
    connection.execute(
        quarantine.update()
        .where(quarantine.c.quarantine_no.in_(numbers))
        .values(resolved_ms=now_ms, payload=None)
    )


class _Room:
    def __init__(self, connection: Connection, quota: Quota) -> None:
        self._connection = connection
        self._quota = quota
        self._total = self._used(None)
        self._by_topic: dict[str, int] = {}

    def take(self, topic: str, item: Rejected) -> bool:
        size = len(item.message.payload)
        used = self._by_topic.get(topic)
        if used is None:
            used = self._used(topic)
        fits = self._total + size <= self._quota.total_bytes and used + size <= self._quota.per_topic_bytes
        self._by_topic[topic] = used + size if fits else used
        self._total += size if fits else 0
        return fits

    def _used(self, topic: str | None) -> int:
        query = sa.select(sa.func.coalesce(sa.func.sum(quarantine.c.size_bytes), 0)).where(
            quarantine.c.resolved_ms.is_(None)
        )
        if topic is not None:
            query = query.where(quarantine.c.topic == topic)
        return int(self._connection.scalar(query) or 0)


def _digest(item: Rejected) -> bytes:
    message = item.message
    head = "\n".join((message.topic, message.kid or "", message.sig or "", ""))
    return sha256(head.encode("utf-8", "surrogatepass") + message.payload).digest()


def _known(connection: Connection, digests: Sequence[bytes]) -> set[bytes]:
    known: set[bytes] = set()
    for start in range(0, len(digests), _IN_CHUNK):
        query = sa.select(quarantine.c.digest).where(
            quarantine.c.digest.in_(digests[start : start + _IN_CHUNK])
        )
        known.update(bytes(row.digest) for row in connection.execute(query))
    return known


def _count_again(connection: Connection, seen: Sequence[tuple[bytes, datetime]]) -> None:
    if seen:
        connection.execute(
            quarantine.update()
            .where(quarantine.c.digest == sa.bindparam("known"))
            .values(times=quarantine.c.times + 1, last_ms=sa.bindparam("at")),
            [{"known": digest, "at": to_ms(at)} for digest, at in seen],
        )


def _row(number: int, digest: bytes, item: Rejected) -> tuple[object, ...]:
    message, at = item.message, to_ms(item.message.received_at)
    return (
        number, digest, _text(message.topic), message.kid and _text(message.kid),
        message.sig and _text(message.sig), item.reason.value,
        _text(item.detail), len(message.payload), 1, at, at, None, message.payload,
    )  # fmt: skip


def _text(text: str) -> str:
    """Return text that any database takes: a stranger chose it."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:_TEXT_MAX]
