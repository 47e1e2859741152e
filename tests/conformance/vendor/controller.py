"""The controller: chambers, faults, clock and power, each written down in the journal by the map's rules.

A pour unlocks only with 12 slots free; below that the controller is out of service until 20 are free. Only a pour may
take the last two. Fault 9 and register reports that found no room are made up for as soon as there is some.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from tests.conformance.vendor import slot
from tests.conformance.vendor.access import AccessList
from tests.conformance.vendor.clock import Clock
from tests.conformance.vendor.commands import Commands
from tests.conformance.vendor.journal import Journal, Made
from tests.conformance.vendor.slot import Content
from tests.conformance.vendor.traits import LAST_EPOCH, Traits, draw_next_epoch

LOCKED, _AUTHORISED, _OPEN, _DISCHARGING, _JAMMED, _MAINTENANCE, OUT_OF_SERVICE = range(7)
NEARLY_FULL = 9  # fault bit
UNLOCKS_WITH, SERVES_AGAIN_WITH, RESERVED_FOR_POURS = 12, 20, 2


@dataclass
class Cycle:
    """The open-cycle mark: durable before the flap opens, and again when the discharge point is passed."""

    content: Content
    passed: bool = False


class Controller:
    """One waste lock. Whoever calls holds the world's lock: nothing here is safe between threads by itself."""

    def __init__(self, traits: Traits, rng: Random, now: Callable[[], float]) -> None:
        self.rng = rng
        self.now = now
        self.traits = traits
        self.volumes = traits.volumes
        self.registers = list(traits.registers)
        self.boot = traits.boot
        self.faults = rng.randrange(1 << 22) << 10 if traits.odd_bits else 0
        self.enabled = (1 << traits.chambers) - 1
        self.clock = Clock(
            now,
            traits.clock_status,
            traits.clock_error_s,
            traits.clock_survives_power_cut,
            traits.shows_uptime_when_lost,
        )
        self.access = AccessList(traits.access_limit)
        self.commands = Commands(self)
        self.history: list[Made] = []
        self.cycle: Cycle | None = None
        self._denied_at: dict[int, float] = {}
        self._owed: dict[str, Callable[[], Content]] = {}
        self.journal = Journal(traits, traits.epoch)
        self._owe_reports()
        self._live_the_past()

    @property
    def out_of_service(self) -> bool:
        return bool(self.faults >> NEARLY_FULL & 1)

    @property
    def in_mid_cycle(self) -> bool:
        return self.cycle is not None

    @property
    def state(self) -> int:
        if self.cycle is not None:
            return _DISCHARGING if self.cycle.passed else _OPEN
        if self.out_of_service:
            return OUT_OF_SERVICE
        return _JAMMED if self.faults & 1 else LOCKED

    @property
    def has_room(self) -> bool:
        """Room for a record that isn't a pour's."""
        return self.journal.free > RESERVED_FOR_POURS

    # What happens to a lock. Each returns False where the rules don't let it happen.

    def open(self, chamber: int, uid: int, flags: int = 0) -> bool:
        """Somebody is let in: the flap of a chamber opens."""
        self.make_up()
        if self.cycle is not None or self.out_of_service or self._owed or self.journal.free < UNLOCKS_WITH:
            return False
        content = self._content(slot.POUR, chamber=chamber, uid=uid, flags=flags)
        self.cycle = Cycle(content)
        return True

    def pass_discharge_point(self) -> None:
        if self.cycle is not None:
            self.cycle.passed = True

    def close(self, result: int | None = None) -> bool:
        """The cycle ends; `result` other than what the discharge point says is the vendor's own."""
        if self.cycle is None:
            return False
        cycle, self.cycle = self.cycle, None
        if result is None or (result == 0) != cycle.passed:
            result = 0 if cycle.passed else self.rng.choice((1, 2))
        weight = self.rng.randrange(0xFFFF) if self.traits.capabilities & 2 else slot.NOT_WEIGHED
        self._write_pour(cycle.content, result, weight, self.rng.randrange(1, 600), 0)
        return True

    def deny(self, uid: int, result: int) -> bool:
        """An unknown or blocked transponder: one record a minute, none once the ring is half full."""
        now, last = self.now(), self._denied_at.get(uid)
        half_full = self.journal.free * 2 < self.journal.capacity
        if half_full or (last is not None and now - last < 60):
            return False
        self._denied_at[uid] = now
        return self.note(slot.DENIED, uid=uid, result=result)

    def note(self, kind: int, **words: int) -> bool:
        """Any other record: made if there is room, else not at all."""
        self.make_up()
        if self._owed or not self.has_room:
            return False
        self._append(self._content(kind, **words))
        return True

    def set_fault(self, bit: int, raised: bool) -> bool:
        if bool(self.faults >> bit & 1) == raised:
            return False
        self.faults ^= 1 << bit
        return self.note(slot.RAISED if raised else slot.CLEARED, duration=bit)

    def set_clock(self, seconds: int) -> bool:
        """Return False, and change nothing, if there is no room for the record that this takes."""
        self.make_up()
        old, needs_record = self.clock.value, self.clock.status != 1
        needs_record = needs_record or abs(seconds - old) >= 2
        if needs_record and (self._owed or not self.has_room):
            return False
        self.clock.set(seconds)
        if needs_record:
            self._append(self._content(slot.CLOCK_SET, began=seconds, register=old))
        return True

    def power_up(self) -> None:
        """Power goes and comes back, at any instant, in mid-cycle too."""
        cycle, self.cycle = self.cycle, None
        self.access.power_up()
        self.commands.power_up()
        if cycle is not None:
            result = 0 if cycle.passed else 1
            self._write_pour(cycle.content, result, slot.NOT_WEIGHED, 0, slot.RECOVERED)
        self.boot = (self.boot + 1) & 0xFFFF
        self.clock.power_up()
        self.note(slot.POWER_UP)
        self._owe_reports()
        self.make_up()

    def clear_faults(self) -> None:
        for bit in range(NEARLY_FULL):
            self.set_fault(bit, False)

    def begin_epoch(self, capacity: int | None = None) -> bool:
        """A new journal: memory exchanged, or a new key. What nobody read of the old one is gone."""
        if self.journal.epoch == LAST_EPOCH or self.cycle is not None:
            return False
        self.journal.end()
        self.traits, epoch = draw_next_epoch(self.rng, self.traits, self.journal.epoch)
        if capacity is not None:
            self.traits = replace(self.traits, capacity=capacity)
        self.journal = Journal(self.traits, epoch)
        self.faults &= ~(1 << NEARLY_FULL)
        self._owed.clear()
        self._owe_reports()
        if self.traits.reports_at_once:
            self.make_up()
        return True

    def confirm(self, seq: int, elsewhere: bool = False) -> None:
        """Everything up to here is safe elsewhere: durable before the write that says so is answered."""
        self.journal.confirm(seq, elsewhere)
        self.make_up()
        self._mind_room()

    def make_up(self) -> None:
        """Write what is owed, as far as there is room."""
        while self._owed and self.has_room:
            self._append(self._owed.pop(next(iter(self._owed)))())

    def _owe_reports(self) -> None:
        for chamber in range(1, self.traits.chambers + 1):
            self._owed[f"report of chamber {chamber}"] = partial(self._report, chamber)

    def _report(self, chamber: int) -> Content:
        register, volume = self.registers[chamber - 1], self.volumes[chamber - 1]
        return self._content(slot.REPORT, chamber=chamber, volume=volume, register=register)

    def _content(self, kind: int, flags: int = 0, began: int | None = None, **words: int) -> Content:
        at = self.clock.value if began is None else began
        return Content(kind, at, self.boot, flags | self.clock.status, **words)

    def _write_pour(self, mark: Content, result: int, weight: int, duration: int, flag: int) -> None:
        """Record and register take effect together."""
        place = mark.chamber - 1
        if result == 0:
            self.registers[place] = (self.registers[place] + 1) & 0xFFFF_FFFF
        self._append(
            replace(
                mark,
                flags=mark.flags | flag,
                result=result,
                volume=self.volumes[place],
                weight=weight,
                duration=duration,
                register=self.registers[place],
            )
        )

    def _append(self, content: Content) -> None:
        self.history.append(self.journal.append(content))
        self._mind_room()

    def _mind_room(self) -> None:
        """Out of service below 12 free slots, once a pour under way has ended; back with 20."""
        if not self.out_of_service and self.cycle is None and self.journal.free < UNLOCKS_WITH:
            self._turn_nearly_full(slot.RAISED)
        elif self.out_of_service and self.journal.free >= SERVES_AGAIN_WITH:
            self._turn_nearly_full(slot.CLEARED)

    def _turn_nearly_full(self, kind: int) -> None:
        self.faults ^= 1 << NEARLY_FULL
        self._owed[f"fault 9, kind {kind}"] = partial(self._content, kind, duration=NEARLY_FULL)
        self.make_up()

    def _live_the_past(self) -> None:
        """Fill the ring as it is found: what was confirmed before went to somebody else."""
        traits, journal = self.traits, self.journal
        journal.newest = max(0, traits.newest - traits.capacity)
        journal.confirmed = journal.confirmed_elsewhere = journal.newest
        if journal.newest:
            self._owed.clear()
        if traits.newest == 0 and not traits.reports_at_once:
            return
        self.make_up()
        while journal.newest < traits.newest:
            if journal.confirmed < journal.newest <= traits.confirmed:
                self.confirm(journal.newest, elsewhere=True)
            chamber = self.rng.randint(1, traits.chambers)
            if self.open(chamber, self.rng.getrandbits(40)):
                self.pass_discharge_point()
                self.close()
            elif not self.note(slot.EMPTYING):
                # Full, and not all places of the ring have been used yet: some more of it must have been confirmed.
                self.confirm(journal.confirmed + 1, elsewhere=True)
