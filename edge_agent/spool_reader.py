"""Reads the spool beside its writer: the forwarder looks for pages to send, `status` looks at all of it.

Each reader has a connection of its own that can't write, and belongs to the thread that made it.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_agent.custody import Cursor
from edge_agent.errors import SpoolCorrupt, SpoolUnavailable
from edge_agent.spool_receipts import HELD
from edge_agent.spool_room import DATABASE_ERRORS, named_error, used_bytes
from edge_agent.spool_schema import readable_text, schema_version
from wastelock.page import page_hash

JOURNALS = """
SELECT id, uuid, state, reason, began_at, newest_page, newest_hash, committed_through, pruned_through,
    gateway, site FROM journal ORDER BY id
"""
PAGES_AFTER = "SELECT page FROM page WHERE journal = ? AND page > ? ORDER BY page LIMIT ?"
PAGES_BEFORE = "SELECT page FROM page WHERE journal = ? AND page BETWEEN ? AND ? ORDER BY page DESC LIMIT ?"
PAGE = "SELECT payload, hash, kid, signature, sealed_at FROM page WHERE journal = ? AND page = ?"
OLDEST_PAGE = "SELECT page, sealed_at FROM page WHERE journal = ? AND page > ? ORDER BY page LIMIT 1"
CURSORS = "SELECT lock, epoch, seq, confirmed_seq, confirmed_epoch FROM cursor"
CURSOR = "SELECT epoch, seq, crc, verified, memo FROM cursor WHERE lock = ?"
DESIRED = "SELECT payload FROM desired WHERE topic = ?"
INCARNATION = "SELECT value FROM counter WHERE name = 'incarnation'"
COUNT_AFTER = "SELECT count(*) FROM page WHERE journal = ? AND page > ?"


@dataclass(frozen=True, slots=True)
class JournalView:
    """A journal as it stands. `state`: active, retired (sent as it is) or forked (re-sealed into the active one)."""

    id: int
    uuid: str
    state: str
    reason: str
    began_at_ms: int
    newest_page: int
    newest_hash: str
    committed_through: int
    pruned_through: int
    gateway: str
    site: str


@dataclass(frozen=True, slots=True)
class StoredPage:
    """A sealed page with what is sent along with it."""

    page: int
    payload: bytes
    kid: str
    signature: str
    sealed_at_ms: int


class SpoolReader:
    """Reads one spool. Raises SpoolUnavailable, or SpoolCorrupt where the file or a page of it is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._named():
            self._connection = open_for_reading(path)

    def close(self) -> None:
        self._connection.close()

    def journals(self) -> list[JournalView]:
        with self._named():
            return [JournalView(*row) for row in self._connection.execute(JOURNALS)]

    def pages_after(self, journal: int, after: int, limit: int) -> list[int]:
        """Return the numbers of the next pages that are there, ascending."""
        with self._named():
            return [row[0] for row in self._connection.execute(PAGES_AFTER, (journal, after, limit))]

    def pages_before(self, journal: int, before: int, limit: int, after: int = 0) -> list[int]:
        """Return the numbers of the pages next below `before` and beyond `after` that are there, descending."""
        with self._named():
            rows = self._connection.execute(PAGES_BEFORE, (journal, after + 1, before - 1, limit))
            return [row[0] for row in rows]

    def page(self, journal: int, number: int) -> StoredPage | None:
        """Return a page, None where it isn't there; SpoolCorrupt where it isn't what was sealed."""
        with self._named():
            row = self._connection.execute(PAGE, (journal, number)).fetchone()
        if row is None:
            return None
        payload, digest, kid, signature, sealed_at = row
        if page_hash(payload) != digest:
            raise SpoolCorrupt(f"{self.path}: page {number} isn't what was sealed: its hash doesn't hold")
        return StoredPage(number, payload, kid, signature, sealed_at)

    def held(self, journal: int) -> list[tuple[int, int]]:
        """Return the ranges of pages beyond the watermark that the ledger has."""
        with self._named():
            if schema_version(self._connection) < 2:
                return []  # a spool of the first release, from an old card
            return [(row[0], row[1]) for row in self._connection.execute(HELD, (journal,))]

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See one state of the spool throughout, whatever is pruned meanwhile; not for long, the log grows."""
        with self._named():
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.rollback()

    def oldest_after(self, journal: int, after: int) -> tuple[int, int] | None:
        """Return number and sealing instant (ms) of the oldest page beyond `after`."""
        with self._named():
            row = self._connection.execute(OLDEST_PAGE, (journal, after)).fetchone()
        return (row[0], row[1]) if row else None

    def count_after(self, journal: int, after: int) -> int:
        with self._named():
            return int(self._connection.execute(COUNT_AFTER, (journal, after)).fetchone()[0])

    def cursors(self) -> dict[str, tuple[int, int, int | None]]:
        """Return for each lock epoch, last sealed record, and last confirmed record of that epoch."""
        with self._named():
            rows = self._connection.execute(CURSORS).fetchall()
        return {row[0]: (row[1], row[2], row[3] if row[4] == row[1] else None) for row in rows}

    def cursor(self, lock: str) -> Cursor | None:
        """Return how far a lock's journal is on disk, with what its driver goes on from."""
        with self._named():
            row = self._connection.execute(CURSOR, (lock,)).fetchone()
        return None if row is None else Cursor(row[0], row[1], row[2], bool(row[3]), row[4])

    def desired(self, topic: str) -> bytes | None:
        """Return the desired state that is kept for this topic, None where there is none."""
        with self._named():
            row = self._connection.execute(DESIRED, (topic,)).fetchone()
        return None if row is None else bytes(row[0])

    def incarnation(self) -> int:
        """Return how often an agent has started on this spool."""
        with self._named():
            row = self._connection.execute(INCARNATION).fetchone()
        return int(row[0]) if row else 0

    def used_bytes(self) -> int:
        with self._named():
            return used_bytes(self._connection)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except DATABASE_ERRORS as error:
            raise named_error(error, self.path) from error


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Return a connection that writes nothing, whoever opens it and whether an agent runs or not."""
    # A spool that was closed in order has no log. Only as "immutable" can it then be read by somebody who may not
    # write to its directory, and without leaving files there that the agent's user couldn't open.
    log = path.with_name(path.name + "-wal")
    how = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    if (
        log.exists()
        and not path.with_name(path.name + "-shm").exists()
        and not os.access(path.parent, os.W_OK)
    ):
        # SQLite has to make an index of the log there; without the log the newest pages wouldn't be seen.
        raise SpoolUnavailable(
            f"{path}: wasn't closed in order, and {path.parent} can't be written to: copy the spool with its log to "
            f"where it can, `cp {path}* /var/tmp/`, and name the copy there; delete it afterwards"
        )
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=5.0)
    connection.text_factory = readable_text
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cache_size = -256")
    return connection
