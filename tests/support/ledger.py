"""A ledger with its keys in a temporary directory, without MQTT: checked pages go straight into the book."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cloud_sink.checking import CheckedPage, Message, Rejected, check_message
from cloud_sink.keys import KeyFiles, KeyRing
from cloud_sink.ledger.book import Book, Outcome
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.quarantine import Quota
from cloud_sink.reading import Entry, LedgerReader
from tests.support.fake_gateway import START, FakeGateway, FakeLock, SealedPage

PSEUDONYM_KEY = bytes(range(32))
MIB = 1024 * 1024


def write_keys(directory: Path, gateways: Iterable[FakeGateway], locks: Iterable[FakeLock] = ()) -> None:
    """Write gateways.toml, lock-keys.csv and pseudonym.key as the sink's configuration names them."""
    (directory / "gateways.toml").write_text("\n".join(gateway.toml() for gateway in gateways))
    rows = [f"{lock.name},{lock.epoch},{lock.key.hex()}" for lock in locks if lock.key]
    (directory / "lock-keys.csv").write_text("\n".join(["lock,from_epoch,key", *rows]) + "\n")
    path = directory / "pseudonym.key"
    path.touch(mode=0o600)
    path.write_text(PSEUDONYM_KEY.hex() + "\n")


def load_keys(directory: Path) -> KeyRing:
    return KeyFiles(
        directory / "gateways.toml", directory / "lock-keys.csv", directory / "pseudonym.key"
    ).load()


def message(page: SealedPage, at: datetime = START, **changes: object) -> Message:
    """Return a page's message as MQTT would bring it, with whatever is to be wrong about it."""
    fields: dict[str, object] = {
        "topic": page.topic, "payload": page.payload, "kid": page.kid, "sig": page.sig, "received_at": at, **changes,
    }  # fmt: skip
    return Message(**fields)  # type: ignore[arg-type]  # the caller knows which field is of which type


def pseudonym(ledger: "Ledger", uid: int) -> str:
    """Return how the ledger shows a transponder."""
    return (ledger.keys.pseudonyms.of(uid) or b"").hex()


@dataclass
class StepClock:
    """A clock that goes on by a second each time somebody looks at it."""

    at: datetime = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


class Ledger:
    """`ledger.take(page, …)` checks and commits; `ledger.entries()` and `ledger.reader` read."""

    def __init__(
        self, url: str, directory: Path, gateways: Sequence[FakeGateway], locks: Sequence[FakeLock] = ()
    ) -> None:
        self.url = url
        self.directory = directory
        self.clock = StepClock()
        self.know(gateways, locks)
        self.database = Database(url)
        self.book = Book(self.database, Quota(4 * MIB, MIB), self.clock)
        self.book.prepare(self.keys.pseudonyms.fingerprint)
        self.reader = LedgerReader(url)

    def know(self, gateways: Iterable[FakeGateway], locks: Iterable[FakeLock] = ()) -> None:
        """Replace the keys that the ledger knows."""
        write_keys(self.directory, gateways, locks)
        self.keys = load_keys(self.directory)

    def take(self, *pages: SealedPage | Message) -> Outcome:
        """Commit these in one transaction."""
        messages = [item if isinstance(item, Message) else message(item) for item in pages]
        results = [check_message(item, self.keys) for item in messages]
        return self.book.commit(
            [item for item in results if isinstance(item, CheckedPage)],
            [item for item in results if isinstance(item, Rejected)],
        )

    def entries(self) -> list[Entry]:
        return list(self.reader.all_entries())

    def identities(self) -> list[tuple[str, int, int]]:
        return [(entry.lock, entry.epoch, entry.seq) for entry in self.entries()]

    def close(self) -> None:
        self.reader.close()
        self.database.close()
