"""`edge-agent rehearse`: before this release takes a spool over from an older one, it opens a copy and replays it.

    spool.db ──consistent copy──▶ migrate, check ──▶ every page: hash, chain, signature, records ──▶ cursors agree

The spool itself is only read, beside a running agent or without one. What fails here would have failed after the
upgrade, with the old program gone; so the package asks first, and leaves the old program alone if the answer is no.
"""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_agent.config import AgentConfig
from edge_agent.errors import SpoolCorrupt, SpoolUnavailable
from edge_agent.spool_opening import REHEARSAL, open_checked
from edge_agent.spool_reader import JournalView, SpoolReader, StoredPage, open_for_reading
from edge_agent.spool_room import DATABASE_ERRORS, named_error
from wastelock.page import (
    MalformedPage,
    Page,
    SigningKey,
    UnsupportedPage,
    page_hash,
    parse_page,
    signature_holds,
)
from wastelock.topics import GatewayTopics

Progress = Callable[[int, int], None]
"""Is told how many pages were replayed, of how many."""

Newest = dict[str, tuple[int, int]]
"""Each lock's newest record: epoch, seq."""

_COPIED_AT_ONCE = 1024  # blocks of 4 KiB
_PAGES_AT_ONCE = 500
_FREE_BYTES = 16 * 1024 * 1024  # beside the copy itself, for its log


@dataclass(slots=True)
class Rehearsal:
    """What was replayed. `unreceipted_pages`: what only this gateway has, and keeps through the upgrade."""

    journals: int = 0
    pages: int = 0
    records: int = 0
    signatures: int = 0
    unreceipted_pages: int = 0
    newest: Newest = field(default_factory=dict)


def rehearse(
    config: AgentConfig, key: SigningKey | None, progress: Progress = lambda _done, _all: None
) -> Rehearsal | None:
    """Replay a copy of the spool as this release would take it over; None if there is no spool yet.

    Raises SpoolCorrupt or SpoolUnavailable saying what is wrong. `key`: whose signatures are checked, None: nobody's.
    """
    path = config.spool.path
    if not path.exists():
        return None
    _need_room(path)
    with TemporaryDirectory(prefix=REHEARSAL, dir=path.parent) as directory:
        copy = Path(directory) / path.name
        _copy(path, copy)
        open_checked(copy).close()
        with closing(SpoolReader(copy)) as reader:
            return replay(reader, key, progress)


def _need_room(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    needed = path.stat().st_size + (log.stat().st_size if log.exists() else 0) + _FREE_BYTES
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise SpoolUnavailable(
            f"{path.parent}: {free // 2**20} MiB are free, but copying the spool takes {needed // 2**20} MiB: "
            "make room, or wait until what the ledger has is pruned"
        )


def _copy(source: Path, target: Path) -> None:
    """Copy what is committed, in parts, so that a running agent is never kept from sealing."""
    try:
        with closing(open_for_reading(source)) as reading, closing(sqlite3.connect(target)) as writing:
            reading.backup(writing, pages=_COPIED_AT_ONCE)
    except DATABASE_ERRORS as error:
        raise named_error(error, source) from error


def replay(
    reader: SpoolReader, key: SigningKey | None, progress: Progress = lambda _done, _all: None
) -> Rehearsal:
    """Check every page's hash, place in the chain, signature and records; SpoolCorrupt says what doesn't hold.

    Beside a running agent the reader has to see one snapshot.
    """
    rehearsal, journals, sealed = Rehearsal(), reader.journals(), Newest()
    counts = [reader.count_after(view.id, 0) for view in journals]
    for view in journals:
        newest = _replay_journal(reader, view, key, rehearsal, lambda: progress(rehearsal.pages, sum(counts)))
        _advance(rehearsal.newest, newest)
        if view.state == "active":
            sealed = newest
        rehearsal.journals += 1
        rehearsal.unreceipted_pages += reader.count_after(view.id, view.committed_through)
    if all(view.state != "forked" for view in journals):  # pages that were sealed anew come without cursors
        _check_cursors(reader, sealed)
    return rehearsal


def _check_cursors(reader: SpoolReader, sealed: Newest) -> None:
    """Each lock has a cursor at the newest of its records that were sealed here, or beyond.

    Pages that were taken over from another card or a damaged file bring none: rings are read again from their oldest
    record then, as something may be missing before them.
    """
    cursors = reader.cursors()
    for lock, newest in sealed.items():
        if lock not in cursors or cursors[lock][:2] < newest:
            raise SpoolCorrupt(
                f"{reader.path}: record {newest[1]} of lock {lock} is in a page, but not noted"
            )


def _replay_journal(
    reader: SpoolReader,
    view: JournalView,
    key: SigningKey | None,
    rehearsal: Rehearsal,
    tell: Callable[[], None],
) -> Newest:
    """Replay one journal; return each lock's newest record in it."""
    topic, newest = GatewayTopics(view.site, view.gateway).page, Newest()
    number, digest = view.pruned_through, None
    while numbers := reader.pages_after(view.id, number, _PAGES_AT_ONCE):
        for following in numbers:
            stored = reader.page(view.id, following)
            assert stored is not None
            page = _checked(reader.path, view, stored)
            is_next = following == number + 1
            if (view.state == "active" and not is_next) or (is_next and digest not in (None, page.prev)):
                raise SpoolCorrupt(f"{reader.path}: page {following} doesn't follow page {number}")
            if key is not None and stored.kid == key.kid:
                _check_signature(reader.path, key, topic, stored)
                rehearsal.signatures += 1
            rehearsal.pages += 1
            rehearsal.records += len(page.records)
            for record in page.records:
                _advance(newest, {record.lock: (record.epoch, record.seq)})
            number, digest = following, page_hash(stored.payload)
        tell()
    if view.state == "active" and number != view.newest_page:
        raise SpoolCorrupt(
            f"{reader.path}: journal {view.uuid} ends at page {view.newest_page}, not at {number}"
        )
    return newest


def _advance(newest: Newest, further: Newest) -> None:
    for lock, here in further.items():
        newest[lock] = max(here, newest.get(lock, here))


def _checked(path: Path, view: JournalView, stored: StoredPage) -> Page:
    try:
        page = parse_page(stored.payload)
    except (MalformedPage, UnsupportedPage) as error:
        raise SpoolCorrupt(f"{path}: page {stored.page} can't be read: {error}") from error
    if (page.gateway, page.journal, page.page) != (view.gateway, view.uuid, stored.page):
        raise SpoolCorrupt(f"{path}: page {stored.page} belongs to another journal")
    return page


def _check_signature(path: Path, key: SigningKey, topic: str, stored: StoredPage) -> None:
    if not signature_holds(key.private.public_key(), topic, stored.payload, stored.signature):
        raise SpoolCorrupt(f"{path}: page {stored.page} wasn't signed with this gateway's key as it says")
