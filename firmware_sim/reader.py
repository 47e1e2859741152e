"""The transponder reader: who may pour, which chamber opens, who is denied and how often that is told."""

from collections import OrderedDict
from collections.abc import Callable
from enum import Enum

from firmware_sim.access import AccessList
from firmware_sim.memory import Memory
from firmware_sim.pour import PourCycle
from firmware_sim.recorder import Recorder
from wastelock.record import Flag, Kind

DENIED_AGAIN_S = 60  # the same UID within this time: one record
DENIED_REMEMBERED = 64  # UIDs; more strangers than that within a minute don't stand before one lock
_UNKNOWN, _BLOCKED = 1, 2  # results of kind 2


class Answer(Enum):
    """What the lock does when a transponder is held to it."""

    AUTHORISED = "authorised"
    UNKNOWN = "unknown"
    BLOCKED = "blocked"
    OUT_OF_SERVICE = "out_of_service"
    BUSY = "busy"


class Reader:
    """The reader of one controller. Whom it denied lately is volatile."""

    def __init__(
        self, recorder: Recorder, access: AccessList, pours: PourCycle, now: Callable[[], float]
    ) -> None:
        self._recorder = recorder
        self._access = access
        self._pours = pours
        self._now = now
        self._denied: OrderedDict[int, float] = OrderedDict()

    def present(self, uid: int, chamber: int) -> Answer:
        """A transponder is held to the reader of a locked lock, the button of `chamber` pressed."""
        known = self._access.find(uid)
        if known is None:
            self._deny(uid, _UNKNOWN)
            return Answer.UNKNOWN
        if known.blocked:
            self._deny(uid, _BLOCKED)
            return Answer.BLOCKED
        chosen = choose_chamber(self._recorder.memory, chamber)
        if chosen is None:
            return Answer.OUT_OF_SERVICE
        self._pours.authorise(chosen, uid, Flag.SERVICE * known.service | Flag.DEGRADED * (chosen != chamber))
        return Answer.AUTHORISED

    def forget(self) -> None:
        """Power is gone."""
        self._denied.clear()

    def _deny(self, uid: int, result: int) -> None:
        memory, now_s = self._recorder.memory, self._now()
        last_s = self._denied.get(uid)
        if last_s is not None and now_s - last_s < DENIED_AGAIN_S:
            return
        if 2 * (memory.newest - memory.confirmed) >= memory.capacity:
            return  # half full: what is left is for pours
        self._denied[uid] = now_s
        self._denied.move_to_end(uid)
        if len(self._denied) > DENIED_REMEMBERED:
            self._denied.popitem(last=False)
        self._recorder.note(self._recorder.draft(Kind.ACCESS_DENIED, result=result, uid=uid))
        self._recorder.settle(mid_cycle=False)


def usable_chambers(memory: Memory) -> list[int]:
    """Return the chambers that are enabled and not blocked."""
    usable = memory.enable_mask & ~memory.blocked_mask
    return [n for n in range(1, len(memory.volumes_ml) + 1) if usable >> (n - 1) & 1]


def choose_chamber(memory: Memory, wanted: int) -> int | None:
    """Return the chamber to open: the wanted one, or the next larger one if that is out of order; None: none may."""
    if wanted > len(memory.volumes_ml) or not memory.enable_mask >> (wanted - 1) & 1:
        return None
    if not memory.blocked_mask >> (wanted - 1) & 1:
        return wanted
    volume_ml = memory.volumes_ml[wanted - 1]
    larger = [n for n in usable_chambers(memory) if memory.volumes_ml[n - 1] > volume_ml]
    return min(larger, key=lambda n: memory.volumes_ml[n - 1], default=None)
