"""The residents of the live phase: whenever nobody has come for a while (at night, say), one more goes to a lock."""

import random
import time
from collections.abc import Callable, Sequence

from demo.control import Control, ControlRefused

_PATIENCE_S = (0.8, 1.6)
_SMALL_CHAMBER_SHARE = 0.75
_NOBODY_THERE = ("locked", "out_of_service")


class LiveResidents:
    """Sees to it that something happens every second or two. `pours` counts what was ordered here."""

    def __init__(
        self, control: Control, locks: Sequence[str], seed: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._control = control
        self._locks = list(locks)
        self._random = random.Random(seed)
        self._clock = clock
        self._next_at = 0.0
        self._made = -1
        self.pours = 0

    def live(self, made: int) -> None:
        """Order a pour if one is due; `made` is the number of records that the controllers have made so far."""
        now = self._clock()
        if made != self._made:
            self._made = made
            self._next_at = now + self._random.uniform(*_PATIENCE_S)
        elif now >= self._next_at:
            self._order_pour()
            self._next_at = now + self._random.uniform(*_PATIENCE_S)

    def stop_coming(self) -> None:
        """Everybody stays at home from now on."""
        self._control.do("residents", come=False)

    def have_left(self) -> bool:
        """True if nobody, the technician included, is at any lock: nothing more will be recorded."""
        return all(ring["state"] in _NOBODY_THERE for ring in self._control.do("status")["locks"])

    def _order_pour(self) -> None:
        chamber = 1 if self._random.random() < _SMALL_CHAMBER_SHARE else 2
        try:
            self._control.do("pour", lock=self._random.choice(self._locks), chamber=chamber)
        except ControlRefused:
            return  # somebody is at that lock already
        self.pours += 1
