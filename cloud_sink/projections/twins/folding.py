"""Entries -> what they add to the twins. Pure; nothing depends on how the ledger is cut into batches.

    complete pour                   -> twin_days + 1, and its volume
    pour, register report           -> twin_registers: first and last register of the epoch, pours between them
    fault raised, fault cleared     -> twin_faults, the last word on it by (epoch, seq)
    emptying, container swap        -> twin_emptyings, its sums read from the ledger afterwards (balances)
    every verified record           -> twin_locks: when first and last read, by which journal
    whatever isn't an everyday pour -> twin_changes
    a record whose CRC never held   -> twin_unverified: that it is there is all that can be trusted

Sums, smallest and greatest by (epoch, seq) only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cloud_sink.projections.usage import LocalDays
from wastelock.record import ClockStatus, Kind, PourResult
from wastelock.registers import Fault

_POUR, _REPORT, _COMPLETE = int(Kind.POUR), int(Kind.REGISTER_REPORT), int(PourResult.COMPLETE)
_TELLS_REGISTER = frozenset({_POUR, _REPORT})
_FAULTS = (Kind.FAULT_RAISED, Kind.FAULT_CLEARED)
_MARKS = (Kind.EMPTYING, Kind.CONTAINER_SWAP)
_NEVER_SET, _CLOCK_BITS = int(ClockStatus.NEVER_SET), 0b11
_MOD = 2**32
# Kinds that come with each pour, or that nobody wants to read a history of.
_QUIET = frozenset({_POUR, _REPORT, int(Kind.ACCESS_DENIED)})
_TOLD: dict[int, tuple[str, str]] = {
    Kind.EMPTYING: ("container", "emptied"),
    Kind.CONTAINER_SWAP: ("container", "swapped"),
    Kind.POWER_UP: ("power", "up"),
    Kind.CLOCK_SET: ("clock", "set"),
}


class RecordChange(NamedTuple):
    """Something that a record tells of its lock. `source_no` is its position."""

    lock_no: int
    property: str
    at_ms: int
    value: str
    source_no: int


@dataclass(slots=True)
class Added:
    """What a batch of entries adds, by the tables' keys.

    days: [pours, volume_ml]. registers: [first_seq, first_register, last_seq, last_register, volume_ml, pours].
    locks: [first_read_ms, last_read_ms, last_pour_ms, position, journal_no].
    """

    days: dict[tuple[int, int, int], list[int]] = field(default_factory=dict)
    registers: dict[tuple[int, int, int], list[int]] = field(default_factory=dict)
    locks: dict[int, list[int]] = field(default_factory=dict)
    faults: list[tuple[int, int, int, int, int, int, int]] = field(default_factory=list)
    emptyings: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    unverified: list[tuple[int, int, int]] = field(default_factory=list)
    changes: list[RecordChange] = field(default_factory=list)
    position: int = 0
    entries: int = 0


def fold(rows: Iterable[Any], days: LocalDays) -> Added:
    """Return what these entries add. `rows`: as `sources.next_entries` reads them, in the order of position."""
    added = Added()
    day_of, sums, registers, locks = days.of, added.days, added.registers, added.locks
    position = count = 0
    for (position, lock_no, epoch, seq, unverified, kind, result, chamber, flags, began_s, volume_ml, duration,
         register, read_ms, journal_no) in rows:  # fmt: skip
        count += 1
        if unverified:
            added.unverified.append((lock_no, epoch, seq))
            continue
        at_s = read_ms // 1000 if flags & _CLOCK_BITS == _NEVER_SET else began_s
        complete = kind == _POUR and result == _COMPLETE
        if complete:
            key = lock_no, day_of(at_s), chamber
            total = sums.get(key)
            if total is None:
                sums[key] = [1, volume_ml]
            else:
                total[0] += 1
                total[1] += volume_ml
        if kind in _TELLS_REGISTER:
            _add_register(registers, (lock_no, epoch, chamber), seq, register, volume_ml, complete)
        elif kind not in _QUIET:
            _add_event(added, (lock_no, epoch, seq, position), kind, result, chamber, duration, at_s * 1000)
        pour_ms = at_s * 1000 if complete else 0
        lock = locks.get(lock_no)
        if lock is None:
            locks[lock_no] = [read_ms, read_ms, pour_ms, position, journal_no]
        else:
            if read_ms > lock[1]:
                lock[1] = read_ms
            elif read_ms < lock[0]:
                lock[0] = read_ms
            if pour_ms > lock[2]:
                lock[2] = pour_ms
            lock[3], lock[4] = position, journal_no
    added.position, added.entries = position, count
    return added


def _add_register(
    registers: dict[tuple[int, int, int], list[int]],
    key: tuple[int, int, int],
    seq: int,
    register: int,
    volume_ml: int,
    complete: bool,
) -> None:
    known = registers.get(key)
    if known is None:
        registers[key] = [seq, (register - complete) % _MOD, seq, register, volume_ml, int(complete)]
        return
    if seq > known[2]:
        known[2], known[3], known[4] = seq, register, volume_ml
    elif seq < known[0]:
        known[0], known[1] = seq, (register - complete) % _MOD
    known[5] += complete


def _add_event(
    added: Added, at: tuple[int, int, int, int], kind: int, result: int, chamber: int, duration: int, ms: int
) -> None:
    lock_no, epoch, seq, position = at
    if kind in _FAULTS:
        raised = int(kind == Kind.FAULT_RAISED)
        added.faults.append((lock_no, duration, chamber, epoch, seq, raised, ms))
        where = f".{chamber}" if chamber else ""
        told: tuple[str, str] | None = (
            f"fault.{fault_name(duration)}{where}",
            "raised" if raised else "cleared",
        )
    elif kind in _MARKS:
        added.emptyings.append((lock_no, epoch, seq, kind, ms))
        told = _TOLD[kind]
    elif kind == Kind.MAINTENANCE:
        told = "service", "ended" if result else "begun"
    else:
        told = _TOLD.get(kind)
    if told is not None:
        added.changes.append(RecordChange(lock_no, told[0], ms, told[1], position))


def fault_name(number: int) -> str:
    """Return a fault's name as reports have it; one that the map doesn't know goes by its number."""
    return _FAULT_NAMES.get(number, f"unknown-{number}")


_FAULT_NAMES: Mapping[int, str] = {int(fault): fault.name.lower() for fault in Fault}
