"""Reads usage per day of some locks and days, all of it as of one position of the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.errors import ConfigError
from cloud_sink.ledger.database import Database
from cloud_sink.projections import usage_tables as t

DayCount = tuple[int, int, int, int, int, int]
"""Day, chamber, credential's number (0: none), volume_ml, traits: and how often this credential poured like that."""


class FiledRecords(NamedTuple):
    """What is filed under a day: of pours and register reports by `chamber`, of all others under chamber 0."""

    day: int
    epoch: int
    chamber: int
    first_seq: int
    last_seq: int
    pours: int


class LooseRecord(NamedTuple):
    """A record that has to be looked at by itself."""

    epoch: int
    seq: int


class SeqBounds(NamedTuple):
    """Of one epoch and chamber: the greatest number that is filed before the days."""

    epoch: int
    chamber: int
    last_before: int


@dataclass(frozen=True, slots=True)
class LockUsage:
    """One lock's usage. `credentials`: the 16 bytes by number. `loose`: records whose time may lie within the days."""

    days: Sequence[DayCount]
    credentials: dict[int, bytes]
    records: list[FiledRecords]
    loose: list[LooseRecord]
    bounds: list[SeqBounds]


@dataclass(frozen=True, slots=True)
class UsageWindow:
    """All that usage per day says of some locks and days (whole days since 1970). `position`: the ledger's."""

    position: int
    zone: str
    locks: dict[int, LockUsage]


class UsageReader:
    """Read-only, beside a running projector."""

    def __init__(self, url: str, ledger: str) -> None:
        """`ledger`: its fingerprint. ConfigError if there is no usage per day of it, and of this release, there."""
        self._database = Database(url, read_only=True)
        name = self._database.url.render_as_string()
        if self._database.dialect == "sqlite" and not Path(self._database.url.database or "").exists():
            raise ConfigError([f"{name}: no usage per day is kept there: run `cloud-sink project --once`"])
        with self._database.reading() as connection:
            there = sa.inspect(connection).has_table(t.state.name)
            found = (
                connection.execute(sa.select(t.state.c.version, t.state.c.ledger)).first() if there else None
            )
        if found is None or tuple(found) != (t.VERSION, ledger):
            self._database.close()
            raise ConfigError(
                [
                    f"{name}: holds no usage per day of this ledger and release: run `cloud-sink project --once`"
                ]
            )

    def close(self) -> None:
        self._database.close()

    def read(self, lock_nos: Sequence[int], first_day: int, end_day: int) -> UsageWindow:
        """Return what there is of these locks from `first_day` up to, not including, `end_day`."""
        with self._database.reading() as connection:
            s = t.state.c
            position, zone = connection.execute(sa.select(s.position, s.zone)).one()
            locks = {no: _of_lock(connection, no, first_day, end_day) for no in lock_nos}
        return UsageWindow(position, zone, locks)


def _of_lock(connection: Connection, lock_no: int, first_day: int, end_day: int) -> LockUsage:
    d, c, r, x = t.days.c, t.credentials.c, t.records.c, t.loose.c
    counts = (
        sa.select(d.day, d.chamber, d.credential_no, d.volume_ml, d.traits, d.pours)
        .where(d.lock_no == lock_no, d.day >= first_day, d.day < end_day)
        .order_by(*t.days.primary_key)
    )
    # Plain rows, as many as there are pours: a name for each of their fields would cost more than reading them.
    days: Sequence[Any] = connection.execute(counts).all()
    wanted = sorted({count[2] for count in days})
    names = sa.select(c.credential_no, c.credential).where(c.credential_no.in_(wanted))
    records = (
        sa.select(r.day, r.epoch, r.chamber, r.first_seq, r.last_seq, r.pours)
        .where(r.lock_no == lock_no, r.day >= first_day, r.day < end_day)
        .order_by(*t.records.primary_key)
    )
    loose = (
        sa.select(x.epoch, x.seq)
        .where(x.lock_no == lock_no, x.first_day < end_day, x.last_day >= first_day)
        .order_by(x.epoch, x.seq)
        .distinct()
    )
    bounds = (
        sa.select(r.epoch, r.chamber, sa.func.max(r.last_seq))
        .where(r.lock_no == lock_no, r.day < first_day, r.chamber > 0)
        .group_by(r.epoch, r.chamber)
        .order_by(r.epoch, r.chamber)
    )
    return LockUsage(
        days,
        {number: bytes(credential) for number, credential in connection.execute(names)},
        list(map(FiledRecords._make, connection.execute(records).all())),
        list(map(LooseRecord._make, connection.execute(loose))),
        list(map(SeqBounds._make, connection.execute(bounds))),
    )
