"""One lock's records for whoever reckons with them: by time, by sequence number, and up to a position of the ledger.

Entries are found by their index (lock, epoch, seq), so what a lock costs doesn't depend on how many others there are.
A record is *filed* under the second that it was written at or, where its clock was never set, that it was read at.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.disputes import DisputeKind
from cloud_sink.ledger.tables import disputes, entries, locks, pages
from wastelock.clock_grade import GOOD_WITHIN_S
from wastelock.record import ClockStatus, Kind, PourResult

_CLOCK_BITS = 0b11
_IN_CHUNK = 400
# Of these the entry that stands may be the wrong one of two; a second unreadable copy changes nothing.
_RECORD_DISPUTES = (DisputeKind.RECORD, DisputeKind.MAC)
_POURS_AND_REPORTS = (Kind.POUR, Kind.REGISTER_REPORT)


class LockRecord(NamedTuple):
    """A record as the ledger keeps it. `credential`: the pseudonym's 16 bytes. `gateway_clock`: its page's."""

    position: int
    epoch: int
    seq: int
    unverified: int
    kind: int
    result: int
    chamber: int
    flags: int
    boot: int
    began_clock_s: int
    volume_ml: int
    duration_ds: int
    register_after: int
    read_ms: int
    clock_offset_s: int | None
    credential: bytes | None
    gateway_clock: str | None

    @property
    def is_complete_pour(self) -> bool:
        """True for exactly the records that the chamber's cycle register counts."""
        return self.kind == Kind.POUR and self.result == PourResult.COMPLETE

    @property
    def filed_s(self) -> int:
        """The unix second that the record is filed under."""
        never_set = self.flags & _CLOCK_BITS == ClockStatus.NEVER_SET
        return self.read_ms // 1000 if never_set else self.began_clock_s


@dataclass(frozen=True, slots=True)
class RegisterSpan:
    """Verified pours and register reports of one epoch that are filed within some days: first and last of them."""

    epoch: int
    first_seq: int
    last_seq: int


_e = entries.c
_COLUMNS = (
    _e.position, _e.epoch, _e.seq, _e.unverified, _e.kind, _e.result, _e.chamber, _e.flags, _e.boot, _e.began_clock_s,
    _e.volume_ml, _e.duration_ds, _e.register_after, _e.read_ms, _e.clock_offset_s, _e.credential, pages.c.clock,
)  # fmt: skip
_RECORDS = sa.select(*_COLUMNS).select_from(entries.join(pages, pages.c.page_no == _e.page_no))
_NEVER_SET = _e.flags.op("&")(_CLOCK_BITS) == ClockStatus.NEVER_SET
_FILED_S = sa.case((_NEVER_SET, _e.read_ms / sa.literal_column("1000")), else_=_e.began_clock_s)


class LockRecords:
    """Locks' records up to a position, in one snapshot of the ledger. Locks go by their numbers in it."""

    def __init__(self, connection: Connection, position: int, last_position: int) -> None:
        """`position`: the newest entry to be seen; `last_position`: of all there are."""
        self.connection = connection
        self.position = position
        self._last_position = last_position

    def numbers(self, names: Sequence[str]) -> dict[str, int]:
        """Return the numbers of these locks; one that the ledger doesn't know is left out."""
        found: dict[str, int] = {}
        for start in range(0, len(names), _IN_CHUNK):
            query = sa.select(locks.c.lock, locks.c.lock_no).where(
                locks.c.lock.in_(names[start : start + _IN_CHUNK])
            )
            found.update({row.lock: row.lock_no for row in self.connection.execute(query)})
        return found

    def in_time(
        self, lock_no: int, first_s: int, end_s: int, credentials: Collection[bytes] | None = None
    ) -> list[LockRecord]:
        """Return, by (epoch, seq), what was written from `first_s` up to `end_s`, and all of doubtful time or contents.

        `credentials`: only what names one of these. Doubtful: no clock that was set, its offset large or unknown, or a
        CRC that never held; whatever they say of when they were written, the caller has to look.
        """
        doubtful = sa.or_(
            _e.flags.op("&")(_CLOCK_BITS) != ClockStatus.SET,
            _e.unverified == 1,
            _e.clock_offset_s.is_(None),
            sa.func.abs(_e.clock_offset_s) > GOOD_WITHIN_S,
        )
        within = sa.and_(_e.began_clock_s >= first_s, _e.began_clock_s < end_s)
        query = self._of(lock_no).where(sa.or_(within, doubtful))
        return self._records(query if credentials is None else query.where(_e.credential.in_(credentials)))

    def between(self, lock_no: int, epoch: int, first_seq: int, last_seq: int) -> list[LockRecord]:
        """Return the records first_seq..last_seq of an epoch."""
        return self._records(
            self._of(lock_no).where(_e.epoch == epoch, _e.seq >= first_seq, _e.seq <= last_seq)
        )

    def of_numbers(self, lock_no: int, epoch: int, numbers: Sequence[int]) -> list[LockRecord]:
        """Return the records of these sequence numbers of an epoch."""
        found: list[LockRecord] = []
        for start in range(0, len(numbers), _IN_CHUNK):
            part = numbers[start : start + _IN_CHUNK]
            found += self._records(self._of(lock_no).where(_e.epoch == epoch, _e.seq.in_(part)))
        return found

    def register_spans(self, lock_no: int, first_s: int, end_s: int) -> list[RegisterSpan]:
        """Return, by epoch, what is filed from `first_s` up to `end_s` of the records that tell a register."""
        query = (
            sa.select(_e.epoch, sa.func.min(_e.seq), sa.func.max(_e.seq))
            .where(_e.lock_no == lock_no, _e.position + 0 <= self.position)
            .where(_e.unverified == 0, _e.chamber > 0, _e.kind.in_(_POURS_AND_REPORTS))
            .where(_FILED_S.between(first_s, end_s - 1))
            .group_by(_e.epoch)
            .order_by(_e.epoch)
        )
        return [RegisterSpan(*row) for row in self.connection.execute(query)]

    def register_records(self, lock_no: int, span: RegisterSpan) -> list[LockRecord]:
        """Return the pours, register reports and unverified records of a span, by seq; before them, each chamber's
        last one before it.
        """
        inside = self._records(
            self._of(lock_no)
            .where(_e.epoch == span.epoch, _e.seq >= span.first_seq, _e.seq <= span.last_seq)
            .where(sa.or_(_e.kind.in_(_POURS_AND_REPORTS), _e.unverified == 1))
        )
        chambers = {record.chamber for record in inside if record.chamber and not record.unverified}
        before = [self.register_before(lock_no, span.epoch, n, span.first_seq) for n in chambers]
        return sorted([record for record in before if record is not None], key=lambda r: r.seq) + inside

    def register_before(self, lock_no: int, epoch: int, chamber: int, seq: int) -> LockRecord | None:
        """Return a chamber's last verified pour or register report before a sequence number."""
        query = (
            self._of(lock_no, newest_first=True)
            .where(_e.epoch == epoch, _e.seq < seq, _e.unverified == 0)
            .where(_e.chamber == chamber, _e.kind.in_(_POURS_AND_REPORTS))
            .limit(1)
        )
        return next(iter(self._records(query)), None)

    def clock_set_after(self, lock_no: int, of: LockRecord) -> LockRecord | None:
        """Return the record by which the clock was set next within the boot of this one, None if there is none."""
        query = (
            self._of(lock_no)
            .where(_e.epoch == of.epoch, _e.seq > of.seq, _e.unverified == 0)
            .where(sa.or_(_e.kind == Kind.CLOCK_SET, _e.boot != of.boot))
            .limit(1)
        )
        found = next(iter(self._records(query)), None)
        return found if found is not None and found.boot == of.boot else None

    def came_later(self, lock_no: int) -> list[tuple[int, int]]:
        """Return (epoch, seq) of a lock's records that were committed after this snapshot's position, by number."""
        if self.position >= self._last_position:
            return []
        query = (
            sa.select(_e.epoch, _e.seq)
            # "+ 0": by the lock's index, not through everything that came from all locks since.
            .where(_e.lock_no == lock_no, _e.position + 0 > self.position)
            .distinct()
            .order_by(_e.epoch, _e.seq)
        )
        return [(epoch, seq) for epoch, seq in self.connection.execute(query)]

    def disputed(self, lock_no: int, known_ms: int) -> dict[tuple[int, int], str]:
        """Return, by (epoch, seq), the kind of dispute about a lock's entries that was open at an instant (ms)."""
        d = disputes.c
        query = (
            sa.select(d.epoch, d.seq, d.kind)
            .where(d.lock_no == lock_no, d.position.is_not(None), d.kind.in_(_RECORD_DISPUTES))
            .where(d.noticed_ms <= known_ms, sa.or_(d.resolved_ms.is_(None), d.resolved_ms > known_ms))
            .order_by(d.epoch, d.seq, d.kind)
        )
        return {(epoch, seq): kind for epoch, seq, kind in self.connection.execute(query)}

    def _of(self, lock_no: int, newest_first: bool = False) -> sa.Select[Any]:
        order = (_e.epoch, _e.seq, _e.unverified)
        query = _RECORDS.where(_e.lock_no == lock_no, _e.position + 0 <= self.position)
        return query.order_by(*(column.desc() if newest_first else column for column in order))

    def _records(self, query: sa.Select[Any]) -> list[LockRecord]:
        return list(map(LockRecord._make, self.connection.execute(query).all()))
