"""`cloud-sink import` of pages: an archive that came by hand goes through the same checks into the same book as MQTT's.

    archive ──whole, signed by its gateway?──▶ page by page: check_message ──▶ book.commit ──▶ receipts, for a file

Taking it twice does nothing the second time, and it may be taken while the gateway sends the same pages. What is wrong
with a single page sends it into quarantine, as usual; an archive that isn't whole, or isn't its gateway's, is refused
as a whole, unless its whole pages are asked for: each carries its own signature.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from cloud_sink.checking import CheckedPage, Message, Reason, Rejected, check_message
from cloud_sink.errors import InputRejected, LedgerRefused
from cloud_sink.keys import KeyRing
from cloud_sink.ledger.book import Book, Outcome
from cloud_sink.ledger.journals import Standing
from cloud_sink.receipts import receipts
from wastelock.archive import (
    ArchivedPage,
    DamagedArchive,
    NotAnArchive,
    UntrustedArchive,
    archive_gateway,
    archived_pages,
    check_archive,
    read_lines,
)
from wastelock.messages import Receipt
from wastelock.page import signature_holds
from wastelock.signed_file import Receipts
from wastelock.topics import GatewayTopics

_PAGES_AT_ONCE = 50

Progress = Callable[[int, int], None]
"""Is told how many bytes were looked at, of how many: each byte is looked at twice."""


@dataclass(slots=True)
class Imported:
    """What came of an archive. `known`: pages that the ledger had already; `refused`: how many, by reason.

    `missing`: pages below a journal's newest that the ledger still hasn't, by journal. `broken_off`: why it wasn't read
    to its end; what came before that is in the ledger.
    """

    file: str
    site: str
    gateway: str
    pages: int = 0
    new: int = 0
    known: int = 0
    entries: int = 0
    disputes: int = 0
    unread: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    missing: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    receipts: str | None = None
    broken_off: str | None = None

    @property
    def is_good(self) -> bool:
        """True if all of it was read, and nothing of it was refused or contradicts what is there."""
        return not (self.refused or self.disputes or self.unread or self.broken_off)


class Importing:
    """Takes archives into a ledger. Not for several threads at once."""

    def __init__(self, book: Book, keys: KeyRing, clock: Callable[[], datetime]) -> None:
        self._book = book
        self._keys = keys
        self._clock = clock

    def take(
        self, file: Path, *, salvage: bool = False, progress: Progress = lambda _done, _all: None
    ) -> tuple[Imported, Receipts | None]:
        """Take an archive in; return what came of it, and the receipts for its gateway (None: nothing to tell).

        `salvage`: the archive isn't whole; take what is, and keep nothing of the rest. Raises InputRejected,
        LedgerUnavailable: take it again, what was committed is known by then.
        """
        try:
            topics = self._judge(file, salvage, progress)
            return self._take(file, topics, salvage, progress)
        except OSError as error:
            raise InputRejected(
                [
                    f"{file}: can't be read ({error.strerror}): copy it once more, or give the sink's user the right"
                ]
            ) from error
        except DamagedArchive as error:
            raise InputRejected([f"{file}: {error}: {_REMEDY}"]) from error

    def _judge(self, file: Path, salvage: bool, progress: Progress) -> GatewayTopics:
        """Return whose archive it is, or raise InputRejected where it may not be believed."""
        size = file.stat().st_size
        try:
            with file.open("rb") as opened:
                if salvage:
                    return self._gateway_of_damaged(opened)
                manifest = check_archive(
                    read_lines(opened),
                    lambda topics, kid: self._keys.gateways.get((topics.site, topics.gateway), {}).get(kid),
                    lambda seen: progress(seen, 2 * size),
                )
        except NotAnArchive as error:
            raise InputRejected([f"{file}: {error}"]) from error
        except UntrustedArchive as error:
            raise InputRejected(
                [f"{file}: {error}: register the gateway's key (docs/operations-keys.md), or find out who made it; "
                 "--salvage takes those of its pages whose own signatures hold"]
            ) from error  # fmt: skip
        return GatewayTopics(manifest.site, manifest.gateway)

    def _gateway_of_damaged(self, opened: BinaryIO) -> GatewayTopics:
        """Return whose archive it is by its first line; where that is damaged, by a page whose signature holds."""
        try:
            return archive_gateway(next(read_lines(opened, skip_damaged=True), b""))
        except NotAnArchive:
            opened.seek(0)
        for page in archived_pages(read_lines(opened, skip_damaged=True), skip_damaged=True):
            for (site, gateway), ring in self._keys.gateways.items():
                if gateway == page.header.gateway and page.kid in ring:
                    topics = GatewayTopics(site, gateway)
                    if signature_holds(ring[page.kid], topics.page, page.payload, page.signature):
                        return topics
        raise NotAnArchive("holds no page that a gateway known here has signed")

    def _take(
        self, file: Path, topics: GatewayTopics, salvage: bool, progress: Progress
    ) -> tuple[Imported, Receipts | None]:
        imported = Imported(str(file), topics.site, topics.gateway)
        latest: dict[str, tuple[Standing, Receipt]] = {}
        size, seen = file.stat().st_size, 0
        try:
            with file.open("rb") as opened:
                pages = archived_pages(read_lines(opened, skip_damaged=salvage), skip_damaged=salvage)
                while some := list(islice(pages, _PAGES_AT_ONCE)):
                    for standing, receipt in self._commit(some, topics, salvage, imported):
                        latest[receipt.journal] = standing, receipt
                    seen += sum(len(page.payload) for page in some) * 4 // 3
                    progress(min(2 * size, size + seen), 2 * size)
        except (OSError, DamagedArchive) as error:
            if not imported.pages:
                raise
            imported.broken_off = (
                f"{error}: {_REMEDY}"  # what is committed is told, and answered with receipts
            )
        for journal, (standing, _) in latest.items():
            if standing.missing:
                imported.missing[journal] = list(standing.missing)
        told = tuple(receipt for _, receipt in latest.values())
        if not told:
            return imported, None
        return imported, Receipts(site=topics.site, gateway=topics.gateway, at=self._clock(), receipts=told)

    def _commit(
        self, pages: Sequence[ArchivedPage], topics: GatewayTopics, salvage: bool, imported: Imported
    ) -> list[tuple[Standing, Receipt]]:
        now = self._clock()
        results = [
            check_message(Message(topics.page, page.payload, page.kid, page.signature, now), self._keys)
            for page in pages
        ]
        good = [result for result in results if isinstance(result, CheckedPage)]
        bad = [result for result in results if isinstance(result, Rejected)]
        told = []
        for outcome, refused in self._written(good, [] if salvage else bad):
            told += receipts(outcome.standings, refused, now)
            imported.new += outcome.pages
            imported.entries += outcome.entries
            imported.disputes += outcome.disputes
            imported.unread += outcome.unread
            bad += [each for each in refused if each.reason is Reason.REFUSED]
        for each in bad:
            imported.refused[each.reason.value] = imported.refused.get(each.reason.value, 0) + 1
        imported.pages += len(pages)
        imported.known = imported.pages - imported.new - sum(imported.refused.values())
        return told

    def _written(
        self, good: Sequence[CheckedPage], bad: Sequence[Rejected]
    ) -> Iterator[tuple[Outcome, Sequence[Rejected]]]:
        """Commit a batch; where the database refuses something of it, one by one, and that into quarantine."""
        try:
            yield self._book.commit(good, bad), bad
        except LedgerRefused as error:
            if len(good) <= 1:
                refused = [
                    *bad,
                    *(
                        Rejected(page.message, Reason.REFUSED, str(error), page.key, page.page)
                        for page in good
                    ),
                ]
                yield self._book.commit([], refused), refused
                return
            yield self._book.commit([], bad), bad
            for page in good:
                yield from self._written([page], [])


_REMEDY = "copy it once more from the gateway or its stick; --salvage takes what is whole in it"
