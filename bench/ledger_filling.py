"""Fills a ledger with millions of entries by SQL, in its real tables: what many gateways would have sent in years.

Locks take turns: page 1 of each lock, then page 2 of each …, so that one lock's entries lie far apart in the order of
positions, as in life. All pours are complete and gap-free; page bytes are as long as real ones but hold nothing.

    position = 1 …      page_no = (position - 1) / 100 + 1      lock_no = (page_no - 1) % locks + 1
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg

from cloud_sink.ledger.database import Database
from wastelock.record import NOT_WEIGHED

PAGE_RECORDS = 100
PAGES_PER_LOCK = 10
LOCKS_PER_JOURNAL = 10
RECORDS_PER_LOCK = PAGE_RECORDS * PAGES_PER_LOCK  # unless a filling says otherwise
_PAGES_PER_COMMIT = 10
_PAYLOAD_BYTES = 23_000  # of a page with 100 records
_FIRST_SERIAL = 0x100000
_BEGAN_S = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
YEAR_BEGAN_S = int(datetime(2024, 12, 31, 23, tzinfo=UTC).timestamp())  # 1 January 2025 in Berlin
_YEAR_S = 365 * 86_400
_STEP = 250_000  # rows of one statement and transaction


@dataclass(frozen=True, slots=True)
class Life:
    """What the n-th record of a lock says, as SQL; `SEQ` stands for n (from 1), `LOCK` for the lock's number.

    Where households are named, each record is a pour of one of them in the year 2025, evenly over the year: three of
    four through chamber 1 (5 l), the fourth through chamber 2 (20 l).
    """

    began_s: str
    chamber: str
    volume_ml: str
    register: str
    credential: Callable[["_Dialect"], str]


def one_chamber() -> Life:
    """A pour a minute, each by somebody else: as many different credentials as can be."""
    return Life(f"{_BEGAN_S} + SEQ * 60", "1", "5000", "SEQ", lambda dialect: dialect.bytes16)


def year_of_households(households: int, records: int) -> Life:
    """A year of a lock that so many households share, with so many records in it."""
    # The same as `household_of`.
    household = f"(SEQ * 17 + SEQ / {households}) % {households}"
    return Life(
        f"{YEAR_BEGAN_S} + (SEQ - 1) * {_YEAR_S // records} + 7",
        "CASE WHEN SEQ % 4 = 0 THEN 2 ELSE 1 END",
        "CASE WHEN SEQ % 4 = 0 THEN 20000 ELSE 5000 END",
        "CASE WHEN SEQ % 4 = 0 THEN SEQ / 4 ELSE SEQ - SEQ / 4 END",
        lambda dialect: dialect.pseudonym("LOCK", household),
    )


def household_of(seq: int, households: int) -> int:
    """Return whose pour the seq-th record of a lock is, from 0, as `year_of_households` has it."""
    return (seq * 17 + seq // households) % households


def pseudonym(lock_number: int, household: int) -> str:
    """Return the credential (hexadecimal) that `year_of_households` gives to a household, from 0, of a lock."""
    return f"{lock_number:08d}{household:08d}".encode().hex()


@dataclass(frozen=True, slots=True)
class Filling:
    """How much: `locks` × `pages_per_lock` × 100 entries. `locks` is a multiple of 10: so many are on one gateway."""

    locks: int
    pages_per_lock: int = PAGES_PER_LOCK
    life: Life = field(default_factory=one_chamber)
    payload_bytes: int = _PAYLOAD_BYTES

    @property
    def journals(self) -> int:
        return self.locks // LOCKS_PER_JOURNAL

    @property
    def pages(self) -> int:
        return self.locks * self.pages_per_lock

    @property
    def entries(self) -> int:
        return self.pages * PAGE_RECORDS

    @property
    def recent(self) -> datetime:
        """An instant at which all but the last ten commits were done: each is one of 1,000 entries."""
        return datetime.fromtimestamp(_BEGAN_S + max(1, self.pages // _PAGES_PER_COMMIT - 10), UTC)


def lock_name(number: int) -> str:
    """Return the name of the lock with this number, from 1."""
    return f"{_FIRST_SERIAL + number:06x}"


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What the two databases write differently. `series`: a source of rows p = first … last."""

    series: Callable[[int, int], str]
    text43: Callable[[str], str]
    hex6: Callable[[str], str]
    bytes16: str
    pseudonym: Callable[[str, str], str]
    payload: Callable[[int], str]


_SQLITE = _Dialect(
    series=lambda first, last: (
        f"(WITH RECURSIVE n(p) AS (SELECT {first} UNION ALL SELECT p + 1 FROM n WHERE p < {last}) SELECT p FROM n)"
    ),
    text43=lambda number: f"printf('%043d', {number})",
    hex6=lambda number: f"printf('%06x', {number})",
    bytes16="randomblob(16)",
    pseudonym=lambda lock, household: f"CAST(printf('%08d%08d', {lock}, {household}) AS BLOB)",
    payload=lambda size: f"zeroblob({size})",
)
_POSTGRESQL = _Dialect(
    series=lambda first, last: f"(SELECT p FROM generate_series({first}, {last}) AS s(p)) AS n",
    text43=lambda number: f"lpad(({number})::text, 43, '0')",
    hex6=lambda number: f"lpad(to_hex({number}), 6, '0')",
    bytes16="decode(md5(p::text), 'hex')",
    pseudonym=lambda lock, household: (
        f"convert_to(lpad(({lock})::text, 8, '0') || lpad(({household})::text, 8, '0'), 'UTF8')"
    ),
    payload=lambda size: f"convert_to(repeat('x', {size}), 'UTF8')",
)


def fill(database: Database, filling: Filling, say: Callable[[str], None]) -> None:
    """Write all tables of an empty ledger whose schema is there already."""
    dialect = _SQLITE if database.dialect == "sqlite" else _POSTGRESQL
    statements = _statements(filling, dialect)
    with _raw_connection(database) as execute:
        for table, rows, statement in statements:
            for first in range(0, rows, _STEP):
                last = min(first + _STEP, rows) - 1
                execute(statement.replace("SERIES", dialect.series(first, last)))
                if last + 1 < rows and (last + 1) % (8 * _STEP) == 0:
                    say(f"{table}: {last + 1:,} of {rows:,} rows")
        if database.dialect == "postgresql":
            execute("ANALYZE")  # as autovacuum would have done long since


def _statements(filling: Filling, d: _Dialect) -> list[tuple[str, int, str]]:
    """Return table, number of rows, and the statement that makes rows p = 0 … of it."""
    locks, journals, pages = filling.locks, filling.journals, filling.pages
    commits = pages // _PAGES_PER_COMMIT
    life, records_per_lock = filling.life, filling.pages_per_lock * PAGE_RECORDS
    seq = f"(p / {PAGE_RECORDS} / {locks} * {PAGE_RECORDS} + p % {PAGE_RECORDS} + 1)"
    lock = f"(p / {PAGE_RECORDS} % {locks} + 1)"

    def told(expression: str) -> str:
        return expression.replace("SEQ", seq).replace("LOCK", lock)

    began_s = told(life.began_s)
    prev = f"CASE WHEN p < {journals} THEN '' ELSE {d.text43(f'p - {journals}')} END"
    last_hash = d.text43(f"p + {pages - journals}")
    return [
        ("locks", locks,
         f"INSERT INTO locks (lock_no, lock) SELECT p + 1, {d.hex6(f'{_FIRST_SERIAL} + p + 1')} FROM SERIES"),
        ("journals", journals,
         "INSERT INTO journals (journal_no, site, gateway, journal, committed_through, head, newest_page) "
         f"SELECT p + 1, 'estate', 'gw-' || p, {d.text43('p')}, {pages // journals}, {last_hash}, {pages // journals} "
         "FROM SERIES"),
        ("page_spans", journals,
         f"INSERT INTO page_spans (journal_no, last, first) SELECT p + 1, {pages // journals}, 1 FROM SERIES"),
        ("seq_spans", locks,
         f"INSERT INTO seq_spans (lock_no, epoch, last, first) SELECT p + 1, 1, {records_per_lock}, 1 FROM SERIES"),
        ("commits", commits,
         "INSERT INTO commits (commit_no, committed_ms, last_page_no, last_position) "
         f"SELECT p + 1, ({_BEGAN_S} + p) * {_bigint(1000)}, (p + 1) * {_PAGES_PER_COMMIT}, "
         f"(p + 1) * {_PAGES_PER_COMMIT * PAGE_RECORDS} FROM SERIES"),
        ("pages", pages,
         "INSERT INTO pages (page_no, journal_no, page, hash, prev, version, clock, kid, sig, commit_no, payload) "
         f"SELECT p + 1, p % {journals} + 1, p / {journals} + 1, {d.text43('p')}, {prev}, 1, 'ntp', 'kid', 'sig', "
         f"p / {_PAGES_PER_COMMIT} + 1, {d.payload(filling.payload_bytes)} FROM SERIES"),
        ("entries", filling.entries,
         "INSERT INTO entries (position, lock_no, page_no, slot, epoch, seq, unverified, mac, kind, result, chamber, "
         "flags, boot, began_clock_s, volume_ml, weight_word, duration_ds, register_after, read_ms, clock_offset_s, "
         f"credential) SELECT p + 1, {lock}, p / {PAGE_RECORDS} + 1, p % {PAGE_RECORDS}, 1, "
         f"{seq}, 0, 1, 1, 0, {told(life.chamber)}, 1, 1, {began_s}, {told(life.volume_ml)}, {NOT_WEIGHED}, 30, "
         f"{told(life.register)}, ({began_s} + 30) * {_bigint(1000)}, -2, {told(life.credential(d))} FROM SERIES"),
    ]  # fmt: skip


def _bigint(number: int) -> str:
    """Return a number that makes a product one of 64 bits on PostgreSQL, too."""
    return f"CAST({number} AS BIGINT)"


@contextmanager
def _raw_connection(database: Database) -> Iterator[Callable[[str], object]]:
    """Yield what executes one statement in a transaction of its own, without waiting for the disk."""
    if database.dialect == "sqlite":
        with closing(sqlite3.connect(database.url.database or "", isolation_level=None)) as lite:
            lite.execute("PRAGMA synchronous = OFF")
            lite.execute("PRAGMA cache_size = -1048576")
            yield lite.execute
    else:
        url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as server:
            server.execute("SET synchronous_commit = off")
            yield lambda statement: server.execute(statement.encode())
