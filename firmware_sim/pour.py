"""One pour of a lock, from authorisation to its record, through jams, retries and power cuts.

The law of this file: the open-cycle mark is durable before the flap opens, and again when the discharge point is
passed; the record replaces the mark in one write. So a power cut at any instant leaves exactly what the waste did.
"""

from dataclasses import dataclass

import msgspec

from firmware_sim.cycle import MID_CYCLE, Event, Phase, follow
from firmware_sim.errors import IllegalEvent
from firmware_sim.memory import CycleMark
from firmware_sim.recorder import Recorder
from wastelock.record import NOT_WEIGHED, Flag, Kind, PourResult, Record
from wastelock.registers import SLOTS_TO_UNLOCK, Fault

_MAX_DURATION_DS = 0xFFFF


@dataclass(frozen=True, slots=True)
class _Pour:
    """The pour under way, as it began. `flags` include the clock status."""

    chamber: int
    uid: int
    began_clock_s: int
    flags: int


class PourCycle:
    """The pour of one controller; `phase` follows the table in cycle.py."""

    def __init__(self, recorder: Recorder) -> None:
        self.phase = Phase.IDLE
        self._recorder = recorder
        self._pour: _Pour | None = None

    @property
    def mid_cycle(self) -> bool:
        """True while a pour is under way."""
        return self.phase in MID_CYCLE

    @property
    def may_retry(self) -> bool:
        """True if the jammed chamber may turn once more: as for any pour, there has to be room."""
        return self.phase is Phase.JAMMED and self._has_room

    @property
    def _has_room(self) -> bool:
        return not self._recorder.nearly_full and self._recorder.memory.free >= SLOTS_TO_UNLOCK

    def authorise(self, chamber: int, uid: int, flags: int) -> None:
        """A pour begins: `chamber` may be opened. `flags`: without the clock status."""
        assert self._has_room, "a pour unlocks only with 12 slots free"
        self.phase = follow(self.phase, Event.AUTHORISED)
        self._begin(chamber, uid, flags)

    def _begin(self, chamber: int, uid: int, flags: int) -> None:
        began = self._recorder.draft(Kind.POUR, flags=flags)
        self._pour = _Pour(chamber, uid, began.began_clock_s, began.flags)

    def time_out(self) -> None:
        """Nobody opened the flap: locked again, and no record."""
        self.phase = follow(self.phase, Event.TIMED_OUT)
        self._pour = None
        self._recorder.settle(self.mid_cycle)

    def open_flap(self) -> None:
        """The flap opens."""
        phase = follow(self.phase, Event.FLAP_OPENED)
        self._mark()
        self.phase = phase

    def close_flap(self) -> None:
        """The flap is closed, the chamber begins to turn."""
        self.phase = follow(self.phase, Event.FLAP_CLOSED)

    def give_up(self, duration_ds: int) -> None:
        """The flap is closed and nothing was thrown in: result 1, nothing charged."""
        self.phase = follow(self.phase, Event.GIVEN_UP)
        self._end(PourResult.GIVEN_UP, duration_ds)
        self._settle_at_rest()

    def pass_discharge_point(self) -> None:
        """The waste falls: from here on the pour is complete, also after a power cut."""
        phase = follow(self.phase, Event.POINT_PASSED)
        mark = self._recorder.memory.mark
        assert mark is not None
        self._recorder.journal.save(mark=msgspec.structs.replace(mark, passed=True))
        self.phase = phase

    def complete(self, duration_ds: int, weight_word: int = NOT_WEIGHED) -> None:
        """The cycle is over; the register counts it. A retry that went well frees the chamber. Weight is in 10 g."""
        self.phase = follow(self.phase, Event.ENDED)
        pour = self._end(PourResult.COMPLETE, duration_ds, weight_word)
        if pour.flags & Flag.RETRY_AFTER_JAM:
            self._recorder.clear_fault(Fault.CHAMBER_BLOCKED, pour.chamber)
        self._settle_at_rest()

    def jam(self, duration_ds: int) -> None:
        """The chamber sticks before the discharge point: result 2, and the chamber is blocked."""
        self.phase = follow(self.phase, Event.JAMMED)
        pour = self._end(PourResult.JAMMED, duration_ds)
        self._recorder.raise_fault(Fault.CHAMBER_BLOCKED, pour.chamber)
        self._recorder.settle(self.mid_cycle)

    def retry(self) -> None:
        """Turn the jammed chamber once more, with what is in it: a pour of its own, flagged."""
        phase = follow(self.phase, Event.RETRIED)
        if not self._has_room:
            raise IllegalEvent("a retry needs 12 slots free, as any pour does")
        pour = self._under_way()
        kept = pour.flags & (Flag.SERVICE | Flag.DEGRADED)
        self._begin(pour.chamber, pour.uid, kept | Flag.RETRY_AFTER_JAM)
        self._mark()
        self.phase = phase

    def abandon(self) -> None:
        """No further retry: the chamber stays out of order until its fault is cleared."""
        self.phase = follow(self.phase, Event.ABANDONED)
        self._settle_at_rest()

    def recover(self) -> None:
        """At power-up: make the record that the power cut kept from being made, if the flap had been opened."""
        mark = self._recorder.memory.mark
        if mark is None:
            return
        result = PourResult.COMPLETE if mark.passed else PourResult.GIVEN_UP
        record = Record(
            seq=0, began_clock_s=mark.began_clock_s, boot=mark.boot, kind=Kind.POUR, result=result,
            chamber=mark.chamber, flags=mark.flags | Flag.RECOVERED, uid=mark.uid, volume_ml=mark.volume_ml,
        )  # fmt: skip
        self._make(record)

    def drop(self) -> None:
        """Power is gone, and with it what was volatile."""
        self.phase = Phase.IDLE
        self._pour = None

    def _settle_at_rest(self) -> None:
        self._pour = None
        self._recorder.settle(self.mid_cycle)

    def _mark(self) -> None:
        pour, memory = self._under_way(), self._recorder.memory
        volume = memory.volumes_ml[pour.chamber - 1]
        mark = CycleMark(pour.chamber, pour.uid, pour.began_clock_s, memory.boot, pour.flags, volume)
        self._recorder.journal.save(mark=mark)

    def _end(self, result: PourResult, duration_ds: int, weight_word: int = NOT_WEIGHED) -> _Pour:
        pour, memory = self._under_way(), self._recorder.memory
        record = Record(
            seq=0, began_clock_s=pour.began_clock_s, boot=memory.boot, kind=Kind.POUR, result=result,
            chamber=pour.chamber, flags=pour.flags, uid=pour.uid, volume_ml=memory.volumes_ml[pour.chamber - 1],
            weight_word=weight_word, duration_ds=min(duration_ds, _MAX_DURATION_DS),
        )  # fmt: skip
        self._make(record)
        return pour

    def _make(self, record: Record) -> None:
        filled_ml = self._recorder.memory.filled_ml + (record.volume_ml if record.is_complete_pour else 0)
        self._recorder.pour(record, mark=None, filled_ml=filled_ml)

    def _under_way(self) -> _Pour:
        assert self._pour is not None
        return self._pour
