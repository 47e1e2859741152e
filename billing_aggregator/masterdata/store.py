"""Keeps the master data: facts that are only ever added to. What was known at any instant can be asked for.

MasterData.snapshot(property, known_at)    one property as it was known then
MasterData.snapshots(properties)           many, one after the other, in bounded memory
MasterData.history(property, table, key)   who entered or reversed what, when and why
MasterData.changing(…)                     the one way to add something: read, judge and write under the write lock
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from billing_aggregator.database import Database
from billing_aggregator.errors import NotFound
from billing_aggregator.masterdata.facts import Property
from billing_aggregator.masterdata.payloads import decode_all, make_snapshot
from billing_aggregator.masterdata.schema import CHAMBER, CREDENTIAL, PROPERTY
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.masterdata.tables import facts, imports

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PROPERTIES_AT_ONCE = 50
_NO_FILES = "[]"


class StoredFact(NamedTuple):
    """A fact that holds. A tuple, because millions of them are read in one go."""

    fact_no: int
    payload: str


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One thing that was entered. `payload`: the value as JSON; "" where the entry `reverses` (a fact's number) one."""

    fact_no: int
    table: str
    key: str
    payload: str
    reverses: int | None
    reason: str
    actor: str
    at: datetime
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewFact:
    """A row to write. `reverses`: the number of the fact that it takes back; its `payload` is then ""."""

    property: str
    table: str
    key: str
    payload: str
    reverses: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """A file that was taken, and the SHA-256 (hex) of its bytes."""

    name: str
    sha256: str


State = dict[str, dict[str, StoredFact]]  # table -> key -> what holds


def utc_now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


class MasterData:
    """All properties' master data in billing's database."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self.clock = clock

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()

    def properties(self, known_at: datetime | None = None) -> tuple[str, ...]:
        """Return the ids of all properties, in order."""
        with self._database.reading() as connection:
            return _list_properties(connection, _last_import(connection, known_at))

    def property_facts(self) -> tuple[Property, ...]:
        """Return what holds of each property itself (name, place …), in the order of their ids: one query for all."""
        with self._database.reading() as connection:
            states = read_states(connection, None, None, PROPERTY.name)
        rows = [fact.payload for state in states.values() for fact in state.get(PROPERTY.name, {}).values()]
        found: tuple[Property, ...] = decode_all(PROPERTY, rows)
        return found

    def snapshot(self, property: str, known_at: datetime | None = None) -> Snapshot:
        """Return a property as it was known at an instant, by default now. NotFound says which ones there are."""
        with self._database.reading() as connection:
            last = _last_import(connection, known_at)
            found = next(self._read_snapshots(connection, [property], known_at, last), None)
            if found is None:
                there = _list_properties(connection, last)
                listed = ", ".join(there[:10]) + (f" and {len(there) - 10} more" if len(there) > 10 else "")
                raise NotFound(f"the master data have no property {property}; there is: {listed or 'none'}")
        return found

    def snapshots(
        self, properties: Iterable[str] | None = None, known_at: datetime | None = None
    ) -> Iterator[Snapshot]:
        """Yield these properties (by default all) as they were known at one instant; unknown ones are left out."""
        with self._database.reading() as connection:
            last = _last_import(connection, known_at)
            wanted = _list_properties(connection, last) if properties is None else properties
            yield from self._read_snapshots(connection, wanted, known_at, last)

    def history(
        self, property: str, table: str | None = None, key: str | None = None
    ) -> tuple[HistoryEntry, ...]:
        """Return all that was ever entered for a property, a table of it or one key, oldest first."""
        f, i = facts.c, imports.c
        query = sa.select(facts, i.actor, i.at_ms, i.files).join(imports, i.import_no == f.import_no)
        query = query.where(f.property == property).order_by(f.fact_no)
        if table is not None:
            query = query.where(f.table_name == table)
        if key is not None:
            query = query.where(f.key == key)
        with self._database.reading() as connection:
            return tuple(_history_entry(row) for row in connection.execute(query))

    def changed_after(self, fact_no: int) -> tuple[int, tuple[str, ...]]:
        """Return the newest fact's number, and the properties of which any was entered after this one, in order."""
        f = facts.c
        with self._database.reading() as connection:
            newest = connection.scalar(sa.select(sa.func.max(f.fact_no))) or 0
            if newest == fact_no:
                return newest, ()
            changed = sa.select(f.property).where(f.fact_no > fact_no).distinct().order_by(f.property)
            return newest, tuple(connection.scalars(changed))

    def properties_of_transponder(self, pseudonym: str) -> tuple[str, ...]:
        """Return the properties in whose master data a transponder ever was, in order; all facts are gone through."""
        f = facts.c
        query = sa.select(f.property).where(
            f.table_name == CREDENTIAL.name,
            f.key >= f"{pseudonym}/",
            f.key < f"{pseudonym}0",  # "0" follows "/"
        )
        with self._database.reading() as connection:
            return tuple(connection.scalars(query.distinct().order_by(f.property)))

    @contextmanager
    def changing(self) -> Iterator["Change"]:
        """A transaction in which facts are read, judged and added, under the write lock: whole or not at all."""
        with self._database.writing() as connection:
            yield Change(connection, self.clock)

    @contextmanager
    def trying(self) -> Iterator["Change"]:
        """The same for a look at what would change; nothing can be written through it."""
        with self._database.reading() as connection:
            yield Change(connection, self.clock)

    def _read_snapshots(
        self, connection: Connection, properties: Iterable[str], known_at: datetime | None, last: int | None
    ) -> Iterator[Snapshot]:
        at = known_at or self.clock()
        waiting = iter(properties)
        while chunk := list(islice(waiting, _PROPERTIES_AT_ONCE)):
            states = read_states(connection, chunk, last)
            for name in chunk:
                payloads = {
                    table: {key: fact.payload for key, fact in rows.items()}
                    for table, rows in states.get(name, {}).items()
                }
                snapshot = make_snapshot(payloads, at)
                if snapshot is not None:
                    yield snapshot


class Change:
    """What can be done within one change of the master data."""

    def __init__(self, connection: Connection, clock: Callable[[], datetime]) -> None:
        self.connection = connection
        self._clock = clock
        # Never behind the import before: what is stamped later was known later.
        self.began_at = max(clock(), _instant(_latest_ms(connection)))

    def states(self, properties: Sequence[str], table: str | None = None) -> dict[str, State]:
        """Return what holds of these properties, or of one table of theirs."""
        found: dict[str, State] = {}
        for start in range(0, len(properties), _PROPERTIES_AT_ONCE):
            chunk = properties[start : start + _PROPERTIES_AT_ONCE]
            found.update(read_states(self.connection, chunk, None, table))
        return found

    def was_reversed(self, property: str, table: str, key: str) -> bool:
        """True if a fact of this key was ever taken back."""
        f = facts.c
        query = sa.select(f.fact_no).where(
            f.property == property, f.table_name == table, f.key == key, f.reverses.is_not(None)
        )
        return self.connection.execute(query.limit(1)).first() is not None

    def entered_by_hand(self, properties: Sequence[str], table: str) -> frozenset[int]:
        """Return the numbers of a table's facts that came with no file: a person entered each of them as it is."""
        f, i = facts.c, imports.c
        query = sa.select(f.fact_no).join(imports, i.import_no == f.import_no)
        query = query.where(f.table_name == table, i.files == _NO_FILES)
        found: set[int] = set()
        for start in range(0, len(properties), _PROPERTIES_AT_ONCE):
            chunk = properties[start : start + _PROPERTIES_AT_ONCE]
            found.update(self.connection.scalars(query.where(f.property.in_(chunk))))
        return frozenset(found)

    def zones(self, properties: Sequence[str]) -> dict[str, str]:
        """Return the time zone of each of these properties that is known."""
        found = {}
        for name, state in self.states(properties, PROPERTY.name).items():
            for fact in state.get(PROPERTY.name, {}).values():
                found[name] = str(msgspec.json.decode(fact.payload)["time_zone"])
        return found

    def chambers_of(self, lock: str) -> list[tuple[str, str]]:
        """Return (property, payload) of what holds of a lock's chambers in all properties."""
        f, later = facts.c, facts.alias()
        query = sa.select(f.property, f.payload).where(
            f.table_name == CHAMBER.name,
            f.key >= f"{lock}/",
            f.key < f"{lock}0",  # "0" follows "/"
            f.reverses.is_(None),
            ~sa.exists().where(later.c.reverses == f.fact_no),
        )
        return [(row.property, row.payload) for row in self.connection.execute(query)]

    def write(self, new: Iterable[NewFact], files: Sequence[ImportedFile], actor: str, reason: str) -> int:
        """Add these facts as one import and return its number. The instant is stamped last, when all is written."""
        import_no = (self.connection.scalar(sa.select(sa.func.max(imports.c.import_no))) or 0) + 1
        number = self.connection.scalar(sa.select(sa.func.max(facts.c.fact_no))) or 0
        waiting = iter(new)
        while chunk := list(islice(waiting, 5_000)):
            rows = [
                {
                    "fact_no": number + place,
                    "property": fact.property,
                    "table_name": fact.table,
                    "key": fact.key,
                    "payload": fact.payload,
                    "import_no": import_no,
                    "reverses": fact.reverses,
                    "reason": fact.reason,
                }
                for place, fact in enumerate(chunk, 1)
            ]
            self.connection.execute(facts.insert(), rows)
            number += len(rows)
        stamped = max((self._clock() - _EPOCH) // timedelta(milliseconds=1), _latest_ms(self.connection))
        self.connection.execute(
            imports.insert().values(
                import_no=import_no,
                files=msgspec.json.encode(files).decode(),
                actor=actor,
                reason=reason,
                at_ms=stamped,
            )
        )
        return import_no


def read_states(
    connection: Connection,
    properties: Sequence[str] | None,
    last_import: int | None,
    table: str | None = None,
) -> dict[str, State]:
    """Return what holds of these properties (None: of all) after an import (None: after the last one), in the order of
    entry."""
    f = facts.c
    query = sa.select(f.property, f.fact_no, f.table_name, f.key, f.payload, f.reverses)
    query = query.order_by(f.property, f.fact_no)
    if properties is not None:
        query = query.where(f.property.in_(properties))
    if last_import is not None:
        query = query.where(f.import_no <= last_import)
    if table is not None:
        query = query.where(f.table_name == table)
    states: dict[str, State] = {}
    for name, fact_no, of, key, payload, reverses in connection.execute(query).all():
        rows = states.setdefault(name, {}).setdefault(of, {})
        if reverses is None:
            rows[key] = StoredFact(fact_no, payload)
        else:
            del rows[key]
    return states


def _list_properties(connection: Connection, last_import: int | None) -> tuple[str, ...]:
    f, later = facts.c, facts.alias()
    taken_back = sa.exists().where(later.c.reverses == f.fact_no)
    query = (
        sa.select(f.property).where(f.table_name == PROPERTY.name, f.reverses.is_(None)).order_by(f.property)
    )
    if last_import is not None:
        query = query.where(f.import_no <= last_import)
        taken_back = taken_back.where(later.c.import_no <= last_import)
    return tuple(row.property for row in connection.execute(query.where(~taken_back)))


def _last_import(connection: Connection, known_at: datetime | None) -> int | None:
    """Return the last import that was known at an instant, 0 if there was none; None without an instant."""
    if known_at is None:
        return None
    at_ms = (known_at - _EPOCH) // timedelta(milliseconds=1)
    return connection.scalar(sa.select(sa.func.max(imports.c.import_no)).where(imports.c.at_ms <= at_ms)) or 0


def _latest_ms(connection: Connection) -> int:
    return connection.scalar(sa.select(sa.func.max(imports.c.at_ms))) or 0


def _instant(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)


def _history_entry(row: "sa.Row[tuple[object, ...]]") -> HistoryEntry:
    return HistoryEntry(
        fact_no=row.fact_no,
        table=row.table_name,
        key=row.key,
        payload=row.payload,
        reverses=row.reverses,
        reason=row.reason,
        actor=row.actor,
        at=_instant(row.at_ms),
        files=tuple(file["name"] for file in msgspec.json.decode(row.files)),
    )
