"""Driver `counter-1`: legacy counters without a journal, only a cycle register per chamber (design 2).

A journal is derived: each step of a register is a pour without transponder, in the record layout of wlc-1, flagged as
derived. What can't be read twice is kept as a few numbers (the memo), stored in the same transaction as the records.

    reading ──▶ change since the last one, mod 2^width
                 plausible (at most one pour per 10 s) ──▶ that many pours
                 else, twice in a row                  ──▶ reset or swap: a new epoch that begins with register reports

`register_after` goes on counting beyond 16 bits within an epoch, so that Σ pours = difference of registers mod 2^32.
"""

# ruff: noqa: ARG002 - a bare counter refuses most of what the interface offers, whatever the arguments

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from edge_agent.custody import Cursor, JournalRecord
from edge_agent.drivers.base import RECORDS_PER_STEP, Confirmation, JournalRead, ListEntry, Registers
from edge_agent.errors import ClockUntrusted, NotSupported
from wastelock.record import ClockStatus, Flag, Kind, Record, encode_record
from wastelock.registers import MAX_CAPACITY, MAX_CHAMBERS, CommandCode, Identity, State, Status

NAME = "counter-1"
SECONDS_PER_POUR = 10
# Readings with pours that wait for the spool. Beyond that registers aren't followed: one later reading makes up for it.
MAX_RUNS = 10_000


@dataclass(frozen=True, slots=True)
class CounterRegister:
    """Where a chamber's cycle register is: `number` 1..4, `function` 3 or 4, `width` 16 or 32 bits."""

    number: int
    function: int
    address: int
    width: int
    volume_ml: int
    low_word_first: bool = False


class _Reading(msgspec.Struct, frozen=True):
    """A chamber's register as far as records were made of it; `at_s` is when it was read (unix s)."""

    number: int
    width: int
    count: int
    at_s: float


class _Memo(msgspec.Struct, frozen=True):
    readings: list[_Reading]


@dataclass(frozen=True, slots=True)
class _Run:
    """Records not yet acknowledged that one reading of one chamber made: `length` from `first_seq` on."""

    first_seq: int
    length: int
    kind: Kind
    before: _Reading
    after: _Reading
    flags: int

    @property
    def last_seq(self) -> int:
        return self.first_seq + self.length - 1


class Counter1Driver:
    """One lock with a legacy counter. `wall` is unix time, `clock` monotonic, both in s."""

    name = NAME
    has_journal = False

    def __init__(
        self,
        registers: Registers,
        serial: int,
        chambers: Sequence[CounterRegister],
        clock_trusted: Callable[[], bool],
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 1 <= len(chambers) <= MAX_CHAMBERS:
            raise ValueError(f"a counter has 1..{MAX_CHAMBERS} chambers, got {len(chambers)}")
        self._alarm: str | None = None
        self._registers = registers
        self._serial = serial
        self._chambers = {chamber.number: chamber for chamber in chambers}
        self._clock_trusted = clock_trusted
        self._wall = wall
        self._clock = clock
        self._epoch = 0
        self._taken_names_s = int(wall())  # epochs of this name or a smaller one may have been begun
        self._seq = self._acknowledged = 0
        self._readings: dict[int, _Reading] = {}
        self._runs: list[_Run] = []
        self.status_at = 0.0
        # By chamber, in monotonic s: when a reading was last taken for good, and a register that looked like a reset.
        self._taken_at: dict[int, float] = {}
        self._doubts: dict[int, tuple[int, float]] = {}

    @property
    def notice(self) -> str | None:
        if self._doubts and self._alarm is None:
            return f"register of chamber {_names(self._doubts)} changed by more than pours can explain"
        return self._alarm

    def restore(self, cursor: Cursor | None) -> None:
        self._readings, self._runs, self._taken_at, self._doubts = {}, [], {}, {}
        self._taken_names_s = max(self._taken_names_s, self._epoch)
        self._epoch = cursor.epoch if cursor else 0
        self._seq = self._acknowledged = cursor.seq if cursor else 0
        readings = _decode_memo(cursor.memo if cursor else None)
        # Other chambers or another width than before: it isn't the counter that it was.
        if {(r.number, r.width) for r in readings} == {(c.number, c.width) for c in self._chambers.values()}:
            self._readings = {reading.number: reading for reading in readings}

    def go_on(self, epoch: int, seq: int, counts: Mapping[int, int], at_s: float) -> None:
        """Go on from what records tell of the registers, where their memo is lost. `at_s`: unix time of the reading."""
        known = [
            _Reading(c.number, c.width, counts[c.number], at_s)
            for c in self._chambers.values()
            if c.number in counts
        ]
        self.restore(Cursor(epoch, seq, 0, verified=True, memo=msgspec.json.encode(_Memo(known))))

    def identify(self) -> Identity:
        """A counter doesn't say who it is: this is what the configuration says."""
        volumes = [0] * max(self._chambers)
        for chamber in self._chambers.values():
            volumes[chamber.number - 1] = chamber.volume_ml
        return Identity(
            serial=self._serial, model=0, hardware_revision=0, firmware_version=0, chambers=len(volumes),
            capabilities=0, capacity=MAX_CAPACITY, epoch=self._epoch, volumes_ml=tuple(volumes), mac_key_id=0,
            access_list_max=0,
        )  # fmt: skip

    def read_status(self) -> Status:
        if not self._taken_at and not self._clock_trusted():
            raise ClockUntrusted(
                "derived pours need the gateway's clock, which isn't set yet: waiting for it"
            )
        if not self._epoch and int(self._wall()) <= self._taken_names_s:
            # Nothing is known of an epoch before; but a spool may have been lost that held one, begun just now.
            raise ClockUntrusted(
                "a derived journal is named by the second it begins in: waiting for the next"
            )
        counts = {number: self._read_register(chamber) for number, chamber in self._chambers.items()}
        self.status_at, wall_s = self._clock(), self._wall()
        if len(self._runs) < MAX_RUNS:
            self._derive(counts, self.status_at, wall_s)
        return self._status(int(wall_s))

    def read_journal(self, from_seq: int, limit: int) -> JournalRead:
        last = from_seq + min(limit, RECORDS_PER_STEP) - 1
        return JournalRead(
            [
                JournalRecord(seq, self._encode(run, seq))
                for run in self._runs
                for seq in range(max(run.first_seq, from_seq), min(run.last_seq, last) + 1)
            ]
        )

    def acknowledge(self, confirmation: Confirmation) -> int:
        """The records up to here are on disk: forget how they were made."""
        self._acknowledged = max(self._acknowledged, min(confirmation.seq, self._seq))
        self._runs = [run for run in self._runs if run.last_seq > self._acknowledged]
        return self._acknowledged

    def memo(self, seq: int) -> bytes | None:
        """Return the readings as they stand after record `seq` of the epoch."""
        readings = dict(self._readings)
        for run in reversed(self._runs):
            made = min(seq - run.first_seq + 1, run.length)
            if made <= 0:
                readings[run.before.number] = run.before
            elif made < run.length:
                # With the time of the reading before: the rest of the change then stays as plausible as it was.
                readings[run.before.number] = msgspec.structs.replace(
                    run.before, count=_plus(run.before.count, made)
                )
        return msgspec.json.encode(_Memo(list(readings.values())))

    def set_clock(self, unix_s: int) -> Status:
        raise NotSupported("a legacy counter has no clock")

    def enable_chambers(self, mask: int) -> None:
        raise NotSupported("a legacy counter can't enable chambers")

    def write_access_list(self, version: int, entries: Sequence[ListEntry]) -> None:
        raise NotSupported("a legacy counter has no access list")

    def run_command(self, token: int, command: CommandCode, timeout_s: float) -> int:
        raise NotSupported("a legacy counter takes no commands")

    def _read_register(self, chamber: CounterRegister) -> int:
        block = self._registers.read(chamber.function, chamber.address, chamber.width // 16)
        if chamber.low_word_first:
            block = block[2:] + block[:2]
        return int.from_bytes(block, "big")

    def _derive(self, counts: dict[int, int], now: float, wall_s: float) -> None:
        """Make records of what changed since the last reading; a new epoch waits until the old one's are on disk."""
        if not self._readings:
            self._begin_epoch(counts, now, wall_s)
        reset = [n for n, raw in counts.items() if not self._take(self._chambers[n], raw, now, wall_s)]
        certain = all(self._looked_so_before(n, counts[n], now) for n in reset)
        self._doubts = {n: (counts[n], now) for n in reset}
        if reset and certain and not self._runs:
            self._alarm = f"register of chamber {_names(reset)} was reset or swapped: a new epoch began"
            self._begin_epoch(counts, now, wall_s)

    def _take(self, chamber: CounterRegister, raw: int, now: float, wall_s: float) -> bool:
        """Derive the pours of one chamber; False where the change is implausible (nothing is derived then)."""
        last = self._readings[chamber.number]
        # Across a restart only the wall clock knows how long it was.
        taken_at = self._taken_at.get(chamber.number)
        elapsed = wall_s - last.at_s if taken_at is None else now - taken_at
        change = (raw - last.count) % (1 << chamber.width)
        if change > _most_pours(elapsed):
            return False
        if chamber.width == 16 and elapsed >= SECONDS_PER_POUR << 16:
            self._alarm = (
                f"register of chamber {chamber.number} wasn't read for {elapsed / 86400:.0f} days: "
                "it may have wrapped, multiples of 65,536 pours may be missing"
            )
        after = _Reading(chamber.number, chamber.width, _plus(last.count, change), wall_s)
        if change:
            self._append(change, Kind.POUR, last, after)
        self._readings[chamber.number] = after
        self._taken_at[chamber.number] = now
        return True

    def _looked_so_before(self, number: int, raw: int, now: float) -> bool:
        """True if the reading before looked like the same reset: one strange reading alone may be a bad answer."""
        if number not in self._doubts:
            return False
        before, at = self._doubts[number]
        return (raw - before) % (1 << self._chambers[number].width) <= _most_pours(now - at)

    def _begin_epoch(self, counts: dict[int, int], now: float, wall_s: float) -> None:
        self._epoch = max(int(wall_s), self._epoch + 1)
        self._seq = self._acknowledged = 0
        self._runs, self._doubts, self._taken_at = [], {}, dict.fromkeys(counts, now)
        for number, chamber in sorted(self._chambers.items()):
            reading = _Reading(number, chamber.width, counts[number], wall_s)
            self._append(1, Kind.REGISTER_REPORT, reading, reading)
            self._readings[number] = reading

    def _append(self, length: int, kind: Kind, before: _Reading, after: _Reading) -> None:
        clock_status = ClockStatus.SET if self._clock_trusted() else ClockStatus.LOST
        self._runs.append(_Run(self._seq + 1, length, kind, before, after, Flag.DERIVED | clock_status))
        self._seq += length

    def _encode(self, run: _Run, seq: int) -> bytes:
        made = seq - run.first_seq + 1 if run.kind == Kind.POUR else 0
        chamber = self._chambers[run.after.number]
        record = Record(
            seq=seq, began_clock_s=int(run.after.at_s), boot=0, kind=run.kind, chamber=chamber.number,
            flags=run.flags, volume_ml=chamber.volume_ml, register_after=_plus(run.before.count, made),
        )  # fmt: skip
        return encode_record(record, self._serial, self._epoch)

    def _status(self, unix_s: int) -> Status:
        registers = [
            self._readings[n].count if n in self._readings else 0 for n in range(1, MAX_CHAMBERS + 1)
        ]
        return Status(
            state=State.LOCKED, faults=0, clock_s=unix_s, clock_status=ClockStatus.SET, uptime_s=0, boot=0,
            battery_mv=0, temperature_dc=0, fill_permille=None, enable_mask=sum(1 << n - 1 for n in self._chambers),
            access_list_version=0, oldest_seq=min(1, self._seq), newest_seq=self._seq,
            confirmed_seq=self._acknowledged, registers=(registers[0], registers[1], registers[2], registers[3]),
            command_token=0, command_result=0, access_list_entries=0, access_list_crc=0, epoch=self._epoch,
            serial=self._serial,
        )  # fmt: skip


def _decode_memo(memo: bytes | None) -> list[_Reading]:
    if memo is None:
        return []
    try:
        return msgspec.json.decode(memo, type=_Memo).readings
    except msgspec.DecodeError:
        return []  # as if there were none: a new epoch begins with register reports, nothing is made up


def _names(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _most_pours(elapsed_s: float) -> int:
    """Return how many pours, at least 10 s apart, fit into this time; one always does."""
    return max(1, math.ceil(elapsed_s / SECONDS_PER_POUR))


def _plus(count: int, pours: int) -> int:
    return (count + pours) % (1 << 32)
