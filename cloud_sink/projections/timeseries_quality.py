"""The quality of each lock's data, interval by interval of the ledger's own time. Pure.

An interval is open until an entry is committed after it; then each lock that had an entry within it, or a dispute that
was noticed or resolved, gets a point. So a point depends on nothing but the order of commits: writing all of them again
gives the same ones, however entries were cut into batches.

Records are counted by their numbers: from the first to the last that came of an epoch there should be one of each.
"""

from bisect import bisect_left
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cloud_sink.ledger.instants import to_ms
from cloud_sink.projections.timeseries_points import QualityPoint, clock_quality, latency_ms
from cloud_sink.reading import Entry


@dataclass(slots=True)
class EpochRecords:
    """Of one epoch: the first and last number that came, and how many did."""

    first_seq: int
    last_seq: int
    records: int

    def count(self, seq: int) -> None:
        self.first_seq = min(self.first_seq, seq)
        self.last_seq = max(self.last_seq, seq)
        self.records += 1


@dataclass(slots=True)
class LockQuality:
    """One lock so far. What stands below `interval_no` is of that interval only."""

    lock: str
    site: str
    interval_no: int = -1
    pours: int = 0
    timed: int = 0
    latency_sum_ms: int = 0
    latency_max_ms: int = 0
    doubtful: int = 0
    epochs: dict[int, EpochRecords] = field(default_factory=dict)

    def take(self, entry: Entry, interval_no: int, again: bool) -> None:
        """Count an entry. `again`: its number was counted before, by a copy whose CRC held, or didn't."""
        if interval_no != self.interval_no:
            self.interval_no, self.pours, self.timed, self.doubtful = interval_no, 0, 0, 0
            self.latency_sum_ms = self.latency_max_ms = 0
        self.site = entry.site
        if not again:
            known = self.epochs.setdefault(entry.epoch, EpochRecords(entry.seq, entry.seq, 0))
            known.count(entry.seq)
        if entry.is_complete_pour and not entry.unverified:
            self.pours += 1
            self.doubtful += not clock_quality(entry).is_good
            latency = latency_ms(entry)
            if latency is not None:
                self.timed += 1
                self.latency_sum_ms += latency
                self.latency_max_ms = max(self.latency_max_ms, latency)

    def point(self, interval_no: int, at_ms: int, disputes: int) -> QualityPoint:
        """Return the point of an interval that has ended."""
        records = sum(epoch.records for epoch in self.epochs.values())
        expected = sum(epoch.last_seq - epoch.first_seq + 1 for epoch in self.epochs.values())
        if interval_no != self.interval_no:
            return QualityPoint(self.site, self.lock, at_ms, records, expected, disputes)
        return QualityPoint(
            self.site, self.lock, at_ms, records, expected, disputes,
            self.pours, self.timed, self.latency_sum_ms, self.latency_max_ms, self.doubtful,
        )  # fmt: skip


class DisputeSpan(NamedTuple):
    """When a dispute about a lock's record was noticed, and resolved if it was."""

    lock: str
    noticed_ms: int
    resolved_ms: int | None

    def is_open(self, at_ms: int) -> bool:
        """True if it was noticed before an instant and not resolved by then."""
        return self.noticed_ms < at_ms and (self.resolved_ms is None or self.resolved_ms >= at_ms)


class Known(Protocol):
    """What is known besides the entries at hand."""

    def locks(self, names: Iterable[str]) -> dict[str, LockQuality]:
        """Return these locks as they stand before the entries at hand; one that had no entry yet is left out."""

    def disputes(self, since_ms: int) -> Iterable[DisputeSpan]:
        """Return the disputes that were open at an instant, or noticed later."""


class Intervals:
    """Takes entries in the ledger's order and makes the points of intervals as they end."""

    def __init__(
        self, interval_s: int, interval_no: int, locks: Mapping[str, LockQuality], known: Known
    ) -> None:
        """`interval_no`: the open interval, -1 before the first entry. `locks`: all that had entries in it."""
        self._interval_ms = interval_s * 1000
        self._known = known
        self._learned = False
        self._disputes: dict[str, list[DisputeSpan]] = {}
        self._changes: list[tuple[int, str]] = []  # when a dispute was noticed or resolved, in order
        self.interval_no = interval_no
        self.locks = dict(locks)
        self.points: list[QualityPoint] = []

    def take(self, entries: Sequence[Entry], again: Container[int] = ()) -> None:
        """Count entries. `again`: positions of those whose number was counted before."""
        self._load({entry.lock for entry in entries})
        for entry in entries:
            # A clock that was set back doesn't open an interval again: what comes late belongs to the open one.
            interval_no = max(self.interval_no, to_ms(entry.committed_at) // self._interval_ms)
            if interval_no > self.interval_no >= 0:
                self._close(interval_no)
            self.interval_no = interval_no
            lock = self.locks.setdefault(entry.lock, LockQuality(entry.lock, entry.site))
            lock.take(entry, interval_no, entry.position in again)

    def _close(self, next_no: int) -> None:
        """Make the points of the open interval, and of those without entries up to the next one with some."""
        first_ms, end_ms = self.interval_no * self._interval_ms, next_no * self._interval_ms
        due = {
            (self.interval_no, lock.lock)
            for lock in self.locks.values()
            if lock.interval_no == self.interval_no
        }
        if not self._learned:
            self._learn(self._known.disputes(first_ms))
        begin, end = (bisect_left(self._changes, (at_ms, "")) for at_ms in (first_ms, end_ms))
        for at_ms, name in self._changes[begin:end]:
            if name in self.locks:
                due.add((at_ms // self._interval_ms, name))
        for interval_no, name in sorted(due):
            at_ms = (interval_no + 1) * self._interval_ms
            disputes = (
                sum(span.is_open(at_ms) for span in self._disputes[name]) if name in self._disputes else 0
            )
            self.points.append(self.locks[name].point(interval_no, at_ms, disputes))

    def _learn(self, spans: Iterable[DisputeSpan]) -> None:
        self._learned = True
        for span in spans:
            self._disputes.setdefault(span.lock, []).append(span)
            self._changes += [(at_ms, span.lock) for at_ms in span[1:] if at_ms is not None]
        self._changes.sort()
        self._load(self._disputes)

    def _load(self, names: Iterable[str]) -> None:
        self.locks.update(self._known.locks([name for name in names if name not in self.locks]))
