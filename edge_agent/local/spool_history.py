"""What the newest pages of a spool tell of each lock: its last pour, how much of it the ledger has, how much waits.

Read backwards from the newest page, and from then on only what is new: a screen that asks each second costs little,
however many pages there are. How far back is bounded; what isn't found among so many pages isn't known.
"""

from collections import Counter
from collections.abc import Iterator

from edge_agent.errors import SpoolCorrupt
from edge_agent.spool_reader import JournalView, SpoolReader
from wastelock.page import MalformedPage, PageRecord, UnsupportedPage, from_base64url, parse_page
from wastelock.record import is_complete_pour

PAGES_MAX = 500


class History:
    """Follows the active journal of one spool. What it tells is as of the last `follow`."""

    def __init__(self) -> None:
        self._journal = ""
        self._newest = self._received_through = 0
        self._pours: dict[str, bytes] = {}
        self._received: dict[str, tuple[int, int]] = {}
        self._spooled: dict[str, tuple[int, int]] = {}
        self._waiting: dict[int, Counter[str]] = {}  # beyond the watermark: records of each lock, by page

    def last_pour(self, lock: str) -> bytes | None:
        """Return the 44 bytes of the lock's newest complete pour, None if none was found."""
        return self._pours.get(lock)

    def spooled(self, lock: str) -> tuple[int, int] | None:
        """Return epoch and number of the last record on disk, None if there is none."""
        return self._spooled.get(lock)

    def received(self, lock: str, epoch: int | None) -> int | None:
        """Return up to which record of this epoch receipts say that the ledger has it, None if that isn't known."""
        found = self._received.get(lock)
        return found[1] if found is not None and found[0] == epoch else None

    def waiting(self, lock: str) -> int | None:
        """Return how many records of the lock wait for a receipt, None where more pages wait than were looked at."""
        if len(self._waiting) < self._newest - self._received_through:
            return None
        return sum(counts[lock] for counts in self._waiting.values())

    def follow(self, reader: SpoolReader) -> None:
        """Take in what is new. Raises SpoolUnavailable, SpoolCorrupt."""
        self._spooled = {lock: (epoch, seq) for lock, (epoch, seq, _) in reader.cursors().items()}
        journal = next((view for view in reader.journals() if view.state == "active"), None)
        if journal is None:
            return
        if journal.uuid != self._journal or journal.committed_through < self._received_through:
            self._journal, self._newest, self._received_through = journal.uuid, 0, 0
            self._received, self._waiting = {}, {}
        self._note_new(reader, journal)
        self._note_received(reader, journal)

    def _note_new(self, reader: SpoolReader, journal: JournalView) -> None:
        found: dict[str, bytes] = {}
        for number, records in _backwards(reader, journal, journal.newest_page, self._newest):
            if number > journal.committed_through:
                self._waiting[number] = Counter(record.lock for record in records)
            elif len(found) == len(self._spooled):
                break
            for record in records:
                if record.lock not in found and is_complete_pour(raw := from_base64url(record.raw)):
                    found[record.lock] = raw
        self._pours |= found
        self._newest = journal.newest_page

    def _note_received(self, reader: SpoolReader, journal: JournalView) -> None:
        through = journal.committed_through
        found: dict[str, tuple[int, int]] = {}
        for _, records in _backwards(reader, journal, through, self._received_through):
            for record in records:
                found.setdefault(record.lock, (record.epoch, record.seq))
            if len(found) == len(self._spooled):
                break
        self._received |= found
        self._received_through = through
        kept = sorted(number for number in self._waiting if number > through)[-PAGES_MAX:]
        self._waiting = {number: self._waiting[number] for number in kept}


def _backwards(
    reader: SpoolReader, journal: JournalView, newest: int, after: int
) -> Iterator[tuple[int, list[PageRecord]]]:
    """Yield the pages down to `after` with their records, newest first; of one that can't be read, no records."""
    oldest = max(after, journal.pruned_through, newest - PAGES_MAX) + 1
    for number in range(newest, oldest - 1, -1):
        try:
            page = reader.page(journal.id, number)
            records = parse_page(page.payload).records if page is not None else []
        except (SpoolCorrupt, MalformedPage, UnsupportedPage):
            records = []  # a screen isn't who finds damage: the agent does, and `edge-agent spool verify`
        yield number, records[::-1]
