"""What the tests of spool and forwarder need: a gateway's names and key, visits with believable records, a spool."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.alarms import Alarms
from edge_agent.custody import JournalRecord, Visit
from edge_agent.spool import Spool, SpoolLimits
from edge_agent.spool_pages import Sealer
from edge_agent.spool_reader import JournalView, SpoolReader, StoredPage
from tests.support.controller import Controller
from wastelock.messages import Receipt
from wastelock.page import SigningKey, page_hash, parse_page
from wastelock.record import Kind, Record, encode_record
from wastelock.topics import GatewayTopics

TOPICS = GatewayTopics("site-1", "gw-0001")
KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
MIB = 1024 * 1024


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    def move(self, **how: float) -> None:
        self.at += timedelta(**how)


def visit(
    lock: int = 0x1F00A1, seq: int = 1, count: int = 1, epoch: int = 1, memo: bytes | None = None
) -> Visit:
    """Return a visit that brought `count` pours from `seq` on."""
    records = tuple(
        JournalRecord(
            n,
            encode_record(
                Record(
                    n,
                    1_795_000_000 + n,
                    1,
                    Kind.POUR,
                    chamber=1,
                    flags=1,
                    uid=n,
                    volume_ml=5000,
                    register_after=n,
                ),
                lock,
                epoch,
            ),
        )
        for n in range(seq, seq + count)
    )
    return Visit(f"{lock:06x}", "wlc-1", epoch, records, START, -2, memo)


def make_spool(
    path: Path,
    clock: Clock | None = None,
    *,
    max_bytes: int = 64 * MIB,
    keep_days: float = 14,
    reserve_bytes: int = 4096,
    on_sealed: Callable[[], None] = lambda: None,
    alarms: Alarms | None = None,
) -> Spool:
    limits = SpoolLimits(max_bytes, round(keep_days * 86_400_000), reserve_bytes)
    clock = clock or Clock()
    return Spool(
        path, limits, Sealer(TOPICS, KEY), clock.now, lambda: "ntp", on_sealed=on_sealed, alarms=alarms
    )


def keep_all(path: Path, controller: Controller) -> None:
    """Have all that a controller's ring holds in a spool, as one visit more."""
    records = [
        JournalRecord(seq, controller.raw(seq)) for seq in range(controller.oldest, controller.newest + 1)
    ]
    with opened(make_spool(path)) as spool:
        spool.seal(Visit(f"{controller.serial:06x}", "wlc-1", controller.epoch, records, START, 0))


@contextmanager
def opened(spool: Spool) -> Iterator[Spool]:
    """Start a spool and close it; what made its writer end by itself is raised."""
    spool.start()
    try:
        yield spool
    finally:
        spool.close()
    if spool.failure is not None:
        raise spool.failure


def all_pages(path: Path, state: str = "%") -> list[StoredPage]:
    """Return every page of a spool's journals in that state, each checked against its hash."""
    reader = SpoolReader(path)
    try:
        pages = []
        for journal in reader.journals():
            if state in ("%", journal.state):
                for number in reader.pages_after(journal.id, 0, 1_000_000):
                    page = reader.page(journal.id, number)
                    if page is not None:  # else it was pruned meanwhile
                        pages.append(page)
        return pages
    finally:
        reader.close()


def active(path: Path) -> JournalView:
    reader = SpoolReader(path)
    try:
        return next(view for view in reader.journals() if view.state == "active")
    finally:
        reader.close()


def receipt_for(
    path: Path, through: int, head: str | None = None, journal: str | None = None, **more: Any
) -> Receipt:
    """Return the receipt of a ledger that has this spool's active journal up to `through`."""
    view = active(path)
    if through and head is None:
        reader = SpoolReader(path)
        page = reader.page(view.id, through)
        reader.close()
        head = page_hash(page.payload) if page else view.newest_hash
    return Receipt(journal=journal or view.uuid, committed_through=through, head=head, at=START, **more)


def assert_chain(pages: Sequence[StoredPage]) -> None:
    """Each page names the hash of the one before it."""
    parsed = [parse_page(page.payload) for page in pages]
    for number, (page, before) in enumerate(zip(parsed[1:], pages, strict=False)):
        assert page.page == parsed[number].page + 1
        assert page.prev == page_hash(before.payload)
