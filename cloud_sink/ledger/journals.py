"""Gateways' journals in the ledger: which pages are here, how far the chain of hashes holds, what a receipt may say.

    committed_through = the last page w such that all pages 1..w are here and each names the hash of the one before
    held              = the pages beyond it that are here as well

A page is committed wherever it stands in its journal; only the watermark waits for the chain. Where page w+1 is here
but names another hash, the watermark stays and the page is a dispute of kind `chain`. A second page with the same
number and other bytes is a dispute of kind `page`; both are kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink import spans
from cloud_sink.checking import WHOLE_PAGE, CheckedPage, JournalKey
from cloud_sink.ledger.bulk import insert_rows
from cloud_sink.ledger.disputes import Dispute, DisputeKind
from cloud_sink.ledger.span_table import PAGE_SPANS, Key
from cloud_sink.ledger.tables import disputes, journals, pages
from cloud_sink.spans import Span

_IN_CHUNK = 400  # values in one IN (…)
_LINKS_CHUNK = 1000  # pages looked at per query while the watermark moves
_NOTES_MAX = 100  # what a receipt may list
_RANGES_MAX = 1000


@dataclass(slots=True)
class Journal:
    """One journal's row, while a transaction works on it. `head`: hash of page `committed_through`, "" for 0."""

    journal_no: int
    key: JournalKey
    committed_through: int = 0
    head: str = ""
    newest_page: int = 0
    is_new: bool = True
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What a receipt says of a journal. `notes`: (page, kind of dispute), newest first."""

    key: JournalKey
    committed_through: int = 0
    head: str = ""
    newest_page: int = 0
    held: tuple[Span, ...] = ()
    notes: tuple[tuple[int, str], ...] = ()
    is_latest: bool = False

    @property
    def missing(self) -> list[Span]:
        """The pages between the watermark and the newest page that never came."""
        return spans.missing(self.held, self.committed_through + 1, self.newest_page)


@dataclass(slots=True)
class PlacedPage:
    """A page that this transaction adds, with its number in the ledger."""

    page_no: int
    journal: Journal
    checked: CheckedPage


@dataclass(slots=True)
class Sorted:
    """The pages of a batch: those to add, and the disputes that some of them raise."""

    placed: list[PlacedPage] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)


def load(connection: Connection, keys: Iterable[JournalKey]) -> dict[JournalKey, Journal]:
    """Return the journals that are in the ledger already."""
    names = sorted({key.journal for key in keys})
    found: dict[JournalKey, Journal] = {}
    for start in range(0, len(names), _IN_CHUNK):
        query = sa.select(journals).where(journals.c.journal.in_(names[start : start + _IN_CHUNK]))
        for row in connection.execute(query):
            journal = _journal(row)
            found[journal.key] = journal
    return found


def load_with_holes(connection: Connection) -> list[Journal]:
    """Return the journals whose newest page is beyond their watermark."""
    query = sa.select(journals).where(journals.c.newest_page > journals.c.committed_through)
    return [_journal(row) for row in connection.execute(query)]


def all_journals(connection: Connection) -> list[Journal]:
    """Return all journals, in the order in which they came: a few for each gateway, whatever the ledger's size."""
    return [_journal(row) for row in connection.execute(sa.select(journals).order_by(journals.c.journal_no))]


def load_or_create(connection: Connection, keys: Iterable[JournalKey]) -> dict[JournalKey, Journal]:
    """Return the journals of these keys; those that are new get the next numbers."""
    wanted = list(dict.fromkeys(keys))
    found = load(connection, wanted)
    new = [key for key in wanted if key not in found]
    if new:
        last = connection.scalar(sa.select(sa.func.coalesce(sa.func.max(journals.c.journal_no), 0))) or 0
        found.update({key: Journal(number, key) for number, key in enumerate(new, last + 1)})
    return {key: found[key] for key in wanted}


def sort_pages(
    connection: Connection,
    batch: Sequence[CheckedPage],
    known: Mapping[JournalKey, Journal],
    last_page_no: int,
) -> Sorted:
    """Leave out the pages that are here already, and number those that aren't, in the order in which they came."""
    here = _hashes_here(connection, batch, known)
    result = Sorted()
    for checked in batch:
        journal = known[checked.key]
        hashes = here.setdefault((journal.journal_no, checked.page), set())
        if checked.hash in hashes:
            continue
        page_no = last_page_no + len(result.placed) + 1
        result.placed.append(PlacedPage(page_no, journal, checked))
        if hashes:
            result.disputes.append(
                Dispute(DisputeKind.PAGE, journal.journal_no, checked.page, page_no, WHOLE_PAGE)
            )
        hashes.add(checked.hash)
    return result


def add_pages(connection: Connection, placed: Sequence[PlacedPage], commit_no: int) -> list[Dispute]:
    """Write pages with their bytes, move the watermarks, and return the breaks of chain that this shows."""
    insert_rows(connection, pages, [_page_row(page, commit_no) for page in placed])
    links = _new_links(placed)
    numbers: dict[Key, list[int]] = {}
    touched: dict[int, Journal] = {}
    for page in placed:
        journal = page.journal
        touched[journal.journal_no] = journal
        numbers.setdefault((journal.journal_no,), []).append(page.checked.page)
        journal.newest_page = max(journal.newest_page, page.checked.page)
        journal.changed = True
    near = PAGE_SPANS.touching(connection, {key: (min(mine), max(mine)) for key, mine in numbers.items()})
    PAGE_SPANS.add(connection, {key: spans.from_numbers(mine) for key, mine in numbers.items()}, near)
    return [
        broken
        for number, journal in touched.items()
        if (broken := _advance(connection, journal, links[number]))
    ]


def save(connection: Connection, changed: Iterable[Journal]) -> None:
    """Write the rows of journals that are new or have moved."""
    changed = [journal for journal in changed if journal.changed]
    insert_rows(connection, journals, [_journal_row(journal) for journal in changed if journal.is_new])
    moved = [journal for journal in changed if not journal.is_new]
    if moved:
        connection.execute(
            journals.update().where(journals.c.journal_no == sa.bindparam("number")),
            [
                {"number": journal.journal_no, "committed_through": journal.committed_through,
                 "head": journal.head, "newest_page": journal.newest_page}
                for journal in moved
            ],
        )  # fmt: skip


def standings(connection: Connection, known: Iterable[Journal]) -> list[Standing]:
    """Return what receipts say of these journals, as of this transaction."""
    known = list(known)
    wanted: dict[Key, Span] = {
        (journal.journal_no,): (journal.committed_through + 2, 2**62) for journal in known
    }
    held = PAGE_SPANS.touching(connection, wanted)
    notes = _notes(connection, {journal.journal_no: journal.committed_through for journal in known})
    latest = _latest(connection, {(journal.key.site, journal.key.gateway) for journal in known})
    return [
        Standing(
            journal.key,
            journal.committed_through,
            journal.head,
            journal.newest_page,
            tuple(spans.beyond(held[journal.journal_no,], journal.committed_through)[:_RANGES_MAX]),
            tuple(notes.get(journal.journal_no, ()))[:_NOTES_MAX],
            latest[journal.key.site, journal.key.gateway] == journal.journal_no,
        )
        for journal in known
    ]


def _hashes_here(
    connection: Connection, batch: Sequence[CheckedPage], known: Mapping[JournalKey, Journal]
) -> dict[tuple[int, int], set[str]]:
    """Return the hashes of those pages of the batch whose number may be here; beyond newest_page nothing is."""
    wanted: dict[int, list[int]] = {}
    for checked in batch:
        journal = known[checked.key]
        if checked.page <= journal.newest_page:
            wanted.setdefault(journal.journal_no, []).append(checked.page)
    here: dict[tuple[int, int], set[str]] = {}
    for journal_no, numbers in wanted.items():
        for start in range(0, len(numbers), _IN_CHUNK):
            query = sa.select(pages.c.page, pages.c.hash).where(
                pages.c.journal_no == journal_no, pages.c.page.in_(numbers[start : start + _IN_CHUNK])
            )
            for row in connection.execute(query):
                here.setdefault((journal_no, row.page), set()).add(row.hash)
    return here


_Links = dict[int, list[tuple[str, str, int]]]  # page -> (prev, hash, page_no) of each copy


def _new_links(placed: Sequence[PlacedPage]) -> dict[int, _Links]:
    """Return the links that come with this batch, by journal; of older numbers there may be copies in the ledger."""
    links: dict[int, _Links] = {}
    for page in placed:
        checked = page.checked
        mine = links.setdefault(page.journal.journal_no, {})
        if checked.page > page.journal.newest_page:
            mine.setdefault(checked.page, []).append((checked.prev, checked.hash, page.page_no))
    return links


def _advance(connection: Connection, journal: Journal, links: _Links) -> Dispute | None:
    """Move the watermark over all pages that follow on; return the break that stopped it, if a page is what did."""
    while journal.committed_through < journal.newest_page:
        number = journal.committed_through + 1
        if number not in links:
            links = _stored_links(connection, journal.journal_no, number)
        copies = links.get(number)
        if copies is None:
            return None
        following = [hash_ for prev, hash_, _ in copies if prev == journal.head]
        if not following:
            return Dispute(
                DisputeKind.CHAIN, journal.journal_no, number, min(copy[2] for copy in copies), WHOLE_PAGE
            )
        journal.committed_through, journal.head = number, following[0]
    return None


def _stored_links(connection: Connection, journal_no: int, first: int) -> _Links:
    query = (
        sa.select(pages.c.page, pages.c.prev, pages.c.hash, pages.c.page_no)
        .where(pages.c.journal_no == journal_no, pages.c.page.between(first, first + _LINKS_CHUNK - 1))
        .order_by(pages.c.page, pages.c.page_no)
    )
    links: _Links = {}
    for row in connection.execute(query):
        links.setdefault(row.page, []).append((row.prev, row.hash, row.page_no))
    return links


def _notes(connection: Connection, watermarks: Mapping[int, int]) -> dict[int, list[tuple[int, str]]]:
    """Return disputes about pages by journal, newest first; a break of chain that was passed is none any more."""
    numbers = list(watermarks)
    notes: dict[int, list[tuple[int, str]]] = {}
    for start in range(0, len(numbers), _IN_CHUNK):
        query = (
            sa.select(disputes.c.journal_no, disputes.c.page, disputes.c.kind)
            .where(
                disputes.c.journal_no.in_(numbers[start : start + _IN_CHUNK]),
                disputes.c.kind.in_([DisputeKind.PAGE, DisputeKind.CHAIN]),
                disputes.c.resolved_ms.is_(None),
            )
            .order_by(disputes.c.dispute_no.desc())
            .limit(_RANGES_MAX * _NOTES_MAX)
        )
        for row in connection.execute(query):
            if row.kind == DisputeKind.PAGE or row.page > watermarks[row.journal_no]:
                notes.setdefault(row.journal_no, []).append((row.page, row.kind))
    return notes


def _latest(connection: Connection, gateways: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return of each gateway the journal that came last: its receipt is the one that is retained."""
    names = sorted({gateway for _, gateway in gateways})
    latest: dict[tuple[str, str], int] = {}
    for start in range(0, len(names), _IN_CHUNK):
        query = (
            sa.select(journals.c.site, journals.c.gateway, sa.func.max(journals.c.journal_no))
            .where(journals.c.gateway.in_(names[start : start + _IN_CHUNK]))
            .group_by(journals.c.site, journals.c.gateway)
        )
        latest.update({(site, gateway): number for site, gateway, number in connection.execute(query)})
    return latest


def _journal(row: sa.Row[Any]) -> Journal:
    key = JournalKey(row.site, row.gateway, row.journal)
    return Journal(row.journal_no, key, row.committed_through, row.head, row.newest_page, is_new=False)


def _page_row(page: PlacedPage, commit_no: int) -> tuple[object, ...]:
    checked = page.checked
    return (
        page.page_no, page.journal.journal_no, checked.page, checked.hash, checked.prev, checked.version,
        checked.clock, checked.kid, checked.sig, commit_no, checked.message.payload,
    )  # fmt: skip


def _journal_row(journal: Journal) -> tuple[object, ...]:
    key = journal.key
    return (
        journal.journal_no, key.site, key.gateway, key.journal, journal.committed_through, journal.head,
        journal.newest_page,
    )  # fmt: skip
