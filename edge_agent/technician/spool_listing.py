"""What is in a spool, for people: journals, pages, one page with its records. Transponders' numbers only where asked.

Read beside a running agent or without one; nothing is written.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import NotHere, SpoolCorrupt, SpoolUnavailable
from edge_agent.spool_reader import JournalView, SpoolReader, StoredPage
from edge_agent.spool_status import from_ms
from wastelock.log_fields import WITHHELD
from wastelock.page import (
    MalformedPage,
    Page,
    PageRecord,
    SigningKey,
    UnsupportedPage,
    format_instant,
    from_base64url,
    page_hash,
    parse_page,
    signature_holds,
)
from wastelock.record import RECORD_BYTES, Kind, PourResult, crc_holds, decode_record
from wastelock.topics import GatewayTopics

_TRIES = 3


@dataclass(frozen=True, slots=True)
class PageLine:
    """One page. `custody`: `received` by the ledger, or it `waits` for that: then it is here alone."""

    journal: str
    page: int
    custody: str
    sealed_at: str
    size_bytes: int
    records: int
    locks: tuple[str, ...]
    kid: str


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One journal; `pages`: how many of it are here, `waiting`: how many of these aren't received."""

    journal: str
    state: str
    reason: str
    gateway: str
    site: str
    newest_page: int
    committed_through: int
    pruned_through: int
    pages: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Listing:
    """`lines`: the newest pages, newest last; `pages`: how many there are in all journals."""

    spool: str
    pages: int
    journals: tuple[JournalLine, ...]
    lines: tuple[PageLine, ...]


@dataclass(frozen=True, slots=True)
class RecordLine:
    """A record as it was read. `transponder`: its number, withheld unless asked for; None where none was used."""

    lock: str
    driver: str
    epoch: int
    seq: int
    kind: str
    result: int
    chamber: int
    volume_ml: int
    register: int
    transponder: str | None
    began_clock_s: int
    read_at: str
    clock_offset_s: int | None
    crc_holds: bool


@dataclass(frozen=True, slots=True)
class ShownPage:
    """A page with all that proves it. `signature`: holds, doesn't hold, or by another key than this gateway's."""

    line: PageLine
    hash: str
    prev: str
    chain: str
    clock: str
    signature: str
    records: tuple[RecordLine, ...]


@contextmanager
def opened_reader(path: Path) -> Iterator[SpoolReader]:
    """A spool, seen in one state. SpoolUnavailable where there is none yet."""
    if not path.exists():
        raise SpoolUnavailable(f"{path} isn't there yet: the agent makes it when it first runs")
    reader = SpoolReader(path)
    try:
        with reader.snapshot():
            yield reader
    finally:
        reader.close()


def list_spool(path: Path, most: int, journal: str | None, *, waiting: bool) -> Listing:
    """Return what is in a spool with at most `most` pages: of one journal, and only those that wait, if asked for."""
    for _ in range(_TRIES - 1):
        with suppress(SpoolCorrupt):  # read while an agent was just starting; look again before believing it
            return _list(path, most, journal, waiting)
    return _list(path, most, journal, waiting)


def show_page(
    path: Path, number: int, journal: str | None, key: SigningKey | None, *, raw: bool
) -> ShownPage:
    """Return a page with its records; NotHere where this journal (None: the active one) has none of that number."""
    with opened_reader(path) as reader:
        view = find_journal(reader, journal)
        stored = reader.page(view.id, number)
        if stored is None:
            raise NotHere(
                f"journal {view.uuid} has no page {number} here; it holds {_held_here(reader, view)}: "
                "`edge-agent spool ls` lists them"
            )
        before = reader.page(view.id, number - 1)
        page = read_page(path, stored)
        return ShownPage(
            _line(reader, view, stored, page),
            page_hash(stored.payload),
            page.prev,
            _chain(page, before),
            page.clock,
            _signature(view, stored, key),
            tuple(_record_line(record, raw) for record in page.records),
        )


def find_journal(reader: SpoolReader, uuid: str | None) -> JournalView:
    """Return a journal by its UUID or the beginning of it, None: the active one. NotHere where it isn't there."""
    for view in reader.journals():
        if view.state == "active" if uuid is None else view.uuid.startswith(uuid):
            return view
    known = ", ".join(view.uuid for view in reader.journals()) or "none"
    raise NotHere(f"{reader.path} has no journal {uuid or 'in use'}; it has: {known}")


def read_page(path: Path, stored: StoredPage) -> Page:
    """Return what is in a stored page, or raise SpoolCorrupt."""
    try:
        return parse_page(stored.payload)
    except (MalformedPage, UnsupportedPage) as error:
        raise SpoolCorrupt(f"{path}: page {stored.page} can't be read: {error}") from error


def is_received(view: JournalView, held: list[tuple[int, int]], page: int) -> bool:
    """True if a receipt covers this page."""
    return page <= view.committed_through or any(first <= page <= last for first, last in held)


def _list(path: Path, most: int, journal: str | None, waiting: bool) -> Listing:
    with opened_reader(path) as reader:
        views = reader.journals() if journal is None else [find_journal(reader, journal)]
        lines: list[PageLine] = []
        for view in reversed(views):
            after = view.committed_through if waiting else view.pruned_through
            numbers = reader.pages_before(view.id, view.newest_page + 1, most - len(lines), after)
            for number in numbers:
                stored = reader.page(view.id, number)
                assert stored is not None  # one snapshot
                lines.append(_line(reader, view, stored, read_page(path, stored)))
        journals = tuple(_journal_line(reader, view) for view in views)
    if waiting:
        lines = [line for line in lines if line.custody == "waits"]
    return Listing(str(path), sum(each.pages for each in journals), journals, tuple(reversed(lines)))


def _journal_line(reader: SpoolReader, view: JournalView) -> JournalLine:
    return JournalLine(
        view.uuid, view.state, view.reason, view.gateway, view.site, view.newest_page, view.committed_through,
        view.pruned_through, reader.count_after(view.id, 0), reader.count_after(view.id, view.committed_through),
    )  # fmt: skip


def _line(reader: SpoolReader, view: JournalView, stored: StoredPage, page: Page) -> PageLine:
    received = is_received(view, reader.held(view.id), stored.page)
    return PageLine(
        view.uuid,
        stored.page,
        "received" if received else "waits",
        format_instant(from_ms(stored.sealed_at_ms)),
        len(stored.payload),
        len(page.records),
        tuple(sorted({record.lock for record in page.records})),
        stored.kid,
    )


def _held_here(reader: SpoolReader, view: JournalView) -> str:
    oldest = reader.oldest_after(view.id, 0)
    return "none" if oldest is None else f"{oldest[0]} to {view.newest_page}"


def _chain(page: Page, before: StoredPage | None) -> str:
    if page.page == 1:
        return "the first of its journal"
    if before is None:
        return f"page {page.page - 1} isn't here any more"
    return "holds" if page_hash(before.payload) == page.prev else f"BROKEN: doesn't follow page {before.page}"


def _signature(view: JournalView, stored: StoredPage, key: SigningKey | None) -> str:
    if key is None:
        return f"by key {stored.kid}, not checked: this user can't read the gateway's key"
    if stored.kid != key.kid:
        return f"by key {stored.kid}, which isn't the present one ({key.kid}): the ledger can check it"
    topic = GatewayTopics(view.site, view.gateway).page
    held = signature_holds(key.private.public_key(), topic, stored.payload, stored.signature)
    return "holds" if held else "DOESN'T HOLD"


def _record_line(record: PageRecord, raw: bool) -> RecordLine:
    content = from_base64url(record.raw)
    if len(content) != RECORD_BYTES:
        raise SpoolCorrupt(f"record {record.seq} of lock {record.lock} has {len(content)} bytes")
    decoded = decode_record(content)
    shown = f"{decoded.uid:016x}" if raw else WITHHELD
    return RecordLine(
        record.lock,
        record.driver,
        record.epoch,
        record.seq,
        kind_name(decoded.kind, decoded.result),
        decoded.result,
        decoded.chamber,
        decoded.volume_ml,
        decoded.register_after,
        shown if decoded.uid else None,
        decoded.began_clock_s,
        record.read_at,
        record.clock_offset_s,
        crc_holds(content, int(record.lock, 16), record.epoch),
    )


def kind_name(kind: int, result: int) -> str:
    """Return what a record tells, in a word or two: `pour`, `pour given up`, `access denied` …"""
    if kind not in Kind._value2member_map_:
        return f"kind {kind}"
    name = Kind(kind).name.lower().replace("_", " ")
    if kind == Kind.POUR and result != PourResult.COMPLETE:
        known = result in PourResult._value2member_map_
        return f"pour {PourResult(result).name.lower().replace('_', ' ') if known else f'result {result}'}"
    return name
