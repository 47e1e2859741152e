"""What `watch` shows of each lock: one row of short texts, how bad it is, and by what rows are put in order. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum

from edge_agent.local.snapshot import LockSight, Snapshot, UnitSight
from edge_agent.technician.quality import Lately, Quality

_POOR_PERMILLE = 980  # fewer sound answers than that is worth a look
_WHAT_TO_DO = {
    "silent": "no answer: no power, another unit id, baud rate or parity, or a wire: `edge-agent scan` finds out",
    "garbled": "its answers are broken: two controllers with its unit id, or noise: `edge-agent scan` finds out",
}
_RING_NOTE = 100  # records only in a controller: somebody ought to know


class Level(IntEnum):
    """How bad."""

    GOOD = 0
    NOTE = 1
    TROUBLE = 2


class Order(StrEnum):
    """By what rows are put in order, most interesting first; `PLACE` is as configured."""

    PLACE = "place"
    TROUBLE = "trouble"
    POUR = "last pour"
    CUSTODY = "custody"
    QUALITY = "quality"


@dataclass(frozen=True, slots=True)
class LockRow:
    """One lock. Texts are made to be cut at the right end. `pour_age_s`, `waiting`, `good_permille`: to sort by."""

    lock: str
    place: str
    level: Level
    state: str
    pour: str
    pour_age: str
    ring: str
    spool: str
    ledger: str
    answers: str
    trip: str
    problem: str | None
    pour_age_s: float | None
    waiting: int
    good_permille: int | None


def lock_rows(snapshot: Snapshot, quality: Quality) -> list[LockRow]:
    """Return a row for each lock, in the order of the configuration."""
    units = {(bus.bus, unit.unit): unit for bus in snapshot.buses for unit in bus.units}
    shut = {
        bus.bus: "lent" if bus.lent_to else "line down" for bus in snapshot.buses if bus.trouble is not None
    }
    rows = []
    for lock in snapshot.locks:
        unit, lately = units.get((lock.bus, lock.unit)), quality.of_unit(lock.bus, lock.unit)
        rows.append(_row(lock, unit, lately, shut.get(lock.bus), snapshot.at))
    return rows


def in_order(rows: Sequence[LockRow], order: Order) -> list[LockRow]:
    """Return the rows in this order; equal ones stay as they are."""
    keys: dict[Order, Callable[[LockRow], float]] = {
        Order.PLACE: lambda _: 0,
        Order.TROUBLE: lambda row: -row.level,
        Order.POUR: lambda row: row.pour_age_s if row.pour_age_s is not None else float("inf"),
        Order.CUSTODY: lambda row: -row.waiting,
        Order.QUALITY: lambda row: row.good_permille if row.good_permille is not None else -1,
    }
    return sorted(rows, key=keys[order])


def short_age(seconds: float) -> str:
    """Return an age in at most four characters: 42s, 17m, 5h, 12d."""
    seconds = max(0.0, seconds)
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def _row(lock: LockSight, unit: UnitSight | None, lately: Lately, shut: str | None, at: datetime) -> LockRow:
    """`shut`: why the whole bus can't be used, in a word."""
    silence = _silence(lock, unit, lately, shut)
    age_s = _pour_age_s(lock, at)
    custody = lock.custody
    trip = unit.round_trip_ms if unit is not None else None
    return LockRow(
        lock=lock.lock,
        place=f"{lock.bus} {lock.unit}",
        level=_level(lock, lately),
        state=_state(lock, silence, at),
        pour=_pour(lock, age_s),
        pour_age="-" if age_s is None else short_age(age_s),
        ring=_number(custody.ring),
        spool=_number(custody.spool),
        ledger=_number(custody.received_seq),
        answers="-" if lately.good_permille is None else f"{lately.good_permille / 10:.0f}%",
        trip="-" if trip is None else f"{trip:.0f}",
        problem=_WHAT_TO_DO.get(silence or "") or (lock.state.problem if lock.state is not None else None),
        pour_age_s=age_s,
        waiting=(custody.ring or 0) + (custody.spool or 0),
        good_permille=lately.good_permille,
    )


def _silence(lock: LockSight, unit: UnitSight | None, lately: Lately, shut: str | None) -> str | None:
    """Return in a word why the lock can't be read, None if it can. One that answers, but brokenly, isn't dead."""
    if lock.state is None or lock.state.reachable:
        return None
    if shut is not None:
        return shut
    timeouts, broken = lately.timeouts, lately.broken
    if not lately.requests and unit is not None:  # left alone for a while: go by what was before
        timeouts, broken = unit.timeouts, unit.broken
    return "garbled" if broken > timeouts else "silent"


def _state(lock: LockSight, silence: str | None, at: datetime) -> str:
    state = lock.state
    if state is None:
        return "not seen yet"
    if silence is not None:
        since = state.unreachable_since
        return silence if since is None else f"{silence} {short_age((at - since).total_seconds())}"
    faults = " ".join(fault.replace("_", "-") for fault in state.faults)
    words = [state.state.replace("_", " ") if state.state else "", faults, "problem" if state.problem else ""]
    return ", ".join(filter(None, words)) or "answers"


def _level(lock: LockSight, lately: Lately) -> Level:
    state = lock.state
    if state is None:
        return Level.NOTE
    if not state.reachable or state.state in ("jammed", "out_of_service"):
        return Level.TROUBLE
    if state.problem is not None and state.state is None:
        return Level.TROUBLE  # who answers there isn't it
    is_poor = lately.good_permille is not None and lately.good_permille < _POOR_PERMILLE
    if state.faults or state.problem or is_poor or (lock.custody.ring or 0) > _RING_NOTE:
        return Level.NOTE
    return Level.GOOD


def _pour_age_s(lock: LockSight, at: datetime) -> float | None:
    pour = lock.last_pour
    if pour is None or pour.at is None:
        return None
    offset_s = lock.state.clock_offset_s if lock.state is not None else None
    return max(0.0, (at - pour.at).total_seconds() + (offset_s or 0))


def _pour(lock: LockSight, age_s: float | None) -> str:
    pour = lock.last_pour
    if pour is None:
        return "-"
    what = f"{pour.volume_ml / 1000:g} l"
    return f"{what}, clock not set" if age_s is None else f"{what} {short_age(age_s)} ago"


def _number(count: int | None) -> str:
    return "?" if count is None else str(count)
