"""Reads one lock as it is now: who it is, how it is, its registers, the last records of its ring. Confirms nothing."""

from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from edge_agent.clock import utc_now
from edge_agent.clock_keeper import clock_offset_s
from edge_agent.drivers.base import RECORDS_PER_STEP, Driver
from edge_agent.local.sighting import describe_line
from edge_agent.technician.access import FieldAccess
from edge_agent.technician.places import find_bus, find_lock
from edge_agent.technician.record_words import describe_record, fault_name
from wastelock.page import format_instant
from wastelock.record import ClockStatus, Record, decode_record
from wastelock.registers import Capability, Identity, State, Status

_CLOCK = {ClockStatus.NEVER_SET: "never set", ClockStatus.SET: "set", ClockStatus.LOST: "lost since"}


@dataclass(frozen=True, slots=True)
class ChamberReading:
    """A chamber; `register` is its count of complete cycles ever."""

    number: int
    volume_ml: int
    enabled: bool
    register: int


@dataclass(frozen=True, slots=True)
class ControllerReading:
    """What a controller says of itself. `clock_offset_s`: its clock minus this machine's, None where never set."""

    map_version: int
    model: int
    hardware_revision: int
    firmware: str
    capabilities: tuple[str, ...]
    mac_key_id: int
    state: str
    faults: tuple[str, ...]
    clock: str
    clock_at: str | None
    clock_offset_s: int | None
    uptime_s: int
    boot: int
    battery_mv: int
    temperature_dc: int
    fill_permille: int | None
    access_list_version: int
    access_list_entries: int
    access_list_max: int


@dataclass(frozen=True, slots=True)
class RecordReading:
    """A record of the ring. `at`: by the controller's clock, None where that wasn't set."""

    seq: int
    at: str | None
    what: str
    crc_holds: bool


@dataclass(frozen=True, slots=True)
class JournalReading:
    """The controller's ring; `last` is oldest first."""

    epoch: int
    capacity: int
    oldest_seq: int
    newest_seq: int
    confirmed_seq: int
    last: tuple[RecordReading, ...]


@dataclass(frozen=True, slots=True)
class LockReading:
    """All that `read` shows; its JSON has these names. A bare counter has neither `controller` nor `journal`."""

    lock: str
    bus: str
    where: str
    unit: int
    driver: str
    via: str
    read_at: str
    took_ms: float
    chambers: tuple[ChamberReading, ...]
    controller: ControllerReading | None
    journal: JournalReading | None


def read_lock(field: FieldAccess, name: str, last: int) -> LockReading:
    """Return how a lock is now, with its `last` newest records.

    Raises UnknownName, or the BusError that says why it can't be read.
    """
    lock = find_lock(field.config, name)
    driver = field.driver(name)
    identity = driver.identify()
    began = monotonic()
    status = driver.read_status()
    took_ms = round((monotonic() - began) * 1000, 1)
    return LockReading(
        lock=lock.lock,
        bus=lock.bus,
        where=describe_line(find_bus(field.config, lock.bus)),
        unit=lock.unit,
        driver=lock.driver,
        via=field.via,
        read_at=format_instant(utc_now()),
        took_ms=took_ms,
        chambers=_chambers(identity, status),
        controller=_controller(identity, status, driver) if driver.has_journal else None,
        journal=_journal(identity, status, driver, last) if driver.has_journal else None,
    )


def _chambers(identity: Identity, status: Status) -> tuple[ChamberReading, ...]:
    return tuple(
        ChamberReading(
            number, volume_ml, bool(status.enable_mask >> number - 1 & 1), status.registers[number - 1]
        )
        for number, volume_ml in enumerate(identity.volumes_ml, start=1)
        if volume_ml
    )


def _controller(identity: Identity, status: Status, driver: Driver) -> ControllerReading:
    true_at_s = utc_now().timestamp() - (monotonic() - driver.status_at)
    is_timed = status.clock_status != ClockStatus.NEVER_SET
    return ControllerReading(
        map_version=identity.map_version,
        model=identity.model,
        hardware_revision=identity.hardware_revision,
        firmware=identity.firmware,
        capabilities=tuple(str(c.name).lower() for c in Capability if identity.capabilities & c),
        mac_key_id=identity.mac_key_id,
        state=_state_name(status.state),
        faults=tuple(fault_name(bit) for bit in range(32) if status.faults >> bit & 1),
        clock=_clock_word(status.clock_status),
        clock_at=_instant(status.clock_s) if is_timed else None,
        clock_offset_s=clock_offset_s(status, true_at_s),
        uptime_s=status.uptime_s,
        boot=status.boot,
        battery_mv=status.battery_mv,
        temperature_dc=status.temperature_dc,
        fill_permille=status.fill_permille,
        access_list_version=status.access_list_version,
        access_list_entries=status.access_list_entries,
        access_list_max=identity.access_list_max,
    )


def _journal(identity: Identity, status: Status, driver: Driver, last: int) -> JournalReading:
    """Read the newest records; one that was overwritten meanwhile is left out."""
    seq = max(status.oldest_seq, status.newest_seq - last + 1)
    records: list[RecordReading] = []
    while 0 < seq <= status.newest_seq:
        read = driver.read_journal(seq, min(RECORDS_PER_STEP, status.newest_seq - seq + 1))
        records += [_record(decode_record(each.raw), each.seq, each.verified) for each in read.records]
        if not read.records:
            break
        seq += len(read.records)
    return JournalReading(
        identity.epoch, identity.capacity, status.oldest_seq, status.newest_seq, status.confirmed_seq, tuple(records)
    )  # fmt: skip


def _record(record: Record, seq: int, holds: bool) -> RecordReading:
    if not holds:
        return RecordReading(seq, None, "its CRC-32 doesn't hold: read it again", crc_holds=False)
    is_timed = record.clock_status != ClockStatus.NEVER_SET
    at = _instant(record.began_clock_s) if is_timed else None
    return RecordReading(seq, at, describe_record(record), crc_holds=True)


def _instant(unix_s: int) -> str:
    return format_instant(datetime.fromtimestamp(unix_s, UTC))


def _state_name(state: int) -> str:
    return State(state).name.lower().replace("_", " ") if state in set(State) else f"unknown state {state}"


def _clock_word(status: int) -> str:
    return _CLOCK[ClockStatus(status)] if status in set(ClockStatus) else f"unknown clock status {status}"
