"""Tells systemd that the program lives: only while each of its loops makes progress, so that a stuck one is restarted.

A database or a broker that is away is no reason: who waits for it in good order makes progress (patience.py).
"""

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from time import monotonic

import sdnotify  # type: ignore[import-untyped]
import structlog

from cloud_sink.metrics import stuck_loops

_log = structlog.get_logger(__name__)
_EVERY_S = 5.0


def notify_in_background(loops: Mapping[str, Callable[[], float]], stop: threading.Event) -> None:
    """Keep telling, in a thread of its own, until `stop` is set; nothing where systemd didn't start the program.

    `loops`: when each last came round (monotonic seconds), by name.
    """
    if not os.environ.get("NOTIFY_SOCKET"):
        return
    threading.Thread(target=_notify_systemd, args=(loops, stop), name="watchdog", daemon=True).start()


def _notify_systemd(loops: Mapping[str, Callable[[], float]], stop: threading.Event) -> None:
    notifier = sdnotify.SystemdNotifier()
    with closing(notifier.socket):
        notify(loops, stop, notifier.notify)


def notify(
    loops: Mapping[str, Callable[[], float]],
    stop: threading.Event,
    tell: Callable[[str], None],
    every_s: float = _EVERY_S,
) -> None:
    """Tell READY once, then WATCHDOG while no loop is stuck, until `stop` is set."""
    tell("READY=1")
    told: list[str] = []
    while not stop.is_set():
        stuck = stuck_loops(loops, monotonic())
        if stuck and stuck != told:
            _log.error("no progress: the watchdog isn't told", loops=stuck)
        told = stuck
        if not stuck:
            tell("WATCHDOG=1")
        stop.wait(every_s)
    tell("STOPPING=1")
