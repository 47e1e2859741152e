"""Tells systemd that the agent lives: only while each of its loops makes progress, so that a stuck one is restarted.

A broker or a controller that is away is no reason: a loop that keeps trying makes progress.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sdnotify  # type: ignore[import-untyped]
import structlog

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Beat:
    """One loop: when it last came round (monotonic seconds), and after how long it counts as stuck."""

    progressed_at: Callable[[], float]
    max_age_s: float


class Watchdog:
    """`tell` is called about once a second. Without NOTIFY_SOCKET (not started by systemd) it tells nobody."""

    def __init__(self, beats: Mapping[str, Beat], tell: Callable[[str], None] | None = None) -> None:
        self._beats = beats
        self._tell = tell if tell is not None else systemd()
        self._is_ready = False
        self._stuck: tuple[str, ...] = ()

    def stuck(self, now_s: float) -> tuple[str, ...]:
        """Return the names of the loops that made no progress for too long."""
        return tuple(
            name for name, beat in self._beats.items() if now_s - beat.progressed_at() > beat.max_age_s
        )

    def ages_s(self, now_s: float) -> dict[str, float]:
        """Return how long ago each loop last came round."""
        return {name: max(0.0, now_s - beat.progressed_at()) for name, beat in self._beats.items()}

    def tell(self, now_s: float) -> None:
        """Notify systemd, unless a loop is stuck."""
        stuck = self.stuck(now_s)
        if stuck != self._stuck:
            self._stuck = stuck
            if stuck:
                _log.error("no progress: the watchdog isn't told", loops=list(stuck))
        if stuck:
            return
        if not self._is_ready:
            self._is_ready = True
            self._tell("READY=1")
        self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """Tell systemd that the end was asked for."""
        self._tell("STOPPING=1")


def systemd() -> Callable[[str], None]:
    """Return what tells systemd a line of sd_notify(3); nothing is told where systemd didn't start the agent."""
    # Made only where there is somebody to tell: the class leaves its socket open otherwise.
    if not os.environ.get("NOTIFY_SOCKET"):
        return lambda _message: None
    notify: Callable[[str], None] = sdnotify.SystemdNotifier().notify
    return notify
