"""What commands on runs work with, opened together: configuration, billing's own books, the door to the ledger."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from billing_aggregator.config import Config
from billing_aggregator.database import Database, migrate
from billing_aggregator.ledger_door import LedgerDoor
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.masterdata.store import MasterData
from billing_aggregator.runs.store import RunStore


class Books:
    """The ledger's door is opened when it is first gone through: importing master data needs no ledger."""

    def __init__(self, config: Config, database: Database, now: Callable[[], datetime]) -> None:
        self.config = config
        self.database = database
        self._clock = now
        self._moment: datetime | None = None
        self._snapshot: Snapshot | None = None
        self.masterdata = MasterData(database, self.now)
        self.store = RunStore(database)
        self._door: LedgerDoor | None = None

    @property
    def door(self) -> LedgerDoor:
        """The ledger, read-only; ConfigError or StoreUnavailable say what to do if it can't be read."""
        if self._door is None:
            self._door = LedgerDoor(self.config.ledger.url, self.config.ledger.usage_url)
        return self._door

    def now(self) -> datetime:
        """Return the present instant, or the one that is held."""
        return self._moment or self._clock()

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """Hold the clock, so that all that is done meanwhile sees the same master data, read once."""
        self._moment = self._clock()
        try:
            yield
        finally:
            self._moment = None

    def snapshot(self, property_id: str, known_at: datetime | None = None) -> Snapshot:
        """Return a property's master data as known at an instant, by default now; NotFound if there is none."""
        at = known_at or self.now()
        last = self._snapshot
        if last is None or (last.property.property, last.known_at) != (property_id, at):
            last = self._snapshot = self.masterdata.snapshot(property_id, at)
        return last

    def close(self) -> None:
        if self._door is not None:
            self._door.close()
        self.database.close()


@contextmanager
def open_books(config: Config, now: Callable[[], datetime], read_only: bool = False) -> Iterator[Books]:
    """Open the books, brought to this release's schema, and close them again.

    `read_only`: nothing can be written through them; the schema must be this release's already.
    """
    database = Database(config.database.url, read_only)
    books = Books(config, database, now)
    try:
        if not read_only:
            migrate(database)
        yield books
    finally:
        books.close()
