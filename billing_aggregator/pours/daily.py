"""Usage per day, cut into what may be counted as it is and what has to be looked at record by record.

A day is quiet if nothing of the property changes on it, nor so near to it that a record's clock could matter: then all
pours of one credential through one chamber come to the same. All other days' records are read one by one.
"""

from array import array
from collections.abc import Sequence
from datetime import date, timedelta
from hashlib import sha256
from itertools import chain

from billing_aggregator.ledger_door import LedgerDoor, LedgerView, LockRecord, LockUsage, day_number
from billing_aggregator.model import RegisterRun
from billing_aggregator.pours.holders import Holders
from billing_aggregator.pours.registers import proven_run
from billing_aggregator.pours.resolution import UNKNOWN_CHAMBER, Outcome, PourGroup, outcome_at
from billing_aggregator.pours.resolving import quality_of
from wastelock.clock_grade import GOOD_WITHIN_S

_DAY = timedelta(days=1)
_NOON_S = 12 * 3600
_UNKNOWN_LOCK = LockUsage([], {}, [], [], [])


class Daily:
    """One property's usage per day for one period."""

    def __init__(self, door: LedgerDoor, holders: Holders) -> None:
        """ConfigError if usage per day isn't kept."""
        self._holders = holders
        usage = door.daily_usage(holders.locks, holders.first - _DAY, holders.end + _DAY)
        self.position, self.zone = usage.position, usage.zone
        self._locks = usage.locks
        self._first = day_number(holders.first)
        # Of each day of the period: the number of its stretch of quiet days within a month, None on days of changes.
        self._stretch_of: list[int | None] = []
        self._stretches: list[int] = []  # each by the second of its first noon
        self._cut()

    def split(
        self, lock: str, disputed: Sequence[LockRecord] = ()
    ) -> tuple[list[tuple[PourGroup, Outcome]], set[int]]:
        """Return what may be counted as it is, and the days (by number) that have to be looked at record by record.

        Those are the days on which something changes, and all of a stretch where somebody has to look at a pour, be it
        one of these that are `disputed`.
        """
        usage = self._locks.get(lock, _UNKNOWN_LOCK)
        counts: dict[tuple[int, int, int, int, int], int] = {}
        single_days: set[int] = set()
        first, days, stretch_of = self._first, len(self._stretch_of), self._stretch_of
        for day, chamber, credential_no, volume_ml, traits, pours in usage.days:
            stretch = stretch_of[day - first] if 0 <= day - first < days else None
            if stretch is None:
                single_days.add(day)
            else:
                key = (stretch, chamber, credential_no, volume_ml, traits)
                counts[key] = counts.get(key, 0) + pours
        found = []
        noisy = {self._stretch_on(self._holders.day_of(record.filed_s)) for record in disputed}
        for key, pours in counts.items():
            group = self._group(lock, usage, key, pours)
            outcome = outcome_at(self._holders, group, group.at_s)
            if outcome.row == UNKNOWN_CHAMBER or (
                outcome.is_counted and outcome.expected_ml != group.volume_ml
            ):
                noisy.add(key[0])
            found.append((key[0], group, outcome))
        single_days |= {
            first + i for i, stretch in enumerate(stretch_of) if stretch is not None and stretch in noisy
        }
        return [(group, outcome) for stretch, group, outcome in found if stretch not in noisy], single_days

    def records_on(self, view: LedgerView, lock: str, days: set[int]) -> list[LockRecord]:
        """Return the complete pours of these days, of those whose day is known."""
        usage = self._locks.get(lock, _UNKNOWN_LOCK)
        spans: dict[int, list[tuple[int, int]]] = {}
        for filed in usage.records:
            if filed.day in days and filed.pours:
                spans.setdefault(filed.epoch, []).append((filed.first_seq, filed.last_seq))
        return [
            record
            for epoch, mine in spans.items()
            for first, last in _merged(mine)
            for record in view.between(lock, epoch, first, last)
            if record.is_complete_pour and not record.unverified
            and day_number(self._holders.day_of(record.filed_s)) in days and quality_of(record).is_good
        ]  # fmt: skip

    def loose(self, view: LedgerView, lock: str) -> list[LockRecord]:
        """Return the records that have to be looked at by themselves."""
        numbers: dict[int, list[int]] = {}
        for epoch, seq in self._locks.get(lock, _UNKNOWN_LOCK).loose:
            numbers.setdefault(epoch, []).append(seq)
        return [record for epoch, mine in numbers.items() for record in view.of_numbers(lock, epoch, mine)]

    def proven(self, view: LedgerView, lock: str) -> list[RegisterRun] | None:
        """Return a lock's register runs if counts alone prove all of them, None if one has to be looked into."""
        usage = self._locks.get(lock, _UNKNOWN_LOCK)
        end = self._first + len(self._stretch_of)
        found: dict[tuple[int, int], tuple[int, int, int]] = {}
        for day, epoch, chamber, first, last, pours in usage.records:
            if chamber and self._first <= day < end:
                low, high, so_far = found.get((epoch, chamber), (first, last, 0))
                found[epoch, chamber] = (min(low, first), max(high, last), so_far + pours)
        runs = []
        for (epoch, chamber), (first, last, pours) in found.items():
            before = self._last_before(usage, epoch, chamber)
            opening = not before and any(
                (o.lock, o.chamber) == (lock, chamber) for o in self._holders.openings
            )
            if before >= first or opening:
                return None
            records = view.of_numbers(lock, epoch, [before or first, first, last])
            ends = {record.seq: record for record in records if not record.unverified}
            run = proven_run(lock, chamber, ends[first], ends[before] if before else None, ends[last], pours)
            if run is None:
                return None
            runs.append(run)
        return runs

    def _stretch_on(self, day: date) -> int | None:
        place = day_number(day) - self._first
        return self._stretch_of[place] if 0 <= place < len(self._stretch_of) else None

    def digest(self) -> str:
        """Return a SHA-256 over the counts, in place of one over the entries."""
        whole = sha256()
        for lock, usage in sorted(self._locks.items()):
            whole.update(repr((lock, sorted(usage.credentials.items()), usage.loose)).encode())
            whole.update(array("q", chain.from_iterable(usage.days)).tobytes())
        return whole.hexdigest()

    def _last_before(self, usage: LockUsage, epoch: int, chamber: int) -> int:
        """Return the greatest number that is filed before the period, 0 if there is none."""
        known = [b.last_before for b in usage.bounds if (b.epoch, b.chamber) == (epoch, chamber)]
        # What was read begins a day before the period.
        known += [
            filed.last_seq
            for filed in usage.records
            if (filed.epoch, filed.chamber) == (epoch, chamber) and filed.day < self._first
        ]
        return max(known, default=0)

    def _group(
        self, lock: str, usage: LockUsage, key: tuple[int, int, int, int, int], pours: int
    ) -> PourGroup:
        stretch, chamber, credential_no, volume_ml, traits = key
        at_s = self._stretches[stretch]
        return PourGroup(lock, chamber, usage.credentials.get(credential_no), volume_ml, traits, pours, at_s)

    def _cut(self) -> None:
        """Cut the period into stretches of quiet days, each within a month."""
        holders = self._holders
        changing = {
            day
            for at_s in holders.all_changes()
            # A pour at t may lie on the other side of a change at c if t - u < c <= t + u.
            for day in (holders.day_of(at_s - GOOD_WITHIN_S), holders.day_of(at_s + GOOD_WITHIN_S - 1))
        }
        day, month = holders.first, (0, 0)
        while day < holders.end:
            if day in changing:
                self._stretch_of.append(None)
                month = (0, 0)
            else:
                if (day.year, day.month) != month:
                    month = (day.year, day.month)
                    self._stretches.append(holders.begin_of(day) + _NOON_S)
                self._stretch_of.append(len(self._stretches) - 1)
            day += _DAY


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans of numbers, by number, those that overlap or adjoin made one."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
