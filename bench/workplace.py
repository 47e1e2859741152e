"""What each bench is given: a temporary directory, how much to measure, where to tell how far it is."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class BenchFailed(RuntimeError):
    """A bench couldn't measure what it was to measure; the message says why."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """`directory` is the bench's own and goes away after it. `quick`: less of everything, for a first look.

    `say` tells people how far it is. `monotonic_s` is the clock that figures are taken with.
    """

    directory: Path
    quick: bool
    say: Callable[[str], None]
    monotonic_s: Callable[[], float] = time.perf_counter

    def pick(self, full: int, quick: int) -> int:
        """Return how much to do: `full`, or less where only a first look is wanted."""
        return quick if self.quick else full

    def wait_until(self, done: Callable[[], bool], what: str, timeout_s: float, poll_s: float = 0.02) -> None:
        """Wait until `done()`, or raise BenchFailed after the timeout."""
        deadline_s = self.monotonic_s() + timeout_s
        while not done():
            if self.monotonic_s() >= deadline_s:
                raise BenchFailed(f"{what}: not within {timeout_s:g} s")
            time.sleep(poll_s)

    def pause(self, seconds: float) -> None:
        """Let time pass that belongs to the measurement."""
        time.sleep(seconds)

    def time_ms(self, action: Callable[[], object]) -> float:
        """Return how long an action took, in ms."""
        began_s = self.monotonic_s()
        action()
        return (self.monotonic_s() - began_s) * 1000


Prepare = Callable[[], Callable[[], object]]


def take_turns(
    place: Workplace, one: Prepare, other: Prepare, times: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return how long each of two actions took, `times` times in turn (ms): both meet the same moods of the machine.

    `one` and `other` do what isn't measured and return what is. Who begins alternates, too.
    """
    taken_ms: tuple[list[float], list[float]] = ([], [])
    for index in range(times):
        first = index % 2
        for which in (first, 1 - first):
            taken_ms[which].append(place.time_ms((one, other)[which]()))
    return tuple(taken_ms[0]), tuple(taken_ms[1])
