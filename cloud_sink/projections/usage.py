"""Entries -> usage per day: what a batch of the ledger adds to each table. Pure; adding is all there is.

    complete pour, its day known           -> usage_days  + 1
    complete pour, its day doubtful        -> usage_loose
    any record whose CRC never held        -> usage_loose
    fault that may have let waste by       -> usage_loose
    every verified record                  -> usage_records: first, last, + 1 if it is a complete pour

Sums, smallest and greatest only: in whatever order entries come and however they are cut into batches, the tables end
the same. Each entry is taken once, since the cursor moves in the transaction that adds it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from wastelock.clock_grade import ClockGrade, grade_clock
from wastelock.record import ClockStatus, Flag, Kind, PourResult
from wastelock.registers import Fault

FIRST_DAY, LAST_DAY = -(2**31), 2**31 - 1  # of all days
NO_CREDENTIAL = 0
TRAITS = Flag.SERVICE | Flag.DEGRADED | Flag.DERIVED
# Waste may have gone by unmetered, or what is recorded may not be right: billing asks a person about each.
INCIDENTS = frozenset(
    {Fault.FLAP_OPEN, Fault.DOOR_OPEN, Fault.CLOCK_LOST, Fault.MEMORY_CORRUPT, Fault.TAMPER}
)
# As plain numbers: this runs for each entry there is.
_POUR, _REGISTER_REPORT, _COMPLETE = int(Kind.POUR), int(Kind.REGISTER_REPORT), int(PourResult.COMPLETE)
_NEVER_SET, _CLOCK_BITS = int(ClockStatus.NEVER_SET), 0b11
_1970 = date(1970, 1, 1).toordinal()
_SLOT_S = (
    900  # every zone's offset, and every moment at which one changed since 1970, is whole quarters of an hour
)
_CACHED_SLOTS = 400_000  # eleven years


class LocalDays:
    """Unix seconds -> local days of a zone, as whole days since 1970."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._days: dict[int, int] = {}

    def of(self, unix_s: int) -> int:
        slot = unix_s // _SLOT_S
        day = self._days.get(slot)
        if day is None:
            if len(self._days) >= _CACHED_SLOTS:
                self._days.clear()
            local = datetime.fromtimestamp(slot * _SLOT_S, UTC).astimezone(self._zone)
            day = self._days[slot] = local.toordinal() - _1970
        return day


@dataclass(slots=True)
class Additions:
    """What a batch adds, by the tables' keys. `days` name credentials by their 16 bytes, None for none."""

    days: dict[tuple[int, int, int, bytes | None, int, int], int] = field(
        default_factory=lambda: defaultdict(int)
    )
    loose: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    records: dict[tuple[int, int, int, int], list[int]] = field(default_factory=dict)
    position: int = 0
    entries: int = 0


def fold(rows: Iterable[Any], days: LocalDays) -> Additions:
    """Return what these entries add. `rows`: as `projecting.next_entries` reads them, in the order of position."""
    added = Additions()
    day_of: Callable[[int], int] = days.of
    counts, spans = added.days, added.records
    for (position, lock_no, epoch, seq, unverified, kind, result, chamber, flags, began_s, volume, duration,
         read_ms, offset_s, credential, gateway_clock) in rows:  # fmt: skip
        added.position = position
        added.entries += 1
        if unverified:
            added.loose.append((lock_no, epoch, seq, 1, FIRST_DAY, LAST_DAY))
            continue
        never_set = flags & _CLOCK_BITS == _NEVER_SET
        day = day_of(read_ms // 1000 if never_set else began_s)
        complete = kind == _POUR and result == _COMPLETE
        tells_register = kind in (_POUR, _REGISTER_REPORT)
        _file(spans, (lock_no, day, epoch, chamber if tells_register else 0), seq, complete)
        if complete:
            quality = grade_clock(flags, began_s, read_ms // 1000, offset_s, gateway_clock)
            if quality.is_good:
                counts[lock_no, day, chamber, credential, volume, flags & TRAITS] += 1
            elif quality.grade is ClockGrade.NEVER_SET:
                added.loose.append((lock_no, epoch, seq, 0, FIRST_DAY, LAST_DAY))
            else:
                u = quality.uncertainty_s
                added.loose.append((lock_no, epoch, seq, 0, day_of(began_s - u), day_of(began_s + u)))
        elif kind in (Kind.FAULT_RAISED, Kind.FAULT_CLEARED) and duration in INCIDENTS:
            added.loose.append((lock_no, epoch, seq, 0, day, day))
    return added


def _file(
    spans: dict[tuple[int, int, int, int], list[int]],
    key: tuple[int, int, int, int],
    seq: int,
    complete: bool,
) -> None:
    span = spans.get(key)
    if span is None:
        spans[key] = [seq, seq, int(complete)]
        return
    if seq < span[0]:
        span[0] = seq
    elif seq > span[1]:
        span[1] = seq
    if complete:
        span[2] += 1
