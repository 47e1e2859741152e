"""Readings of a lock: its registers as the controller or the last records on a disk show them, and records in between.

A status is one snapshot, so registers and newest record in it belong together. The records of its ring prove them: each
pour and each register report names its chamber's register after it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from edge_agent.clock_keeper import clock_offset_s
from edge_agent.drivers.base import RECORDS_PER_STEP, Driver
from edge_agent.errors import BrokenAnswer, JournalGone
from edge_agent.lock_report import LockView, lock_state
from edge_agent.spool_reader import SpoolReader
from edge_agent.technician.spool_listing import read_page
from wastelock.page import PageRecord, from_base64url, parse_instant
from wastelock.protocol import ChamberReading, Reading, RegisterCheck, Source
from wastelock.record import Kind, Record, crc_holds, decode_record
from wastelock.registers import Identity, Status, lock_id

_LOOKS_BACK_MAX = 400  # records in which the last one of each chamber is looked for
_PAGES_BACK_MAX = 20_000
_PAGES_AT_ONCE = 200
_READS_MAX = 5
_PAUSE_S = 0.5
_MOD = 2**32


def read_now(driver: Driver, now: Callable[[], datetime]) -> tuple[Identity, Status, Reading]:
    """Return who answers, its status, and both as a reading. Raises BusError."""
    identity = driver.identify()
    status = driver.read_status()
    if status.epoch != identity.epoch:  # a new epoch began between the two
        identity, status = driver.identify(), driver.read_status()
    at = now()
    proofs = _proofs(driver, identity, status) if driver.has_journal else {}
    chambers = tuple(
        ChamberReading(
            number=number,
            volume_ml=volume_ml,
            register_count=status.registers[number - 1],
            proven_by=proofs.get(number),
        )
        for number, volume_ml in enumerate(identity.volumes_ml, 1)
    )
    offset_s = clock_offset_s(status, at.timestamp()) if driver.has_journal else None
    view = LockView(
        lock_id(identity.serial), driver.name, driver.has_journal, identity=identity, status=status
    )
    told = lock_state(view, at)
    reading = Reading(
        lock=told.lock,
        driver=told.driver,
        source=Source.CONTROLLER,
        at=at,
        epoch=status.epoch,
        newest_seq=status.newest_seq,
        confirmed_seq=status.confirmed_seq,
        chambers=chambers,
        model=told.model,
        firmware=told.firmware,
        state=told.state,
        faults=told.faults,
        clock_status=told.clock_status,
        clock_offset_s=offset_s,
        access_list_version=told.access_list_version,
        access_list_entries=status.access_list_entries if driver.has_journal else None,
        enable_mask=status.enable_mask if driver.has_journal else None,
        battery_mv=told.battery_mv,
    )
    return identity, status, reading


def read_records(
    driver: Driver, after: int, through: int, sleep: Callable[[float], object] = time.sleep
) -> Iterator[Record]:
    """Yield the records after `after` up to `through` as the controller's ring holds them.

    JournalGone where one was overwritten, BrokenAnswer where one can't be read: its CRC never holds.
    """
    seq = after + 1
    reads = 0
    while seq <= through:
        step = driver.read_journal(seq, min(RECORDS_PER_STEP, through - seq + 1))
        if step.overwritten_by is not None and not step.records:
            raise JournalGone(f"record {seq} was overwritten by record {step.overwritten_by}")
        before = seq
        for record in step.records:
            if not record.verified:
                break
            yield decode_record(record.raw)
            seq = record.seq + 1
        reads = 0 if seq > before else reads + 1
        if reads == _READS_MAX:
            raise BrokenAnswer(
                f"record {seq} can't be read, its CRC never holds: have the controller's memory checked"
            )
        if reads:
            sleep(_PAUSE_S)


class LastKnown:
    """What a disk's records tell last of some locks, in whatever order they come."""

    def __init__(self, locks: Sequence[str]) -> None:
        self._newest: dict[str, PageRecord] = {}
        self._chambers: dict[str, dict[int, ChamberReading]] = {lock: {} for lock in locks}

    def note(self, record: PageRecord) -> None:
        """Take a record into account."""
        chambers = self._chambers.get(record.lock)
        if chambers is None:
            return
        newest = self._newest.get(record.lock)
        if newest is not None and record.epoch < newest.epoch:
            return
        if newest is not None and record.epoch > newest.epoch:
            chambers.clear()  # a new journal: its registers may have begun anew
        if newest is None or (record.epoch, record.seq) > (newest.epoch, newest.seq):
            self._newest[record.lock] = record
        raw = from_base64url(record.raw)
        if not crc_holds(raw, int(record.lock, 16), record.epoch):
            return
        found = decode_record(raw)
        before = chambers.get(found.chamber)
        is_newer = before is None or before.proven_by is None or record.seq > before.proven_by
        if found.kind in (Kind.POUR, Kind.REGISTER_REPORT) and found.chamber and is_newer:
            chambers[found.chamber] = ChamberReading(
                number=found.chamber,
                volume_ml=found.volume_ml,
                register_count=found.register_after,
                proven_by=record.seq,
            )

    def reading(self, lock: str) -> Reading | None:
        """Return the registers as the lock's newest records show them, None if there is none of it."""
        newest = self._newest.get(lock)
        if newest is None:
            return None
        chambers = self._chambers[lock]
        return Reading(
            lock=lock,
            driver=newest.driver,
            source=Source.SPOOL,
            at=parse_instant(newest.read_at),
            epoch=newest.epoch,
            newest_seq=newest.seq,
            chambers=tuple(chambers[number] for number in sorted(chambers)),
        )


def confirmed_reading(driver: Driver, status: Status, reading: Reading) -> Reading | None:
    """Return the registers as of the last confirmed record: up to there somebody has had everything on a disk.

    None where nothing was confirmed, or the ring doesn't show it.
    """
    through = status.confirmed_seq
    if not driver.has_journal or not through:
        return None
    after = max(status.oldest_seq - 1, through - _LOOKS_BACK_MAX)
    chambers: dict[int, ChamberReading] = {}
    for record in read_records(driver, after, through):
        if record.kind in (Kind.POUR, Kind.REGISTER_REPORT) and record.chamber:
            chambers[record.chamber] = ChamberReading(
                number=record.chamber,
                volume_ml=record.volume_ml,
                register_count=record.register_after,
                proven_by=record.seq,
            )
    if not chambers:
        return None
    ordered = tuple(chambers[number] for number in sorted(chambers))
    return Reading(
        lock=reading.lock,
        driver=reading.driver,
        source=Source.CONFIRMED,
        at=reading.at,
        epoch=status.epoch,
        newest_seq=through,
        chambers=ordered,
    )


def check_registers(
    opening: Reading, closing: Reading, records: Sequence[Record]
) -> tuple[RegisterCheck, ...]:
    """Compare what each register moved by with the complete pours in between: the proof that none is missing."""
    before = {chamber.number: chamber.register_count for chamber in opening.chambers}
    return tuple(
        RegisterCheck(
            lock=closing.lock,
            chamber=chamber.number,
            opening=before[chamber.number],
            closing=chamber.register_count,
            pours=sum(record.is_complete_pour and record.chamber == chamber.number for record in records)
            % _MOD,
        )
        for chamber in closing.chambers
        if chamber.number in before
    )


def _proofs(driver: Driver, identity: Identity, status: Status) -> dict[int, int]:
    """Return for each chamber the newest record whose register is the one that the status tells."""
    proofs: dict[int, int] = {}
    oldest = max(1, status.oldest_seq, status.newest_seq - _LOOKS_BACK_MAX + 1)
    through = status.newest_seq
    while through >= oldest and len(proofs) < identity.chambers:
        after = max(oldest - 1, through - RECORDS_PER_STEP)
        try:
            records = list(read_records(driver, after, through))
        except (JournalGone, BrokenAnswer):
            return proofs  # what can't be read proves nothing
        for record in reversed(records):
            if record.kind in (Kind.POUR, Kind.REGISTER_REPORT) and 1 <= record.chamber <= identity.chambers:
                is_first = record.chamber not in proofs
                if is_first and record.register_after == status.registers[record.chamber - 1]:
                    proofs[record.chamber] = record.seq
        through = after
    return proofs


def records_backwards(reader: SpoolReader) -> Iterator[PageRecord]:
    """Yield the records on a disk, newest first, as far back as is bounded."""
    left = _PAGES_BACK_MAX
    for view in reversed(reader.journals()):
        before = view.newest_page + 1
        while left > 0 and (numbers := reader.pages_before(view.id, before, _PAGES_AT_ONCE)):
            for number in numbers:
                stored = reader.page(view.id, number)
                if stored is not None:
                    yield from reversed(read_page(reader.path, stored).records)
            left -= len(numbers)
            before = numbers[-1]
