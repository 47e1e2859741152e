"""The simulator's time: frozen while a backlog is lived, then running, whatever jumps the host's clock makes."""

from collections.abc import Callable


class Timeline:
    """Unix seconds for everything that the controllers do."""

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._offset_s = wall() - monotonic()
        self._frozen_s: float | None = None

    def now(self) -> float:
        return self._offset_s + self._monotonic() if self._frozen_s is None else self._frozen_s

    def freeze(self, at_s: float) -> None:
        """From now on it is `at_s`."""
        self._frozen_s = at_s

    def release(self) -> None:
        """Time goes on by itself, at the present instant."""
        self._frozen_s = None
