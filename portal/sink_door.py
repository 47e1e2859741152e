"""The one door from the portal to the sink: ledger, twins and feed, read-only; what people decide is written.

Nothing else of the portal imports the sink. Each part is opened when first needed, and again after a failure: the
portal starts and serves what it can while a database is away (Unavailable, answered with 503).
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from cloud_sink.config import load_config
from cloud_sink.errors import ConfigError as SinkConfigError
from cloud_sink.errors import InputRejected, NotPossible, SinkError
from cloud_sink.feed_reading import BATCH_CONTENT_TYPE, FeedReader, FeedSite, to_batch
from cloud_sink.gaps import Cause, PageGap, RecordGap, Whereabouts
from cloud_sink.ledger import access_lists, latest_reports
from cloud_sink.ledger.database import Database
from cloud_sink.listings import (
    DisputeLine,
    JournalLine,
    QuarantineKey,
    QuarantineLine,
    list_disputes,
    list_quarantine,
    quarantine_key,
)
from cloud_sink.lock_journal import JournalKey, JournalRow, Place, read_lock_journal
from cloud_sink.operating import Author, Operations
from cloud_sink.operator_events import SubjectKind, WishedProperty
from cloud_sink.orders.model import (
    AccessList,
    AccessListView,
    Action,
    CommandState,
    CommandView,
    ListedTransponder,
)
from cloud_sink.orders.ordering import DEFAULT_TTL_S, LONGEST_TTL_S, Ordering
from cloud_sink.projections.twins.describing import (
    TD_MEDIA_TYPE,
    property_values,
    thing_description,
    waste_container,
)
from cloud_sink.projections.twins.model import (
    Alarm,
    AlarmKind,
    BillingImpact,
    Change,
    Connectivity,
    DayPours,
    FillPoint,
    FleetCounts,
    GatewayTwin,
    Health,
    Lifecycle,
    LockSummary,
    LockTwin,
    Overview,
    Severity,
    SiteSummary,
    moves_from,
)
from cloud_sink.projections.twins.reading import TwinReader, fits
from cloud_sink.reading import Entry, LedgerReader
from cloud_sink.reconciling import Run, Step
from portal.errors import ConfigError, Invalid, Refused, Unavailable

__all__ = [
    "BATCH_CONTENT_TYPE",
    "DEFAULT_TTL_S",
    "LONGEST_TTL_S",
    "TD_MEDIA_TYPE",
    "AccessList",
    "AccessListView",
    "Action",
    "Alarm",
    "AlarmKind",
    "Author",
    "BillingImpact",
    "Cause",
    "Change",
    "CommandState",
    "CommandView",
    "Connectivity",
    "DayPours",
    "DisputeLine",
    "Entry",
    "FeedReader",
    "FeedSite",
    "FillPoint",
    "FleetCounts",
    "GatewayTwin",
    "Health",
    "JournalKey",
    "JournalLine",
    "JournalRow",
    "Lifecycle",
    "ListSeen",
    "ListedTransponder",
    "LockSummary",
    "LockTwin",
    "Operations",
    "Ordering",
    "Overview",
    "PageGap",
    "Place",
    "QuarantineKey",
    "QuarantineLine",
    "RecordGap",
    "Run",
    "Severity",
    "SinkDoor",
    "SiteSummary",
    "Step",
    "SubjectKind",
    "TwinReader",
    "Whereabouts",
    "WishedProperty",
    "fits", "moves_from", "property_values", "quarantine_key", "thing_description", "to_batch", "waste_container",
]  # fmt: skip


_AN_HOUR = timedelta(hours=1)
_AGED_S = 1.0
_YOUNG_S = 0.5  # below the second after which pages look again: what was missed is seen then


@dataclass(slots=True)
class _Parts:
    """What is open now."""

    ledger: LedgerReader | None = None
    twins: TwinReader | None = None
    feed: FeedReader | None = None
    operations: Operations | None = None
    orders: Ordering | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    """An overview, and what it was made of and when (monotonic s)."""

    overview: Overview
    mark: tuple[object, ...]
    at_s: float


@dataclass(frozen=True, slots=True)
class ListSeen:
    """A lock's access list at one instant. `given`: who is in the one that is wanted, None: nobody has set one.

    `earlier`: who was admitted an hour ago, or by the list that a person has set since. `reported_version`, `capacity`:
    as the lock has told them. `known`: those asked about whose numbers are known.
    """

    given: tuple[ListedTransponder, ...] | None
    earlier: frozenset[str]
    reported_version: int | None
    capacity: int | None
    known: frozenset[str]


class SinkDoor:
    """What the portal reads of the sink. Thread-safe."""

    def __init__(self, config: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`config`: the sink's configuration file. ConfigError if it can't work; no database is opened yet."""
        try:
            self.config = load_config(config)
        except SinkConfigError as error:
            raise ConfigError(error.problems) from error
        self._clock = clock
        self._opening = threading.Lock()
        self._parts = _Parts()
        self._looking = threading.Lock()
        self._seen: _Seen | None = None
        self._database = Database(self.config.ledger.url, read_only=True)

    @property
    def signs_orders(self) -> bool:
        """True if the sink can order anything of locks: its configuration names a key that orders are signed with."""
        return self.config.orders.signing_key is not None

    @contextmanager
    def ledger(self) -> Iterator[LedgerReader]:
        """The ledger's reader. Its errors become Unavailable."""
        with _translating():
            with self._opening:
                if self._parts.ledger is None:
                    self._parts.ledger = LedgerReader(self.config.ledger.url)
                reader = self._parts.ledger
            yield reader

    @contextmanager
    def twins(self) -> Iterator[TwinReader]:
        """The twins' reader. Unavailable also while `cloud-sink project` hasn't made any yet."""
        config = self.config
        with _translating():
            with self._opening:
                if self._parts.twins is None:
                    self._parts.twins = TwinReader(
                        config.projections_url, config.ledger.url, config.twins, self._clock
                    )
                reader = self._parts.twins
            yield reader

    @contextmanager
    def feed(self) -> Iterator[FeedReader]:
        """The feed's reader. Unavailable also while there is no feed yet."""
        with _translating():
            with self._opening:
                if self._parts.feed is None:
                    self._parts.feed = FeedReader(self.config.ledger.url, self.config.projections_url)
                reader = self._parts.feed
            yield reader

    @contextmanager
    def operations(self) -> Iterator[Operations]:
        """What people do to sites, locks and gateways. What isn't right is Invalid, what isn't possible Refused."""
        with _translating():
            with self._opening:
                if self._parts.operations is None:
                    self._parts.operations = Operations(self.config.ledger.url, self._clock)
                operations = self._parts.operations
            yield operations

    @contextmanager
    def orders(self) -> Iterator[Ordering]:
        """What is ordered of locks: commands and access lists. Invalid and Refused as for `operations`."""
        with _translating():
            with self._opening:
                if self._parts.orders is None:
                    self._parts.orders = Ordering(self.config.ledger.url, self._clock)
                orders = self._parts.orders
            yield orders

    def property_of_locks(self) -> dict[str, str]:
        """Return all locks that a gateway has reported, each with the property that its description names, or ""."""
        with self.operations() as operations:
            return {
                each.lock: each.description.property_id if each.description else ""
                for each in operations.locks()
                if each.gateway is not None
            }

    def see_list(self, lock: str, names: Iterable[str], actor: str) -> ListSeen:
        """Return a lock's list as it is. `names`: asked about beside those in it; `actor`: no person."""
        an_hour_ago = self._clock() - _AN_HOUR
        with _translating(), self._database.reading() as connection:
            heard = latest_reports.lock(connection, lock)
            state = None if heard is None else heard[2]
            row = access_lists.list_in_force(connection, lock)
            given = None if row is None else access_lists.entries_of(connection, row.list_no)
            before = access_lists.list_before(connection, lock, an_hour_ago, actor)
            earlier = () if before is None else access_lists.entries_of(connection, before.list_no)
            asked = {*names, *(each.credential for each in given or ())}
            known = access_lists.known_credentials(connection, map(bytes.fromhex, asked))
        return ListSeen(
            given,
            frozenset(each.credential for each in earlier if not each.blocked),
            None if state is None else state.access_list_version,
            None if state is None else state.access_list_max,
            frozenset(each.hex() for each in known),
        )

    def list_capacities(self) -> dict[str, int]:
        """Return how long an access list each lock takes that has told."""
        with _translating(), self._database.reading() as connection:
            return latest_reports.list_capacities(connection)

    def reported_list_version(self, lock: str) -> int | None:
        """Return the version of the access list that a lock has, as it says; None if that isn't known."""
        with _translating(), self._database.reading() as connection:
            heard = latest_reports.lock(connection, lock)
        return None if heard is None else heard[2].access_list_version

    def overview(self) -> Overview:
        """Return the fleet as it is now. Made once for all who ask at the same time, anew only if something changed
        and half a second has gone by, or a whole one: states age.
        """
        with self._looking, self.twins() as reader:
            mark, seen = reader.mark(), self._seen
            age_s = _AGED_S if seen is None else time.monotonic() - seen.at_s
            if seen is None or age_s >= _AGED_S or (seen.mark != mark and age_s >= _YOUNG_S):
                self._seen = seen = _Seen(reader.overview(), mark, time.monotonic())
            return seen.overview

    def last_position(self) -> int:
        """Return the position of the newest entry."""
        with self.ledger() as reader:
            return reader.last_position()

    def entries_after(self, position: int, limit: int, lock: str | None = None) -> list[Entry]:
        """Return the next entries after a position, at most `limit`, in the order of commits; of one lock if named."""
        with self.ledger() as reader:
            return reader.entries_after(position, limit, lock)

    def lock_journal(self, lock: str, before: JournalKey | None, limit: int) -> list[JournalRow]:
        """Return the newest rows of a lock's journal before a key (None: of all), and who has each record."""
        with _translating(), self._database.reading() as connection:
            return read_lock_journal(connection, lock, before, limit)

    def record_gaps(self, lock: str) -> list[RecordGap]:
        """Return what is missing of one lock's records, and why."""
        with self.ledger() as reader:
            return reader.record_gaps(lock)

    def page_gaps(self) -> list[PageGap]:
        """Return what is missing of gateways' pages, and why."""
        with self.ledger() as reader:
            return reader.page_gaps()

    def runs(self, lock: str) -> list[Run]:
        """Return the reconciliation of one lock's registers."""
        with self.ledger() as reader:
            return list(reader.runs(lock))

    def disputes(self, after: int, limit: int) -> list[DisputeLine]:
        """Return the next open disputes after a number."""
        with _translating(), self._database.reading() as connection:
            return list(islice(list_disputes(connection, after), limit))

    def quarantine(self, after: QuarantineKey | None, limit: int) -> list[QuarantineLine]:
        """Return the next of what wasn't taken or can't be read."""
        with _translating(), self._database.reading() as connection:
            return list(islice(list_quarantine(connection, after), limit))

    def close(self) -> None:
        """Close all connections."""
        with self._opening:
            parts, self._parts = self._parts, _Parts()
        for part in (parts.ledger, parts.twins, parts.feed, parts.operations, parts.orders):
            if part is not None:
                part.close()
        self._database.close()


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except InputRejected as error:
        raise Invalid("deed.invalid", why="; ".join(error.problems)) from error
    except NotPossible as error:
        raise Refused("deed.refused", why=str(error)) from error
    except SinkError as error:
        raise Unavailable(str(error)) from error
