"""Does a full ledger slow the sink down? The same things done to a ledger of ten million entries and to a small one.

figure    latency in ms with 10,000,000 entries (10,000 locks, 1,000 gateways) on SQLite, 1,000,000 on PostgreSQL
baseline  the same with 10,000 entries

Both ledgers are open at the same time and take turns, so that both meet the same moods of the machine. What is asked
about one lock concerns 1,000 entries in each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.ledger_filling import Filling, fill, lock_name
from bench.table import Baseline, Goal, Row
from bench.workplace import BenchFailed, Workplace, take_turns
from cloud_sink.checking import CheckedPage, check_message
from tests.support.fake_gateway import FakeGateway, FakeLock, SealedPage
from tests.support.ledger import Ledger, message
from tests.support.postgres import Postgres

NOTICEABLE = 1.5
_SMALL = Filling(locks=10)
_PAGE_RECORDS = 100
_ASKED_LOCK = lock_name(7)


class Shelf:
    """One ledger, filled, and a gateway that goes on sending to it."""

    def __init__(self, directory: Path, url: str, filling: Filling, say: Callable[[str], None]) -> None:
        directory.mkdir()
        self.filling = filling
        # The second gateway reads the lock's ring again and sends the same records in pages of its own.
        self._first, self._second = FakeGateway("gw-a", seed=1), FakeGateway("gw-b", seed=2)
        self._lock = FakeLock(0xABC001, key=bytes(range(16)))
        self.ledger = Ledger(url, directory, [self._first, self._second], [self._lock])
        fill(self.ledger.database, filling, say)
        self._latest: CheckedPage | None = None
        self._doubled: SealedPage | None = None

    def close(self) -> None:
        self.ledger.close()

    def new_page(self) -> Callable[[], object]:
        """A page of records that the ledger doesn't have yet."""
        records = self._lock.pours(_PAGE_RECORDS)
        self._latest = self._check(self._first.seal(records))
        self._doubled = self._second.seal(records)
        return self._commit(self._latest)

    def known_page(self) -> Callable[[], object]:
        """The page that came last, once more: a receipt was lost."""
        if self._latest is None:
            raise BenchFailed("no page was sent yet")
        return self._commit(self._latest)

    def known_records(self) -> Callable[[], object]:
        """A new page with records that came already: each is compared with the bytes that are here."""
        self.new_page()()
        if self._doubled is None:
            raise BenchFailed("no page was sent yet")
        return self._commit(self._check(self._doubled))

    def next_entries(self) -> Callable[[], object]:
        """What a reader asks for that follows the ledger."""
        after = self.ledger.reader.last_position() - 1000
        return lambda: self.ledger.reader.entries_after(after)

    def instant(self) -> Callable[[], object]:
        """Where `export --since` begins: what is committed after it will be printed, so it is recent."""
        return lambda: self.ledger.reader.position_before(self.filling.recent)

    def export_lock(self) -> Callable[[], object]:
        return lambda: _expect(1000, list(self.ledger.reader.all_entries(lock=_ASKED_LOCK)))

    def gaps_of_lock(self) -> Callable[[], object]:
        return lambda: _expect(0, self.ledger.reader.record_gaps(_ASKED_LOCK))

    def reconcile_lock(self) -> Callable[[], object]:
        return lambda: _expect(1, list(self.ledger.reader.runs(_ASKED_LOCK)))

    def _commit(self, page: CheckedPage) -> Callable[[], object]:
        return lambda: self.ledger.book.commit([page])

    def _check(self, sealed: SealedPage) -> CheckedPage:
        checked = check_message(message(sealed), self.ledger.keys)
        if not isinstance(checked, CheckedPage):
            raise BenchFailed(f"a page that should be good was refused: {checked.reason}")
        return checked


@dataclass(frozen=True, slots=True)
class _Question:
    """`prepare` does what isn't measured and returns what is."""

    what: str
    prepare: Callable[[Shelf], Callable[[], object]]
    times: int


_QUESTIONS = (
    _Question("commit a page of 100 records", Shelf.new_page, 60),
    _Question("a page that is known already", Shelf.known_page, 60),
    _Question("100 records that are known already, in a new page", Shelf.known_records, 40),
    _Question("next 1,000 entries after a position", Shelf.next_entries, 40),
    _Question("position of an instant", Shelf.instant, 60),
    _Question("export one lock (1,000 entries)", Shelf.export_lock, 20),
    _Question("gaps of one lock", Shelf.gaps_of_lock, 60),
    _Question("reconcile one lock (1,000 entries)", Shelf.reconcile_lock, 20),
)


def run(place: Workplace) -> list[Row]:
    rows = _measure(
        place, "SQLite", place.pick(10_000, 500), lambda name: f"sqlite:///{place.directory}/{name}.sqlite"
    )
    with Postgres(durable=True) as server:
        rows += _measure(place, "PostgreSQL", place.pick(1_000, 200), lambda _: server.create_database())
    return rows


def _measure(place: Workplace, kind: str, locks: int, url: Callable[[str], str]) -> list[Row]:
    filling = Filling(locks)
    place.say(f"{kind}: filling a ledger with {filling.entries:,} entries")
    full = Shelf(place.directory / f"{kind}-full", url("full"), filling, place.say)
    small = Shelf(place.directory / f"{kind}-small", url("small"), _SMALL, place.say)
    try:
        return [_compare(place, full, small, kind, question) for question in _QUESTIONS]
    finally:
        full.close()
        small.close()


def _compare(place: Workplace, full: Shelf, small: Shelf, kind: str, question: _Question) -> Row:
    place.say(f"{kind}: {question.what}")
    full_ms, small_ms = take_turns(
        place, lambda: question.prepare(full), lambda: question.prepare(small), question.times
    )
    return Row(
        f"{kind}, {full.filling.entries:,} entries: {question.what}",
        "ms",
        full_ms,
        Baseline(f"the same in a ledger of {_SMALL.entries:,} entries", small_ms),
        Goal("ratio", "at most", NOTICEABLE),
    )


def _expect(count: int, found: Sequence[object]) -> None:
    """BenchFailed where an answer isn't of the length that is known: it would be no answer to measure."""
    if len(found) != count:
        raise BenchFailed(f"{len(found)} rows where {count} were expected")
