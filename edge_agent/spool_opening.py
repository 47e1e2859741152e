"""Opens the spool's file: checks it, sets it aside where it is damaged, and says what waits to be salvaged.

A damaged file is renamed to `FILE.damaged-TIME` (with its write-ahead log) and a new one begun in its place. What the
old one still holds is taken over step by step while the agent works (spool_salvage); then it is `FILE.salvaged-TIME`,
kept for whoever wants to know what happened until its room is needed. What somebody brings along from an old card
(`edge-agent spool import`) is `FILE.brought-TIME`, and taken over in the same way.
"""

import os
import shutil
import sqlite3
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import structlog
from sqlite_utils import Database

from edge_agent.errors import SpoolCorrupt
from edge_agent.spool_room import DATABASE_ERRORS, named_error
from edge_agent.spool_schema import connect, expected_schema, migrate, schema_of
from wastelock.page import page_hash

_log = structlog.get_logger(__name__)

JOURNALS = """
SELECT id, state, newest_page, newest_hash, committed_through, committed_head, pruned_through, pruned_hash FROM journal
"""
HASH_OF_PAGE = "SELECT hash FROM page WHERE journal = ? AND page = ?"
NEWEST_PAGES = "SELECT page, hash, payload FROM page ORDER BY id DESC LIMIT ?"

# A whole check reads the whole file: seconds for each 100 MiB on an SD card. A larger spool gets it in parts only; its
# pages are checked by their hashes when they are sent, whatever the size.
_WHOLE_CHECK_BYTES = 64 * 1024 * 1024
_SMALL_TABLES = ("journal", "watermark", "held", "cursor", "counter", "command", "outcome", "desired")
_NEWEST_CHECKED = 16
_MARK = "damaged"
_SET_ASIDE = ".damaged-"
_BROUGHT = ".brought-"
_DONE = ".salvaged-"
REHEARSAL = "rehearsal-"
_LEFT_S = 3600.0  # no copy takes that long: whoever made it is gone


def open_database(path: Path, now: datetime) -> Database:
    """Return the spool's database, checked and up to date; a damaged one was set aside and a new one begun."""
    clear_leftovers(path, now)
    _reunite_log(path)
    mark = _mark_path(path)
    if mark.exists():
        set_aside(path, now, mark.read_text(encoding="utf-8", errors="replace").strip())
        mark.unlink()
    try:
        return open_checked(path)
    except SpoolCorrupt as error:
        set_aside(path, now, str(error))
        return open_checked(path)


def mark_damaged(path: Path, why: str) -> None:
    """Have the file set aside when it is opened next."""
    try:
        _mark_path(path).write_text(why + "\n", encoding="utf-8")
    except OSError as error:  # a full disk: the next start finds the damage by itself
        _log.error("the damage can't be noted", why=str(error))


def set_aside(path: Path, now: datetime, why: str) -> None:
    """Move the file and its log out of the way, to be salvaged."""
    stamp = now.strftime("%Y%m%dT%H%M%S")
    target = path.with_name(f"{path.name}{_SET_ASIDE}{stamp}")
    for attempt in range(1, 100):
        if not target.exists():
            break
        target = path.with_name(f"{path.name}{_SET_ASIDE}{stamp}.{attempt}")
    if path.exists():
        path.rename(target)
    _reunite_log(path)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    sync_directory(path.parent)
    _log.error("the spool is damaged: set aside, a new journal begins", file=str(target), why=why)


def to_salvage(path: Path) -> list[Path]:
    """Return the files that were set aside, or brought along, and not yet taken over, oldest first."""
    brought = [file for file in _beside(path, f"{path.name}{_BROUGHT}") if not file.name.endswith("-wal")]
    return [*were_damaged(path), *brought]


def were_damaged(path: Path) -> list[Path]:
    """Return the files that were set aside because they were damaged, and not yet taken over, oldest first."""
    return [file for file in _beside(path, f"{path.name}{_SET_ASIDE}") if not file.name.endswith("-wal")]


def brought_path(path: Path, now: datetime) -> Path:
    """Return where to lay what is to be taken over beside the spool's file."""
    return path.with_name(f"{path.name}{_BROUGHT}{now:%Y%m%dT%H%M%S%f}")


def was_brought(file: Path) -> bool:
    """True if this file, which waits to be taken over, came from elsewhere: it needn't be this gateway's own."""
    return _BROUGHT in file.name


def clear_leftovers(path: Path, now: datetime) -> None:
    """Delete copies beside the spool that a power cut left half made: of rehearsals, and of what was brought along."""
    brought, receipts = f"{path.name}{_BROUGHT}", f"{path.name}.receipts-"
    for file in _beside(path, ""):
        is_part = file.name.startswith((f".{brought}", f".{receipts}"))
        is_log = file.name.startswith(brought) and file.name.endswith("-wal")
        is_alone = is_log and not file.with_name(file.name.removesuffix("-wal")).exists()
        is_rehearsal = file.name.startswith(REHEARSAL)
        with suppress(OSError):
            if not (is_part or is_alone or is_rehearsal) or now.timestamp() - file.stat().st_mtime < _LEFT_S:
                continue
            if is_rehearsal:
                shutil.rmtree(file)
            else:
                file.unlink()


def finish_salvage(file: Path) -> None:
    """The file was taken over: one that was damaged is kept, under another name, as long as there is room."""
    if was_brought(file):  # whoever brought it has the original
        file.with_name(file.name + "-wal").unlink(missing_ok=True)
        file.unlink(missing_ok=True)
        return
    done = file.with_name(file.name.replace(_SET_ASIDE, _DONE))
    file.with_name(file.name + "-wal").unlink(missing_ok=True)
    file.rename(done)
    drop_salvaged(file, keep=done)


def drop_salvaged(file: Path, keep: Path | None = None) -> None:
    """Delete what was taken over; `file` is the spool's, or one that was set aside."""
    name = file.name.partition(_SET_ASIDE)[0]
    for done in _beside(file, f"{name}{_DONE}"):
        if done != keep:
            done.unlink(missing_ok=True)


def _beside(file: Path, prefix: str) -> list[Path]:
    return sorted(other for other in file.parent.iterdir() if other.name.startswith(prefix))


def open_checked(path: Path) -> Database:
    """Return the spool's database, checked and up to date, or raise SpoolCorrupt: nothing is set aside."""
    log = path.with_name(path.name + "-wal")
    if path.exists() and path.stat().st_size == 0 and log.exists() and log.stat().st_size > 0:
        raise SpoolCorrupt(f"{path}: the file is empty, but its log isn't")  # SQLite would throw the log away
    try:
        database = connect(path)
    except DATABASE_ERRORS as error:
        raise named_error(error, path) from error
    try:
        migrate(database)
        _check(database.conn, path)
    except DATABASE_ERRORS as error:
        database.close()
        raise named_error(error, path) from error
    except BaseException:
        database.close()
        raise
    return database


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise SpoolCorrupt, or sqlite3.DatabaseError, where the file is damaged; bounded, however large it is."""
    whole = path.stat().st_size <= _WHOLE_CHECK_BYTES
    for pragma in ["quick_check(1)"] if whole else [f"quick_check({table})" for table in _SMALL_TABLES]:
        (found,) = connection.execute(f"PRAGMA {pragma}").fetchone()
        if found != "ok":
            raise SpoolCorrupt(f"{path}: {found}")
    if schema_of(connection) != expected_schema():
        raise SpoolCorrupt(f"{path}: the tables aren't what they were made as")
    newest = connection.execute(NEWEST_PAGES, (_NEWEST_CHECKED,)).fetchall()
    for page, digest, payload in newest:
        if not isinstance(payload, bytes) or page_hash(payload) != digest:
            raise SpoolCorrupt(f"{path}: page {page} isn't what was sealed: its hash doesn't hold")
    _check_journals(connection, path)


def _check_journals(connection: sqlite3.Connection, path: Path) -> None:
    """Check the chain's end and each proven watermark against the pages that they name, where those are still here."""
    for journal, state, newest, newest_hash, committed, head, pruned, pruned_hash in connection.execute(
        JOURNALS
    ).fetchall():
        named = [(newest, newest_hash)] if state == "active" else []
        named += [(committed, head)] if head else []
        for page, expected in named:
            row = connection.execute(HASH_OF_PAGE, (journal, page)).fetchone()
            found = row[0] if row else pruned_hash if page == pruned else None
            is_missing = found is None and state == "active" and page > pruned
            if page and (is_missing or (found and found != expected)):
                raise SpoolCorrupt(f"{path}: page {page} isn't the one that journal {journal} names")


def _mark_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.{_MARK}")


def _reunite_log(path: Path) -> None:
    """A write-ahead log without its file belongs to the file that was set aside last (killed between two renames)."""
    log = path.with_name(path.name + "-wal")
    if path.exists() or not log.exists():
        return
    waiting = were_damaged(path)
    if waiting and not waiting[-1].with_name(waiting[-1].name + "-wal").exists():
        log.rename(waiting[-1].with_name(waiting[-1].name + "-wal"))


def sync_directory(directory: Path) -> None:
    """Have what was renamed in a directory on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
