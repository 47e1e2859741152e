"""The spool's housekeeping: one small step at a time between two commits, so that no seal waits long for it.

prune     pages whose receipt is old enough
re-seal   pages of forked journals into the active one
salvage   pages out of files that were set aside
forget    journals that hold nothing any more
"""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import structlog
from sqlite_utils import Database

from edge_agent.errors import SpoolFull
from edge_agent.spool_journals import (
    SalvagedPage,
    adopt_page,
    drop_empty_journals,
    reseal_step,
    settle_salvage,
)
from edge_agent.spool_opening import finish_salvage, to_salvage, was_brought, were_damaged
from edge_agent.spool_pages import JournalEnd, Moment, Sealer, to_ms
from edge_agent.spool_receipts import Keeping, prune_step
from edge_agent.spool_room import Room
from edge_agent.spool_salvage import salvage_pages

_log = structlog.get_logger(__name__)

PRUNE_LIMIT = 64
_RESEAL_LIMIT = 8
_SALVAGE_LIMIT = 16
_SALVAGE_SHARE = 0.75  # of the quota: the rest is for pages that are sealed meanwhile


class Housekeeping:
    """Used by the spool's writer thread only."""

    def __init__(
        self, path: Path, sealer: Sealer, keeping: Keeping, room: Room, moment: Callable[[], Moment]
    ) -> None:
        self._path = path
        self._sealer = sealer
        self._keeping = keeping
        self._room = room
        self._moment = moment
        self._file: Path | None = None
        self._found: Iterator[SalvagedPage] | None = None
        self._taken = 0

    def step(self, database: Database, end: JournalEnd) -> bool:
        """Do at most one step; True if there is probably more to do at once. `end` moves where a page is sealed."""
        moment = self._moment()
        with database.atomic():
            pruned = prune_step(database.conn, to_ms(moment.at), self._keeping, PRUNE_LIMIT)
            if not pruned:
                drop_empty_journals(database.conn)
        if pruned:
            return True
        with database.atomic():
            if reseal_step(database.conn, self._sealer, end, moment, _RESEAL_LIMIT):
                return True
        return self._salvage(database, moment)

    def has_to_salvage(self) -> bool:
        """True while a file that was damaged waits to be taken over."""
        return bool(were_damaged(self._path))

    def _salvage(self, database: Database, moment: Moment) -> bool:
        """Take over a few pages from a file that was set aside, where there is room."""
        if self._found is None and not self._begin_salvage():
            return False
        assert self._file is not None and self._found is not None
        try:
            self._room.admit(database)
        except SpoolFull:
            return False
        if self._room.share_used(database) > _SALVAGE_SHARE:
            with database.atomic():
                pressed = Keeping(self._keeping.keep_ms, under_pressure=True)
                return prune_step(database.conn, to_ms(moment.at), pressed, PRUNE_LIMIT) > 0
        pages = list(islice(self._found, _SALVAGE_LIMIT))
        reason, brought = f"salvaged from {self._file.name}", was_brought(self._file)
        with database.atomic():
            self._taken += sum(
                adopt_page(database.conn, self._sealer, page, reason, moment, brought=brought)
                for page in pages
            )
        if pages:
            return True
        _log.warning("salvage is done", file=str(self._file), pages=self._taken)
        with database.atomic():
            settle_salvage(database.conn, self._sealer)
        finish_salvage(self._file)
        self._file, self._found = None, None
        return True

    def _begin_salvage(self) -> bool:
        waiting = to_salvage(self._path)
        if not waiting:
            return False
        self._file, self._taken = waiting[0], 0
        self._found = salvage_pages(self._file)
        _log.warning("salvage begins", file=str(self._file))
        return True
