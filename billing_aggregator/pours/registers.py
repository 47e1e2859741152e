"""Reconciliation: each chamber's pours within a period against its register, by unbroken runs. Proves completeness.

    from the last record before the period, or the first in it if the run begins within, to the last record in it:
    Σ complete pours, whoever's  =  register at the end - register at the start   (mod 2^32)

What the register has more lies in records that aren't here: `lost` if they are gone, or can't be trusted (unverified),
`buffered` if they are on their way. Each such record explains one pour of one chamber at most. What is left over is
`unexplained`, and a person has to find out. Records go by the time that they are filed under (never set: when they were
read); a gap across the end of a period belongs to the next one, where the register after it is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from billing_aggregator.ledger_door import LockRecord
from billing_aggregator.model import MissingRecords, RegisterRun

_MOD = 2**32
_HALF = 2**31


@dataclass(frozen=True, slots=True)
class Lack:
    """Between a reading of a register (at `after_s`) and a record, it counted `pours` that aren't here."""

    epoch: int
    chamber: int
    pours: int
    after_s: int
    before: LockRecord


@dataclass(frozen=True, slots=True)
class Opening:
    """A register that was read before the lock's first record here."""

    register: int
    at_s: int


@dataclass(slots=True)
class _Run:
    """A run so far. `last`: its newest record."""

    chamber: int
    first_seq: int
    register_start: int
    last: LockRecord
    pours: int
    lost: int = 0
    buffered: int = 0


@dataclass(slots=True)
class EpochRegisters:
    """What the registers of one lock's epoch came to within a period."""

    runs: list[RegisterRun] = field(default_factory=list)
    lacks: list[Lack] = field(default_factory=list)  # of lost records only


class Holes:
    """Records that aren't here, each of which explains one pour at most: gone, on their way, or not to be trusted."""

    def __init__(self, missing: Iterable[MissingRecords], unverified: Iterable[int]) -> None:
        """`missing`, `unverified`: of one epoch."""
        self._ranges: list[tuple[int, int, bool]] = [
            (gap.first_seq, gap.last_seq, gap.lost) for gap in missing
        ]
        self._ranges += [(seq, seq, True) for seq in unverified]
        # Those on their way first: they are waited for before anything is estimated.
        self._ranges.sort(key=lambda gap: (gap[2], gap[0]))
        self._used: dict[tuple[int, int, bool], int] = {}

    def use(self, after_seq: int, before_seq: int, pours: int) -> tuple[int, int]:
        """Take as many holes between two records as there are, `pours` at most: (lost, buffered)."""
        lost = buffered = 0
        for found in self._ranges:
            first, last, gone = found
            if first <= after_seq or last >= before_seq:
                continue  # gaps lie wholly between two neighbours, since those are here
            left = last - first + 1 - self._used.get(found, 0)
            taken = min(left, pours - lost - buffered)
            self._used[found] = self._used.get(found, 0) + taken
            lost, buffered = (lost + taken, buffered) if gone else (lost, buffered + taken)
        return lost, buffered


def reconcile_epoch(
    lock: str,
    records: Sequence[LockRecord],
    within: range,
    missing: Sequence[MissingRecords],
    accepted: Iterable[int] = (),
    openings: Sequence[tuple[int, Opening]] = (),
) -> EpochRegisters:
    """Return the runs of one epoch.

    `records`: by seq, as `LedgerView.registers` gives them. `within`: the period's unix seconds. `accepted`: unverified
    records that are billed, by a person's decision. `openings`: (chamber, register read before the first record).
    """
    epoch = records[0].epoch if records else 0
    verified = [record for record in records if not record.unverified and record.chamber]
    here = {record.seq for record in records if not record.unverified}
    doubtful = {record.seq for record in records if record.unverified} - here
    taken = {
        record.seq: record.chamber for record in records if record.seq in doubtful and record.seq in accepted
    }
    holes = Holes([gap for gap in missing if gap.epoch == epoch], sorted(doubtful - taken.keys()))
    found = EpochRegisters()
    runs: dict[int, _Run] = {}
    bounds = _bounds(verified, within)
    for record in verified:
        start, first, last = bounds.get(record.chamber, (1, 1, 0))
        if not start <= record.seq <= last:
            continue
        run = runs.get(record.chamber)
        if run is None:
            runs[record.chamber] = _begin(found, record, first, holes, openings)
        elif (record.register_after - run.last.register_after) % _MOD >= _HALF:
            _end(found, lock, run)
            runs[record.chamber] = _begin(found, record, first, holes, ())
        else:
            decided = sum(
                run.last.seq < seq < record.seq and chamber == record.chamber
                for seq, chamber in taken.items()
            )
            _take(found, run, record, holes, decided)
    for _, run in sorted(runs.items()):
        _end(found, lock, run)
    found.runs.sort(key=lambda run: (run.chamber, run.first_seq))
    return found


def _bounds(records: Sequence[LockRecord], within: range) -> dict[int, tuple[int, int, int]]:
    """Return, by chamber, the seq at which its run starts, and those of its first and last record in the period."""
    found: dict[int, tuple[int, int, int]] = {}
    before: dict[int, int] = {}
    for record in records:
        if record.filed_s in within:
            start, first, _ = found.get(
                record.chamber, (before.get(record.chamber, record.seq), record.seq, 0)
            )
            found[record.chamber] = (start, first, record.seq)
        elif record.chamber not in found:
            before[record.chamber] = record.seq
    return found


def _begin(
    found: EpochRegisters,
    record: LockRecord,
    first: int,
    holes: Holes,
    openings: Sequence[tuple[int, Opening]],
) -> _Run:
    """Begin a run: behind a record before the period, or before the first one in it."""
    if record.seq < first:
        return _Run(record.chamber, record.seq, record.register_after, record, 0)
    counted = 1 if record.is_complete_pour else 0
    start = (record.register_after - counted) % _MOD
    fitting = [
        opening
        for chamber, opening in openings
        if chamber == record.chamber
        and opening.at_s <= record.filed_s
        and (start - opening.register) % _MOD < _HALF
    ]
    if not fitting:
        return _Run(record.chamber, record.seq, start, record, counted)
    opening = max(fitting, key=lambda opening: opening.at_s)
    unseen = (start - opening.register) % _MOD
    _, buffered = holes.use(0, record.seq, unseen)
    lost = unseen - buffered  # nobody can be named for them, whether there ever were records of them or not
    if lost:
        found.lacks.append(Lack(record.epoch, record.chamber, lost, opening.at_s, record))
    return _Run(record.chamber, record.seq, opening.register, record, counted, lost, buffered)


def _take(found: EpochRegisters, run: _Run, record: LockRecord, holes: Holes, decided: int) -> None:
    counted = (1 if record.is_complete_pour else 0) + decided
    more = (record.register_after - run.last.register_after) % _MOD - counted
    if more > 0:
        lost, buffered = holes.use(run.last.seq, record.seq, more)
        run.lost += lost
        run.buffered += buffered
        if lost:
            found.lacks.append(Lack(record.epoch, record.chamber, lost, run.last.filed_s, record))
    run.pours += counted
    run.last = record


def _end(found: EpochRegisters, lock: str, run: _Run) -> None:
    moved = (run.last.register_after - run.register_start) % _MOD
    found.runs.append(
        RegisterRun(
            lock, run.chamber, run.last.epoch, run.first_seq, run.last.seq, run.register_start, run.last.register_after,
            run.pours, run.lost, run.buffered, moved - run.pours - run.lost - run.buffered,
        )
    )  # fmt: skip


def proven_run(
    lock: str, chamber: int, first: LockRecord, start: LockRecord | None, last: LockRecord, pours: int
) -> RegisterRun | None:
    """Return a chamber's run where its register moved by exactly the pours that are here, else None.

    `first`, `last`: of the records filed within the period; `start`: the last one before them. None also says nothing:
    then the records between have to be looked at.
    """
    if start is not None:
        seq, register = start.seq, start.register_after
    else:
        seq, register = first.seq, (first.register_after - (1 if first.is_complete_pour else 0)) % _MOD
    if (last.register_after - register) % _MOD != pours:
        return None
    return RegisterRun(
        lock, chamber, last.epoch, seq, last.seq, register, last.register_after, pours, 0, 0, 0
    )
