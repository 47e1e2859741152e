"""Disputes: two truths that exclude each other. Both are kept, none is overwritten, somebody has to look."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.bulk import insert_rows
from cloud_sink.ledger.tables import disputes

_IN_CHUNK = 400


class DisputeKind(StrEnum):
    """What disagrees (docs/cloud-sink.md says what it means and what to do)."""

    PAGE = "page"  # a second page with this number of this journal, its signature good, its bytes others
    CHAIN = "chain"  # the page doesn't name the hash of the page before it
    RECORD = "record"  # a second record with this identity, its CRC good, its bytes others
    UNVERIFIED = "unverified"  # a second reading of a record whose CRC never held, its bytes others
    MAC = "mac"  # the MAC is wrong though the lock's key is known


@dataclass(frozen=True, slots=True)
class Dispute:
    """One disagreement, as page `page_no` brought it. `slot` -1: the whole page. `position`: the entry that stands."""

    kind: DisputeKind
    journal_no: int
    page: int
    page_no: int
    slot: int
    lock_no: int | None = None
    epoch: int | None = None
    seq: int | None = None
    position: int | None = None


def add(connection: Connection, found: Sequence[Dispute], now_ms: int) -> int:
    """Write the disputes that aren't known yet and return how many those were."""
    known = _known(connection, sorted({dispute.page_no for dispute in found}))
    new = {_identity(dispute): dispute for dispute in found if _identity(dispute) not in known}
    if new:
        last = connection.scalar(sa.select(sa.func.coalesce(sa.func.max(disputes.c.dispute_no), 0))) or 0
        insert_rows(
            connection,
            disputes,
            [
                (number, d.kind.value, d.journal_no, d.page, d.page_no, d.slot, d.lock_no, d.epoch, d.seq, d.position,
                 now_ms, None)
                for number, d in enumerate(new.values(), last + 1)
            ],
        )  # fmt: skip
    return len(new)


def _identity(dispute: Dispute) -> tuple[int, int, str]:
    return dispute.page_no, dispute.slot, dispute.kind.value


def _known(connection: Connection, page_numbers: Sequence[int]) -> set[tuple[int, int, str]]:
    known: set[tuple[int, int, str]] = set()
    for start in range(0, len(page_numbers), _IN_CHUNK):
        query = sa.select(disputes.c.page_no, disputes.c.slot, disputes.c.kind).where(
            disputes.c.page_no.in_(page_numbers[start : start + _IN_CHUNK])
        )
        known.update((row.page_no, row.slot, row.kind) for row in connection.execute(query))
    return known
