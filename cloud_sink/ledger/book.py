"""Writes the ledger: START HERE. One call, one transaction: a batch of checked pages, and all that follows from them.

    write lock ▶ journals ▶ which pages are new ▶ pages, watermarks ▶ which records are new ▶ entries ▶ disputes,
    quarantine ▶ commit ▶ only now may receipts go out and messages be acknowledged

A page is never half in: all of its records, spans and disputes are committed with it, or none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.checking import CheckedPage, Rejected
from cloud_sink.errors import ConfigError
from cloud_sink.ledger import commits, disputes, journals, quarantine
from cloud_sink.ledger.bulk import insert_rows
from cloud_sink.ledger.commits import Numbers
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.entries import LockNumbers, Source, add_entries, forged_records
from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.journals import PlacedPage, Standing
from cloud_sink.ledger.migrating import migrate
from cloud_sink.ledger.quarantine import Quota
from cloud_sink.ledger.tables import FINGERPRINT, facts, unread


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch came to. `standings`: of all journals that it touched, also by pages that were known already."""

    standings: list[Standing]
    pages: int = 0
    entries: int = 0
    disputes: int = 0
    unread: int = 0
    quarantined: int = 0
    without_room: int = 0


class Book:
    """The ledger, for writing. Not for several threads at once; for several processes."""

    def __init__(self, database: Database, quota: Quota, clock: Callable[[], datetime]) -> None:
        """`clock`: now, in UTC; it dates commits."""
        self._database = database
        self._quota = quota
        self._clock = clock
        self._locks = LockNumbers()

    def prepare(self, fingerprint: str) -> str:
        """Bring the schema up to date and tie the ledger to its pseudonym key; return the schema's revision.

        ConfigError if the ledger was written with another pseudonym key: the same household would be two.
        """
        revision = migrate(self._database)
        with self._database.writing() as connection:
            there = connection.scalar(sa.select(facts.c.value).where(facts.c.name == FINGERPRINT))
            if there is None:
                connection.execute(facts.insert(), {"name": FINGERPRINT, "value": fingerprint})
        if there not in (None, fingerprint):
            raise ConfigError(
                [f"the ledger was written with another pseudonym key (its fingerprint is {there}, this one's "
                 f"{fingerprint}): restore that key from your backup"]
            )  # fmt: skip
        return revision

    def commit(
        self, pages: Sequence[CheckedPage], rejected: Sequence[Rejected] = (), taken: Sequence[int] = ()
    ) -> Outcome:
        """Commit a batch. `taken`: numbers of quarantined messages that are among the pages now.

        LedgerUnavailable: nothing was committed, or all of it; do the same again, it does no harm.
        """
        with self._database.writing() as connection:
            now_ms = to_ms(self._clock())
            numbers = commits.last(connection)
            known = journals.load_or_create(connection, [page.key for page in pages])
            claimed = {item.key for item in rejected if item.key is not None} - known.keys()
            known.update(journals.load(connection, claimed))
            batch = journals.sort_pages(connection, pages, known, numbers.page_no)
            counts = self._add(connection, batch, numbers, now_ms)
            without_room = quarantine.add(connection, rejected, self._quota) if rejected else 0
            if taken:
                quarantine.resolve(connection, taken, now_ms)
            standings = journals.standings(connection, known.values())
        self._locks.committed()
        return Outcome(standings, *counts, len(rejected), without_room)

    def standings_with_holes(self) -> list[Standing]:
        """Return the journals of which pages are missing before their newest."""
        with self._database.reading() as connection:
            holed = journals.load_with_holes(connection)
            return [standing for standing in journals.standings(connection, holed) if standing.missing]

    def _add(
        self, connection: Connection, batch: journals.Sorted, numbers: Numbers, now_ms: int
    ) -> tuple[int, int, int, int]:
        """Write pages and what is in them; return how many pages, entries, disputes and unread records were added."""
        placed = batch.placed
        if not placed:
            return 0, 0, 0, 0
        breaks = journals.add_pages(connection, placed, numbers.commit_no + 1)
        journals.save(connection, {id(page.journal): page.journal for page in placed}.values())
        sources = [_source(page) for page in placed]
        lock_numbers = self._locks.of(connection, [name for source in sources for name in source.locks])
        added = add_entries(connection, sources, lock_numbers, numbers.position)
        found = [*batch.disputes, *breaks, *added.disputes, *forged_records(sources, lock_numbers)]
        new_disputes = disputes.add(connection, found, now_ms) if found else 0
        unread_rows = [
            (source.page_no, slot, reason, now_ms, None)
            for source in sources
            for slot, reason in source.decoded.unread
        ]
        insert_rows(connection, unread, unread_rows)
        commits.add(
            connection, Numbers(numbers.commit_no + 1, placed[-1].page_no, added.last_position), now_ms
        )
        return len(placed), added.count, new_disputes, len(unread_rows)


def _source(page: PlacedPage) -> Source:
    return Source(page.page_no, page.journal.journal_no, page.checked.page, page.checked.decoded)
