"""The rules of the ring: which records may be made when, faults and their records, what is made up for later.

Room (design 2): a pour unlocks only with 12 slots free; below that the lock is out of service with fault 9 until 20 are
free. Only a pour may take the last 2. Other records without room aren't made, except that fault 9 and register
reports are made up for as soon as there is room.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from firmware_sim.journal import Journal
from firmware_sim.memory import Memory
from firmware_sim.rtc import read_clock
from wastelock.record import ClockStatus, Kind, Record
from wastelock.registers import SLOTS_FOR_POURS_ONLY, SLOTS_TO_REOPEN, SLOTS_TO_UNLOCK, Fault

_FULL_BIT = 1 << Fault.JOURNAL_NEARLY_FULL


class Recorder:
    """Makes the records of one controller, as far as the ring's rules allow."""

    def __init__(self, journal: Journal, now: Callable[[], float]) -> None:
        """`now`: the simulator's time in unix seconds, which the controller's own clock is derived from."""
        self.journal = journal
        self.now = now
        self.powered_at_s = now()
        self._reports_due: deque[int] = deque(maxlen=8)

    @property
    def memory(self) -> Memory:
        return self.journal.memory

    @property
    def has_room(self) -> bool:
        """True if a record that isn't a pour may be made."""
        return self.memory.free > SLOTS_FOR_POURS_ONLY

    @property
    def nearly_full(self) -> bool:
        """True while the lock is out of service for want of room."""
        return bool(self.memory.faults & _FULL_BIT)

    def clock_s(self) -> int:
        """Return what the controller's clock shows."""
        return read_clock(self.memory.clock, self.now(), self.powered_at_s)

    def draft(self, kind: Kind, **fields: Any) -> Record:
        """Return a record of this instant, yet without sequence number; `flags` are joined by the clock status."""
        flags = fields.pop("flags", 0) | self.memory.clock.status
        return Record(
            seq=0, began_clock_s=self.clock_s(), boot=self.memory.boot, kind=kind, flags=flags, **fields
        )

    def note(self, draft: Record, **changes: Any) -> Record | None:
        """Make a record that isn't a pour together with `changes`; without room only the changes take effect."""
        if self.has_room:
            return self.journal.append(draft, self.now(), **changes)
        if changes:
            self.journal.save(**changes)
        return None

    def pour(self, draft: Record, **changes: Any) -> Record:
        """Make a pour's record; the 12 slots that it unlocked with have kept room for it."""
        return self.journal.append(draft, self.now(), **changes)

    def clock_set_draft(self, new_s: int, old_s: int) -> Record:
        """Return the draft that tells of the clock being set: it begins at the new clock, the old one lies in 14-15."""
        return Record(
            seq=0, began_clock_s=new_s, boot=self.memory.boot, kind=Kind.CLOCK_SET, flags=ClockStatus.SET,
            register_after=old_s,
        )  # fmt: skip

    def raise_fault(self, fault: Fault, chamber: int = 0) -> None:
        """Set a fault bit and tell the journal, once until it is cleared. `chamber`: for a chamber's fault."""
        memory = self.memory
        blocked = memory.blocked_mask
        if chamber:
            if blocked >> (chamber - 1) & 1:
                return
            blocked |= 1 << (chamber - 1)
        elif memory.faults >> fault & 1:
            return
        draft = self.draft(Kind.FAULT_RAISED, chamber=chamber, duration_ds=int(fault))
        self.note(draft, faults=memory.faults | 1 << fault, blocked_mask=blocked)

    def clear_fault(self, fault: Fault, chamber: int = 0) -> None:
        """Take back a fault; the bit of a chamber's fault goes when no chamber has it any more."""
        memory = self.memory
        blocked = memory.blocked_mask
        if chamber:
            if not blocked >> (chamber - 1) & 1:
                return
            blocked &= ~(1 << (chamber - 1))
        elif not memory.faults >> fault & 1:
            return
        faults = memory.faults if chamber and blocked else memory.faults & ~(1 << fault)
        draft = self.draft(Kind.FAULT_CLEARED, chamber=chamber, duration_ds=int(fault))
        self.note(draft, faults=faults, blocked_mask=blocked)

    def owe_register_reports(self) -> None:
        """From now on a report of each chamber is due; `settle` makes them as soon as there is room."""
        self._reports_due.clear()
        self._reports_due.extend(range(1, len(self.memory.volumes_ml) + 1))

    def settle(self, mid_cycle: bool) -> None:
        """Make up for what is due; go out of or back into service as the room tells. `mid_cycle`: a pour goes on."""
        # Each step makes a record or flips fault 9, which the gap between 12 and 20 keeps from flipping back.
        while self._settle_one(mid_cycle):
            pass

    def _settle_one(self, mid_cycle: bool) -> bool:
        memory = self.memory
        full = self.nearly_full
        if memory.told_full != full:
            if not self.has_room:
                return False
            self._tell_full(full)
        elif full and memory.free >= SLOTS_TO_REOPEN:
            self._tell_full(False)
        elif not full and memory.free < SLOTS_TO_UNLOCK and not mid_cycle:
            self._tell_full(True)
        elif self._reports_due and self.has_room:
            self._report_register(self._reports_due.popleft())
        else:
            return False
        return True

    def _tell_full(self, full: bool) -> None:
        faults = self.memory.faults | _FULL_BIT if full else self.memory.faults & ~_FULL_BIT
        if not self.has_room:
            self.journal.save(faults=faults)
            return
        kind = Kind.FAULT_RAISED if full else Kind.FAULT_CLEARED
        draft = self.draft(kind, duration_ds=int(Fault.JOURNAL_NEARLY_FULL))
        self.journal.append(draft, self.now(), faults=faults, told_full=full)

    def _report_register(self, chamber: int) -> None:
        volume = self.memory.volumes_ml[chamber - 1]
        draft = self.draft(Kind.REGISTER_REPORT, chamber=chamber, volume_ml=volume)
        self.journal.append(draft, self.now())
