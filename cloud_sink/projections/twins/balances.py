"""Sums of the pours between two emptyings, kept right however late records come.

    … pour pour EMPTYING(i) pour pour pour EMPTYING(i+1) …        in the order of (epoch, seq), across epochs
                            └──── summed at i+1 ────┘

The sums aren't added up as entries come, since an emptying may come after pours that follow it: whenever a pour or an
emptying falls into a stretch that has an end, the stretch is summed anew, from the ledger and by its index.
"""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.tables import entries
from cloud_sink.projections.twins import tables as t
from cloud_sink.projections.twins.folding import Added
from wastelock.record import Kind, PourResult

Key = tuple[int, int]
"""(epoch, seq)."""

_e, _m = entries.c, t.emptyings.c
_MARK = sa.tuple_(_m.epoch, _m.seq)


class Balances:
    """Knows each lock's newest emptying, so that everyday pours cost nothing. For one thread."""

    def __init__(self) -> None:
        self._newest: dict[int, Key] | None = None

    def forget(self) -> None:
        """Read anew what is there: another process may have gone on."""
        self._newest = None

    def refresh(self, connection: Connection, ledger: Connection, added: Added) -> None:
        """Sum the stretches anew that this batch touches; its emptyings are in their table already."""
        newest = _newest_of_all(connection) if self._newest is None else self._newest
        self._newest = newest
        for lock_no, touched in _touched(added).items():
            low, high = min(touched), max(touched)
            if low > newest.get(lock_no, (0, 0)):
                continue
            for before, mark in _stretches(connection, lock_no, low, high):
                _sum(connection, ledger, lock_no, before, mark)

    def note(self, added: Added) -> None:
        """Remember this batch's emptyings, before `refresh`."""
        if self._newest is None:
            return
        for lock_no, epoch, seq, _kind, _ms in added.emptyings:
            self._newest[lock_no] = max(self._newest.get(lock_no, (0, 0)), (epoch, seq))


def _newest_of_all(connection: Connection) -> dict[int, Key]:
    newest: dict[int, Key] = {}
    for lock_no, epoch, seq in connection.execute(
        sa.select(_m.lock_no, _m.epoch, sa.func.max(_m.seq)).group_by(_m.lock_no, _m.epoch)
    ):
        newest[lock_no] = max(newest.get(lock_no, (0, 0)), (epoch, seq))
    return newest


def _touched(added: Added) -> dict[int, list[Key]]:
    """Return by lock where this batch has pours and emptyings: the ends of each, which is enough."""
    touched: dict[int, list[Key]] = {}
    for (lock_no, epoch, _chamber), (first_seq, _, last_seq, _, _, pours) in added.registers.items():
        if pours:
            touched.setdefault(lock_no, []).extend([(epoch, first_seq), (epoch, last_seq)])
    for lock_no, epoch, seq, _kind, _ms in added.emptyings:
        touched.setdefault(lock_no, []).append((epoch, seq))
    return touched


def _stretches(connection: Connection, lock_no: int, low: Key, high: Key) -> Iterable[tuple[Key | None, Key]]:
    """Yield the stretches that hold anything between `low` and `high`, as the emptyings at both of their ends.

    An emptying at `high` itself also divides what comes after it: the stretch behind it is one of them.
    """
    of_lock = sa.select(_m.epoch, _m.seq).where(_m.lock_no == lock_no)
    before = connection.execute(
        of_lock.where(sa.tuple_(*low) > _MARK).order_by(_m.epoch.desc(), _m.seq.desc()).limit(1)
    ).first()
    inside = connection.execute(
        of_lock.where(sa.tuple_(*low) <= _MARK, sa.tuple_(*high) >= _MARK).order_by(_m.epoch, _m.seq)
    ).all()
    after = connection.execute(
        of_lock.where(sa.tuple_(*high) < _MARK).order_by(_m.epoch, _m.seq).limit(1)
    ).all()
    start = None if before is None else (before[0], before[1])
    for epoch, seq in [*inside, *after]:
        yield start, (epoch, seq)
        start = epoch, seq


def _sum(connection: Connection, ledger: Connection, lock_no: int, start: Key | None, end: Key) -> None:
    pours, volume_ml = 0, 0
    for condition in _ranges(start, end):
        query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_e.volume_ml), 0)).where(
            _e.lock_no == lock_no,
            condition,
            _e.unverified == 0,
            _e.kind == Kind.POUR,
            _e.result == PourResult.COMPLETE,
        )
        counted, summed = ledger.execute(query).one()
        pours, volume_ml = pours + int(counted), volume_ml + int(summed)
    connection.execute(
        t.emptyings.update()
        .where(_m.lock_no == lock_no, _m.epoch == end[0], _m.seq == end[1])
        .values(pours=pours, volume_ml=volume_ml, complete=int(start is not None))
    )


def _ranges(start: Key | None, end: Key) -> Sequence[sa.ColumnElement[bool]]:
    """Return conditions on (epoch, seq), one for each epoch: each is a range of the index."""
    if start is not None and start[0] == end[0]:
        return [sa.and_(_e.epoch == end[0], _e.seq > start[1], _e.seq < end[1])]
    parts = [sa.and_(_e.epoch == end[0], _e.seq < end[1])]
    if start is None:
        return [*parts, sa.and_(_e.epoch < end[0])]
    between = sa.and_(_e.epoch > start[0], _e.epoch < end[0])
    return [sa.and_(_e.epoch == start[0], _e.seq > start[1]), between, *parts]
