"""Where the time series remember how far they are written. The cursor moves after the points are on the server."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.database import Database, stream
from cloud_sink.ledger.upserting import upsert
from cloud_sink.projections import timeseries_tables as t
from cloud_sink.projections.timeseries_quality import EpochRecords, LockQuality

_WRITE_LOCK = 0x574C_5449_4D45_5331  # "WLTIMES1"
_IN_CHUNK = 400


@dataclass(frozen=True, slots=True)
class Cursor:
    """Up to which entry and observation points are written. `interval_no`: the open one, -1 before the first entry."""

    position: int = 0
    observation_no: int = 0
    interval_no: int = -1


class TimeseriesStore:
    """For one thread, but `cursor`."""

    def __init__(self, url: str, ledger: str, interval_s: int) -> None:
        """`ledger`: what tells this ledger from others. `interval_s`: of the quality's points."""
        self._database = Database(url, write_lock=_WRITE_LOCK)
        self._kind = (t.VERSION, ledger, interval_s)

    def prepare(self, last_position: int, last_observation_no: int, anew: bool = False) -> Cursor:
        """Return how far points are written; to the beginning where all are to be written again, or must be.

        `last_position`, `last_observation_no`: the ledger's. One that ends before the cursor was restored from a copy.
        """
        with self._database.writing() as connection:
            here = None if anew else self._read(connection)
            if (
                here is not None
                and here.position <= last_position
                and here.observation_no <= last_observation_no
            ):
                return here
            t.metadata.drop_all(connection)
            t.metadata.create_all(connection)
            version, ledger, interval_s = self._kind
            first = Cursor()
            row = {
                "only": 1,
                "version": version,
                "ledger": ledger,
                "interval_s": interval_s,
                **_columns(first),
            }
            connection.execute(t.state.insert(), row)
        return first

    def cursor(self) -> Cursor:
        """Return how far points are written."""
        with self._database.reading() as connection:
            return self._read(connection) or Cursor()

    def locks(self, names: Iterable[str]) -> dict[str, LockQuality]:
        """Return these locks as they stand, those that had an entry already."""
        wanted = sorted(names)
        found: dict[str, LockQuality] = {}
        with self._database.reading() as connection:
            for start in range(0, len(wanted), _IN_CHUNK):
                found |= _locks(connection, t.locks.c.lock.in_(wanted[start : start + _IN_CHUNK]))
        return found

    def locks_of(self, interval_no: int) -> dict[str, LockQuality]:
        """Return the locks that had entries in this interval, and none after it."""
        with self._database.reading() as connection:
            return _locks(connection, t.locks.c.interval_no == interval_no)

    def move(self, before: Cursor, after: Cursor, changed: Iterable[LockQuality]) -> bool:
        """Note that points are written up to `after`; False, changing nothing, if they weren't up to `before`."""
        with self._database.writing() as connection:
            if self._read(connection) != before:
                return False
            locks = list(changed)
            upsert(connection, t.locks, ["lock"], [_lock_row(each) for each in locks])
            epochs = [row for each in locks for row in _epoch_rows(each)]
            upsert(connection, t.epochs, ["lock", "epoch"], epochs)
            connection.execute(t.state.update().values(**_columns(after)))
        return True

    def digest(self) -> str:
        """Return a hash over all that is remembered: the same after whatever batches and restarts led there."""
        whole = sha256()
        with self._database.reading() as connection:
            for table in (t.state, t.locks, t.epochs):
                for row in stream(connection, sa.select(table).order_by(*table.primary_key)):
                    whole.update(f"{table.name}{tuple(row)}\n".encode())
        return whole.hexdigest()

    def close(self) -> None:
        self._database.close()

    def _read(self, connection: Connection) -> Cursor | None:
        inspector = sa.inspect(connection)
        if not all(inspector.has_table(table.name) for table in t.metadata.sorted_tables):
            return None
        row = connection.execute(sa.select(t.state)).one_or_none()
        if row is None or (row.version, row.ledger, row.interval_s) != self._kind:
            return None
        return Cursor(row.position, row.observation_no, row.interval_no)


def _columns(cursor: Cursor) -> dict[str, int]:
    return {
        "position": cursor.position,
        "observation_no": cursor.observation_no,
        "interval_no": cursor.interval_no,
    }


def _lock_row(lock: LockQuality) -> dict[str, object]:
    return {column.name: getattr(lock, column.name) for column in t.locks.columns}


def _epoch_rows(lock: LockQuality) -> list[dict[str, object]]:
    return [
        {
            "lock": lock.lock,
            "epoch": epoch,
            "first_seq": known.first_seq,
            "last_seq": known.last_seq,
            "records": known.records,
        }
        for epoch, known in lock.epochs.items()
    ]


def _locks(connection: Connection, which: "sa.ColumnElement[bool]") -> dict[str, LockQuality]:
    found = {row.lock: LockQuality(*row) for row in connection.execute(sa.select(t.locks).where(which))}
    epochs = sa.select(t.epochs).join(t.locks, t.locks.c.lock == t.epochs.c.lock).where(which)
    for row in connection.execute(epochs):
        found[row.lock].epochs[row.epoch] = EpochRecords(row.first_seq, row.last_seq, row.records)
    return found
