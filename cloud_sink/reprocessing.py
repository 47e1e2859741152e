"""`cloud-sink reprocess`: tries again everything that wasn't taken, or couldn't be read or proven, when it came.

To be run after keys were added or the sink was upgraded; beside a running sink, as often as wanted. A page that is
taken out of quarantine this way is confirmed to its gateway when that sends it again.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime

from cloud_sink.checking import CheckedPage, check_message
from cloud_sink.keys import KeyRing
from cloud_sink.ledger import quarantine
from cloud_sink.ledger.book import Book
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.rereading import Rereading

_MESSAGES_AT_ONCE = 20


@dataclass(slots=True)
class Reprocessed:
    """What came of it. `still_quarantined`: messages that aren't pages of a known gateway even now."""

    pages_taken: int = 0
    still_quarantined: int = 0
    entries_added: int = 0
    records_settled: int = 0
    entries_proven: int = 0
    new_disputes: int = 0

    def as_dict(self) -> dict[str, int]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def reprocess(database: Database, book: Book, keys: KeyRing, clock: Callable[[], datetime]) -> Reprocessed:
    """Go once through quarantine, unread records, disputed MACs, and entries whose MAC couldn't be checked."""
    result = Reprocessed()
    _retry_quarantine(database, book, keys, result)
    rereading = Rereading(database, keys, clock)
    pages_done: int | None = 0
    while pages_done is not None:
        step = rereading.reread_pages(pages_done)
        pages_done = step.after
        result.entries_added += step.entries
        result.records_settled += step.resolved
        result.new_disputes += step.disputes
    for lock in keys.locks:
        entries_done: tuple[int, int] | None = (-1, 0)
        while entries_done is not None:
            checked = rereading.recheck_macs(lock, entries_done)
            entries_done = checked.after
            result.entries_proven += checked.proven
            result.new_disputes += checked.disputes
    return result


def _retry_quarantine(database: Database, book: Book, keys: KeyRing, result: Reprocessed) -> None:
    after = 0
    while kept := quarantine.unresolved(database, after, _MESSAGES_AT_ONCE):
        after = kept[-1].number
        checked = {item.number: check_message(item.message, keys) for item in kept}
        pages = {number: page for number, page in checked.items() if isinstance(page, CheckedPage)}
        if pages:
            outcome = book.commit(list(pages.values()), taken=list(pages))
            result.entries_added += outcome.entries
            result.new_disputes += outcome.disputes
        result.pages_taken += len(pages)
        result.still_quarantined += len(kept) - len(pages)
