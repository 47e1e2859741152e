"""Sums up a spool for people and telemetry: what is in it, how much of it the ledger hasn't confirmed yet."""

from dataclasses import dataclass
from datetime import UTC, datetime

from edge_agent.spool_reader import JournalView, SpoolReader


@dataclass(frozen=True, slots=True)
class SpoolSummary:
    """`unreceipted_pages` are those whose custody is still with this gateway alone, over all journals."""

    journal: str | None
    oldest_page: int | None
    newest_page: int | None
    committed_through: int
    used_bytes: int
    pages: int
    unreceipted_pages: int
    oldest_unreceipted_at: datetime | None


def summarise(reader: SpoolReader) -> SpoolSummary:
    """Return the sums; every query is answered by an index, however many pages there are."""
    journals = reader.journals()
    active = next((view for view in journals if view.state == "active"), None)
    oldest = reader.oldest_after(active.id, 0) if active else None
    waiting = [reader.oldest_after(view.id, view.committed_through) for view in journals]
    instants = [entry[1] for entry in waiting if entry is not None]
    return SpoolSummary(
        journal=active.uuid if active else None,
        oldest_page=oldest[0] if oldest else None,
        newest_page=active.newest_page if active and active.newest_page else None,
        committed_through=active.committed_through if active else 0,
        used_bytes=reader.used_bytes(),
        pages=sum(_count(reader, view, view.pruned_through) for view in journals),
        unreceipted_pages=sum(_count(reader, view, view.committed_through) for view in journals),
        oldest_unreceipted_at=from_ms(min(instants)) if instants else None,
    )


def _count(reader: SpoolReader, view: JournalView, after: int) -> int:
    # The active journal has no gaps, so nothing needs counting.
    if view.state == "active":
        return view.newest_page - max(after, view.pruned_through)
    return reader.count_after(view.id, after)


def from_ms(instant_ms: int) -> datetime:
    """Return an instant of the spool (milliseconds since 1970) in UTC."""
    return datetime.fromtimestamp(instant_ms / 1000, UTC)
