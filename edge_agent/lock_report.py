"""What the world is told of a lock: LockState messages, made only when there is news or the interval is over."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wastelock.messages import ChamberState, LockState
from wastelock.registers import Capability, Fault, Identity, State, Status

# Counters that move with each record: in a drain they are reported once in a while, not with each page.
PROGRESS_INTERVAL_S = 2.0


@dataclass(slots=True)
class LockView:
    """What one gateway knows of one lock now. `unreachable_since` and `problem` are None while all is well."""

    lock: str
    driver: str
    has_journal: bool
    unreachable_since: datetime | None = None
    problem: str | None = None
    identity: Identity | None = None
    status: Status | None = None
    clock_offset_s: int | None = None
    spooled_seq: int | None = None
    poll_interval_s: float | None = None
    unverified_records: int = 0
    overwritten_records: int = 0
    last_pour: bytes | None = None
    """The newest complete pour that was put on disk in this run: a record's 44 bytes."""


class LockReport:
    """Decides when a lock's state is told, and puts it into words."""

    def __init__(
        self,
        report: Callable[[LockState], None],
        now: Callable[[], datetime],
        clock: Callable[[], float],
        interval_s: Callable[[], float],
    ) -> None:
        """`interval_s`: how often a state is told that hasn't changed, asked each time."""
        self._report = report
        self._now = now
        self._clock = clock
        self._interval_s = interval_s
        self._told_at: float | None = None
        self._told: tuple[object, ...] = ()
        self._told_progress: tuple[object, ...] = ()
        self._offset_s: int | None = None

    def tell(self, view: LockView) -> None:
        """Report the lock's state if something changed, or if nothing was reported for the interval."""
        self._settle_offset(view.clock_offset_s)
        news, progress = (self._offset_s, *_news(view)), _progress(view)
        if self._told_at is not None and news == self._told:
            age = self._clock() - self._told_at
            if age < (PROGRESS_INTERVAL_S if progress != self._told_progress else self._interval_s()):
                return
        self._told_at, self._told, self._told_progress = self._clock(), news, progress
        self._report(lock_state(view, self._now()))

    def _settle_offset(self, offset_s: int | None) -> None:
        """Follow the clock's offset where it really moved: in whole seconds it swings by one from visit to visit."""
        if offset_s is None or self._offset_s is None or abs(offset_s - self._offset_s) > 1:
            self._offset_s = offset_s


def _news(view: LockView) -> tuple[object, ...]:
    """What is worth a message at once."""
    status = view.status
    own = (
        view.unreachable_since, view.problem, view.poll_interval_s, view.unverified_records, view.overwritten_records,
    )  # fmt: skip
    if status is None:
        return own
    return (
        *own, view.identity, status.state, status.faults, status.clock_status,
        status.enable_mask, status.access_list_version, status.epoch,
    )  # fmt: skip


def _progress(view: LockView) -> tuple[object, ...]:
    """What moves with each record. Battery, temperature and fill level go with the next message, whatever it is for."""
    status = view.status
    if status is None:
        return ()
    return status.newest_seq, status.confirmed_seq, status.registers, view.spooled_seq


def lock_state(view: LockView, at: datetime) -> LockState:
    """Return the message for this view. Of a lock that doesn't answer, the last known values are told."""
    status, identity = view.status, view.identity
    said = _told_by_controller(status) if status is not None and view.has_journal else {}
    if identity is not None and view.has_journal:
        said |= {"model": identity.model, "firmware": identity.firmware}
        if identity.capabilities & Capability.ACCESS_LIST:
            said["access_list_max"] = identity.access_list_max
    if status is not None:
        said |= {
            "epoch": status.epoch,
            "oldest_seq": status.oldest_seq,
            "newest_seq": status.newest_seq,
            "confirmed_seq": status.confirmed_seq,
        }
    return LockState(
        lock=view.lock,
        driver=view.driver,
        at=at,
        reachable=view.unreachable_since is None,
        unreachable_since=view.unreachable_since,
        problem=view.problem,
        chambers=_chambers(status, identity),
        clock_offset_s=view.clock_offset_s,
        spooled_seq=view.spooled_seq,
        poll_interval_s=view.poll_interval_s,
        unverified_records=view.unverified_records,
        overwritten_records=view.overwritten_records,
        **said,
    )


def _told_by_controller(status: Status) -> dict[str, Any]:
    """Return what a bare counter doesn't know of itself."""
    return {
        "state": _name(State, status.state),
        "faults": tuple(_name(Fault, bit) for bit in range(32) if status.faults >> bit & 1),
        "fill_permille": status.fill_permille,
        "battery_mv": status.battery_mv,
        "temperature_dc": status.temperature_dc,
        "clock_status": status.clock_status,
        "access_list_version": status.access_list_version,
    }


def _chambers(status: Status | None, identity: Identity | None) -> tuple[ChamberState, ...]:
    if status is None or identity is None:
        return ()
    return tuple(
        ChamberState(
            number=number,
            volume_ml=volume_ml,
            register_count=status.registers[number - 1],
            enabled=bool(status.enable_mask >> number - 1 & 1),
        )
        for number, volume_ml in enumerate(identity.volumes_ml, start=1)
        if volume_ml
    )


def _name(names: type[State] | type[Fault], value: int) -> str:
    """Return a value's name in lower case; one that the map doesn't know is told by its number."""
    try:
        return names(value).name.lower()
    except ValueError:
        return f"unknown-{value}"
