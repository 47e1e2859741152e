"""The agent's threads: if one dies, the whole process ends with an error, so that systemd starts it afresh.

A gateway that still polls but no longer sends (or the other way round) would look alive and be worthless.
"""

import threading
from collections.abc import Callable
from time import monotonic

import structlog

_log = structlog.get_logger(__name__)


class Crew:
    """Starts threads that share one stop event; `failure` is the first error that ended one of them."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.failure: BaseException | None = None

    def start(self, name: str, run: Callable[[threading.Event], None]) -> None:
        """Start `run(stop)` in a thread of its own. It may only return after stop is set."""
        thread = threading.Thread(target=self._guard, args=(name, run), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def fail(self, name: str, error: BaseException) -> None:
        """End the process because of this error; the first one counts."""
        with self._lock:
            if self.failure is None:
                self.failure = error
        _log.critical("a thread died: the agent ends", thread=name, error=repr(error), exc_info=error)
        self._stop.set()

    def join(self, within_s: float) -> tuple[str, ...]:
        """Wait for all threads, at most `within_s` altogether; return the names of those that still run."""
        deadline_s = monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - monotonic()))
        return tuple(thread.name for thread in self._threads if thread.is_alive())

    def _guard(self, name: str, run: Callable[[threading.Event], None]) -> None:
        try:
            run(self._stop)
            if not self._stop.is_set():
                raise RuntimeError(f"thread {name} ended without being asked to")
        except BaseException as error:  # noqa: BLE001 - a thread's entry point: reported, and it stops the process
            self.fail(name, error)
