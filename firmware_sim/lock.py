"""The controller of one waste lock: pours, faults, power, clock, commands; everything that its journal tells.

The law of this file: the controller knows nothing of Modbus, of residents or of injected faults. Whoever stands before
it calls `present`, `open_flap` …; whoever is on its bus calls `acknowledge`, `set_clock` …, and gets a Refusal where the
map says exception. START HERE for the semantics of the map; room in the ring is kept by `recorder.py`.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from firmware_sim.access import AccessList
from firmware_sim.cycle import MID_CYCLE, Event, Phase, follow
from firmware_sim.errors import Refusal
from firmware_sim.journal import Journal
from firmware_sim.memory import CycleMark, LastCommand, Memory
from firmware_sim.recorder import Recorder, pour_flags
from firmware_sim.rtc import drift, lose, set_clock
from wastelock.record import NOT_WEIGHED, ClockStatus, Flag, Kind, PourResult, Record
from wastelock.registers import SLOTS_TO_UNLOCK, CommandCode, CommandResult, ExceptionCode, Fault, State

DENIED_AGAIN_S = 60  # the same UID within this time: one record
DENIED_REMEMBERED = 64  # UIDs; more strangers than that within a minute don't stand before one lock
SELF_TEST_S = 3.0
REBOOT_S = 1.5
MAX_SETTABLE_OFFSET_S = 2  # a set by less makes no record unless it changes the clock status

_COMMANDS = frozenset(int(code) for code in CommandCode)
_STATE_OF_PHASE = {
    Phase.AUTHORISED: State.AUTHORISED,
    Phase.OPEN: State.OPEN,
    Phase.DISCHARGING: State.DISCHARGING,
    Phase.PASSED: State.DISCHARGING,
}


class Answer(Enum):
    """What the lock does when a transponder is held to it."""

    AUTHORISED = auto()
    UNKNOWN = auto()
    BLOCKED = auto()
    OUT_OF_SERVICE = auto()
    BUSY = auto()


@dataclass(frozen=True, slots=True)
class _Pour:
    """The pour under way, as it began."""

    chamber: int
    uid: int
    began_clock_s: int
    flags: int  # with the clock status


class Controller:
    """One controller. Owned by one thread; all instants come from `now`."""

    def __init__(self, journal: Journal, now: Callable[[], float], access_list_max: int = 2048) -> None:
        self.journal = journal
        self.recorder = Recorder(journal, now)
        self.access = AccessList(journal, access_list_max)
        self.access_list_max = access_list_max
        self.phase = Phase.IDLE
        self.powered = False
        self.life = 0  # counts what makes an end of all that was going on: power cuts, new epochs
        self._now = now
        self._pour: _Pour | None = None
        self._denied: OrderedDict[int, float] = OrderedDict()
        self._command_ends_at_s = 0.0
        self._power_returns_at_s: float | None = None

    # --- what it is like

    @property
    def memory(self) -> Memory:
        return self.journal.memory

    @property
    def mid_cycle(self) -> bool:
        """True while a pour is under way."""
        return self.phase in MID_CYCLE

    @property
    def uptime_s(self) -> int:
        return max(0, int(self._now() - self.recorder.powered_at_s))

    @property
    def state(self) -> State:
        """The state word: a pour under way first, then want of room, then what keeps the lock shut."""
        if self.mid_cycle:
            return _STATE_OF_PHASE[self.phase]
        if self.recorder.nearly_full:
            return State.OUT_OF_SERVICE
        if self.memory.maintenance:
            return State.MAINTENANCE
        if self.memory.faults >> Fault.CONTAINER_FULL & 1:
            return State.OUT_OF_SERVICE
        if self.phase is Phase.JAMMED or (self.memory.blocked_mask and not self._usable_chambers()):
            return State.JAMMED
        return State.LOCKED if self._usable_chambers() else State.OUT_OF_SERVICE

    def _usable_chambers(self) -> list[int]:
        memory = self.memory
        usable = memory.enable_mask & ~memory.blocked_mask
        return [n for n in range(1, len(memory.volumes_ml) + 1) if usable >> (n - 1) & 1]

    # --- who stands before it

    def present(self, uid: int, chamber: int) -> Answer:
        """A transponder is held to the reader, the button of `chamber` pressed."""
        if not self.powered or self.phase is not Phase.IDLE:
            return Answer.BUSY
        if self.state is not State.LOCKED:
            return Answer.OUT_OF_SERVICE
        known = self.access.find(uid)
        if known is None or known.blocked:
            self._deny(uid, 1 if known is None else 2)
            return Answer.UNKNOWN if known is None else Answer.BLOCKED
        chosen = self._choose_chamber(chamber)
        if chosen is None:
            return Answer.OUT_OF_SERVICE
        assert self.memory.free >= SLOTS_TO_UNLOCK
        flags = pour_flags(known.service, degraded=chosen != chamber, retry=False)
        self._begin_pour(chosen, uid, flags, Event.AUTHORISED)
        return Answer.AUTHORISED

    def _choose_chamber(self, wanted: int) -> int | None:
        """Return the chamber to open: the wanted one, or the next larger one if that is out of order."""
        memory = self.memory
        if not memory.enable_mask >> (wanted - 1) & 1 or wanted > len(memory.volumes_ml):
            return None
        if not memory.blocked_mask >> (wanted - 1) & 1:
            return wanted
        larger = [
            n for n in self._usable_chambers() if memory.volumes_ml[n - 1] > memory.volumes_ml[wanted - 1]
        ]
        return min(larger, key=lambda n: memory.volumes_ml[n - 1], default=None)

    def _deny(self, uid: int, result: int) -> None:
        memory, now_s = self.memory, self._now()
        last_s = self._denied.get(uid)
        if last_s is not None and now_s - last_s < DENIED_AGAIN_S:
            return
        if 2 * (memory.newest - memory.confirmed) >= memory.capacity:
            return  # half full: what is left is for pours
        self._denied[uid] = now_s
        self._denied.move_to_end(uid)
        if len(self._denied) > DENIED_REMEMBERED:
            self._denied.popitem(last=False)
        self.recorder.note(self.recorder.draft(Kind.ACCESS_DENIED, result=result, uid=uid))
        self.settle()

    def _begin_pour(self, chamber: int, uid: int, flags: int, event: Event) -> None:
        self.phase = follow(self.phase, event)
        began = self.recorder.draft(Kind.POUR, flags=flags)
        self._pour = _Pour(chamber, uid, began.began_clock_s, began.flags)

    def time_out(self) -> None:
        """Nobody opened the flap: locked again, and no record."""
        self.phase = follow(self.phase, Event.TIMED_OUT)
        self.settle()

    def open_flap(self) -> None:
        """The flap opens; the open-cycle mark is durable before."""
        phase = follow(self.phase, Event.FLAP_OPENED)
        self._mark()
        self.phase = phase

    def _mark(self) -> None:
        pour, memory = self._under_way(), self.memory
        mark = CycleMark(
            pour.chamber,
            pour.uid,
            pour.began_clock_s,
            memory.boot,
            pour.flags,
            memory.volumes_ml[pour.chamber - 1],
        )
        self.journal.save(mark=mark)

    def close_flap(self) -> None:
        """The flap is closed, the chamber begins to turn."""
        self.phase = follow(self.phase, Event.FLAP_CLOSED)

    def give_up(self, duration_ds: int) -> None:
        """The flap is closed and nothing was thrown in: result 1, nothing charged."""
        self.phase = follow(self.phase, Event.GIVEN_UP)
        self._end_pour(PourResult.GIVEN_UP, duration_ds, NOT_WEIGHED)

    def pass_discharge_point(self) -> None:
        """The waste falls: from here on the pour is complete, also after a power cut."""
        phase = follow(self.phase, Event.POINT_PASSED)
        mark = self.memory.mark
        assert mark is not None
        self.journal.save(mark=_passed(mark))
        self.phase = phase

    def complete(self, duration_ds: int, weight_word: int = NOT_WEIGHED) -> None:
        """The cycle is over; the register counts it."""
        self.phase = follow(self.phase, Event.ENDED)
        pour, memory = self._under_way(), self.memory
        self._end_pour(
            PourResult.COMPLETE,
            duration_ds,
            weight_word,
            filled_ml=memory.filled_ml + memory.volumes_ml[pour.chamber - 1],
        )
        if pour.flags & Flag.RETRY_AFTER_JAM:
            self.clear_fault(Fault.CHAMBER_BLOCKED, pour.chamber)

    def jam(self, duration_ds: int) -> None:
        """The chamber sticks before the discharge point: result 2, and the chamber is blocked."""
        self.phase = follow(self.phase, Event.JAMMED)
        pour = self._under_way()
        self._end_pour(PourResult.JAMMED, duration_ds, NOT_WEIGHED)
        self.raise_fault(Fault.CHAMBER_BLOCKED, pour.chamber)

    def may_retry(self) -> bool:
        """True if the jammed chamber may turn once more: as for any pour, 12 slots have to be free."""
        return self.powered and self.phase is Phase.JAMMED and self.state is State.JAMMED

    def retry(self) -> None:
        """Turn the jammed chamber once more, with what is in it."""
        if not self.may_retry():
            raise Refusal(ExceptionCode.REFUSED)
        pour = self._under_way()
        kept = pour.flags & (Flag.SERVICE | Flag.DEGRADED)
        self._begin_pour(pour.chamber, pour.uid, kept | Flag.RETRY_AFTER_JAM, Event.RETRIED)
        self._mark()

    def abandon(self) -> None:
        """No further retry: the chamber stays out of order until its fault is cleared."""
        self.phase = follow(self.phase, Event.ABANDONED)
        self._pour = None
        self.settle()

    def _under_way(self) -> _Pour:
        assert self._pour is not None
        return self._pour

    def _end_pour(self, result: PourResult, duration_ds: int, weight_word: int, **changes: int) -> None:
        pour, memory = self._under_way(), self.memory
        record = Record(
            seq=0, began_clock_s=pour.began_clock_s, boot=memory.boot, kind=Kind.POUR, result=result,
            chamber=pour.chamber, flags=pour.flags, uid=pour.uid, volume_ml=memory.volumes_ml[pour.chamber - 1],
            weight_word=weight_word, duration_ds=min(duration_ds, 0xFFFF),
        )  # fmt: skip
        self.recorder.pour(record, **changes)
        self.settle()

    # --- what happens around it

    def settle(self) -> None:
        """Apply the rules of room after anything that changed the ring."""
        if self.powered:
            self.recorder.settle(self.mid_cycle)

    def raise_fault(self, fault: Fault, chamber: int = 0) -> None:
        self.recorder.raise_fault(fault, chamber)
        self.settle()

    def clear_fault(self, fault: Fault, chamber: int = 0) -> None:
        self.recorder.clear_fault(fault, chamber)
        self.settle()

    def empty(self, kind: Kind) -> None:
        """The truck has emptied (kind 3) or swapped (kind 4) the container."""
        self.recorder.note(self.recorder.draft(kind), filled_ml=0)
        self.clear_fault(Fault.CONTAINER_FULL)

    def begin_maintenance(self, uid: int) -> None:
        """A technician takes the lock out of use; begun twice it is one maintenance."""
        self._maintain(uid, True)

    def end_maintenance(self, uid: int) -> None:
        self._maintain(uid, False)

    def _maintain(self, uid: int, begins: bool) -> None:
        if self.memory.maintenance == begins:
            return
        draft = self.recorder.draft(
            Kind.MAINTENANCE, result=0 if begins else 1, uid=uid, flags=int(Flag.SERVICE)
        )
        self.recorder.note(draft, maintenance=begins)
        self.settle()

    def set_drift(self, ppm: float) -> None:
        """From now on the clock gains `ppm` (loses, if negative)."""
        self.journal.save(clock=drift(self.memory.clock, ppm, self._now()))

    def lose_clock(self) -> None:
        """The clock's battery gives out."""
        if self.memory.clock.status == ClockStatus.SET:
            self.journal.save(clock=lose(self.memory.clock))
            self.raise_fault(Fault.CLOCK_LOST)

    def begin_epoch(self, memory: Memory) -> None:
        """Begin a new journal: the register reports are its first records, and nothing comes between."""
        with self.journal.batch():
            self.journal.begin_epoch(memory)
            self._pour, self.phase = None, Phase.IDLE
            self.life += 1
            self.recorder.owe_register_reports()
            self.recorder.settle(mid_cycle=False)

    # --- power

    def power_up(self) -> None:
        """Wake up: recover a mid-cycle pour, tell of the power-up (kind 7), report the registers."""
        self._power_returns_at_s = None
        self.recorder.powered_at_s = self._now()
        command = self.memory.command
        if command.result == CommandResult.RUNNING:
            rebooted = command.code == CommandCode.REBOOT
            command = LastCommand(
                command.token, command.code, CommandResult.OK if rebooted else CommandResult.FAILED
            )
        with self.journal.batch():
            self._recover_pour()
            self.journal.save(boot=(self.memory.boot + 1) & 0xFFFF, command=command)
            if self.memory.newest == 0:
                self._report_registers()  # the first records of an epoch
            self.recorder.note(self.recorder.draft(Kind.POWER_UP))
            self.powered = True
            self._report_registers()

    def _report_registers(self) -> None:
        self.recorder.owe_register_reports()
        self.recorder.settle(mid_cycle=False)

    def _recover_pour(self) -> None:
        mark = self.memory.mark
        if mark is None:
            return
        result = PourResult.COMPLETE if mark.passed else PourResult.GIVEN_UP
        record = Record(
            seq=0, began_clock_s=mark.began_clock_s, boot=mark.boot, kind=Kind.POUR, result=result,
            chamber=mark.chamber, flags=mark.flags | Flag.RECOVERED, uid=mark.uid, volume_ml=mark.volume_ml,
        )  # fmt: skip
        self.recorder.pour(record)

    def cut_power(self, off_s: float) -> None:
        """Power goes away for `off_s` seconds; what is volatile is gone. `tick` wakes the controller up again."""
        self.powered = False
        self.life += 1
        self.phase = Phase.IDLE
        self._pour = None
        self._denied.clear()
        self.access.forget_staging()
        self._power_returns_at_s = self._now() + off_s

    def tick(self) -> None:
        """Let time pass: power that returns, commands that end. Called a few times a second and before each request."""
        now_s = self._now()
        if not self.powered:
            if self._power_returns_at_s is not None and now_s >= self._power_returns_at_s:
                self.power_up()
            return
        command = self.memory.command
        if command.result == CommandResult.RUNNING and now_s >= self._command_ends_at_s:
            self._end_command(command)

    # --- who is on its bus

    def acknowledge(self, epoch: int, seq: int, crc: int, crc_as_read: Callable[[int], int]) -> None:
        """Everything up to `seq` is safe elsewhere: durable before this returns. `crc_as_read`: words 20-21 of a record."""
        memory = self.memory
        if epoch != memory.epoch or seq > memory.newest:
            raise Refusal(ExceptionCode.ILLEGAL_VALUE)
        if seq <= memory.confirmed:
            return
        if crc != crc_as_read(seq):
            raise Refusal(ExceptionCode.ILLEGAL_VALUE)
        self.journal.save(confirmed=seq, confirmed_crc=crc)
        self.settle()

    def set_clock(self, new_s: int) -> None:
        """Set the clock; makes a record unless it moves by less than 2 s and was set before."""
        memory, old_s = self.memory, self.recorder.clock_s()
        tells = abs(new_s - old_s) >= MAX_SETTABLE_OFFSET_S or memory.clock.status != ClockStatus.SET
        if tells and not self.recorder.has_room:
            raise Refusal(ExceptionCode.REFUSED)
        clock = set_clock(memory.clock, new_s, self._now())
        if not tells:
            self.journal.save(clock=clock)
            return
        self.recorder.note(self.recorder.set_clock_record(new_s, old_s), clock=clock)
        self.clear_fault(Fault.CLOCK_LOST)

    def enable_chambers(self, mask: int) -> None:
        """Bit 0 is chamber 1; bits of chambers that don't exist are an illegal value."""
        if mask >> len(self.memory.volumes_ml):
            raise Refusal(ExceptionCode.ILLEGAL_VALUE)
        self.journal.save(enable_mask=mask)

    def command(self, token: int, code: int) -> None:
        """Start a command. The token that is already the last one isn't executed again."""
        last = self.memory.command
        if token == 0:
            raise Refusal(ExceptionCode.ILLEGAL_VALUE)
        if token == last.token:
            return
        if last.result == CommandResult.RUNNING:
            raise Refusal(ExceptionCode.BUSY)
        refused = code not in _COMMANDS or (code == CommandCode.REBOOT and self.mid_cycle)
        result = CommandResult.REFUSED if refused else CommandResult.RUNNING
        self._command_ends_at_s = self._now() + (SELF_TEST_S if code == CommandCode.SELF_TEST else 0.0)
        self.journal.save(command=LastCommand(token, code, result))

    def _end_command(self, command: LastCommand) -> None:
        if command.code == CommandCode.REBOOT:
            self.cut_power(REBOOT_S)  # its result is known when power is back
            return
        result = CommandResult.OK
        if command.code == CommandCode.SELF_TEST:
            result = CommandResult.FAILED if self.memory.blocked_mask else CommandResult.OK
        else:
            self._clear_faults()
        self.journal.save(command=replace_result(command, result))

    def _clear_faults(self) -> None:
        """Take back what may be taken back by hand; want of room, a full container, a lost clock and a door stay."""
        for chamber in range(1, len(self.memory.volumes_ml) + 1):
            self.clear_fault(Fault.CHAMBER_BLOCKED, chamber)
        if self.phase is Phase.JAMMED:
            self.abandon()
        for fault in (Fault.FLAP_OPEN, Fault.MEMORY_CORRUPT, Fault.TAMPER, Fault.READER_FAILED):
            self.clear_fault(fault)


def _passed(mark: CycleMark) -> CycleMark:
    return CycleMark(mark.chamber, mark.uid, mark.began_clock_s, mark.boot, mark.flags, mark.volume_ml, True)


def replace_result(command: LastCommand, result: CommandResult) -> LastCommand:
    return LastCommand(command.token, command.code, result)
