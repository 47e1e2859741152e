"""The spool's tables, how they come about and how a file of an older release is brought up to date.

`PRAGMA user_version` names the release of a file. MIGRATIONS[n] leads from n to n+1, each in one transaction; a file is
migrated, never recreated, and a file of a newer release is left alone. Instants are integers: milliseconds since 1970.

    journal ──< page        what is sealed; its bytes never change
       │
       ├────< watermark     when which pages were received, to the hour: pruning goes by it
       └────< held          received beyond the watermark (since release 2)
    cursor                  how far each lock's journal is on disk
    counter                 incarnation: how often this spool was opened by an agent
    command ──< outcome     orders from the cloud, what became of them, what of it isn't told yet (since release 3)
    desired                 what the cloud wants locks to be

Since release 4 a journal has `adopted`: its pages came out of a file (damaged, or brought along), they weren't sealed
here; and `receipt_at`: when the newest receipt for it was written, by the cloud's clock, 0 where that isn't known.
"""

import sqlite3
from pathlib import Path

from sqlite_utils import Database

from edge_agent.errors import SpoolCorrupt, SpoolUnavailable

_V1 = """
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    gateway TEXT NOT NULL,
    site TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'retired', 'forked')),
    reason TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    newest_page INTEGER NOT NULL DEFAULT 0,
    newest_hash TEXT NOT NULL DEFAULT '',
    committed_through INTEGER NOT NULL DEFAULT 0,
    pruned_through INTEGER NOT NULL DEFAULT 0,
    pruned_hash TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE UNIQUE INDEX journal_one_active ON journal (state) WHERE state = 'active';

CREATE TABLE page (
    id INTEGER PRIMARY KEY,
    journal INTEGER NOT NULL REFERENCES journal (id),
    page INTEGER NOT NULL,
    sealed_at INTEGER NOT NULL,
    records INTEGER NOT NULL,
    hash TEXT NOT NULL,
    kid TEXT NOT NULL,
    signature TEXT NOT NULL,
    payload BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX page_number ON page (journal, page);

CREATE TABLE watermark (
    journal INTEGER NOT NULL REFERENCES journal (id),
    hour INTEGER NOT NULL,
    through INTEGER NOT NULL,
    PRIMARY KEY (journal, hour)
) STRICT, WITHOUT ROWID;

CREATE TABLE cursor (
    lock TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    verified INTEGER NOT NULL,
    memo BLOB,
    confirmed_epoch INTEGER,
    confirmed_seq INTEGER
) STRICT;

CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
"""

# What the ledger holds beyond the watermark: of a journal with gaps (salvaged) the watermark alone never tells all. And
# the hash that proved the watermark, so that a damaged number can't have unproven pages pruned.
_V2 = """
CREATE TABLE held (
    journal INTEGER NOT NULL REFERENCES journal (id),
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (journal, first)
) STRICT, WITHOUT ROWID;

ALTER TABLE journal ADD COLUMN committed_head TEXT NOT NULL DEFAULT '';
"""

# The memory of orders: a command is never carried out twice, whatever happens, and its outcome told until it is heard.
# `token`: by which the controller knows it; `token_before`: which one it knew before. `answer`: the last outcome.
_V3 = """
CREATE TABLE command (
    id TEXT PRIMARY KEY,
    lock TEXT NOT NULL,
    action TEXT NOT NULL,
    enable_mask INTEGER,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    correlation BLOB,
    state TEXT NOT NULL CHECK (state IN ('accepted', 'started', 'done', 'rejected', 'expired', 'failed')),
    token INTEGER,
    token_before INTEGER,
    answer BLOB
) STRICT;

CREATE INDEX command_expires ON command (expires_at);

CREATE TABLE outcome (
    id INTEGER PRIMARY KEY,
    command TEXT NOT NULL,
    outcome TEXT NOT NULL,
    correlation BLOB,
    payload BLOB NOT NULL,
    UNIQUE (command, outcome)
) STRICT;

CREATE TABLE desired (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    topic TEXT NOT NULL,
    revision INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;
"""

# A receipt that comes by hand may be an old one: a ledger that was restored since has less than it says. And pages that
# weren't sealed here are never signed anew just because they are here.
_V4 = """
ALTER TABLE journal ADD COLUMN adopted INTEGER NOT NULL DEFAULT 0;

ALTER TABLE journal ADD COLUMN receipt_at INTEGER NOT NULL DEFAULT 0;

UPDATE journal SET adopted = 1 WHERE reason LIKE 'salvaged from %';
"""

# Element n leads from user_version n to n + 1.
MIGRATIONS: tuple[str, ...] = (_V1, _V2, _V3, _V4)
SCHEMA_VERSION = len(MIGRATIONS)
# "WL" and the release once more: a damaged number isn't taken for that of a newer program.
_APPLICATION_ID = 0x574C0000

PAGE_BYTES = 4096
_BUSY_S = 5.0
_LOG_BLOCKS_MIN, _LOG_BLOCKS_MAX = 32, 512


def connect(path: Path) -> Database:
    """Open (or make) the spool's file for its one writer; the connection belongs to the calling thread."""
    database = Database(sqlite3.connect(path, timeout=_BUSY_S), execute_plugins=False)
    try:
        _configure(database.conn)
    except BaseException:
        database.close()
        raise
    return database


def readable_text(value: bytes) -> str:
    """Return a text of the database; damaged bytes in it are for the hashes to find, not for the decoder."""
    return value.decode("utf-8", "replace")


def _configure(connection: sqlite3.Connection) -> None:
    connection.text_factory = readable_text
    # Both only take effect on a new, empty file; incremental vacuum gives room back to a disk that others filled.
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL, because NORMAL may lose the last commit on a power cut, and the poller is about to tell the controller
    # that the pour is safe.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -1024")  # KiB: a Raspberry Pi has better uses for its memory
    connection.execute("PRAGMA temp_store = MEMORY")


def bound_log(connection: sqlite3.Connection, reserve_bytes: int) -> None:
    """Have the log written to the file early: to give a full disk room, all of it has to fit into the reserve."""
    blocks = min(_LOG_BLOCKS_MAX, max(_LOG_BLOCKS_MIN, reserve_bytes // 4 // PAGE_BYTES))
    connection.execute(f"PRAGMA wal_autocheckpoint = {blocks}")


def schema_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def schema_of(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    """Return how the tables and indexes of a database were made."""
    return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").fetchall()


def expected_schema() -> list[tuple[str, ...]]:
    """Return what `schema_of` tells of a spool of this release."""
    database = Database(sqlite3.connect(":memory:"), execute_plugins=False)
    try:
        migrate(database)
        return schema_of(database.conn)
    finally:
        database.close()


def _application_id(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA application_id").fetchone()[0])


def migrate(database: Database) -> int:
    """Bring the file up to date and return the version that it had (0: it was new)."""
    found = schema_version(database.conn)
    if found > SCHEMA_VERSION and _application_id(database.conn) != _APPLICATION_ID + found:
        raise SpoolCorrupt(f"the file says that it is of release {found}, but isn't")
    if found > SCHEMA_VERSION:
        raise SpoolUnavailable(
            f"the spool is of release {found}, this program knows {SCHEMA_VERSION}: install the newer program again"
        )
    for version in range(found, SCHEMA_VERSION):
        with database.atomic():
            for statement in MIGRATIONS[version].split(";\n"):
                if statement.strip():
                    database.conn.execute(statement)
            database.conn.execute(f"PRAGMA user_version = {version + 1}")
            database.conn.execute(f"PRAGMA application_id = {_APPLICATION_ID + version + 1}")
    return found
