"""Where twins are kept: rows, changes and all three cursors move in one transaction, under a lock of their own.

A second process that follows the same sources waits for its turn and then goes on where the first one stopped.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from secrets import token_hex
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.errors import LedgerRefused
from cloud_sink.ledger.bulk import insert_rows
from cloud_sink.ledger.database import Database, stream
from cloud_sink.ledger.tables import entries
from cloud_sink.ledger.tables import locks as ledger_locks
from cloud_sink.projections.adding import add_rows
from cloud_sink.projections.twins import tables as t
from cloud_sink.projections.twins.balances import Balances
from cloud_sink.projections.twins.folding import Added
from cloud_sink.projections.twins.noting import RECORD, ChangeRow, Noted
from cloud_sink.projections.twins.sources import Cursors
from cloud_sink.projections.twins.telling import Values

_WRITE_LOCK = 0x574C_5457_494E_5331  # "WLTWINS1"
_IN_CHUNK = 400
_GIVEN_UP_AT_ONCE = 1_000
_BY_SEQ = "greatest epoch,seq"
_NOT_HASHED = {"build", "change_no"}


class TwinStore:
    """The twins' tables, for writing. For one thread."""

    def __init__(self, url: str, zone: str, ledger: str) -> None:
        """`zone`: whose local days are counted. `ledger`: what tells this ledger from others."""
        self.database = Database(url, write_lock=_WRITE_LOCK)
        self._kind = (t.VERSION, zone, ledger)
        self._names: dict[int, str] = {}
        self._balances = Balances()

    def prepare(self, anew: bool = False) -> Cursors:
        """Return how far twins go; nowhere where they were made anew, because they must be or it is wanted."""
        self.forget()
        with self.database.writing() as connection:
            here = None if anew else self._cursors(connection)
            if here is not None:
                return here
            t.metadata.drop_all(connection)
            t.metadata.create_all(connection)
            t.alarm_metadata.create_all(connection)
            version, zone, ledger = self._kind
            row = {"only": 1, "version": version, "zone": zone, "ledger": ledger, "build": token_hex(4)}
            connection.execute(t.state.insert(), {**row, **Cursors()._asdict(), "change_no": 0})
        return Cursors()

    def cursors(self) -> Cursors:
        """Return how far twins go, nowhere where there are none."""
        with suppress(LedgerRefused), self.database.reading() as connection:
            return self._cursors(connection) or Cursors()
        return Cursors()

    def values_of(self, subjects: Iterable[str]) -> dict[str, Values]:
        """Return what holds of these subjects by their last reports."""
        found: dict[str, Values] = {}
        wanted = sorted(set(subjects))
        v = t.values.c
        with self.database.reading() as connection:
            for start in range(0, len(wanted), _IN_CHUNK):
                query = sa.select(v.subject, v.property, v.value).where(
                    v.subject.in_(wanted[start : start + _IN_CHUNK])
                )
                for subject, name, value in connection.execute(query):
                    found.setdefault(subject, {})[name] = value
        return found

    def add(
        self, after: Cursors, to: Cursors, ledger: Connection, added: Added, noted: Sequence[Noted]
    ) -> bool:
        """Add a batch that begins after these cursors; False, adding nothing, if twins aren't there."""
        with self.database.writing() as connection:
            if self._cursors(connection) != after:
                return False
            changes = self._add_entries(connection, ledger, added)
            for each in noted:
                _add_noted(connection, each)
                changes += each.changes
            self._number(connection, changes, to)
        return True

    def give_up(self, before_ms: int) -> int:
        """Give up some of what is older: changes, fill levels, where reports stand. Return how many rows."""
        with self.database.writing() as connection:
            return sum(_delete_some(connection, table, before_ms) for table in _GIVEN_UP)

    def forget(self) -> None:
        """Read anew what is remembered of the tables: another process may have gone on, or a batch have failed."""
        self._balances.forget()

    def digest(self, since_ms: int) -> str:
        """Return a hash over all that was made from the sources: the same whatever batches and restarts led there.

        What is older than `since_ms` and may have been given up already doesn't count.
        """
        whole = sha256()
        with self.database.reading() as connection:
            for table in t.metadata.sorted_tables:
                columns = [column for column in table.columns if column.name not in _NOT_HASHED]
                keys = list(table.primary_key)
                if table is t.changes:
                    c = t.changes.c
                    keys = [c.source, c.source_no, c.subject, c.property]
                query = sa.select(*columns).order_by(*keys)
                if table in _GIVEN_UP:
                    query = query.where(table.c.at_ms >= since_ms)
                for row in stream(connection, query):
                    whole.update(f"{table.name}{tuple(row)}\n".encode())
        return whole.hexdigest()

    def close(self) -> None:
        self.database.close()

    def _add_entries(self, connection: Connection, ledger: Connection, added: Added) -> list[ChangeRow]:
        names = self._names_of(ledger, added.locks)
        rows = sorted((no, names[no], *lock) for no, lock in added.locks.items())
        add_rows(connection, t.locks, rows, _LOCKS)
        add_rows(connection, t.days, _rows(added.days), {"pours": "sum", "volume_ml": "sum"})
        add_rows(connection, t.registers, _rows(added.registers), _REGISTERS)
        add_rows(connection, t.faults, sorted(added.faults), {})
        latest = {row[:3]: row[3:] for row in sorted(added.faults)}
        add_rows(connection, t.fault_states, _rows(latest), dict.fromkeys(_FAULT_STATE, _BY_SEQ))
        add_rows(connection, t.emptyings, [(*row, 0, 0, 0) for row in sorted(added.emptyings)], {})
        add_rows(connection, t.unverified, sorted(added.unverified), {})
        _drop_verified(connection, ledger, {key[0] for key in (*added.registers, *added.unverified)})
        self._balances.note(added)
        self._balances.refresh(connection, ledger, added)
        return [
            ("lock", names[each.lock_no], each.property, each.at_ms, each.value, RECORD, each.source_no, None, None)
            for each in added.changes
        ]  # fmt: skip

    def _names_of(self, ledger: Connection, wanted: Iterable[int]) -> dict[int, str]:
        unknown = sorted(set(wanted) - self._names.keys())
        c = ledger_locks.c
        for start in range(0, len(unknown), _IN_CHUNK):
            query = sa.select(c.lock_no, c.lock).where(c.lock_no.in_(unknown[start : start + _IN_CHUNK]))
            self._names.update({row.lock_no: row.lock for row in ledger.execute(query)})
        return self._names

    def _number(self, connection: Connection, changes: Sequence[ChangeRow], to: Cursors) -> None:
        first = (connection.scalar(sa.select(t.state.c.change_no)) or 0) + 1
        insert_rows(connection, t.changes, [(number, *row) for number, row in enumerate(changes, first)])
        connection.execute(t.state.update().values(**to._asdict(), change_no=first - 1 + len(changes)))

    def _cursors(self, connection: Connection) -> Cursors | None:
        """Return how far twins of this kind go, None where there are none."""
        inspector = sa.inspect(connection)
        if not all(inspector.has_table(table.name) for part in _METADATA for table in part.tables.values()):
            return None
        s = t.state.c
        row = connection.execute(
            sa.select(s.version, s.zone, s.ledger, s.position, s.observation_no, s.event_no)
        ).one_or_none()
        return Cursors(*row[3:]) if row is not None and tuple(row[:3]) == self._kind else None


_METADATA = (t.metadata, t.alarm_metadata)
_GIVEN_UP = (t.changes, t.heard, t.fill)
_LOCKS = {
    "first_read_ms": "min",
    "last_read_ms": "max",
    "last_pour_ms": "max",
    "position": "max",
    "journal_no": "greatest position",
}
_REGISTERS = {
    "first_seq": "min",
    "first_register": "least first_seq",
    "last_seq": "max",
    "last_register": "greatest last_seq",
    "volume_ml": "greatest last_seq",
    "pours": "sum",
}
_FAULT_STATE = ("epoch", "seq", "raised", "at_ms")


def _rows(by_key: dict[Any, Any]) -> list[tuple[Any, ...]]:
    return sorted((*key, *values) for key, values in by_key.items())


def _delete_some(connection: Connection, table: sa.Table, before_ms: int) -> int:
    keys = list(table.primary_key)
    old = sa.select(*keys).where(table.c.at_ms < before_ms).limit(_GIVEN_UP_AT_ONCE)
    return connection.execute(table.delete().where(sa.tuple_(*keys).in_(old))).rowcount


def _drop_verified(connection: Connection, ledger: Connection, lock_nos: set[int]) -> None:
    """Forget the unreadable records of these locks of which a readable copy is here."""
    u, e = t.unverified.c, entries.c
    with_some = set(connection.scalars(sa.select(u.lock_no).distinct())) & lock_nos
    for lock_no in sorted(with_some):
        mine = connection.execute(sa.select(u.epoch, u.seq).where(u.lock_no == lock_no)).all()
        for epoch in {row.epoch for row in mine}:
            wanted = [row.seq for row in mine if row.epoch == epoch]
            for start in range(0, len(wanted), _IN_CHUNK):
                part = wanted[start : start + _IN_CHUNK]
                readable = sa.select(e.seq).where(
                    e.lock_no == lock_no, e.epoch == epoch, e.seq.in_(part), e.unverified == 0
                )
                known = list(ledger.scalars(readable))
                connection.execute(
                    t.unverified.delete().where(u.lock_no == lock_no, u.epoch == epoch, u.seq.in_(known))
                )


def _add_noted(connection: Connection, noted: Noted) -> None:
    new = dict.fromkeys(("value", "since_ms", "source_no"), "new")
    add_rows(connection, t.values, list(noted.values.values()), new)
    add_rows(connection, t.heard, list(noted.heard), {})
    add_rows(connection, t.fill, [(*key, fill) for key, fill in noted.fill.items()], {"fill_permille": "new"})
    add_rows(
        connection,
        t.described,
        list(noted.described.values()),
        dict.fromkeys(("body", "event_no", "at_ms"), "new"),
    )
    add_rows(connection, t.moves, noted.moves, {})
    wished = ("value", "deadline_ms", "actor", "at_ms", "event_no")
    add_rows(connection, t.desired, list(noted.desired.values()), dict.fromkeys(wished, "new"))
    seen = dict.fromkeys(("actor", "at_ms", "event_no"), "new")
    add_rows(connection, t.acknowledged, list(noted.acknowledged.values()), seen)
