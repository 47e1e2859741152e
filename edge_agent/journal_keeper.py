"""How far one lock's journal is on disk here: reads on from there, seals, confirms. The heart of custody.

what may not happen                       how it is kept from happening
a record confirmed that isn't on disk     only `Position` is confirmed: where a seal returned, or the spool's cursor
a journal taken up that isn't the same    epoch and end are checked; after a restart or power-up the last record, too
a record skipped in silence               whatever can't be read is counted, logged and told
a bad record that blocks the journal      kept as it is, and covered by confirming a later or an earlier whole one
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import structlog

from edge_agent.custody import Cursor, JournalRecord, Visit
from edge_agent.drivers.base import RECORDS_PER_STEP, Confirmation, Driver
from edge_agent.errors import Refused, SpoolFull, SpoolUnavailable, WrongController
from edge_agent.journal_reader import LOOK_AGAIN_S, Batch, JournalReader
from edge_agent.lock_report import LockView
from wastelock.record import is_complete_pour
from wastelock.registers import ExceptionCode, Status

PAGE_RECORDS = 500
SPOOL_RETRY_S = 5.0
MEMO_INTERVAL_S = 600.0
NOTE_INTERVAL_S = 5.0

_log = structlog.get_logger(__name__)


class Spool(Protocol):
    """What is needed of the spool (edge_agent.spool.Spool)."""

    def cursor(self, lock: str) -> Cursor | None: ...

    def seal(self, visit: Visit) -> None: ...

    def note_confirmed(self, lock: str, epoch: int, seq: int) -> None: ...

    def save_memo(self, lock: str, memo: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Position:
    """How far the journal is on disk: everything of `epoch` up to `seq`.

    `crc`: the last two words of record `seq` on disk, None if there is none (a journal at its beginning, or read anew).
    `ring_crc`: what the controller's ring gives instead. `is_checked`: the ring was seen to hold that record, or this
    run of the program has sealed it.
    """

    epoch: int
    seq: int
    crc: int | None = None
    verified: bool = True
    ring_crc: int | None = None
    is_checked: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """`has_more`: there is backlog, come again when the others had their turn. `wait_s`: come again after that."""

    has_more: bool = False
    wait_s: float | None = None


class JournalKeeper:
    """Keeps one lock's journal. `problems` is what went wrong, short of an error, since it was last emptied."""

    def __init__(
        self,
        view: LockView,
        driver: Driver,
        spool: Spool,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        """`now` is UTC, `clock` monotonic s; `view` gets the counts that are told of the lock."""
        self.problems: list[str] = []
        self._view = view
        self._driver = driver
        self._spool = spool
        self._now = now
        self._clock = clock
        self._reader = JournalReader(driver, clock)
        self._position: Position | None = None
        self._is_restored = False
        self._newest = (0, 0)  # epoch and number of the newest record seen
        self._page_records = PAGE_RECORDS
        self._spool_retry_at = self._noted_at = 0.0
        self._noted = (0, 0)
        self._memo_saved_at = clock()

    def take_up(self) -> None:
        """Find out from the spool how far the journal is on disk; to be called before each look at the lock."""
        if self._position is not None or (self._is_restored and self._spool.cursor(self._view.lock) is None):
            return
        cursor = self._spool.cursor(self._view.lock)
        if not self._is_restored:
            self._driver.restore(cursor)
            self._is_restored = True
        if cursor is not None:
            is_checked = not self._driver.has_journal
            self._position = Position(
                cursor.epoch, cursor.seq, cursor.crc, cursor.verified, is_checked=is_checked
            )

    def check(self, status: Status) -> None:
        """Raise WrongController where this can't be the journal that is on disk here, or no journal at all."""
        oldest, newest, position = status.oldest_seq, status.newest_seq, self._position
        if not (0 < oldest <= newest or oldest == newest == 0) or status.confirmed_seq > newest:
            raise WrongController(
                f"a journal of records {oldest}..{newest} with {status.confirmed_seq} confirmed can't be: "
                "have the controller's memory checked"
            )
        if position is None or status.epoch > position.epoch:
            return
        if status.epoch < position.epoch or newest < position.seq:
            raise WrongController(
                f"the journal ends with record {newest} of epoch {status.epoch}, but record {position.seq} of epoch "
                f"{position.epoch} was read before: give the controller a new epoch, or correct who has this serial"
            )

    def doubt(self) -> None:
        """The controller had a power-up: compare the end of the journal before going on."""
        if self._position is not None and self._driver.has_journal:
            self._position = replace(self._position, is_checked=False)

    def fetch(self, status: Status, capacity: int, is_over: Callable[[], bool]) -> Outcome:
        """Bring the journal on disk as far as possible before `is_over`, and confirm it.

        Raises BusError where reading or confirming failed (what was read before is kept), SpoolFull, SpoolUnavailable.
        """
        position = self._follow_epoch(status)
        if not position.is_checked:
            position = self._compare_end(position, status)
        self._position = position
        batch = Batch()
        if position.seq < status.newest_seq:
            if self._clock() < self._spool_retry_at:
                self.problems.append("waiting for room in the spool; nothing new is read or confirmed")
            else:
                seen = self._look_twice(position, status)
                batch = self._reader.collect(position.seq + 1, seen, capacity, self._page_records, is_over)
                position = self._keep(batch, position, status)
        self._view.spooled_seq = position.seq
        self._confirm(position, status)
        if not self._driver.has_journal:
            self._keep_memo(position)
        if batch.error is not None:
            raise batch.error
        if batch.held_up:
            return Outcome(wait_s=LOOK_AGAIN_S)
        return Outcome(has_more=bool(batch.records) and position.seq < status.newest_seq)

    # ---- which journal, and from where on? ----

    def _follow_epoch(self, status: Status) -> Position:
        """Return how far the journal of the epoch in force is on disk."""
        position, seen = self._position, self._newest
        self._newest = (status.epoch, status.newest_seq)
        if position is not None and position.epoch == status.epoch:
            return position
        self._reader.enter(status.epoch)
        if position is None:
            # Nothing on disk: read whatever the ring still holds. What is older was confirmed to somebody once.
            _log.info("journal is read from its oldest record", lock=self._view.lock, epoch=status.epoch)
            return Position(status.epoch, max(0, status.oldest_seq - 1))
        _log.warning("new journal epoch", lock=self._view.lock, before=position.epoch, now=status.epoch)
        seen_epoch, seen_newest = seen
        if seen_epoch == position.epoch and seen_newest > position.seq:
            self._note_lost(seen_newest - position.seq, f"epoch {seen_epoch} ended before all was read")
        return Position(status.epoch, 0)

    def _compare_end(self, position: Position, status: Status) -> Position:
        """Compare the last record on disk with the ring's: the journal may have changed while nobody looked."""
        same = replace(position, is_checked=True, ring_crc=None)
        if position.crc is None or position.seq < status.oldest_seq:
            return same
        records = self._driver.read_journal(position.seq, 1).records
        if not records:
            return same  # overwritten meanwhile: somebody has confirmed it
        found = records[0]
        if _crc(found) == position.crc and (found.verified or not position.verified):
            return same if found.verified == position.verified else Position(position.epoch, position.seq - 1)
        if not found.verified:
            return replace(
                same, ring_crc=_crc(found)
            )  # whole on disk; the controller goes by what a read gives now
        if not position.verified:
            return Position(position.epoch, position.seq - 1)  # readable at last: read it again
        # Whole here and there, and not the same: keep both. The ledger makes a dispute of it.
        self._problem(
            f"record {position.seq} isn't the one that was read before: all of the ring is read again"
        )
        return Position(position.epoch, status.oldest_seq - 1)

    def _look_twice(self, position: Position, status: Status) -> Status:
        """Before records are given up as overwritten, have a second status say so: a status carries no CRC-32."""
        if status.oldest_seq <= position.seq + 1:
            return status
        again = self._driver.read_status()
        if again.epoch != status.epoch:
            return status
        return replace(status, oldest_seq=min(status.oldest_seq, again.oldest_seq))

    # ---- onto the disk ----

    def _keep(self, batch: Batch, position: Position, status: Status) -> Position:
        """Seal what was read; return how far the journal is on disk then."""
        if batch.overwritten:
            self._note_lost(batch.overwritten, "records were overwritten before they were read")
        records = batch.records
        if batch.unverified:
            records = self._of_this_epoch(records, status)
        if not records:
            return position
        last = records[-1]
        self._seal(records, status, self._driver.memo(last.seq))
        pour = next((record.raw for record in reversed(records) if is_complete_pour(record.raw)), None)
        self._view.last_pour = pour or self._view.last_pour
        if unverified := sum(not record.verified for record in records):
            self._view.unverified_records += unverified
            _log.error(
                "records kept unverified: their CRC never held", lock=self._view.lock, records=unverified
            )
        self._position = Position(status.epoch, last.seq, _crc(last), last.verified)
        return self._position

    def _seal(self, records: list[JournalRecord], status: Status, memo: bytes | None) -> None:
        view = self._view
        visit = Visit(
            view.lock, view.driver, status.epoch, records, self._now(), view.clock_offset_s, memo
        )  # fmt: skip
        try:
            self._spool.seal(visit)
        except (SpoolFull, SpoolUnavailable) as error:
            if isinstance(error, SpoolUnavailable):
                self._position = None  # whether it was kept is for the spool to say
            self._page_records = RECORDS_PER_STEP  # a small page finds out when there is room again
            self._spool_retry_at = self._clock() + SPOOL_RETRY_S
            raise
        self._page_records = PAGE_RECORDS
        self._memo_saved_at = self._clock()

    def _of_this_epoch(self, records: list[JournalRecord], status: Status) -> list[JournalRecord]:
        """Return the records that are this epoch's beyond doubt: those of a new one have CRCs that never hold here."""
        if self._driver.read_status().epoch == status.epoch:
            return records
        first_bad = next(index for index, record in enumerate(records) if not record.verified)
        return records[:first_bad]

    def _keep_memo(self, position: Position) -> None:
        """Keep when the registers were last read, so that a restart knows how long it wasn't."""
        if position.crc is None or self._clock() - self._memo_saved_at < MEMO_INTERVAL_S:
            return
        memo = self._driver.memo(position.seq)
        if memo is not None:
            self._spool.save_memo(self._view.lock, memo)
        self._memo_saved_at = self._clock()

    # ---- back to the controller ----

    def _confirm(self, position: Position, status: Status) -> None:
        """Tell the controller how far its journal is on disk, if it doesn't know."""
        confirmed = status.confirmed_seq
        if position.seq > confirmed and position.crc is not None:
            crc = position.crc if position.ring_crc is None else position.ring_crc
            try:
                confirmed = self._driver.acknowledge(Confirmation(position.epoch, position.seq, crc))
            except Refused as error:
                if error.code != ExceptionCode.ILLEGAL_VALUE:
                    raise
                confirmed = self._confirm_what_can_be(position, status)
            self._view.status = replace(status, confirmed_seq=confirmed)
        self._note_confirmed((status.epoch, confirmed), position.seq == status.newest_seq)

    def _confirm_what_can_be(self, position: Position, status: Status) -> int:
        """The controller knows the last record by other words: compare it at the next visit."""
        self._position = replace(position, is_checked=False)
        self._problem(f"the controller doesn't take the confirmation of record {position.seq}")
        first = max(status.oldest_seq, status.confirmed_seq + 1, position.seq - RECORDS_PER_STEP)
        if position.verified or first >= position.seq:
            return status.confirmed_seq
        # A bad record whose words differ from read to read can't be confirmed; the last whole one before it can.
        records = self._driver.read_journal(first, position.seq - first).records
        whole = [record for record in records if record.verified]
        if not whole:
            return status.confirmed_seq
        return self._driver.acknowledge(Confirmation(position.epoch, whole[-1].seq, _crc(whole[-1])))

    def _note_confirmed(self, confirmed: tuple[int, int], is_caught_up: bool) -> None:
        """Let the spool's status show what the controller knows; during a drain only once in a while."""
        now = self._clock()
        if confirmed != self._noted and (is_caught_up or now - self._noted_at >= NOTE_INTERVAL_S):
            self._noted, self._noted_at = confirmed, now
            self._spool.note_confirmed(self._view.lock, *confirmed)

    def _note_lost(self, records: int, why: str) -> None:
        self._view.overwritten_records += records
        self._problem(f"{records} records are gone: {why}")

    def _problem(self, text: str) -> None:
        self.problems.append(text)
        _log.error("journal", lock=self._view.lock, problem=text)


def _crc(record: JournalRecord) -> int:
    return int.from_bytes(record.raw[-4:], "big")
