"""What a serial line and a TCP port have in common: units, and answers that wait to leave."""

import heapq
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from random import Random

from tests.conformance.vendor.frames import NO_SUCH_UNIT, Refusal, answer_refusal, parse_request
from tests.conformance.vendor.manners import Faults, Manners
from tests.conformance.vendor.unit import Unit

Action = Callable[[], None]


class Outbox:
    """Actions in the order of their moments (monotonic seconds)."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Action]] = []
        self._given = 0

    def at(self, moment: float, action: Action) -> None:
        self._given += 1
        heapq.heappush(self._waiting, (moment, self._given, action))

    def wait_s(self, longest_s: float) -> float:
        """How long until something is due."""
        if not self._waiting:
            return longest_s
        return min(longest_s, max(0.0, self._waiting[0][0] - time.monotonic()))

    def run_due(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            heapq.heappop(self._waiting)[2]()


class Bus(threading.Thread):
    """Runs until `close`. `world` guards the controllers; `offences`: what the agent did wrong on the wire itself."""

    def __init__(
        self, name: str, world: AbstractContextManager[object], rng: Random, manners: Manners
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.units: dict[int, Unit] = {}
        self.absent: set[int] = set()  # who is configured, and isn't there
        self.faults = Faults()
        self.manners = manners
        self.offences: list[str] = []
        self.requests = 0
        self._world = world
        self._rng = rng
        self._outbox = Outbox()
        self._ended = threading.Event()

    def close(self) -> None:
        self._ended.set()
        self.join()

    def offend(self, what: str) -> None:
        self.offences.append(f"{self.name}: the agent {what}")

    def _answer(self, unit_id: int, body: bytes, unknown: int | None) -> bytes | None:
        """Return the answer's function code and data; None where nobody answers.

        `unknown`: the exception with which a TCP server speaks for units that aren't there.
        """
        self.requests += 1
        with self._world:
            unit = self.units.get(unit_id)
            if unit is None:
                if unit_id not in self.absent:
                    self.offend(f"asked unit {unit_id}, which it wasn't told of")
                return None if unknown is None or unit_id == 0 else answer_refusal(body[0], NO_SUCH_UNIT)
            try:
                request = parse_request(unit_id, body)
            except Refusal as refusal:
                unit.malformed(refusal)
                return answer_refusal(body[0], refusal.code)
            try:
                return unit.answer(request)
            except Refusal as refusal:
                return answer_refusal(body[0], refusal.code)

    def _after(self, unit_id: int, arrived: bool) -> None:
        with self._world:
            unit = self.units.get(unit_id)
            if unit is not None:
                unit.after_answer(arrived)
