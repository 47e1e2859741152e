"""Looks again at what is in the ledger already: after keys were added, or by a release that knows more.

    unread records        that can be read now      -> entries
    disputes of kind mac  whose MAC holds now       -> entries, the dispute is resolved
    entries without key   whose key is known now    -> marked as proven, or disputed (the entry stands)

Each step takes a few pages in one transaction and can be repeated at will: what is settled isn't touched again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink import spans
from cloud_sink.checking import WHOLE_PAGE, decode_page
from cloud_sink.decoding import Decoded, Group
from cloud_sink.entry_rows import SEQ, SLOT, pack_rows
from cloud_sink.keys import KeyRing
from cloud_sink.ledger import commits, disputes
from cloud_sink.ledger import tables as t
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.disputes import DisputeKind
from cloud_sink.ledger.entries import LockNumbers, Source, add_entries, forged_records
from cloud_sink.ledger.instants import to_ms

_PAGES_AT_ONCE = 20
_ENTRIES_AT_ONCE = 2000
_IN_CHUNK = 400


@dataclass(frozen=True, slots=True)
class Reread:
    """What one step over pages came to. `after`: where the next one begins, None when there is nothing left."""

    entries: int = 0
    resolved: int = 0
    disputes: int = 0
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Rechecked:
    """What one step over a lock's entries came to. `after`: (epoch, seq) where the next one begins."""

    proven: int = 0
    disputes: int = 0
    after: tuple[int, int] | None = None


class Rereading:
    """Steps over pages and entries, in the order of their numbers. For one thread; beside a running sink if need be."""

    def __init__(self, database: Database, keys: KeyRing, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._locks = LockNumbers()

    def reread_pages(self, after: int) -> Reread:
        """Try again the records that became no entry, in the next pages after number `after`."""
        with self._database.writing() as connection:
            wanted = _open_slots(connection, after)
            if not wanted:
                return Reread()
            now_ms = to_ms(self._clock())
            sources = [self._decode(connection, page_no, slots) for page_no, slots in wanted.items()]
            lock_numbers = self._locks.of(connection, [name for source in sources for name in source.locks])
            numbers = commits.last(connection)
            added = add_entries(connection, sources, lock_numbers, numbers.position)
            found = [*added.disputes, *forged_records(sources, lock_numbers)]
            new_disputes = disputes.add(connection, found, now_ms)
            resolved = _resolve(connection, sources, wanted, now_ms)
            if added.count:
                after_this = replace(numbers, commit_no=numbers.commit_no + 1, position=added.last_position)
                commits.add(connection, after_this, now_ms)
        self._locks.committed()
        return Reread(added.count, resolved, new_disputes, max(wanted))

    def recheck_macs(self, lock: str, after: tuple[int, int]) -> Rechecked:
        """Check the MACs of a lock's entries beyond (epoch, seq) that were committed without its key."""
        with self._database.writing() as connection:
            rows = connection.execute(_unproven(lock, after)).all()
            positions = {(row.page_no, row.slot): row.position for row in rows}
            if not rows:
                return Rechecked()
            slots: dict[int, set[int]] = {}
            for page_no, slot in positions:
                slots.setdefault(page_no, set()).add(slot)
            sources = [self._decode(connection, page_no, mine) for page_no, mine in slots.items()]
            proven = self._mark_proven(connection, sources, positions)
            lock_numbers = self._locks.of(connection, [name for source in sources for name in source.locks])
            wrong = [
                replace(dispute, position=positions[dispute.page_no, dispute.slot])
                for dispute in forged_records(sources, lock_numbers)
            ]
            new_disputes = disputes.add(connection, wrong, to_ms(self._clock()))
        self._locks.committed()
        return Rechecked(proven, new_disputes, (rows[-1].epoch, rows[-1].seq))

    def _mark_proven(
        self, connection: Connection, sources: Sequence[Source], positions: dict[tuple[int, int], int]
    ) -> int:
        proven = [
            positions[source.page_no, row[SLOT]]
            for source in sources
            for group in source.decoded.groups
            for row in group.rows
            if self._keys.mac_key(group.lock, group.epoch) is not None
        ]
        for start in range(0, len(proven), _IN_CHUNK):
            connection.execute(
                t.entries.update()
                .where(t.entries.c.position.in_(proven[start : start + _IN_CHUNK]))
                .values(mac=1)
            )
        return len(proven)

    def _decode(self, connection: Connection, page_no: int, slots: set[int]) -> Source:
        """Decode a page again, but only these records of it (all, if the page as a whole is among them)."""
        p = t.pages.c
        row = connection.execute(sa.select(p.journal_no, p.page, p.payload).where(p.page_no == page_no)).one()
        _, _, decoded = decode_page(bytes(row.payload), self._keys)
        wanted = decoded if WHOLE_PAGE in slots else _only(decoded, slots)
        return Source(page_no, row.journal_no, row.page, wanted)


def _unproven(lock: str, after: tuple[int, int]) -> sa.Select[Any]:
    e = t.entries.c
    # Written out, not as parameters: else SQLite doesn't see that the partial index holds what is asked for.
    zero: sa.ColumnClause[int] = sa.literal_column("0")
    return (
        sa.select(e.position, e.page_no, e.slot, e.epoch, e.seq)
        .join(t.locks, t.locks.c.lock_no == e.lock_no)
        .where(t.locks.c.lock == lock, e.mac == zero, e.unverified == zero)
        .where(sa.tuple_(e.epoch, e.seq) > after)
        .order_by(e.epoch, e.seq)
        .limit(_ENTRIES_AT_ONCE)
    )


def _only(decoded: Decoded, slots: set[int]) -> Decoded:
    groups = []
    for group in decoded.groups:
        kept = [row for row in group.rows if row[SLOT] in slots]
        if kept:
            numbers = spans.from_numbers(row[SEQ] for row in kept)
            groups.append(Group(group.lock, group.epoch, pack_rows(kept), numbers, len(kept)))
    return Decoded(
        groups,
        [forged for forged in decoded.forged if forged.slot in slots],
        [(slot, reason) for slot, reason in decoded.unread if slot in slots or slot == WHOLE_PAGE],
    )


def _open_slots(connection: Connection, after: int) -> dict[int, set[int]]:
    """Return what is unsettled in the next pages: page_no -> slots, in ascending order of page_no."""
    d, u = t.disputes.c, t.unread.c
    open_macs = d.kind == DisputeKind.MAC, d.resolved_ms.is_(None), d.position.is_(None)
    unsettled = sa.union(
        sa.select(u.page_no, u.slot).where(u.resolved_ms.is_(None), u.page_no > after),
        sa.select(d.page_no, d.slot).where(*open_macs, d.page_no > after),
    ).subquery()
    numbers = (
        sa.select(unsettled.c.page_no)
        .distinct()
        .order_by(unsettled.c.page_no)
        .limit(_PAGES_AT_ONCE)
        .subquery()
    )
    query = sa.select(unsettled).where(unsettled.c.page_no.in_(sa.select(numbers.c.page_no)))
    slots: dict[int, set[int]] = {}
    for row in connection.execute(query.order_by(unsettled.c.page_no)):
        slots.setdefault(row.page_no, set()).add(row.slot)
    return slots


def _resolve(
    connection: Connection, sources: Sequence[Source], wanted: dict[int, set[int]], now_ms: int
) -> int:
    """Settle what can be read now, and keep the rest with today's reason; return how many were settled."""
    settled: list[dict[str, int]] = []
    for source in sources:
        decoded = source.decoded
        still = {slot for slot, _ in decoded.unread}
        forged = {item.slot for item in decoded.forged}
        for slot in wanted[source.page_no] - still - forged:
            settled.append({"number": source.page_no, "place": slot})
        if WHOLE_PAGE in wanted[source.page_no] and WHOLE_PAGE not in still:
            _keep_unread(connection, source, now_ms)
    if settled:
        for table, more in ((t.unread, []), (t.disputes, [t.disputes.c.kind == DisputeKind.MAC])):
            connection.execute(
                table.update()
                .where(
                    table.c.page_no == sa.bindparam("number"),
                    table.c.slot == sa.bindparam("place"),
                    table.c.resolved_ms.is_(None),
                    *more,
                )
                .values(resolved_ms=now_ms),
                settled,
            )
    return len(settled)


def _keep_unread(connection: Connection, source: Source, now_ms: int) -> None:
    """A page that couldn't be read at all is open now; its records that still can't be read are listed one by one."""
    known = set(connection.scalars(sa.select(t.unread.c.slot).where(t.unread.c.page_no == source.page_no)))
    rows = [
        {"page_no": source.page_no, "slot": slot, "reason": reason, "noticed_ms": now_ms}
        for slot, reason in source.decoded.unread
        if slot not in known
    ]
    if rows:
        connection.execute(t.unread.insert(), rows)
