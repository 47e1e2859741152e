"""Waits until a lock's records have left it for good: on this disk, then in the ledger or in a signed export."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edge_agent.custody import Cursor
from edge_agent.drivers.base import Driver
from edge_agent.errors import NotReady
from edge_agent.spool_reader import SpoolReader
from edge_agent.technician.spool_listing import is_received, opened_reader, read_page
from wastelock.archive import Manifest
from wastelock.protocol import Reading
from wastelock.registers import lock_id

_LOOK_S = 1.0
_PAGES_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Waiting:
    """For how long; `clock` is monotonic s, `idle` is called now and then with what is waited for."""

    patience_s: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    idle: Callable[[str], object] = lambda _what: None

    def until(self, done: Callable[[], bool], what: str) -> bool:
        """True as soon as it is done, False once the time is over."""
        deadline = self.clock() + self.patience_s
        while not done():
            if self.clock() >= deadline:
                return False
            self.idle(what)
            self.sleep(_LOOK_S)
        return True


def await_disk(spool: Path, reading: Reading, waiting: Waiting) -> None:
    """Return once all records up to this reading are on disk; NotReady says what to do where they don't come."""

    def is_here() -> bool:
        return _spooled(spool, reading.lock) >= (reading.epoch, reading.newest_seq)

    if not reading.newest_seq or waiting.until(is_here, "its records on this disk"):
        return
    epoch, seq = _spooled(spool, reading.lock)
    told = f"up to {seq} of epoch {epoch}" if seq else "none"
    raise NotReady(
        f"lock {reading.lock} has records up to {reading.newest_seq} of epoch {reading.epoch}, on this disk are "
        f"{told}: only a running agent reads and confirms them: systemctl start wastelock-edge-agent; see "
        "`edge-agent watch`, then begin again"
    )


def await_visit(spool: Path, counter: Driver, waiting: Waiting) -> None:
    """Return once the agent has derived all pours of a lock without a journal, and has them on disk.

    `counter` then goes on from what is there, as the agent's own driver would. NotReady where they don't come.
    """
    lock = lock_id(counter.identify().serial)

    def is_here() -> bool:
        cursor = _cursor(spool, lock)
        if cursor is None:
            return False
        counter.restore(cursor)
        counter.read_status()
        status = (
            counter.read_status()
        )  # two readings tell a reset from a bad answer: the agent has to see it first
        return (status.epoch, status.newest_seq) == (cursor.epoch, cursor.seq)

    if not waiting.until(is_here, "the agent's next look at its registers"):
        raise NotReady(
            f"the registers of lock {lock} have moved on from what is on this disk: only a running agent derives "
            "pours of them: systemctl start wastelock-edge-agent; see `edge-agent watch`, then begin again"
        )


def await_ledger(
    spool: Path, lock: str, exports: Sequence[tuple[Path, Manifest]], waiting: Waiting
) -> list[tuple[str, Path]]:
    """Return once each page with a record of the lock is in the ledger, or in one of these exports.

    Returns the pages that only an export holds. NotReady where some are in neither.
    """
    found: dict[str, list[tuple[str, int]]] = {}

    def is_safe() -> bool:
        found["waiting"] = unreceived_pages(spool, lock)
        return all(_holder(exports, *page) is not None for page in found["waiting"])

    if waiting.until(is_safe, "the ledger's receipt"):
        held = [
            (f"{journal} page {page}", _holder(exports, journal, page)) for journal, page in found["waiting"]
        ]
        return [(page, file) for page, file in held if file is not None]
    count = len(found["waiting"])
    raise NotReady(
        f"{count} pages with records of lock {lock} aren't in the ledger yet: see `edge-agent doctor` for the way to "
        "the broker; without a network: `edge-agent spool export --unreceived --to DIR`, and name the file with "
        "--exported; then begin again"
    )


def unreceived_pages(spool: Path, lock: str) -> list[tuple[str, int]]:
    """Return (journal, page) of each page that no receipt covers and that holds a record of this lock."""
    pages: list[tuple[str, int]] = []
    if not spool.exists():
        return pages
    with opened_reader(spool) as reader:
        for view in reader.journals():
            held, after = reader.held(view.id), view.committed_through
            while numbers := reader.pages_after(view.id, after, _PAGES_AT_ONCE):
                for number in numbers:
                    stored = None if is_received(view, held, number) else reader.page(view.id, number)
                    if stored and any(record.lock == lock for record in read_page(spool, stored).records):
                        pages.append((view.uuid, number))
                after = numbers[-1]
    return pages


def _cursor(spool: Path, lock: str) -> Cursor | None:
    if not spool.exists():
        return None
    with closing(SpoolReader(spool)) as reader:
        return reader.cursor(lock)


def _spooled(spool: Path, lock: str) -> tuple[int, int]:
    if not spool.exists():
        return 0, 0
    with closing(SpoolReader(spool)) as reader:
        epoch, seq, _ = reader.cursors().get(lock, (0, 0, None))
        return epoch, seq


def _holder(exports: Sequence[tuple[Path, Manifest]], journal: str, page: int) -> Path | None:
    return next((file for file, manifest in exports if manifest.holds(journal, page)), None)
