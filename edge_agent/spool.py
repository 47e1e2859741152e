"""The spool: the gateway's durable store of sealed pages, on SQLite. `seal` returns when the page is on the disk.

spool_writer     the thread: group commit         spool_room      quota, reserve for a full disk
spool_pages      sealing, cursors                 spool_opening   check, set aside what is damaged
spool_receipts   receipts, pruning                spool_salvage   read pages out of a damaged file
spool_journals   retired and forked journals      spool_keeping   housekeeping, step by step
spool_reader     reads beside the writer          spool_schema    tables, migrations
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

from sqlite_utils import Database

from edge_agent.alarms import Alarms
from edge_agent.custody import Cursor, Visit
from edge_agent.errors import SpoolFull
from edge_agent.spool_journals import fork_journal, replace_active, take_up_journal
from edge_agent.spool_keeping import PRUNE_LIMIT, Housekeeping
from edge_agent.spool_lock import SpoolLock
from edge_agent.spool_opening import drop_salvaged, mark_damaged, open_database
from edge_agent.spool_pages import (
    NOTE_CONFIRMED,
    SAVE_MEMO,
    JournalEnd,
    Moment,
    Sealer,
    active_journal,
    append_page,
    move_cursor,
    next_incarnation,
    page_records,
    read_cursors,
    to_ms,
)
from edge_agent.spool_receipts import (
    Judgement,
    Keeping,
    Verdict,
    judge_receipt,
    note_heard,
    note_receipt,
    prune_step,
)
from edge_agent.spool_room import Reserve, Room, named_error
from edge_agent.spool_schema import bound_log
from edge_agent.spool_writer import SpoolWriter
from wastelock.messages import Receipt
from wastelock.page import PageRecord

T = TypeVar("T")

_RETREAT_LASTS_MS = 60_000


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How much, and how long."""

    max_bytes: int
    keep_ms: int
    reserve_bytes: int


class Spool:
    """Opened by `start`, ended by `close`; each is called once. All other methods may be called from any thread."""

    def __init__(
        self,
        path: Path,
        limits: SpoolLimits,
        sealer: Sealer,
        now: Callable[[], datetime],
        clock_trust: Callable[[], str],
        *,
        alarms: Alarms | None = None,
        on_sealed: Callable[[], None] = lambda: None,
        make_uuid: Callable[[], UUID] = uuid4,
    ) -> None:
        self.path = path
        self.incarnation = 0
        self._on_sealed = on_sealed
        self._lock = SpoolLock(path)
        self._keeper = _Keeper(path, limits, sealer, now, clock_trust, alarms or Alarms(), make_uuid)
        self._writer = SpoolWriter(path, self._keeper.room, self._keeper)

    @property
    def failure(self) -> BaseException | None:
        """Why the writer ended by itself, None if it didn't."""
        return self._writer.failure

    @property
    def progressed_at(self) -> float:
        """When the writer last came round (monotonic seconds)."""
        return self._writer.progressed_at

    def start(self) -> None:
        """Open the file. Raises ConfigError, SpoolUnavailable (also: in use by another process) or SpoolFull."""
        self._lock.acquire()
        try:
            self._writer.start()
        except BaseException:
            self._lock.release()
            raise
        self.incarnation = self._keeper.incarnation

    def close(self) -> None:
        """Finish what was handed in, then close the file."""
        self._writer.close()
        self._lock.release()

    def cursor(self, lock: str) -> Cursor | None:
        """Return how far this lock's journal is on disk."""
        return self._keeper.cursors.get(lock)

    def seal(self, visit: Visit) -> None:
        """Seal the records of a visit as one page; returns when they are on the disk (fsync).

        Raises SpoolFull or SpoolUnavailable; then nothing of the visit was kept and nothing may be confirmed.
        """
        records = page_records(visit)
        self._writer.write(
            lambda connection: self._keeper.seal(connection, visit, records), records=len(records)
        )
        self._on_sealed()

    def save_memo(self, lock: str, memo: bytes) -> None:
        """Keep what a lock's driver must find again after a restart."""
        self._writer.write(lambda connection: connection.execute(SAVE_MEMO, (memo, lock)) and None)

    def note_confirmed(self, lock: str, epoch: int, seq: int) -> None:
        """Note for `status` how far the controller was told; not waited for, dropped where the writer has no time."""
        self._writer.note(lambda connection: connection.execute(NOTE_CONFIRMED, (epoch, seq, lock)))

    def apply_receipt(self, receipt: Receipt, *, by_hand: bool = False) -> Judgement:
        """Note what a receipt proves, begin a new journal where it says so; returns when that is on the disk.

        `by_hand`: it didn't come over the broker, so it may be an old one.
        """
        return self._writer.write(
            lambda connection: self._keeper.apply_receipt(connection, receipt, by_hand=by_hand)
        )

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` returns once all that it wrote is on the disk: for what else is kept here, orders.

        It must raise nothing but sqlite3.Error. Raises SpoolUnavailable or SpoolFull; then nothing of it was kept.
        """
        return self._writer.write(work)

    def report_damage(self, why: str) -> None:
        """Somebody read what can't be: have the file set aside and salvaged at the next start."""
        mark_damaged(self.path, why)


class _Keeper:
    """What the writer thread knows and does (spool_writer.Keeper); nothing here is called from another thread."""

    def __init__(
        self,
        path: Path,
        limits: SpoolLimits,
        sealer: Sealer,
        now: Callable[[], datetime],
        clock_trust: Callable[[], str],
        alarms: Alarms,
        make_uuid: Callable[[], UUID],
    ) -> None:
        self._path = path
        self._sealer = sealer
        self._now = now
        self._clock_trust = clock_trust
        self._alarms = alarms
        self._make_uuid = make_uuid
        self._keep_ms = limits.keep_ms
        self._reserve_bytes = limits.reserve_bytes
        reserve = Reserve(path.with_name(path.name + ".reserve"), limits.reserve_bytes)
        self.room = Room(reserve, limits.max_bytes, self._prune_pressed, lambda: drop_salvaged(path))
        self._housekeeping = Housekeeping(path, sealer, Keeping(limits.keep_ms), self.room, self._moment)
        self._end: JournalEnd | None = None
        self._retreats: dict[int, int] = {}  # journal: since when, in ms
        self.cursors: dict[str, Cursor] = {}
        self.incarnation = 0

    def open(self) -> Database:
        try:
            database = open_database(self._path, self._now())
        except SpoolFull:
            self.room.give_up_reserve()  # even the log's index needs a little room
            database = open_database(self._path, self._now())
        try:
            bound_log(database.conn, self._reserve_bytes)
            try:
                self._take_up(database)
            except sqlite3.OperationalError:
                self.room.tidy(database)  # on a full disk even this may need the reserve
                self._take_up(database)
        except sqlite3.Error as error:
            database.close()
            raise named_error(error, self._path) from error
        except BaseException:
            database.close()
            raise
        self._tell_damage()
        return database

    def committed(self, connection: sqlite3.Connection) -> None:
        self._end = active_journal(connection)
        self.cursors = read_cursors(connection)

    def tend(self, database: Database) -> bool:
        assert self._end is not None
        if self._housekeeping.step(database, self._end):
            return True
        self._tell_damage()
        return False

    def noted_full(self, error: SpoolFull | None) -> None:
        if error is None:
            self._alarms.clear("spool full")
        else:
            self._alarms.raise_("spool full", f"nothing is confirmed to controllers: {error}")

    def seal(self, connection: sqlite3.Connection, visit: Visit, records: Sequence[PageRecord]) -> None:
        assert self._end is not None
        append_page(connection, self._sealer, self._end, records, self._moment())
        move_cursor(connection, visit)

    def apply_receipt(self, connection: sqlite3.Connection, receipt: Receipt, *, by_hand: bool) -> Judgement:
        judgement = judge_receipt(connection, receipt, by_hand=by_hand)
        if judgement.journal is None or judgement.verdict is Verdict.OUTDATED:
            return judgement
        note_heard(connection, judgement.journal, receipt)
        if judgement.verdict is Verdict.ACCEPTED:
            note_receipt(connection, judgement.journal, receipt, to_ms(self._now()))
            self._retreats.pop(judgement.journal, None)
        elif judgement.verdict is Verdict.FORKED or self._has_lasted(judgement):
            self._leave(connection, judgement, judgement.journal)
        return judgement

    def _has_lasted(self, judgement: Judgement) -> bool:
        """True if the ledger has been behind what is pruned here for a while.

        Where several sinks work, one receipt may overtake another; a ledger that was really set back stays there.
        """
        if judgement.verdict is not Verdict.RETREATED or judgement.journal is None:
            return False
        now_ms = to_ms(self._now())
        return now_ms - self._retreats.setdefault(judgement.journal, now_ms) >= _RETREAT_LASTS_MS

    def _leave(self, connection: sqlite3.Connection, judgement: Judgement, journal: int) -> None:
        """Take a journal out of use; a new one begins if it was the active one."""
        assert self._end is not None
        is_forked = judgement.verdict is Verdict.FORKED
        if is_forked:
            fork_journal(connection, journal, judgement.contradicted_at, judgement.why)
        if journal == self._end.id:
            state = "forked" if is_forked else "retired"
            self._end = replace_active(
                connection, self._sealer, journal, state, self._make_uuid(), judgement.why, self._moment()
            )

    def _take_up(self, database: Database) -> None:
        with database.atomic():
            self._end = take_up_journal(database.conn, self._sealer, self._make_uuid, self._moment())
            self.incarnation = next_incarnation(database.conn)
        self.cursors = read_cursors(database.conn)

    def _prune_pressed(self, database: Database) -> int:
        with database.atomic():
            return prune_step(
                database.conn, to_ms(self._now()), Keeping(self._keep_ms, under_pressure=True), PRUNE_LIMIT
            )

    def _tell_damage(self) -> None:
        if self._housekeeping.has_to_salvage():
            self._alarms.raise_(
                "spool damaged", "the spool was damaged: what can be read of it is taken over now"
            )
        else:
            self._alarms.clear("spool damaged")

    def _moment(self) -> Moment:
        return Moment(self._now(), self._clock_trust())
