"""The residents of the live phase: one of them goes to one of the locks every second or two."""

import random
import time
from collections.abc import Callable, Sequence

from demo.control import Control, ControlRefused

_PAUSE_S = (0.8, 1.6)


class LiveResidents:
    """Lets a resident pour when it is time to; `pours` counts those that a controller began."""

    def __init__(
        self, control: Control, locks: Sequence[str], seed: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._control = control
        self._locks = list(locks)
        self._random = random.Random(seed)
        self._clock = clock
        self._next_at = 0.0
        self.pours = 0

    def live(self) -> None:
        """Begin a pour if one is due. A lock that is still busy with the one before is left alone."""
        if self._clock() < self._next_at:
            return
        self._next_at = self._clock() + self._random.uniform(*_PAUSE_S)
        chamber = 1 if self._random.random() < 0.75 else 2
        try:
            self._control.do("pour", lock=self._random.choice(self._locks), chamber=chamber)
        except ControlRefused:
            return
        self.pours += 1
