"""Reads usage per day of some locks and days, all of it as of one position of the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.errors import ConfigError
from cloud_sink.ledger.database import Database
from cloud_sink.projections import usage_tables as t


class DayCount(NamedTuple):
    """How often a credential (its 16 bytes, None for none) used a chamber on a day, and with what traits."""

    lock_no: int
    day: int
    chamber: int
    credential: bytes | None
    volume_ml: int
    traits: int
    pours: int


class FiledRecords(NamedTuple):
    """What is filed under a day: of pours and register reports by `chamber`, of all others under chamber 0."""

    lock_no: int
    day: int
    epoch: int
    chamber: int
    first_seq: int
    last_seq: int
    pours: int


class LooseRecord(NamedTuple):
    """A record that has to be looked at by itself; its time lies within first_day..last_day."""

    lock_no: int
    epoch: int
    seq: int
    unverified: int
    first_day: int
    last_day: int


class SeqBounds(NamedTuple):
    """Of one lock, epoch and chamber: the last record filed before the days, the first one filed after them."""

    lock_no: int
    epoch: int
    chamber: int
    last_before: int | None
    first_after: int | None


@dataclass(frozen=True, slots=True)
class UsageWindow:
    """All that usage per day says of some locks and days (whole days since 1970). `position`: the ledger's."""

    position: int
    zone: str
    days: list[DayCount]
    records: list[FiledRecords]
    loose: list[LooseRecord]
    bounds: list[SeqBounds]


class UsageReader:
    """Read-only, beside a running projector."""

    def __init__(self, url: str) -> None:
        """ConfigError if there is no usage per day of this release in this database."""
        self._database = Database(url, read_only=True)
        with self._database.reading() as connection:
            there = sa.inspect(connection).has_table(t.state.name)
            version = connection.scalar(sa.select(t.state.c.version)) if there else None
        if version != t.VERSION:
            self._database.close()
            raise ConfigError(
                [f"{url}: holds no usage per day of this release: run `cloud-sink project --once`"]
            )

    def close(self) -> None:
        self._database.close()

    def read(self, lock_nos: Sequence[int], first_day: int, end_day: int) -> UsageWindow:
        """Return what there is of these locks from `first_day` up to, not including, `end_day`."""
        with self._database.reading() as connection:
            s = t.state.c
            position, zone = connection.execute(sa.select(s.position, s.zone)).one()
            return UsageWindow(
                position,
                zone,
                [count for no in lock_nos for count in _days(connection, no, first_day, end_day)],
                [found for no in lock_nos for found in _records(connection, no, first_day, end_day)],
                [found for no in lock_nos for found in _loose(connection, no, first_day, end_day)],
                [found for no in lock_nos for found in _bounds(connection, no, first_day, end_day)],
            )


def _days(connection: Connection, lock_no: int, first_day: int, end_day: int) -> list[DayCount]:
    d, c = t.days.c, t.credentials.c
    query = sa.select(d.lock_no, d.day, d.chamber, d.credential_no, d.volume_ml, d.traits, d.pours).where(
        d.lock_no == lock_no, d.day >= first_day, d.day < end_day
    )
    rows = connection.execute(query.order_by(*t.days.primary_key)).all()
    wanted = {row[3] for row in rows}
    names = {
        number: bytes(credential)
        for number, credential in connection.execute(sa.select(c.credential_no, c.credential).where(
            c.credential_no.in_(wanted)
        ))
    }  # fmt: skip
    return [DayCount(no, day, n, names.get(number), *rest) for no, day, n, number, *rest in rows]


def _records(connection: Connection, lock_no: int, first_day: int, end_day: int) -> list[FiledRecords]:
    r = t.records.c
    query = sa.select(t.records).where(r.lock_no == lock_no, r.day >= first_day, r.day < end_day)
    return [FiledRecords(*row) for row in connection.execute(query.order_by(*t.records.primary_key))]


def _loose(connection: Connection, lock_no: int, first_day: int, end_day: int) -> list[LooseRecord]:
    x = t.loose.c
    query = sa.select(t.loose).where(x.lock_no == lock_no, x.first_day < end_day, x.last_day >= first_day)
    return [LooseRecord(*row) for row in connection.execute(query.order_by(*t.loose.primary_key))]


def _bounds(connection: Connection, lock_no: int, first_day: int, end_day: int) -> list[SeqBounds]:
    r = t.records.c
    query = (
        sa.select(
            r.epoch,
            r.chamber,
            sa.func.max(sa.case((r.day < first_day, r.last_seq))),
            sa.func.min(sa.case((r.day >= end_day, r.first_seq))),
        )
        .where(r.lock_no == lock_no, r.chamber > 0)
        .group_by(r.epoch, r.chamber)
        .order_by(r.epoch, r.chamber)
    )
    return [SeqBounds(lock_no, *row) for row in connection.execute(query)]
