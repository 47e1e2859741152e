"""Puts a snapshot together from what is there: buses, what is known of the locks, the spool. Asking changes nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from edge_agent.bus import Bus
from edge_agent.config import AgentConfig, BusSettings, LockSettings, RtuBus
from edge_agent.errors import SpoolCorrupt, SpoolFull, SpoolUnavailable
from edge_agent.local.snapshot import (
    BrokerSight,
    BusSight,
    CustodySight,
    GatewaySight,
    LockSight,
    PourSight,
    Snapshot,
    SpoolSight,
    UnitSight,
)
from edge_agent.local.spool_history import History
from edge_agent.lock_report import LockView, lock_state
from edge_agent.spool_reader import SpoolReader
from edge_agent.spool_status import summarise
from wastelock.record import ClockStatus, Record, decode_record
from wastelock.registers import Status

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Met:
    """What somebody who visits locks knows of one. `met_at`: when it last answered (monotonic s).

    `follows_journal`: its status tells of the journal that is in the spool. A counter's journal is its visitor's alone.
    """

    view: LockView
    met_at: float | None
    follows_journal: bool = True


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a snapshot is made of; `locks` by name. What the running agent alone knows is None elsewhere."""

    config: AgentConfig
    gateway: GatewaySight
    buses: Sequence[Bus]
    locks: Mapping[str, Met]
    broker: BrokerSight | None = None
    alarms: tuple[str, ...] = ()


class Sighting:
    """Makes snapshots of one spool; it remembers how far it has read there. Used by one thread at a time."""

    def __init__(self, now: Callable[[], datetime], clock: Callable[[], float] = monotonic) -> None:
        """`now`: UTC; `clock`: monotonic s."""
        self._now = now
        self._clock = clock
        self._history = History()

    def look(self, scene: Scene) -> Snapshot:
        """Return a snapshot. A spool that can't be read is told, and no error."""
        config = scene.config
        spool = look_at_spool(config, self._history.follow)
        return Snapshot(
            at=self._now(),
            clock_s=self._clock(),
            gateway=scene.gateway,
            broker=scene.broker,
            spool=spool,
            alarms=scene.alarms,
            buses=tuple(_bus(config, settings, bus) for settings, bus in _pairs(config, scene.buses)),
            locks=tuple(self._lock(lock, scene.locks.get(lock.lock), spool) for lock in config.locks),
        )

    def _lock(self, lock: LockSettings, met: Met | None, spool: SpoolSight) -> LockSight:
        view = met.view if met is not None else None
        is_known = view is not None and (view.status is not None or view.problem is not None)
        state = lock_state(view, self._now()) if view is not None and is_known else None
        raw = self._history.last_pour(lock.lock)
        if view is not None and view.last_pour is not None:
            raw = view.last_pour
        return LockSight(
            lock=lock.lock,
            bus=lock.bus,
            unit=lock.unit,
            driver=lock.driver,
            state=state,
            last_pour=None if raw is None else _pour(decode_record(raw)),
            custody=self._custody(
                lock.lock, view.status if view and met and met.follows_journal else None, spool
            ),
            answered_s_ago=None if met is None or met.met_at is None else self._clock() - met.met_at,
        )

    def _custody(self, lock: str, status: Status | None, spool: SpoolSight) -> CustodySight:
        spool_epoch, spooled = self._history.spooled(lock) or (None, None)
        epoch, newest = (status.epoch, status.newest_seq) if status is not None else (spool_epoch, None)
        if epoch != spool_epoch:
            spooled = 0  # of the controller's new journal nothing is here yet
        received, waiting = self._history.received(lock, epoch), self._history.waiting(lock)
        if received is None and spool.trouble is None and spool.unreceipted_pages == 0:
            received = spooled
        return CustodySight(
            newest_seq=newest,
            spooled_seq=spooled,
            received_seq=received,
            ring=_difference(newest, spooled),
            spool=_difference(spooled, received) if waiting is None else waiting,
        )


def look_at_spool(
    config: AgentConfig, read_more: Callable[[SpoolReader], object] | None = None
) -> SpoolSight:
    """Return what is to be seen of a spool, with or without an agent; `read_more` reads what else is wanted of it."""
    path, max_bytes = config.spool.path, config.spool.max_mib * _MIB
    if not path.exists():
        return SpoolSight(
            path=str(path),
            max_bytes=max_bytes,
            trouble="not there yet: the agent makes it when it first runs",
        )
    try:
        reader = SpoolReader(path)
        try:
            summary = summarise(reader)
            if read_more is not None:
                read_more(reader)
        finally:
            reader.close()
    except (SpoolUnavailable, SpoolCorrupt, SpoolFull) as error:
        return SpoolSight(path=str(path), max_bytes=max_bytes, trouble=str(error))
    return SpoolSight(
        path=str(path),
        journal=summary.journal,
        used_bytes=summary.used_bytes,
        max_bytes=max_bytes,
        pages=summary.pages,
        newest_page=summary.newest_page,
        committed_through=summary.committed_through,
        unreceipted_pages=summary.unreceipted_pages,
        oldest_unreceipted_at=summary.oldest_unreceipted_at,
    )


def _pairs(config: AgentConfig, buses: Sequence[Bus]) -> list[tuple[BusSettings, Bus]]:
    by_name = {bus.name: bus for bus in buses}
    return [(settings, by_name[settings.name]) for settings in config.buses if settings.name in by_name]


def describe_line(settings: BusSettings) -> str:
    """Return what a bus is, as people write it: device and settings, or host and port."""
    if isinstance(settings, RtuBus):
        return f"{settings.device} {settings.baudrate} 8{settings.parity}{settings.stopbits}"
    return f"{settings.host}:{settings.port}"


def _bus(config: AgentConfig, settings: BusSettings, bus: Bus) -> BusSight:
    locks = {lock.unit: lock.lock for lock in config.locks if lock.bus == bus.name}
    counts = bus.unit_counts()
    units = []
    for unit in sorted({*locks, *counts}):
        count = counts.get(unit)
        numbers = {} if count is None else {
            "requests": count.requests, "answered": count.answered, "exceptions": count.exceptions,
            "timeouts": count.timeouts, "broken": count.broken, "broken_crc": count.broken_crc,
            "late_or_foreign": count.late_or_foreign, "line_downs": count.line_downs,
        }  # fmt: skip
        units.append(
            UnitSight(
                unit=unit,
                lock=locks.get(unit),
                resting=bus.is_resting(unit),
                round_trip_ms=_ms(count.round_trip_s if count else None),
                slowest_ms=_ms(count.slowest_s if count else None),
                **numbers,
            )
        )
    return BusSight(
        bus=bus.name,
        kind=settings.kind,
        where=describe_line(settings),
        is_open=bus.is_open,
        trouble=bus.trouble,
        lent_to=bus.lent_to,
        times_opened=bus.times_opened,
        times_broken=bus.times_broken,
        wire_s=bus.wire_s,
        units=tuple(units),
    )


def _pour(record: Record) -> PourSight:
    is_timed = record.clock_status != ClockStatus.NEVER_SET
    return PourSight(
        seq=record.seq,
        chamber=record.chamber,
        volume_ml=record.volume_ml,
        at=datetime.fromtimestamp(record.began_clock_s, UTC) if is_timed else None,
    )


def _difference(newer: int | None, older: int | None) -> int | None:
    return None if newer is None or older is None else max(0, newer - older)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
