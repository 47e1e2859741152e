"""Walks one controller's journal: chunks of records, bad ones looked at again, overwritten ones counted.

from_seq … newest     good records are collected until the time is up
a bad CRC-32          collecting ends before it; it is read again in later visits, and after READS_TO_GIVE_UP reads
                      over GIVE_UP_AFTER_S it is taken as it is, marked unverified
an overwritten slot   counted, and reading goes on at the oldest record that can still be there
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edge_agent.custody import JournalRecord
from edge_agent.drivers.base import RECORDS_PER_STEP, Driver
from edge_agent.errors import BusError
from wastelock.registers import Status

READS_TO_GIVE_UP = 5
GIVE_UP_AFTER_S = 10.0
LOOK_AGAIN_S = GIVE_UP_AFTER_S / (READS_TO_GIVE_UP - 1)


@dataclass(slots=True)
class _Suspect:
    """A record whose CRC-32 hasn't held yet."""

    first_read_at: float
    reads: int = 0

    def is_hopeless(self, now: float) -> bool:
        return self.reads >= READS_TO_GIVE_UP and now - self.first_read_at >= GIVE_UP_AFTER_S


@dataclass(slots=True)
class Batch:
    """What one walk brought, ascending in seq.

    `overwritten`: how many records were gone before they could be read. `held_up`: the record that comes next has to be
    looked at again. `error`: why the walk ended early, after these records.
    """

    records: list[JournalRecord] = field(default_factory=list)
    overwritten: int = 0
    held_up: bool = False
    error: BusError | None = None

    @property
    def unverified(self) -> int:
        return sum(not record.verified for record in self.records)


class JournalReader:
    """Reads one lock's journal; remembers between walks which records were bad, and how far overwritten ones count."""

    def __init__(self, driver: Driver, clock: Callable[[], float]) -> None:
        self._driver = driver
        self._clock = clock
        self._suspects: dict[int, _Suspect] = {}
        self._epoch = self._gone_through = 0

    def enter(self, epoch: int) -> None:
        """Read the journal of this epoch: what was bad or gone in another one says nothing about it."""
        if epoch != self._epoch:
            self._epoch, self._gone_through = epoch, 0
            self._suspects.clear()

    def collect(
        self, from_seq: int, status: Status, capacity: int, most: int, is_over: Callable[[], bool]
    ) -> Batch:
        """Read the records `from_seq`..newest of `status`: at most `most`, at least one step, until `is_over`.

        Records that the controller doesn't have any more are skipped and counted.
        """
        batch = Batch()
        seq = self._skip_to(status.oldest_seq, from_seq, batch)
        while seq <= status.newest_seq and len(batch.records) < most:
            limit = min(RECORDS_PER_STEP, status.newest_seq - seq + 1, most - len(batch.records))
            try:
                step = self._driver.read_journal(seq, limit)
            except BusError as error:
                batch.error = error
                break
            self._take(step.records, batch)
            seq += len(step.records)
            if batch.held_up:
                break
            if step.overwritten_by is not None:
                # Whoever wrote record n left n - capacity + 1 as the oldest that can be there.
                seq = self._skip_to(step.overwritten_by - capacity + 1, seq, batch)
            elif not step.records:
                break
            if is_over():
                break
        return batch

    def _skip_to(self, oldest: int, seq: int, batch: Batch) -> int:
        """Return where to read on, having counted the records `seq`..`oldest - 1` (each once) as overwritten."""
        if oldest <= seq:
            return seq
        batch.overwritten += max(0, oldest - max(seq, self._gone_through + 1))
        self._gone_through = max(self._gone_through, oldest - 1)
        self._suspects = {bad: suspect for bad, suspect in self._suspects.items() if bad >= oldest}
        return oldest

    def _take(self, records: Sequence[JournalRecord], batch: Batch) -> None:
        """Collect the records up to the first that has to be looked at again; count the bad ones behind it, too."""
        for record in records:
            if record.verified:
                if self._suspects:
                    self._suspects.pop(record.seq, None)
            elif not self._is_hopeless(record.seq):
                batch.held_up = True
            if not batch.held_up:
                batch.records.append(record)
                if not record.verified:
                    self._suspects.pop(record.seq, None)

    def _is_hopeless(self, seq: int) -> bool:
        now = self._clock()
        suspect = self._suspects.setdefault(seq, _Suspect(now))
        suspect.reads += 1
        return suspect.is_hopeless(now)
