"""Commissioning of a lock: opening registers, test pours, volumes, closing registers; without what people see of it.

    opening reading ──▶ test pours with each chamber, as the journal shows them ──▶ volumes ──▶ closing reading
           └──────────────── Σ complete pours of each chamber = difference of its registers ──────────┘

All pours between the two readings count, whoever makes them. They are read from the controller's ring, so an agent may
read and confirm them meanwhile, and nothing is lost by ending in the middle: the opening reading is kept, and whoever
begins again goes on from it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from edge_agent.drivers.base import Driver
from edge_agent.errors import BusError, JournalGone
from edge_agent.technician.register_readings import check_registers, read_now, read_records
from edge_agent.technician.spool_listing import kind_name
from wastelock.protocol import Finding, Reading, RegisterCheck, TrialPour, VolumeCheck
from wastelock.record import ClockStatus, Flag, Kind, Record
from wastelock.registers import Identity, Status

LOOK_S = 0.5
CLOCK_OFF_MAX_S = 60
_SILENCE_MAX_S = 120.0
_CLOSING_TRIES = 5
_RECORDS_MAX = 2000
_POURS_TOLD_MAX = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is expected: `planned_ml` by chamber. `tolerance_permille`: how far a measured volume may be off."""

    pours_per_chamber: int = 2
    planned_ml: Mapping[int, int] = field(default_factory=dict)
    tolerance_permille: int = 50
    patience_s: float = 900.0


class Commissioning:
    """One lock's. `findings`: what isn't as it should be; `notes`: what is worth knowing."""

    def __init__(
        self,
        driver: Driver,
        plan: Plan,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.findings: list[Finding] = []
        self.notes: list[Finding] = []
        self.records: list[Record] = []
        self.opening: Reading | None = None
        self._driver = driver
        self._plan = plan
        self._now = now
        self._clock = clock
        self._sleep = sleep
        self._identity: Identity | None = None

    @property
    def chambers(self) -> tuple[int, ...]:
        """The chambers to test: those that have a volume."""
        assert self._identity is not None
        return tuple(number for number, ml in enumerate(self._identity.volumes_ml, 1) if ml)

    def begin(self, kept: Reading | None) -> bool:
        """Take the opening reading, or go on from one that was kept; True if it goes on. Raises BusError."""
        identity, status, reading = read_now(self._driver, self._now)
        self._identity = identity
        goes_on = kept is not None and _follows(kept, status)
        self.opening = kept if goes_on else reading
        self._judge_state(status, reading)
        for chamber in reading.chambers:
            planned = self._plan.planned_ml.get(chamber.number)
            if planned is not None and planned != chamber.volume_ml:
                self._find(
                    "volume_not_planned", chamber=chamber.number, ml=chamber.volume_ml, planned_ml=planned
                )
            if chamber.proven_by is None and self._driver.has_journal:
                self._find("register_unproven", chamber=chamber.number, register=chamber.register_count)
        return goes_on

    def missing(self) -> dict[int, int]:
        """Return for each chamber how many test pours are still to be made, only where there are some."""
        wanted = self._plan.pours_per_chamber
        made = {number: len(self._pours_of(number)) for number in self.chambers}
        return {number: wanted - count for number, count in made.items() if count < wanted}

    def watch(self, seen: Callable[[Record], object], idle: Callable[[], object] = lambda: None) -> bool:
        """Follow the journal until each chamber has had its test pours; tell each record that comes.

        False where none came for `patience_s`. Raises BusError where the lock stays silent, JournalGone.
        """
        assert self.opening is not None
        last_at = answered_at = self._clock()
        while self.missing():
            came = 0
            try:
                came = self._read_up_to(self._driver.read_status(), seen)
                answered_at = self._clock()
            except BusError:
                if self._clock() - answered_at > _SILENCE_MAX_S:
                    raise
            if came:
                last_at = self._clock()
            elif self._clock() - last_at > self._plan.patience_s:
                return False
            else:
                idle()
                self._sleep(LOOK_S)
        return True

    def close(self, seen: Callable[[Record], object]) -> tuple[Reading, tuple[RegisterCheck, ...]]:
        """Take the closing reading, with all pours up to it, and compare the registers."""
        assert self.opening is not None
        for _ in range(_CLOSING_TRIES):
            _, status, closing = read_now(self._driver, self._now)
            self._read_up_to(status, seen)
            if self._driver.read_status().newest_seq == closing.newest_seq:
                break  # else somebody has just poured, and people would rather see that in it
        within = [record for record in self.records if record.seq <= closing.newest_seq]
        checks = check_registers(self.opening, closing, within)
        for check in checks:
            if not check.holds:
                self._find("register_sum", chamber=check.chamber, moved=check.moved, pours=check.pours)
        return closing, checks

    def abandon(self) -> None:
        """Note that test pours are missing."""
        for chamber, count in self.missing().items():
            self._find("pours_missing", chamber=chamber, missing=count, wanted=self._plan.pours_per_chamber)

    def check_volumes(self, measured_ml: Mapping[int, int]) -> tuple[VolumeCheck, ...]:
        """Compare what is planned, set, recorded and measured."""
        assert self._identity is not None
        checks = []
        for number in self.chambers:
            check = VolumeCheck(
                chamber=number,
                planned_ml=self._plan.planned_ml.get(number),
                controller_ml=self._identity.volumes_ml[number - 1],
                recorded_ml=tuple(sorted({each.volume_ml for each in self._pours_of(number)})),
                measured_ml=measured_ml.get(number),
                tolerance_permille=self._plan.tolerance_permille,
            )
            checks.append(check)
            self._judge_volume(check)
        return tuple(checks)

    def trial_pours(self) -> tuple[TrialPour, ...]:
        """Return the pours of the test, also those that weren't complete."""
        pours = [record for record in self.records if record.kind == Kind.POUR]
        return tuple(map(_trial_pour, pours[:_POURS_TOLD_MAX]))

    def _judge_state(self, status: Status, reading: Reading) -> None:
        if not self._driver.has_journal:
            self._note("no_journal")
            return
        for fault in reading.faults:
            self._find("fault", fault=fault)
        if reading.state in ("jammed", "out_of_service"):
            self._find("state", state=reading.state)
        if status.clock_status != ClockStatus.SET:
            self._find("clock_unset")
        elif reading.clock_offset_s is not None and abs(reading.clock_offset_s) > CLOCK_OFF_MAX_S:
            self._find("clock_off", offset_s=reading.clock_offset_s)
        if not status.access_list_version:
            self._note("no_access_list")
        off = [number for number in self.chambers if not status.enable_mask >> number - 1 & 1]
        if off:
            self._note("chambers_off", chambers=", ".join(map(str, off)))

    def _judge_volume(self, check: VolumeCheck) -> None:
        number, ml = check.chamber, check.controller_ml
        wrong = [recorded for recorded in check.recorded_ml if recorded != ml]
        if wrong:
            self._find("volume_recorded", chamber=number, recorded_ml=wrong[0], ml=ml)
        if check.measured_ml is not None and not check.measured_holds:
            percent = f"{check.tolerance_permille / 10:g}"
            self._find(
                "volume_measured", chamber=number, measured_ml=check.measured_ml, ml=ml, percent=percent
            )

    def _find(self, code: str, **values: str | int) -> None:
        self.findings.append(Finding(code=code, values=values))

    def _note(self, code: str, **values: str | int) -> None:
        self.notes.append(Finding(code=code, values=values))

    def _pours_of(self, chamber: int) -> list[Record]:
        return [each for each in self.records if each.is_complete_pour and each.chamber == chamber]

    def _read_up_to(self, status: Status, seen: Callable[[Record], object]) -> int:
        assert self.opening is not None
        if status.epoch != self.opening.epoch:
            raise JournalGone("the controller began a new journal in the middle of the test")
        position = self.records[-1].seq if self.records else self.opening.newest_seq
        came = 0
        for record in read_records(self._driver, position, status.newest_seq, self._sleep):
            if len(self.records) >= _RECORDS_MAX:
                raise JournalGone(f"more than {_RECORDS_MAX} records came meanwhile")
            self.records.append(record)
            seen(record)
            came += 1
        return came


def _follows(kept: Reading, status: Status) -> bool:
    """True if all records since a reading are still in the ring."""
    return kept.epoch == status.epoch and status.oldest_seq <= kept.newest_seq + 1 <= status.newest_seq + 1


def _trial_pour(record: Record) -> TrialPour:
    was_set = record.clock_status != ClockStatus.NEVER_SET
    return TrialPour(
        seq=record.seq,
        chamber=record.chamber,
        volume_ml=record.volume_ml,
        register_count=record.register_after,
        result=kind_name(record.kind, record.result),
        began_at=datetime.fromtimestamp(record.began_clock_s, UTC) if was_set else None,
        service=bool(record.flags & Flag.SERVICE),
    )
