"""Replacements: what a lock's registers were before, what they are after, and that nothing is missing in between.

controller   old one's closing reading (from itself, or, dead, the last that is on this disk) ── new one's opening
gateway      what the old one's disk knew last of each lock ── records still in the rings ── readings by the new one
"""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from edge_agent.drivers.base import Driver, Registers
from edge_agent.drivers.counter_1 import Counter1Driver
from edge_agent.drivers.wlc_1 import Wlc1Driver
from edge_agent.errors import BrokenAnswer, BusError, JournalGone, NotReady, WrongController
from edge_agent.technician.register_readings import (
    LastKnown,
    check_registers,
    confirmed_reading,
    read_now,
    read_records,
)
from wastelock import registers as wlc
from wastelock.page import PageRecord
from wastelock.protocol import Finding, Reading, RegisterCheck
from wastelock.record import Record

_LOOK_S = 1.0
_INPUT = 4


def who_answers(registers: Registers) -> int | None:
    """Return the serial number of the wlc-1 controller that answers, None where none does. WrongController: another."""
    try:
        block = registers.read(_INPUT, wlc.IDENTITY_ADDRESS, wlc.IDENTITY_WORDS)
    except BusError:
        return None
    words = [int.from_bytes(block[at : at + 2], "big") for at in range(0, len(block), 2)]
    try:
        return wlc.decode_identity(words).serial
    except wlc.NotThisMap as error:
        raise WrongController(f"somebody answers there, but no wlc-1 controller: {error}") from error


def await_another(
    registers: Registers,
    old: int,
    patience_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> int:
    """Return the serial number of whoever answers instead of the old controller; NotReady where nobody does in time."""
    deadline = clock() + patience_s
    while True:
        found = who_answers(registers)
        if found is not None and found != old:
            return found
        if clock() >= deadline:
            told = "still the old controller" if found == old else "nobody"
            raise NotReady(
                f"{told} answers at this address: connect the new controller, give it the old one's unit id, parity "
                "and baud rate (`edge-agent scan` finds it), then begin again"
            )
        sleep(_LOOK_S)


def driver_of(registers: Registers, serial: int) -> Driver:
    """Return the driver of a controller that isn't configured yet."""
    return Wlc1Driver(registers, serial)


class GatewaySwap:
    """What the new gateway finds, lock by lock, beside what is known of before. `known`: records of the old disk."""

    def __init__(
        self, known: Iterable[PageRecord], locks: Sequence[str], now: Callable[[], datetime]
    ) -> None:
        self.findings: list[Finding] = []
        self.notes: list[Finding] = []
        self.opening: list[Reading] = []
        self.closing: list[Reading] = []
        self.registers: list[RegisterCheck] = []
        self._before = LastKnown(locks)
        for record in known:
            self._before.note(record)
        self._now = now

    def take(self, lock: str, driver_for: Callable[[str], Driver]) -> None:
        """Read a lock and compare it with what was known of it."""
        try:
            driver = driver_for(lock)
            known = self._before.reading(lock)
            if isinstance(driver, Counter1Driver) and known is not None:
                _go_on_from(driver, known)
            _, status, reading = read_now(driver, self._now)
            before = known or confirmed_reading(driver, status, reading)
        except BusError as error:
            self._find("silent", lock=lock, why=str(error))
            return
        self.opening.append(reading)
        if before is None:
            self.notes.append(Finding(code="unknown_before", values={"lock": lock}))
            return
        self.closing.append(before)
        if before.epoch != reading.epoch:
            self._find("another_epoch", lock=lock, epoch=reading.epoch)
            return
        self._compare(before, reading, driver)

    def _compare(self, before: Reading, reading: Reading, driver: Driver) -> None:
        records: list[Record] = []
        try:
            records = list(read_records(driver, before.newest_seq, reading.newest_seq))
        except (JournalGone, BrokenAnswer) as error:
            self._find("overwritten", lock=reading.lock, why=str(error))
            return
        for check in check_registers(before, reading, records):
            self.registers.append(check)
            if not check.holds:
                self._find("register_sum", chamber=check.chamber, moved=check.moved, pours=check.pours)

    def _find(self, code: str, **values: str | int) -> None:
        self.findings.append(Finding(code=code, values=values))


def _go_on_from(counter: Counter1Driver, known: Reading) -> None:
    """Have a counter's driver derive pours since what was known, as the agent's would."""
    counts = {chamber.number: chamber.register_count for chamber in known.chambers}
    counter.go_on(known.epoch, known.newest_seq, counts, known.at.timestamp())
    counter.read_status()  # a second reading tells a reset from a bad answer: then a new epoch begins
