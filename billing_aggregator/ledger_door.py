"""The one door from billing to the ledger: nothing else of billing imports anything of the sink's.

    with door.view(position) as view:      one snapshot of the ledger, only entries up to `position`
        view.records(lock, …)              single records, as the ledger keeps them (`LockRecord`)
        view.missing(lock)                 what its journal lacks, gone or on its way
    door.daily_usage(locks, …)             usage per day, kept up to date as entries arrive (`DailyUsage`)

Locks go by their names here, days are local days; what the sink's reader raises becomes an error of billing.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from billing_aggregator.errors import ConfigError, StoreUnavailable
from billing_aggregator.model import MissingRecords
from cloud_sink.reading import (
    INCIDENTS,
    LedgerReader,
    LockRecord,
    LockRecords,
    LockUsage,
    RecordGap,
    SinkError,
    UsageReader,
    default_url,
)
from cloud_sink.reading import ConfigError as SinkConfigError

__all__ = ["INCIDENTS", "DailyUsage", "LedgerDoor", "LedgerView", "LockRecord", "LockUsage"]

_1970 = date(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BUFFERED = "buffered"


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """Usage per day of some locks, by name; of those that the ledger knows.

    `position`: the ledger's, that it goes up to. `zone`: whose local days are counted, as whole days since 1970.
    """

    position: int
    zone: str
    locks: dict[str, LockUsage]


def day_number(day: date) -> int:
    """Return a local day as whole days since 1970, as usage per day has it."""
    return (day - _1970).days


class LedgerView:
    """One snapshot of the ledger. A lock that the ledger doesn't know has no records."""

    def __init__(self, reader: LedgerReader, records: LockRecords) -> None:
        self._reader = reader
        self._records = records
        self._numbers: dict[str, int | None] = {}

    @property
    def position(self) -> int:
        """The position of the newest entry that is seen."""
        return self._records.position

    def in_time(
        self, lock: str, first_s: int, end_s: int, credentials: Collection[bytes] | None = None
    ) -> list[LockRecord]:
        """Return what was written in these unix seconds, and all of doubtful time or contents, by (epoch, seq).

        `credentials`: only what names one of these transponders.
        """
        number = self._number(lock)
        return [] if number is None else self._records.in_time(number, first_s, end_s, credentials)

    def between(self, lock: str, epoch: int, first_seq: int, last_seq: int) -> list[LockRecord]:
        """Return the records first_seq..last_seq of an epoch."""
        number = self._number(lock)
        return [] if number is None else self._records.between(number, epoch, first_seq, last_seq)

    def of_numbers(self, lock: str, epoch: int, numbers: Sequence[int]) -> list[LockRecord]:
        """Return the records of these sequence numbers of an epoch."""
        number = self._number(lock)
        return [] if number is None else self._records.of_numbers(number, epoch, numbers)

    def clock_set_after(self, lock: str, record: LockRecord) -> LockRecord | None:
        """Return the record by which the clock was set next within that boot, None if there is none."""
        number = self._number(lock)
        return None if number is None else self._records.clock_set_after(number, record)

    def register_before(self, lock: str, epoch: int, chamber: int, seq: int) -> LockRecord | None:
        """Return a chamber's last verified pour or register report before a sequence number."""
        number = self._number(lock)
        return None if number is None else self._records.register_before(number, epoch, chamber, seq)

    def registers(self, lock: str, first_s: int, end_s: int) -> dict[int, list[LockRecord]]:
        """Return, by epoch, what tells of registers between the first and last record filed in these unix seconds.

        By seq: verified pours and register reports, unverified records; before them each chamber's last one.
        """
        number = self._number(lock)
        if number is None:
            return {}
        spans = self._records.register_spans(number, first_s, end_s)
        return {span.epoch: self._records.register_records(number, span) for span in spans}

    def disputed(self, lock: str, known_at: datetime) -> dict[tuple[int, int], str]:
        """Return, by (epoch, seq), the kind of dispute about an entry (`record`, `mac`) that was open at an instant."""
        number = self._number(lock)
        known_ms = (known_at - _EPOCH) // timedelta(milliseconds=1)
        return {} if number is None else self._records.disputed(number, known_ms)

    def missing(self, lock: str) -> list[MissingRecords]:
        """Return what this view lacks of a lock's journal; what came after its position was still on its way."""
        number = self._number(lock)
        later = [] if number is None else self._records.came_later(number)
        gaps = [_missing(gap) for gap in self._reader.record_gaps(lock)]
        return sorted(
            [*gaps, *_ranges(lock, later)], key=lambda gap: (gap.lock, gap.epoch, gap.first_seq, gap.last_seq)
        )

    def _number(self, lock: str) -> int | None:
        if lock not in self._numbers:
            self._numbers[lock] = self._records.numbers([lock]).get(lock)
        return self._numbers[lock]


class LedgerDoor:
    """Reads the ledger, and usage per day where it is kept. Read-only by the database's own word."""

    def __init__(self, ledger_url: str, projections_url: str | None = None) -> None:
        """`projections_url`: None for where the sink puts them by default.

        ConfigError if the ledger's schema isn't this release's, StoreUnavailable if it can't be reached.
        """
        self._usage: UsageReader | None = None
        self._projections_url = projections_url or default_url(ledger_url)
        with _billing_errors():
            self._ledger = LedgerReader(ledger_url)

    def close(self) -> None:
        self._ledger.close()
        if self._usage is not None:
            self._usage.close()

    def last_position(self) -> int:
        """Return the position of the ledger's newest entry."""
        with _billing_errors():
            return self._ledger.last_position()

    @contextmanager
    def view(self, position: int | None = None) -> Iterator[LedgerView]:
        """One snapshot of the ledger; `position`: the newest entry to be seen, None for all there is."""
        with _billing_errors(), self._ledger.lock_records(position) as records:
            yield LedgerView(self._ledger, records)

    def daily_usage(self, locks: Sequence[str], first: date, end: date) -> DailyUsage:
        """Return usage per day of these locks from `first` up to, not including, `end`.

        ConfigError if none is kept, or by another release: its message says what to run.
        """
        with _billing_errors():
            if self._usage is None:
                self._usage = UsageReader(self._projections_url, self._ledger.fingerprint())
            with self._ledger.lock_records() as records:
                numbers = records.numbers(locks)
            window = self._usage.read(list(numbers.values()), day_number(first), day_number(end))
            if window.position > self._ledger.last_position():
                raise ConfigError(
                    [
                        "usage per day goes further than the ledger, which was restored: run `cloud-sink rebuild usage`"
                    ]
                )
        found = {lock: window.locks[number] for lock, number in numbers.items()}
        return DailyUsage(window.position, window.zone, found)


def _missing(gap: RecordGap) -> MissingRecords:
    return MissingRecords(gap.lock, gap.epoch, gap.first, gap.last, gap.state != _BUFFERED, gap.reason)


def _ranges(lock: str, later: Sequence[tuple[int, int]]) -> list[MissingRecords]:
    """Return runs of consecutive numbers. `later`: (epoch, seq), in order."""
    found: list[list[int]] = []
    for epoch, seq in later:
        if found and found[-1][0] == epoch and found[-1][2] == seq - 1:
            found[-1][2] = seq
        else:
            found.append([epoch, seq, seq])
    return [MissingRecords(lock, epoch, first, last, False, "came later") for epoch, first, last in found]


@contextmanager
def _billing_errors() -> Iterator[None]:
    try:
        yield
    except SinkConfigError as error:
        raise ConfigError(list(error.problems)) from error
    except SinkError as error:
        raise StoreUnavailable(str(error)) from error
