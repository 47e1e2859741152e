"""Records of a lock's journal in words that machines and templates can use: kinds, results, faults, and who has each.

A number that this release has no word for is shown as it is.
"""

from datetime import datetime
from enum import IntEnum

from pydantic import BaseModel, Field

from portal.paging import Page, numbers_of
from portal.sink_door import Cause, Entry, JournalKey, JournalRow, Place, SinkDoor
from wastelock.clock_grade import ClockGrade, grade_clock
from wastelock.record import Flag, Kind, PourResult
from wastelock.registers import Fault

_FAULT_KINDS = (Kind.FAULT_RAISED, Kind.FAULT_CLEARED)


class CommittedRecord(BaseModel):
    """A record as the ledger keeps it. Instants are UTC; `began_at` is the controller's clock, null if never set."""

    position: int
    kind: str = Field(examples=["pour"])
    result: str | None = Field(description="of a pour: complete, given_up or jammed", examples=["complete"])
    complete: bool = Field(description="it is a pour that is charged")
    fault: str | None = Field(description="of a fault raised or cleared")
    chamber: int | None
    volume_ml: int
    weight_g: int | None
    register_after: int
    began_at: datetime | None
    read_at: datetime
    committed_at: datetime = Field(description="when the receipt was given")
    clock_grade: ClockGrade
    clock_uncertainty_s: int
    site: str
    gateway: str
    journal: str
    page: int
    credential: str | None = Field(description="pseudonym; null without the permission to read it")
    unverified: bool
    mac_held: bool
    service: bool
    derived: bool


class JournalLine(BaseModel):
    """A record that is committed, or a range of records that aren't here, and who has them."""

    epoch: int
    first_seq: int
    last_seq: int
    place: Place = Field(description="ring, spool, ledger or lost: how far custody of it has come")
    in_ring: bool = Field(description="a copy lies in the controller's ring, by its last report")
    in_spool: bool = Field(description="a copy lies in the gateway's spool, by its last report")
    cause: Cause | None = Field(description="why it isn't here")
    before_first: bool = Field(description="from before the first record that is known here")
    record: CommittedRecord | None

    @property
    def records(self) -> int:
        """How many records this line stands for."""
        return self.last_seq - self.first_seq + 1


def name_of(names: type[IntEnum], value: int) -> str:
    """Return a value's word in lower case; its number where this release has no word for it."""
    try:
        return names(value).name.lower()
    except ValueError:
        return str(value)


def page_of_journal(
    door: SinkDoor, lock: str, before: str | None, limit: int, pseudonyms: bool
) -> Page[JournalLine]:
    """Return a page of a lock's journal, newest first. `before`: the last page's cursor, else Invalid."""
    key = None if before is None else JournalKey(*numbers_of(before, 3))
    rows = door.lock_journal(lock, key, limit + 1)
    lines = [_line(row, pseudonyms) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items=lines, next="-".join(map(str, rows[limit - 1].key)) if more else None)


def _line(row: JournalRow, pseudonyms: bool) -> JournalLine:
    return JournalLine(
        epoch=row.epoch,
        first_seq=row.first_seq,
        last_seq=row.last_seq,
        place=row.place,
        in_ring=row.in_ring,
        in_spool=row.in_spool,
        cause=row.cause,
        before_first=row.before_first,
        record=None if row.entry is None else read_entry(row.entry, pseudonyms),
    )


def read_entry(entry: Entry, pseudonyms: bool) -> CommittedRecord:
    """Return an entry in words. `pseudonyms`: whether the viewer may see whose transponder it was."""
    quality = grade_clock(
        entry.flags,
        entry.began_clock_s,
        int(entry.read_at.timestamp()),
        entry.clock_offset_s,
        entry.gateway_clock,
    )
    return CommittedRecord(
        position=entry.position,
        kind=name_of(Kind, entry.kind),
        result=name_of(PourResult, entry.result) if entry.kind == Kind.POUR else None,
        complete=entry.is_complete_pour,
        fault=name_of(Fault, entry.duration_ds) if entry.kind in _FAULT_KINDS else None,
        chamber=entry.chamber or None,
        volume_ml=entry.volume_ml,
        weight_g=entry.weight_g,
        register_after=entry.register_after,
        began_at=entry.began_at,
        read_at=entry.read_at,
        committed_at=entry.committed_at,
        clock_grade=quality.grade,
        clock_uncertainty_s=quality.uncertainty_s,
        site=entry.site,
        gateway=entry.gateway,
        journal=entry.journal,
        page=entry.page,
        credential=entry.credential if pseudonyms else None,
        unverified=entry.unverified,
        mac_held=entry.mac_held,
        service=bool(entry.flags & Flag.SERVICE),
        derived=bool(entry.flags & Flag.DERIVED),
    )
