"""Does a full spool slow the gateway down? The same things done to a spool of a million records and to an empty one.

figure    latency in ms with 1,000,000 records (100,000 pages of 10) that no receipt covers yet
baseline  the same with one page of each of the 64 locks

Both spools are open at the same time and take turns, so that both meet the same moods of the machine.
"""

import os
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.table import Baseline, Goal, Row
from bench.workplace import BenchFailed, Workplace, take_turns
from edge_agent.custody import JournalRecord, Visit
from edge_agent.spool import Spool, SpoolLimits
from edge_agent.spool_pages import Sealer
from edge_agent.spool_reader import SpoolReader
from edge_agent.spool_status import summarise
from wastelock.messages import Receipt
from wastelock.page import SigningKey, page_hash
from wastelock.record import RECORD_BYTES
from wastelock.topics import GatewayTopics

NOTICEABLE = 1.5
_LOCKS = 64
_PAGE_RECORDS = 10
_EMPTY_PAGES = _LOCKS  # one of each lock: both spools know the same locks
_LIMITS = SpoolLimits(max_bytes=8 << 30, keep_ms=86_400_000, reserve_bytes=1 << 20)
_SCAN = 256  # as many as the forwarder looks for at once


class Depot:
    """One spool, filled and then used as the agent uses it."""

    def __init__(self, directory: Path, pages: int) -> None:
        self.path = directory / f"spool-{pages}.db"
        key = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))
        self._sealer = Sealer(GatewayTopics("estate-1", "gw-0001"), key)
        self._seq = 0
        self._received = 0
        self._open()
        self._fill(pages)

    def reopen(self) -> None:
        """Close the spool and open it as an agent does that starts: whatever is checked then is checked."""
        self.close()
        self._open()

    def _open(self) -> None:
        self.spool = self._made()
        self.spool.start()
        self.reader = SpoolReader(self.path)

    def close(self) -> None:
        self.reader.close()
        self.spool.close()

    def seal(self) -> None:
        """A visit that brought two records: on the disk when this returns."""
        self._seq += 2
        self.spool.seal(_visit(_LOCKS, self._seq - 1, 2))

    def read_next(self) -> None:
        """Find the next pages to send, and read the first."""
        journal = self.reader.journals()[0]
        (first, *_) = self.reader.pages_after(journal.id, journal.committed_through, _SCAN)
        if self.reader.page(journal.id, first) is None:
            raise BenchFailed(f"{self.path}: page {first} can't be read")

    def take_receipt(self) -> None:
        """The ledger has committed one more page."""
        journal = self.reader.journals()[0]
        self._received += 1
        page = self.reader.page(journal.id, self._received)
        if page is None:
            raise BenchFailed(f"{self.path}: page {self._received} isn't there")
        receipt = Receipt(
            journal=journal.uuid,
            committed_through=self._received,
            head=page_hash(page.payload),
            at=datetime.now(UTC),
        )
        self.spool.apply_receipt(receipt)

    def status(self) -> None:
        """What telemetry and `edge-agent status` ask for."""
        summarise(self.reader)
        self.reader.cursors()

    def _made(self) -> Spool:
        return Spool(self.path, _LIMITS, self._sealer, lambda: datetime.now(UTC), lambda: "ntp")

    def _fill(self, pages: int) -> None:
        """Seal from many threads at once: what waits at the same time shares one fsync."""
        each = -(-pages // _LOCKS)

        def seal(lock: int) -> None:
            for index in range(min(each, pages - lock * each)):
                self.spool.seal(_visit(lock, index * _PAGE_RECORDS + 1, _PAGE_RECORDS))

        with ThreadPoolExecutor(_LOCKS) as pool:
            list(pool.map(seal, range(_LOCKS)))


def _visit(lock: int, first: int, records: int) -> Visit:
    """Return a visit that brought records from `first` on; what they say is nothing to the spool."""
    seqs = range(first, first + records)
    read = [JournalRecord(seq, struct.pack(">I", seq) + bytes(RECORD_BYTES - 4)) for seq in seqs]
    return Visit(f"{0x1F0100 + lock:06x}", "wlc-1", 1, read, datetime.now(UTC), 0)


ACTIONS: tuple[tuple[str, Callable[[Depot], None], int], ...] = (
    ("seal a visit's page (fsync)", Depot.seal, 200),
    ("next pages to send, read one", Depot.read_next, 200),
    ("note a receipt (fsync)", Depot.take_receipt, 200),
    ("status", Depot.status, 200),
    ("open, check, close", Depot.reopen, 15),
)


def run(place: Workplace) -> list[Row]:
    records = place.pick(1_000_000, 50_000)
    place.say(f"sealing {records:,} records into a spool")
    full = Depot(place.directory, records // _PAGE_RECORDS)
    empty = Depot(place.directory, _EMPTY_PAGES)
    os.sync()  # what is still on its way to the disk from filling isn't what is measured
    try:
        return [_compare(place, full, empty, f"{records:,}", *action) for action in ACTIONS]
    finally:
        full.close()
        empty.close()


def _compare(
    place: Workplace,
    full: Depot,
    empty: Depot,
    records: str,
    what: str,
    action: Callable[[Depot], None],
    times: int,
) -> Row:
    place.say(what)
    full_ms, empty_ms = take_turns(place, lambda: lambda: action(full), lambda: lambda: action(empty), times)
    baseline = Baseline("the same with 640 records", empty_ms)
    return Row(
        f"{what}, {records} records there", "ms", full_ms, baseline, Goal("ratio", "at most", NOTICEABLE)
    )
