"""What happens at one lock's door: each visit as a sequence of steps, with the mishaps that were ordered.

The law of this file: a visit is a generator that yields how many seconds to wait until its next step. So the same code
lives months of backlog in simulated time and a single pour in real time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from firmware_sim.cycle import Phase
from firmware_sim.lock import Controller
from firmware_sim.reader import Answer
from firmware_sim.residents import Visit, VisitKind
from wastelock.record import NOT_WEIGHED, Kind

CUT_POINTS = ("authorised", "open", "before_discharge", "after_discharge")


@dataclass(slots=True)
class Jam:
    """The next pour jams, `times` in a row; then the retry succeeds, unless `stuck`."""

    times: int = 1
    stuck: bool = False


@dataclass(slots=True)
class PowerCut:
    """Power goes away when the next pour reaches `at`."""

    at: str
    off_s: float


class Doorway:
    """One lock's door. `mishaps` strike the next pour."""

    def __init__(self, controller: Controller, rng: Random, weighs: bool) -> None:
        self.controller = controller
        self.jam: Jam | None = None
        self.cut: PowerCut | None = None
        self.last_answer: Answer | None = None
        self._rng = rng
        self._weighs = weighs
        self._life = 0

    @property
    def _dead(self) -> bool:
        """True if power was cut (or the memory begun anew) since the visit began, be it back or not."""
        return not self.controller.powered or self.controller.life != self._life

    def steps(self, visit: Visit) -> Iterator[float]:
        """Perform a visit; yields the seconds to wait before going on."""
        self.last_answer = None
        if not self.controller.powered:
            return
        self._life = self.controller.life
        match visit.kind:
            case VisitKind.EMPTYING:
                self.controller.empty(Kind.EMPTYING)
            case VisitKind.SWAP:
                self.controller.empty(Kind.CONTAINER_SWAP)
            case VisitKind.MAINTENANCE_BEGINS:
                self.controller.maintain(visit.uid, begins=True)
            case VisitKind.MAINTENANCE_ENDS:
                self.controller.maintain(visit.uid, begins=False)
                yield from self._pour(visit)  # a trial with the service transponder
            case _:
                yield from self._pour(visit)

    def _pour(self, visit: Visit) -> Iterator[float]:
        controller, rng = self.controller, self._rng
        self.last_answer = controller.present(visit.uid, visit.chamber)
        if self.last_answer is not Answer.AUTHORISED or self._cut_at("authorised"):
            return
        yield 1 + rng.random() * 2
        if self._dead:
            return
        if visit.kind is VisitKind.NEVER_OPENED:
            controller.pours.time_out()
            return
        controller.pours.open_flap()
        if self._cut_at("open"):
            return
        open_s = 3 + rng.random() * 6
        yield open_s
        if self._dead:
            return
        if visit.kind is VisitKind.GIVEN_UP:
            controller.pours.give_up(int(open_s * 10))
            return
        controller.pours.close_flap()
        if visit.kind is VisitKind.JAMMED and self.jam is None:
            self.jam = Jam()
        yield from self._turn(open_s)

    def _turn(self, open_s: float) -> Iterator[float]:
        """Turn the chamber: discharge, or jam and try again."""
        controller, rng = self.controller, self._rng
        turn_s = 2 + rng.random()
        while True:
            yield turn_s
            if self._dead or self._cut_at("before_discharge"):
                return
            if self.jam is None:
                break
            controller.pours.jam(int((open_s + turn_s) * 10))
            self.jam.times -= 1
            if self.jam.times <= 0:
                stuck, self.jam = self.jam.stuck, None
                if stuck:
                    controller.pours.abandon()
                    return
            yield 3.0
            if self._dead:
                return
            if not controller.pours.may_retry:
                if controller.pours.phase is Phase.JAMMED:
                    controller.pours.abandon()
                return
            controller.pours.retry()
        controller.pours.pass_discharge_point()
        if self._cut_at("after_discharge"):
            return
        yield 2.0
        if not self._dead:
            controller.pours.complete(int((open_s + turn_s + 2) * 10), self._weigh())

    def _weigh(self) -> int:
        return 20 + int(self._rng.random() * 400) if self._weighs else NOT_WEIGHED

    def _cut_at(self, point: str) -> bool:
        if self.cut is None or self.cut.at != point:
            return False
        off_s, self.cut = self.cut.off_s, None
        self.controller.cut_power(off_s)
        return True
