"""One address on a bus: a controller with its map, watched, living between any two requests."""

from collections.abc import Callable
from random import Random
from typing import Protocol

from tests.conformance.vendor.conduct import Conduct
from tests.conformance.vendor.frames import Refusal, Request, answer_read
from tests.conformance.vendor.registers import Registers


class Unit(Protocol):
    """What a bus needs of whatever has an address on it."""

    def answer(self, request: Request) -> bytes:
        """Return function code and data, or raise Refusal."""

    def after_answer(self, arrived: bool) -> None:
        """The answer has left, whole and in time, or it never will."""

    def malformed(self, refusal: Refusal) -> None:
        """A request to this unit that isn't one."""


class LockUnit:
    """A waste lock. `meanwhile` lets life go on: before a request is answered, and (None) after."""

    def __init__(
        self, registers: Registers, conduct: Conduct, meanwhile: Callable[[Request | None], None]
    ) -> None:
        self.registers = registers
        self.conduct = conduct
        self._meanwhile = meanwhile

    def answer(self, request: Request) -> bytes:
        self._meanwhile(request)
        self.conduct.before(request)
        try:
            answer = self.registers.answer(request)
        except Refusal as refusal:
            self.conduct.refused(request, refusal)
            raise
        self.conduct.served(request, answer)
        return answer

    def after_answer(self, arrived: bool) -> None:
        if arrived:
            self.conduct.delivered()
        self.registers.controller.commands.after_answer()
        self._meanwhile(None)

    def malformed(self, refusal: Refusal) -> None:
        self.conduct.offend(f"sent no valid request: {refusal}")


class OtherDevice:
    """A meter of some sort that happens to have a lock's address: it shows words at any place."""

    def __init__(self, name: str, rng: Random) -> None:
        self.name = name
        self.offences: list[str] = []
        self._rng = rng

    def answer(self, request: Request) -> bytes:
        if request.is_write:
            self.offences.append(f"{self.name}: the agent wrote to something that isn't a lock: {request}")
            raise Refusal(1)
        return answer_read(request, self._rng.randbytes(2 * request.words))

    def after_answer(self, arrived: bool) -> None:
        """It goes on measuring."""

    def malformed(self, refusal: Refusal) -> None:
        self.offences.append(f"{self.name}: the agent sent no valid request: {refusal}")
