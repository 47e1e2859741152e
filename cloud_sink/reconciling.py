"""Reconciliation: the proof, lock by lock, that no pour is missing and none is there twice.

A chamber's register counts its complete pours, for ever, modulo 2^32. So along an unbroken run of a register

    number of complete pours in the ledger  =  register at the end - register at the start   (mod 2^32)

What is short of that must lie in records that aren't here, or whose contents can't be trusted (unverified):
`explained`. Whatever is left over is `unexplained`. A run is broken by a new epoch and by a register that goes
backwards (reset).

    step between two records of a chamber:   register    41 ──────▶ 44      complete pours here: 1
                                             2 more than that; 3 records are missing between them: explained
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.database import stream
from cloud_sink.ledger.tables import entries, locks, seq_spans
from wastelock.record import Kind, PourResult

_MOD = 2**32
_HALF = 2**31
_STEPS_MAX = 20  # steps that a run lists; more are only counted


@dataclass(frozen=True, slots=True)
class Step:
    """Between two records the register moved by `pours` more (or, negative, less) than the pours that are here."""

    after_seq: int
    before_seq: int
    pours: int
    explained: bool


@dataclass(slots=True)
class Run:
    """An unbroken stretch of one chamber's register. `ended_by`: what broke it, None for the newest one.

    `explained`, `unexplained`: pours by which register and ledger differ, added up over all steps.
    """

    lock: str
    epoch: int
    chamber: int
    first_seq: int
    last_seq: int
    start_register: int
    end_register: int
    pours: int = 0
    explained: int = 0
    unexplained: int = 0
    ended_by: str | None = None
    steps: list[Step] = field(default_factory=list)

    @property
    def register_pours(self) -> int:
        """Complete pours by the register."""
        return (self.end_register - self.start_register) % _MOD

    @property
    def holds(self) -> bool:
        """True if the pours here are exactly those that the register counted."""
        return not self.explained and not self.unexplained and self.register_pours == self.pours % _MOD

    @property
    def verdict(self) -> str:
        """`proven`, `explained` (short of pours that lie in missing records) or `unexplained`."""
        if self.unexplained:
            return "unexplained"
        return "proven" if self.holds else "explained"


@dataclass(frozen=True, slots=True)
class Reading:
    """What reconciliation looks at of an entry."""

    seq: int
    unverified: int
    kind: int
    result: int
    chamber: int
    register_after: int


def reconcile(connection: Connection, lock: str | None = None) -> Iterator[Run]:
    """Yield all runs of all locks, or of one; entries stream by, one lock's epoch at a time."""
    s = seq_spans.c
    query = sa.select(locks.c.lock, s.lock_no, s.epoch).join(locks, locks.c.lock_no == s.lock_no).distinct()
    if lock is not None:
        query = query.where(locks.c.lock == lock)
    epochs = connection.execute(query.order_by(locks.c.lock, s.epoch)).all()
    for index, row in enumerate(epochs):
        newest = index + 1 == len(epochs) or epochs[index + 1].lock != row.lock
        yield from runs_of_epoch(row.lock, row.epoch, _readings(connection, row.lock_no, row.epoch), newest)


def runs_of_epoch(lock: str, epoch: int, readings: Iterable[Reading], newest_epoch: bool) -> list[Run]:
    """Return the runs of one epoch, by chamber. `readings`: in the order of seq, all that are here."""
    chambers: dict[int, _Chamber] = {}
    runs: list[Run] = []
    holes = 0  # records before this one that aren't here or can't be trusted
    last_seq = 0
    for reading in readings:
        if reading.unverified:
            continue  # counts as a hole once the next verified record comes by
        holes += reading.seq - last_seq - 1
        last_seq = reading.seq
        if not reading.chamber or reading.kind not in (Kind.POUR, Kind.REGISTER_REPORT):
            continue
        chamber = chambers.get(reading.chamber)
        if chamber is None:
            chambers[reading.chamber] = _Chamber(_begin(lock, epoch, reading), holes)
        elif _went_backwards(chamber.run, reading):
            chamber.run.ended_by = "reset"
            runs.append(chamber.run)
            chambers[reading.chamber] = _Chamber(_begin(lock, epoch, reading), holes)
        else:
            chamber.take(reading, holes)
    for chamber in chambers.values():
        chamber.run.ended_by = None if newest_epoch else "new epoch"
        runs.append(chamber.run)
    _use_holes_once(runs, holes)
    return sorted(runs, key=lambda run: (run.chamber, run.first_seq))


def _use_holes_once(runs: list[Run], holes: int) -> None:
    """A missing record is a pour of one chamber at most: what all chambers explain with them can't be more."""
    surplus = sum(run.explained for run in runs) - holes
    for run in sorted(runs, key=lambda run: run.explained, reverse=True):
        if surplus <= 0:
            break
        moved = min(surplus, run.explained)
        run.explained -= moved
        run.unexplained += moved
        surplus -= moved


class _Chamber:
    """One chamber's run so far. `holes`: how many there were before its last record."""

    def __init__(self, run: Run, holes: int) -> None:
        self.run = run
        self._holes = holes

    def take(self, reading: Reading, holes: int) -> None:
        run = self.run
        counted = 1 if _is_complete(reading) else 0
        moved = (reading.register_after - run.end_register) % _MOD
        more = moved - counted
        if more:
            explained = max(0, min(more, holes - self._holes))
            run.explained += explained
            run.unexplained += abs(more - explained)
            if len(run.steps) < _STEPS_MAX:
                run.steps.append(Step(run.last_seq, reading.seq, more, explained == more))
        run.pours += counted
        run.last_seq = reading.seq
        run.end_register = reading.register_after
        self._holes = holes


def _begin(lock: str, epoch: int, reading: Reading) -> Run:
    """A run begins before its first record: where that is a complete pour, one before its register."""
    counted = 1 if _is_complete(reading) else 0
    start = (reading.register_after - counted) % _MOD
    return Run(
        lock, epoch, reading.chamber, reading.seq, reading.seq, start, reading.register_after, pours=counted
    )


def _went_backwards(run: Run, reading: Reading) -> bool:
    return (reading.register_after - run.end_register) % _MOD >= _HALF


def _is_complete(reading: Reading) -> bool:
    return reading.kind == Kind.POUR and reading.result == PourResult.COMPLETE


def _readings(connection: Connection, lock_no: int, epoch: int) -> Iterator[Reading]:
    e = entries.c
    query = (
        sa.select(e.seq, e.unverified, e.kind, e.result, e.chamber, e.register_after)
        .where(e.lock_no == lock_no, e.epoch == epoch)
        .order_by(e.seq, e.unverified)
    )
    for row in stream(connection, query):
        yield Reading(row.seq, row.unverified, row.kind, row.result, row.chamber, row.register_after)
