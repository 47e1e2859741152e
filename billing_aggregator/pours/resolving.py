"""Resolves a property's pours, lock by lock, from wherever they were read, and puts the result together.

records, groups ──▶ Judge ──▶ Tally ──┐
registers ──▶ runs, lost volumes ─────┼──▶ PropertyUsage
faults, unverified records ─▶ reviews ┘
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from billing_aggregator.ledger_door import LedgerView, LockRecord
from billing_aggregator.model import (
    LostVolume,
    MissingRecords,
    PropertyUsage,
    RegisterRun,
    Review,
    ReviewKind,
)
from billing_aggregator.pours.deciding import Decided
from billing_aggregator.pours.holders import Holders, second_of
from billing_aggregator.pours.incidents import incidents
from billing_aggregator.pours.judging import Judge
from billing_aggregator.pours.registers import EpochRegisters, Lack, Opening, reconcile_epoch
from billing_aggregator.pours.resolution import Billed, Outcome, PourGroup
from billing_aggregator.pours.tally import Tally
from wastelock.clock_grade import ClockGrade, ClockQuality, anchored, grade_clock

NOTHING_TO_ADD, AS_LOST = "nothing_to_add", "as_lost"
_DAY = timedelta(days=1)
_PLAUSIBLE_S = (
    31 * 86_400
)  # what an unverified record says of its time is believed within so much of its reading
_DOUBTFUL = ClockQuality(ClockGrade.UNCERTAIN, 86_400)


class Resolving:
    """One property and period. Whatever is taken must be taken once."""

    def __init__(
        self,
        holders: Holders,
        decided: Decided,
        view: LedgerView,
        missing: Sequence[MissingRecords] | None = None,
    ) -> None:
        """`missing`: None, or what was judged to be missing when the run was made that is repeated here."""
        self._holders = holders
        self._decided = decided
        self._view = view
        self._pinned = missing
        self._judge = Judge(holders, decided)
        self._tally = Tally(holders)
        self._accepted: dict[tuple[str, int], set[int]] = {}
        self._disputed: dict[str, dict[tuple[int, int], str]] = {}
        self._reviews: list[Review] = []
        self._lost: list[LostVolume] = []
        self._runs: list[RegisterRun] = []
        self._missing: list[MissingRecords] = []
        self._buffered = 0

    def group_of(self, lock: str, record: LockRecord) -> PourGroup:
        """Return a record as a pour: when it was, as far as can be told, and how sure that is."""
        self._learn_disputes(lock)
        at_s, quality = self._instant_of(lock, record)
        return PourGroup(
            lock, record.chamber, record.credential, record.volume_ml, record.flags, 1, at_s, quality, record.epoch,
            record.seq, record.boot, record.began_clock_s,
        )  # fmt: skip

    def disputed_records(self, lock: str) -> list[LockRecord]:
        """Return a lock's records that somebody has to look at since they are disputed."""
        numbers: dict[int, list[int]] = {}
        for epoch, seq in self._learn_disputes(lock):
            numbers.setdefault(epoch, []).append(seq)
        return [
            record for epoch, mine in numbers.items() for record in self._view.of_numbers(lock, epoch, mine)
        ]

    def take(self, group: PourGroup) -> Billed | None:
        """Count complete pours whose records were verified; return what counts, None if nothing of it does."""
        billed = self._judge.judge(group)
        if billed is not None:
            self._tally.add(billed)
        return billed

    def count(self, group: PourGroup, outcome: Outcome) -> None:
        """Count pours whose outcome nobody needs to look at."""
        if outcome.is_counted:
            self._tally.add(Billed(group, outcome, self._holders.day_of(group.at_s)))

    def take_unverified(self, lock: str, records: Iterable[LockRecord]) -> list[Billed]:
        """Ask about records whose CRC never held, but where a verified copy stands beside; return what is billed."""
        billed = []
        for record in self._without_copy(lock, records):
            counts = self._judge.judge_unverified(
                self._unverified_group(lock, record), record.is_complete_pour
            )
            if counts is not None:
                self._tally.add(counts)
                self._accepted.setdefault((lock, record.epoch), set()).add(record.seq)
                billed.append(counts)
        return billed

    def take_faults(self, lock: str, records: Iterable[LockRecord]) -> None:
        """Ask about faults. `records`: any; those count that are filed within the period."""
        self._reviews += incidents(lock, [record for record in records if record.filed_s in self._within])

    def has_accepted(self, lock: str) -> bool:
        """True if somebody decided that an unverified record of this lock is billed."""
        return any(name == lock for name, _ in self._accepted)

    def take_registers(self, lock: str, proven: Sequence[RegisterRun] | None = None) -> None:
        """Reconcile a lock's registers. `proven`: its runs, where nothing is lacking (see `daily`)."""
        missing = self._missing_of(lock)
        ends: dict[int, int] = {}
        if proven is not None:
            self._runs += proven
            for run in proven:
                ends[run.epoch] = max(ends.get(run.epoch, 0), run.last_seq)
        else:
            for records in self._view.registers(lock, self._within.start, self._within.stop).values():
                self._reconcile(lock, records, missing, ends)
        self._count_waiting(lock, missing, ends)

    def result(self, entries_hash: str) -> PropertyUsage:
        """Return all of it, in an order that doesn't depend on how it was read."""
        reviews = sorted((*self._judge.reviews, *self._reviews), key=lambda review: review.review)
        lost = (*self._lost, *self._tally.unread())
        return PropertyUsage(
            rows=self._tally.rows(),
            unattributed=self._tally.unattributed(),
            lost=tuple(sorted(lost, key=lambda found: (
                found.lock, found.chamber, found.first_day, found.end_day, found.fraction, found.cause, found.pours
            ))),
            registers=tuple(sorted(self._runs, key=lambda run: (run.lock, run.epoch, run.chamber, run.first_seq))),
            reviews=tuple(reviews),
            buffered_pours=self._buffered,
            position=self._view.position,
            entries_hash=entries_hash,
            missing=tuple(self._missing),
        )  # fmt: skip

    @property
    def _within(self) -> range:
        return range(self._holders.start_s, self._holders.end_s)

    def _instant_of(self, lock: str, record: LockRecord) -> tuple[int, ClockQuality]:
        quality = quality_of(record)
        if quality.grade is not ClockGrade.NEVER_SET:
            return record.began_clock_s, quality
        anchor = self._view.clock_set_after(lock, record)
        ago_s = -1 if anchor is None else anchor.register_after - record.began_clock_s
        if anchor is None or ago_s < 0:
            return record.filed_s, quality
        return anchor.began_clock_s - ago_s, anchored(quality_of(anchor))

    def _learn_disputes(self, lock: str) -> dict[tuple[int, int], str]:
        found = self._disputed.get(lock)
        if found is None:
            found = self._disputed[lock] = self._view.disputed(lock, self._holders.known_at)
            self._judge.disputes |= {(lock, *identity): kind for identity, kind in found.items()}
        return found

    def _unverified_group(self, lock: str, record: LockRecord) -> PourGroup:
        group = self.group_of(lock, record)
        read_s = record.read_ms // 1000
        if abs(group.at_s - read_s) <= _PLAUSIBLE_S:
            return group
        return group._replace(at_s=read_s, quality=_DOUBTFUL)

    def _without_copy(self, lock: str, records: Iterable[LockRecord]) -> list[LockRecord]:
        by_epoch: dict[int, list[LockRecord]] = {}
        for record in records:
            by_epoch.setdefault(record.epoch, []).append(record)
        kept: list[LockRecord] = []
        for epoch, mine in by_epoch.items():
            numbers = [record.seq for record in mine]
            copies = self._view.of_numbers(lock, epoch, numbers)
            verified = {record.seq for record in copies if not record.unverified}
            kept += [record for record in mine if record.seq not in verified]
        return kept

    def _missing_of(self, lock: str) -> list[MissingRecords]:
        if self._pinned is None:
            missing = self._view.missing(lock)
        else:
            missing = [gap for gap in self._pinned if gap.lock == lock]
        self._missing += missing
        return missing

    def _reconcile(
        self, lock: str, records: list[LockRecord], missing: list[MissingRecords], ends: dict[int, int]
    ) -> None:
        epoch = records[0].epoch
        openings = [
            (opening.chamber, Opening(opening.register, second_of(opening.read_at)))
            for opening in self._holders.openings
            if opening.lock == lock
        ]
        accepted = self._accepted.get((lock, epoch), set())
        found = reconcile_epoch(lock, records, self._within, missing, accepted, openings)
        self._runs += found.runs
        for run in found.runs:
            ends[epoch] = max(ends.get(epoch, 0), run.last_seq)
        self._add_lacks(lock, found)
        for run in found.runs:
            if run.unexplained:
                self._ask_about(run, records)

    def _add_lacks(self, lock: str, found: EpochRegisters) -> None:
        for lack in found.lacks:
            self._lose(lock, lack, "lost_records")

    def _lose(self, lock: str, lack: Lack, cause: str) -> None:
        """Add a lost volume: by the chamber before it, or after it where none was known before."""
        holders = self._holders
        instants = (lack.after_s, lack.before.filed_s)
        known = [holders.chamber_at(lock, lack.chamber, at_s) for at_s in instants]
        chamber = next((chamber for chamber in known if chamber is not None), None)
        first = max(holders.day_of(instants[0]), holders.first)
        end = min(holders.day_of(instants[1]) + _DAY, holders.end)
        if first >= end:
            first, end = holders.first, holders.end
        if chamber is None:
            if not holders.has_left(lock, lack.before.filed_s):
                self._reviews.append(_unknown_lost(lock, lack))
            return
        dwellings = holders.access_between(lock, first, end)
        self._lost.append(
            LostVolume(lock, lack.chamber, chamber.fraction, lack.pours, lack.pours * chamber.volume_ml, first, end,
                       dwellings, cause)
        )  # fmt: skip

    def _ask_about(self, run: RegisterRun, records: Sequence[LockRecord]) -> None:
        """The register and the pours disagree and no missing record explains it: a person has to find out."""
        by_seq = {record.seq: record for record in records if not record.unverified}
        last = by_seq[run.last_seq]
        chamber = self._holders.chamber_at(run.lock, run.chamber, last.filed_s)
        can_be_lost = run.unexplained > 0 and chamber is not None
        review = Review(
            review=f"{ReviewKind.REGISTER_UNEXPLAINED}:{run.lock}:{run.epoch}:{run.chamber}:{run.first_seq}:"
            f"{run.last_seq}:{run.unexplained:+d}",
            kind=ReviewKind.REGISTER_UNEXPLAINED,
            detail=f"lock {run.lock} chamber {run.chamber}: the register moved from {run.register_start} to "
            f"{run.register_end}, {run.pours} pours are here, {run.lost} are lost, {run.buffered} on their way: "
            f"{run.unexplained:+d} unexplained",
            nominal=NOTHING_TO_ADD,
            choices=(NOTHING_TO_ADD, AS_LOST) if can_be_lost else (NOTHING_TO_ADD,),
            at=datetime.fromtimestamp(last.filed_s, UTC),
            lock=run.lock,
            chamber=run.chamber,
            pours=run.unexplained,
            volume_ml=max(0, run.unexplained) * (chamber.volume_ml if chamber is not None else 0),
            group=f"{ReviewKind.REGISTER_UNEXPLAINED}:{run.lock}",
        )
        self._reviews.append(review)
        if self._decided.about(review) == AS_LOST:
            first = by_seq[run.first_seq]
            lack = Lack(run.epoch, run.chamber, run.unexplained, first.filed_s, last)
            self._lose(run.lock, lack, "unexplained")

    def _count_waiting(self, lock: str, missing: Sequence[MissingRecords], ends: dict[int, int]) -> None:
        """Count pours on their way: those that registers tell of, and records where no register tells of any."""
        self._buffered += sum(run.buffered for run in self._runs if run.lock == lock)
        for block in _blocks(missing):
            epoch, first, last = block[0].epoch, block[0].first_seq, block[-1].last_seq
            if all(gap.lost for gap in block):
                continue
            neighbours = self._view.of_numbers(lock, epoch, [first - 1, last + 1])
            before = [record for record in neighbours if record.seq < first]
            after = [record for record in neighbours if record.seq > last]
            told = bool(before) and first <= ends.get(epoch, 0)
            too_late = bool(before) and before[0].filed_s >= self._within.stop
            too_early = bool(after) and after[0].filed_s < self._within.start
            if not (told or too_late or too_early):
                self._buffered += sum(gap.last_seq - gap.first_seq + 1 for gap in block if not gap.lost)


def quality_of(record: LockRecord) -> ClockQuality:
    """Return how far the time of a record can be trusted."""
    return grade_clock(
        record.flags,
        record.began_clock_s,
        record.read_ms // 1000,
        record.clock_offset_s,
        record.gateway_clock,
    )


def _blocks(missing: Sequence[MissingRecords]) -> list[list[MissingRecords]]:
    """Return gaps that lie side by side together."""
    blocks: list[list[MissingRecords]] = []
    for gap in missing:
        last = blocks[-1][-1] if blocks else None
        if last is not None and last.epoch == gap.epoch and last.last_seq + 1 == gap.first_seq:
            blocks[-1].append(gap)
        else:
            blocks.append([gap])
    return blocks


def _unknown_lost(lock: str, lack: Lack) -> Review:
    place = f"{lock}:{lack.epoch}:{lack.before.seq}"
    return Review(
        review=f"{ReviewKind.UNKNOWN_CHAMBER}:{place}:lost",
        kind=ReviewKind.UNKNOWN_CHAMBER,
        detail=f"{lack.pours} pours lost before record {place}: chamber {lack.chamber} isn't in the master data then",
        nominal=NOTHING_TO_ADD,
        choices=(NOTHING_TO_ADD,),
        at=datetime.fromtimestamp(lack.before.filed_s, UTC),
        lock=lock,
        chamber=lack.chamber,
        pours=lack.pours,
        group=f"{ReviewKind.UNKNOWN_CHAMBER}:{lock}:{lack.chamber}",
    )
