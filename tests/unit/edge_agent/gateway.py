"""What the tests of spool and forwarder need: a gateway's names and key, visits with believable records, a spool."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.custody import JournalRecord, Visit
from edge_agent.spool import Spool, SpoolLimits
from edge_agent.spool_pages import Sealer
from wastelock.page import SigningKey
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
) -> Spool:
    limits = SpoolLimits(max_bytes, round(keep_days * 86_400_000), reserve_bytes)
    clock = clock or Clock()
    return Spool(path, limits, Sealer(TOPICS, KEY), clock.now, lambda: "ntp", on_sealed=on_sealed)


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
