"""How good the data are, worst lock first: gaps, reconciliation, disputes, quarantine. For API and pages alike."""

from dataclasses import dataclass

from portal.fleet_listing import Filter, Sort, list_locks
from portal.paging import Page, cut, numbers_of
from portal.sink_door import (
    DisputeLine,
    LockSummary,
    PageGap,
    QuarantineKey,
    QuarantineLine,
    RecordGap,
    Run,
    SinkDoor,
    quarantine_key,
)


@dataclass(frozen=True, slots=True)
class LockProof:
    """What is missing of one lock's records, and whether its pours add up to its registers."""

    lock: str
    gaps: list[RecordGap]
    runs: list[Run]


def list_worst(sink: SinkDoor, after: str | None, limit: int) -> Page[LockSummary]:
    """Return a page of locks, least complete first."""
    return list_locks(sink.overview().locks, Filter(), Sort.COMPLETENESS, after, limit)


def prove_locks(sink: SinkDoor, after: str | None, limit: int) -> Page[LockProof]:
    """Return the proofs of the next locks, in the order of their names."""
    page = list_locks(sink.overview().locks, Filter(), Sort.NAME, after, limit)
    return Page(items=[prove_lock(sink, each.lock) for each in page.items], next=page.next)


def prove_lock(sink: SinkDoor, lock: str) -> LockProof:
    """Return one lock's gaps and reconciliation; it is read from its entries."""
    return LockProof(lock, sink.record_gaps(lock), sink.runs(lock))


def list_page_gaps(sink: SinkDoor, after: str | None, limit: int) -> Page[PageGap]:
    """Return a page of the ranges of gateways' pages that are missing, by site, gateway and journal."""
    found = sorted(sink.page_gaps(), key=_page_key)
    if after:
        *names, first = after.split("/")
        start = (*names, *numbers_of(first, 1))
        found = [gap for gap in found if len(start) == 4 and _page_key(gap) > start]
    return cut(found, limit, lambda gap: "/".join(map(str, _page_key(gap))))


def _page_key(gap: PageGap) -> tuple[str | int, ...]:
    return gap.site, gap.gateway, gap.journal, gap.first


def list_disputes(sink: SinkDoor, after: str | None, limit: int) -> Page[DisputeLine]:
    """Return a page of the open disputes, oldest first."""
    start = numbers_of(after, 1)[0] if after else 0
    return cut(sink.disputes(start, limit + 1), limit, lambda line: str(line.number))


def list_quarantine(sink: SinkDoor, after: str | None, limit: int) -> Page[QuarantineLine]:
    """Return a page of what wasn't taken or can't be read."""
    key = None
    if after:
        unread, number, slot = numbers_of(after, 3)
        key = QuarantineKey(unread, number, slot - 1)  # a whole page's slot is -1: cursors know no signs
    return cut(sink.quarantine(key, limit + 1), limit, _quarantine_cursor)


def _quarantine_cursor(line: QuarantineLine) -> str:
    key = quarantine_key(line)
    return f"{key.unread}-{key.number}-{key.slot + 1}"
