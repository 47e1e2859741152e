"""One journal on its way to the ledger: which of its pages are received, under way, lost, or due to be sent again.

No I/O, no clock: `now_s` (monotonic seconds) is passed in. A page is, beyond the watermark, in exactly one of

    unsent ──sent──▶ under way ──receipt──▶ received (at or below the watermark, or `held` beyond it)
       ▲                 │
       └── retry due ── waiting ◀── overtaken, timed out, refused by the broker or quarantined by the sink

The broker's acknowledgement moves nothing: it only means "sent". A page is *overtaken*, and so believed lost, when
three pages that were sent later are received: then it is sent again at once, not after a time-out.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

_OVERTAKEN_BY = 3  # several sinks may answer out of order; three later ones are no coincidence
_OVERTAKEN_AFTER_S = 0.5  # from sending: so long it may still be on its way
_RETRY_FIRST_S = 2.0
_RETRY_MAX_S = 60.0
# Only people can help there: a key that isn't registered yet. A few such pages must not fill the window.
_QUARANTINE_FIRST_S, _QUARANTINE_MAX_S = 30.0, 600.0
_QUARANTINED_APART = 100


@dataclass(slots=True)
class _Sent:
    order: int
    at_s: float
    attempts: int


@dataclass(slots=True)
class _Waiting:
    due_s: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Progress:
    """What a receipt shows: pages under way that arrived, and pages that it lets believe lost."""

    arrived: int
    lost: int


class Lane:
    """What the forwarder knows of one journal; forgotten with the process and learnt again from the next receipt."""

    def __init__(self, journal: int, uuid: str, committed_through: int) -> None:
        self.journal = journal
        self.uuid = uuid
        self.committed_through = committed_through
        self._held: list[tuple[int, int]] = []
        self._quarantined: dict[int, str] = {}
        self._sent: dict[int, _Sent] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._newest_arrived: list[int] = []  # the last few received, by the order in which they were sent
        self._order = 0

    @property
    def under_way(self) -> int:
        """Pages sent or soon to be sent again: what the window bounds."""
        quarantined = sum(page in self._quarantined for page in self._waiting)
        return len(self._sent) + len(self._waiting) - min(quarantined, _QUARANTINED_APART)

    @property
    def is_quiet(self) -> bool:
        return not self._sent

    @property
    def held(self) -> tuple[tuple[int, int], ...]:
        """Ranges beyond the watermark that the ledger has."""
        return tuple(self._held)

    @property
    def quarantined(self) -> dict[int, str]:
        """Pages that came there but weren't taken, with the sink's reason."""
        return self._quarantined

    def is_received(self, page: int) -> bool:
        """True if the ledger has this page, as far as the last receipt tells."""
        if page <= self.committed_through:
            return True
        at = bisect_right(self._held, (page, 2**63)) - 1
        return at >= 0 and self._held[at][0] <= page <= self._held[at][1]

    def end_of_held(self, page: int) -> int:
        """Return the last page of the held range that `page` lies in, or the page itself."""
        at = bisect_right(self._held, (page, 2**63)) - 1
        return self._held[at][1] if at >= 0 and self._held[at][0] <= page <= self._held[at][1] else page

    def is_sendable(self, page: int) -> bool:
        return page not in self._sent and page not in self._waiting and not self.is_received(page)

    def due(self, now_s: float) -> list[int]:
        """Return the pages whose time to be sent again has come, oldest first."""
        return sorted(page for page, waiting in self._waiting.items() if waiting.due_s <= now_s)

    def note_sent(self, page: int, now_s: float) -> None:
        """The page was handed over; one that the ledger has (it asked for it again) isn't waited for."""
        waiting = self._waiting.pop(page, None)
        if self.is_received(page):
            return
        self._order += 1
        self._sent[page] = _Sent(self._order, now_s, waiting.attempts if waiting else 0)

    def note_gone(self, page: int) -> None:
        """The page is no longer in the spool: there is nothing to send."""
        self._waiting.pop(page, None)
        self._sent.pop(page, None)

    def note_refused(self, page: int, now_s: float, factor: float) -> None:
        """The broker took the page from nobody's hands: try again later. `factor` is the jitter."""
        sent = self._sent.pop(page, None)
        if sent is not None:
            self._wait(page, now_s, sent.attempts, factor)

    def note_receipt(
        self,
        committed_through: int,
        held: Iterable[tuple[int, int]],
        quarantined: dict[int, str],
        now_s: float,
        factor: float,
    ) -> Progress:
        """Take in the sink's word; `factor` is the jitter."""
        self.committed_through = committed_through
        self._held = _merge(r for r in held if r[1] > committed_through)
        # A receipt tells only what was refused since the one before.
        self._quarantined = {
            page: why for page, why in (self._quarantined | quarantined).items() if not self.is_received(page)
        }
        arrived = [page for page in self._sent if self.is_received(page)]
        orders = [*self._newest_arrived, *(self._sent[page].order for page in arrived)]
        self._newest_arrived = sorted(orders)[-_OVERTAKEN_BY:]
        for page in arrived:
            del self._sent[page]
        for page in [page for page in self._waiting if self.is_received(page)]:
            del self._waiting[page]
        for page in [page for page in quarantined if page in self._sent]:
            attempts = self._sent.pop(page).attempts
            delay = min(_QUARANTINE_FIRST_S * 2 ** min(attempts, 10), _QUARANTINE_MAX_S) * factor
            self._waiting[page] = _Waiting(now_s + delay, attempts + 1)
        return Progress(len(arrived), self._find_overtaken(now_s, factor))

    def note_timeout(self) -> int:
        """Nothing moved for too long: pages under way are believed lost, and unsent again. Returns how many."""
        lost = len(self._sent)
        self._sent.clear()
        self._waiting = {page: w for page, w in self._waiting.items() if page in self._quarantined}
        return lost

    def hasten(self, now_s: float) -> None:
        """Somebody is listening again: whatever waits is due now."""
        for waiting in self._waiting.values():
            waiting.due_s = now_s

    def _find_overtaken(self, now_s: float, factor: float) -> int:
        """Believe lost what three pages that were sent later have overtaken, over all receipts; return how many."""
        if len(self._newest_arrived) < _OVERTAKEN_BY:
            return 0
        lost = [page for page, sent in self._sent.items() if sent.order < self._newest_arrived[0]]
        for page in lost:
            sent = self._sent.pop(page)
            if sent.attempts == 0:
                self._waiting[page] = _Waiting(max(now_s, sent.at_s + _OVERTAKEN_AFTER_S), 1)
            else:
                self._wait(page, now_s, sent.attempts, factor)
        return len(lost)

    def _wait(self, page: int, now_s: float, attempts: int, factor: float) -> None:
        delay = min(_RETRY_FIRST_S * 2 ** min(attempts, 10), _RETRY_MAX_S) * factor
        self._waiting[page] = _Waiting(now_s + delay, attempts + 1)


def _merge(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the ranges ascending and joined where they touch."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged
