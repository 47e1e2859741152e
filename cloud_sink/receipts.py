"""What the sink tells gateways: receipts of what is committed, requests for what is missing. Pure.

The reasons in a receipt's `quarantined` are the values of `checking.Reason`, and `chain break` and `dispute`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from cloud_sink.checking import JournalKey, Rejected
from cloud_sink.ledger.disputes import DisputeKind
from cloud_sink.ledger.journals import Standing
from cloud_sink.spans import Span
from wastelock.messages import Receipt, ResendRequest

_QUARANTINED_MAX = 100
_RANGES_MAX = 1000
_REASONS = {DisputeKind.CHAIN.value: "chain break", DisputeKind.PAGE.value: "dispute"}


def receipts(
    standings: Iterable[Standing], rejected: Iterable[Rejected], at: datetime
) -> list[tuple[Standing, Receipt]]:
    """Return one receipt for each journal of a batch, also where nothing of it was taken."""
    refused: dict[JournalKey, dict[int, str]] = {}
    for item in rejected:
        if item.key is not None and item.page is not None:
            refused.setdefault(item.key, {})[item.page] = item.reason.value
    result = []
    for standing in standings:
        notes = {page: _REASONS[kind] for page, kind in reversed(standing.notes)}
        notes |= _still_missing(standing, refused.pop(standing.key, {}))
        result.append((standing, _receipt(standing, notes, at)))
    # Journals of which nothing was ever taken: their gateways should know why, but nothing is to be retained.
    for key, notes in refused.items():
        standing = replace(Standing(key), is_latest=False)
        result.append((standing, _receipt(standing, notes, at)))
    return result


def resend_request(standing_key: JournalKey, missing: Sequence[Span]) -> ResendRequest:
    """Return the request for a journal's missing pages (not empty)."""
    return ResendRequest(journal=standing_key.journal, pages=tuple(missing[:_RANGES_MAX]))


def _still_missing(standing: Standing, refused: dict[int, str]) -> dict[int, str]:
    """Leave out refused messages whose page is in the ledger: a forged copy of it must not alarm anybody."""
    missing = standing.missing
    return {
        page: reason
        for page, reason in refused.items()
        if page > standing.newest_page or any(first <= page <= last for first, last in missing)
    }


def _receipt(standing: Standing, notes: dict[int, str], at: datetime) -> Receipt:
    newest = sorted(notes.items(), reverse=True)[:_QUARANTINED_MAX]
    return Receipt(
        journal=standing.key.journal,
        committed_through=standing.committed_through,
        head=standing.head or None,
        held=standing.held,
        quarantined=tuple(sorted(newest)),
        at=at,
    )
