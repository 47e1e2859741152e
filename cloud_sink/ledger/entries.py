"""Records become entries: each physical identity (lock, epoch, seq) once, in whatever pages it comes, however often.

    not here yet            -> entry
    here, same bytes        -> already known, nothing to do
    here, other bytes       -> dispute; the entry that stands is never touched
    one copy unverified     -> stands beside the verified one

What is here is known from `seq_spans`; only records that lie in them are looked up. An entry doesn't hold its raw bytes
(they contain the transponder's number): those are found again by page and slot.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink import spans
from cloud_sink.decoding import Decoded, Group
from cloud_sink.entry_rows import SEQ, SLOT, UNVERIFIED, Block, CompleteBlock, Row, pack_rows
from cloud_sink.ledger.bulk import insert_blocks, insert_rows
from cloud_sink.ledger.disputes import Dispute, DisputeKind
from cloud_sink.ledger.span_table import SEQ_SPANS, Key
from cloud_sink.ledger.tables import entries, locks, pages
from cloud_sink.spans import Span
from wastelock.page import PageRecord, from_base64url, parse_page

_IN_CHUNK = 400
_PAGES_CACHED = 64  # pages parsed again to compare doubled records


@dataclass(frozen=True, slots=True)
class Source:
    """Where a decoded page stands in the ledger."""

    page_no: int
    journal_no: int
    page: int
    decoded: Decoded

    @property
    def locks(self) -> list[str]:
        """The locks whose numbers are needed to write what was decoded."""
        groups, forged = self.decoded.groups, self.decoded.forged
        return [group.lock for group in groups] + [record.lock for record in forged]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the bytes of an entry are: they are looked up only when they're asked for."""

    position: int
    page_no: int
    slot: int


@dataclass(slots=True)
class Added:
    """What a batch adds. `last_position`: the ledger's, so far."""

    last_position: int
    blocks: list[CompleteBlock] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)
    spans: dict[Key, list[Span]] = field(default_factory=dict)
    count: int = 0

    def take(self, key: Key, page_no: int, blocks: Iterable[Block]) -> None:
        """Give these rows of one page the next positions."""
        for block in blocks:
            self.blocks.append(block.complete(self.last_position + 1, key[0], page_no))
            self.last_position += block.count
            self.count += block.count


_Candidates = list[tuple[Source, Group]]


def add_entries(
    connection: Connection, sources: Sequence[Source], lock_numbers: Mapping[str, int], last_position: int
) -> Added:
    """Write the records of these pages that are new; return them with whatever they disagree with."""
    added = Added(last_position)
    candidates: dict[Key, _Candidates] = {}
    for source in sources:
        for group in source.decoded.groups:
            candidates.setdefault((lock_numbers[group.lock], group.epoch), []).append((source, group))
    ranges = {key: [span for _, group in mine for span in group.spans] for key, mine in candidates.items()}
    wanted = {
        key: (min(first for first, _ in mine), max(last for _, last in mine)) for key, mine in ranges.items()
    }
    here = SEQ_SPANS.touching(connection, wanted)
    for key, mine in candidates.items():
        low, high = wanted[key]
        numbers = spans.union(ranges[key])
        all_different = spans.size(numbers) == sum(group.count for _, group in mine)
        if all_different and not any(first <= high and last >= low for first, last in here[key]):
            # The usual case: nothing of this stretch is here yet.
            added.spans[key] = numbers
            for source, group in mine:
                added.take(key, source.page_no, group.blocks)
        else:
            _resolve(connection, key, mine, here[key], added)
    insert_blocks(connection, entries, added.blocks)
    SEQ_SPANS.add(connection, added.spans, here)
    return added


def forged_records(sources: Sequence[Source], lock_numbers: Mapping[str, int]) -> list[Dispute]:
    """Return a dispute for each record whose MAC is wrong: its identity stays free for the true record."""
    return [
        Dispute(
            DisputeKind.MAC, source.journal_no, source.page, source.page_no, forged.slot,
            lock_numbers[forged.lock], forged.epoch, forged.seq,
        )
        for source in sources
        for forged in source.decoded.forged
    ]  # fmt: skip


def _resolve(connection: Connection, key: Key, mine: _Candidates, here: Sequence[Span], added: Added) -> None:
    """Some of this may be here already, or twice in this batch: look at each record."""
    lock_no, epoch = key
    maybe = [seq for _, group in mine for first, last in group.spans for seq in range(first, last + 1)]
    standing = _find(
        connection, lock_no, epoch, [seq for seq in sorted(set(maybe)) if spans.contains(here, seq)]
    )
    stored = _StoredRecords(connection)
    numbers: list[int] = []
    for source, group in mine:
        taken: list[Row] = []
        for row in group.rows:
            identity = (row[SEQ], row[UNVERIFIED])
            entry = standing.get(identity)
            if entry is None:
                position = added.last_position + len(taken) + 1
                standing[identity] = _Place(position, source.page_no, row[SLOT])
                taken.append(row)
            elif not stored.same((entry.page_no, entry.slot), (source.page_no, row[SLOT])):
                kind = DisputeKind.UNVERIFIED if row[UNVERIFIED] else DisputeKind.RECORD
                added.disputes.append(
                    Dispute(kind, source.journal_no, source.page, source.page_no, row[SLOT], lock_no, epoch, row[SEQ],
                            entry.position)
                )  # fmt: skip
        added.take(key, source.page_no, pack_rows(taken))
        numbers += [row[SEQ] for row in taken]
    added.spans[key] = spans.from_numbers(numbers)


def _find(
    connection: Connection, lock_no: int, epoch: int, numbers: Sequence[int]
) -> dict[tuple[int, int], _Place]:
    """Return the entries of these sequence numbers by (seq, unverified)."""
    found: dict[tuple[int, int], _Place] = {}
    e = entries.c
    for start in range(0, len(numbers), _IN_CHUNK):
        query = sa.select(e.seq, e.unverified, e.position, e.page_no, e.slot).where(
            e.lock_no == lock_no, e.epoch == epoch, e.seq.in_(numbers[start : start + _IN_CHUNK])
        )
        for row in connection.execute(query):
            found[row.seq, row.unverified] = _Place(row.position, row.page_no, row.slot)
    return found


class _StoredRecords:
    """Reads records' bytes from the pages that brought them; keeps the pages that it parsed last.

    The pages of the batch at hand are among them: they are written before their entries.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._page = lru_cache(_PAGES_CACHED)(self._read_page)

    def same(self, one: tuple[int, int], other: tuple[int, int]) -> bool:
        """True if two records, each by page_no and slot, have the same bytes."""
        texts = [self._page(page_no)[slot].raw for page_no, slot in (one, other)]
        return texts[0] == texts[1] or from_base64url(texts[0]) == from_base64url(texts[1])

    def _read_page(self, page_no: int) -> list[PageRecord]:
        payload = self._connection.scalar(sa.select(pages.c.payload).where(pages.c.page_no == page_no))
        return parse_page(payload or b"").records


class LockNumbers:
    """Locks' numbers in the ledger. They never change, so each process asks for each once."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._pending: dict[str, int] = {}

    def of(self, connection: Connection, names: Sequence[str]) -> Mapping[str, int]:
        """Return the numbers of these locks, new ones given out by this transaction (see `committed`)."""
        self._pending = {}
        unknown = [name for name in dict.fromkeys(names) if name not in self._known]
        for start in range(0, len(unknown), _IN_CHUNK):
            query = sa.select(locks.c.lock, locks.c.lock_no).where(
                locks.c.lock.in_(unknown[start : start + _IN_CHUNK])
            )
            self._pending.update({row.lock: row.lock_no for row in connection.execute(query)})
        new = [name for name in unknown if name not in self._pending]
        if new:
            last = connection.scalar(sa.select(sa.func.coalesce(sa.func.max(locks.c.lock_no), 0))) or 0
            made = {name: number for number, name in enumerate(new, last + 1)}
            insert_rows(connection, locks, [(number, name) for name, number in made.items()])
            self._pending.update(made)
        return {**{name: self._known[name] for name in names if name in self._known}, **self._pending}

    def committed(self) -> None:
        """Remember what the transaction gave out: only now is it sure."""
        self._known.update(self._pending)
        self._pending = {}
