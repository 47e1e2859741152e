"""The controller of one waste lock: who may pour, faults, clock, power; what its journal tells of them.

The law of this file: the controller knows nothing of Modbus, of residents or of injected faults. Whoever stands before
it calls `present` and `pours`; whoever is on its bus calls `acknowledge`, `set_clock` …, and gets a Refusal where the
map says exception. START HERE for the semantics of the map; room in the ring is kept by `recorder.py`.
"""

from collections.abc import Callable

from firmware_sim.access import AccessList
from firmware_sim.commands import Commands
from firmware_sim.cycle import Phase
from firmware_sim.errors import Refusal
from firmware_sim.journal import Journal
from firmware_sim.memory import Memory
from firmware_sim.pour import PourCycle
from firmware_sim.reader import Answer, Reader, usable_chambers
from firmware_sim.recorder import Recorder
from firmware_sim.rtc import drift, lose, set_clock
from wastelock.record import ClockStatus, Flag, Kind
from wastelock.registers import CommandCode, CommandResult, ExceptionCode, Fault, State

REBOOT_S = 1.5
UNTOLD_SET_S = 2  # a clock set by less makes no record unless it changes the clock status

_STATE_OF_PHASE = {
    Phase.AUTHORISED: State.AUTHORISED,
    Phase.OPEN: State.OPEN,
    Phase.DISCHARGING: State.DISCHARGING,
    Phase.PASSED: State.DISCHARGING,
}
# What a hand on the controller may take back; want of room, a full container, a lost clock, a flat battery, an open
# door stay until their cause is gone.
_CLEARABLE = (Fault.FLAP_OPEN, Fault.MEMORY_CORRUPT, Fault.TAMPER, Fault.READER_FAILED)


class Controller:
    """One controller. Owned by one thread; all instants come from `now` (unix seconds)."""

    def __init__(self, journal: Journal, now: Callable[[], float], access_list_max: int = 2048) -> None:
        self.journal = journal
        self.recorder = Recorder(journal, now)
        self.pours = PourCycle(self.recorder)
        self.access = AccessList(journal, access_list_max)
        self.access_list_max = access_list_max
        self.powered = False
        self.life = 0  # counts what makes an end of all that was going on: power cuts, new epochs
        self._commands = Commands(journal, now)
        self._now = now
        self._reader = Reader(self.recorder, self.access, self.pours, now)
        self._power_returns_at_s: float | None = None

    @property
    def memory(self) -> Memory:
        return self.journal.memory

    @property
    def uptime_s(self) -> int:
        return max(0, int(self._now() - self.recorder.powered_at_s))

    @property
    def state(self) -> State:
        """The state word: a pour under way first, then want of room, then what else keeps the lock shut."""
        if self.pours.mid_cycle:
            return _STATE_OF_PHASE[self.pours.phase]
        if self.recorder.nearly_full:
            return State.OUT_OF_SERVICE
        if self.memory.maintenance:
            return State.MAINTENANCE
        if self.memory.faults >> Fault.CONTAINER_FULL & 1:
            return State.OUT_OF_SERVICE
        usable = usable_chambers(self.memory)
        if self.pours.phase is Phase.JAMMED or (self.memory.blocked_mask and not usable):
            return State.JAMMED
        return State.LOCKED if usable else State.OUT_OF_SERVICE

    # --- who stands before it

    def present(self, uid: int, chamber: int) -> Answer:
        """A transponder is held to the reader, the button of `chamber` pressed."""
        if not self.powered or self.pours.phase is not Phase.IDLE:
            return Answer.BUSY
        if self.state is not State.LOCKED:
            return Answer.OUT_OF_SERVICE
        return self._reader.present(uid, chamber)

    # --- what happens around it

    def settle(self) -> None:
        """Apply the rules of room after anything that changed the ring."""
        if self.powered:
            self.recorder.settle(self.pours.mid_cycle)

    def raise_fault(self, fault: Fault, chamber: int = 0) -> None:
        """A sensor tells of a fault; once until it is cleared. `chamber`: for a chamber's fault."""
        self.recorder.raise_fault(fault, chamber)
        self.settle()

    def clear_fault(self, fault: Fault, chamber: int = 0) -> None:
        """A fault's cause is gone."""
        self.recorder.clear_fault(fault, chamber)
        self.settle()

    def empty(self, kind: Kind) -> None:
        """The truck has emptied (kind 3) or swapped (kind 4) the container."""
        self.recorder.note(self.recorder.draft(kind), filled_ml=0)
        self.clear_fault(Fault.CONTAINER_FULL)

    def maintain(self, uid: int, begins: bool) -> None:
        """A technician takes the lock out of use or gives it back; what already is makes no record."""
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

    def step_clock(self, by_s: float) -> None:
        """The clock jumps without being set: a flipped bit, a bad crystal. Nothing in the journal tells of it."""
        clock = drift(self.memory.clock, self.memory.clock.drift_ppm, self._now())
        self.journal.save(clock=set_clock(clock, clock.base_s + by_s, self._now(), clock.status))

    def lose_clock(self) -> None:
        """The clock's battery gives out; a clock that was never set has nothing to lose."""
        if self.memory.clock.status == ClockStatus.SET:
            self.journal.save(clock=lose(self.memory.clock))
            self.raise_fault(Fault.CLOCK_LOST)

    def begin_epoch(self, memory: Memory) -> None:
        """Begin a new journal: the register reports are its first records, and nothing comes between."""
        with self.journal.batch():
            self.journal.begin_epoch(memory)
            self.pours.drop()
            self.life += 1
            self._report_registers()

    # --- power

    def power_up(self) -> None:
        """Wake up: recover a mid-cycle pour, tell of the power-up (kind 7), report the registers."""
        self._power_returns_at_s = None
        self.recorder.powered_at_s = self._now()
        with self.journal.batch():
            self.pours.recover()
            self.journal.save(boot=(self.memory.boot + 1) & 0xFFFF)
            self._commands.after_power_up()
            if self.memory.newest == 0:
                self._report_registers()  # the first records of an epoch
            self.recorder.note(self.recorder.draft(Kind.POWER_UP))
            self._report_registers()
        self.powered = True

    def _report_registers(self) -> None:
        self.recorder.owe_register_reports()
        self.recorder.settle(mid_cycle=False)

    def cut_power(self, off_s: float) -> None:
        """Power goes away for `off_s` seconds; what is volatile is gone. `tick` wakes the controller up again."""
        self.powered = False
        self.life += 1
        self.pours.drop()
        self._reader.forget()
        self.access.forget_staging()
        self._power_returns_at_s = self._now() + off_s

    def tick(self) -> None:
        """Let time pass: power that returns, commands that end. Called a few times a second and before a request."""
        if not self.powered:
            if self._power_returns_at_s is not None and self._now() >= self._power_returns_at_s:
                self.power_up()
            return
        match self._commands.due():
            case CommandCode.REBOOT:
                # Done as far as the command goes: what could still fail is the power, and that counts anew.
                self._commands.end(CommandResult.OK)
                self.cut_power(REBOOT_S)
            case CommandCode.SELF_TEST:
                self._commands.end(CommandResult.FAILED if self.memory.blocked_mask else CommandResult.OK)
            case CommandCode.CLEAR_FAULTS:
                self._clear_faults()
                self._commands.end(CommandResult.OK)

    def _clear_faults(self) -> None:
        for chamber in range(1, len(self.memory.volumes_ml) + 1):
            self.clear_fault(Fault.CHAMBER_BLOCKED, chamber)
        if self.pours.phase is Phase.JAMMED:
            self.pours.abandon()
        for fault in _CLEARABLE:
            self.clear_fault(fault)

    # --- who is on its bus

    def acknowledge(self, epoch: int, seq: int, crc: int, crc_as_read: Callable[[int], int]) -> None:
        """Everything up to `seq` is safe elsewhere: durable when this returns.

        `crc_as_read`: gives words 20-21 of a record as a read would give them.
        """
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
        tells = abs(new_s - old_s) >= UNTOLD_SET_S or memory.clock.status != ClockStatus.SET
        if tells and not self.recorder.has_room:
            raise Refusal(ExceptionCode.REFUSED)
        clock = set_clock(memory.clock, new_s, self._now(), ClockStatus.SET)
        if not tells:
            self.journal.save(clock=clock)
            return
        self.recorder.note(self.recorder.clock_set_draft(new_s, old_s), clock=clock)
        self.clear_fault(Fault.CLOCK_LOST)

    def enable_chambers(self, mask: int) -> None:
        """Bit 0 is chamber 1; bits of chambers that don't exist are an illegal value."""
        if mask >> len(self.memory.volumes_ml):
            raise Refusal(ExceptionCode.ILLEGAL_VALUE)
        self.journal.save(enable_mask=mask)

    def command(self, token: int, code: int) -> None:
        """Start a command; `tick` ends it."""
        self._commands.start(token, code, self.pours.mid_cycle)
