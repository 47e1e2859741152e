"""Tries again while a database or server is away: with back-off and jitter, until it is back or the program stops."""

import threading
from collections.abc import Callable
from random import Random
from time import monotonic
from typing import TypeVar

import structlog

from cloud_sink.errors import Unavailable

_log = structlog.get_logger(__name__)
T = TypeVar("T")

_FIRST_S = 0.2
_MAX_S = 10.0


class Patience:
    """Waits `_FIRST_S`, then twice as long each time, at most `_MAX_S`; a quarter more or less, by chance."""

    def __init__(self, random: Random, what: str = "the ledger") -> None:
        """`what`: what the log says is waited for."""
        self._random = random
        self._what = what
        self.progressed_at = monotonic()  # when it last began to try: who waits for a database isn't stuck
        self.waiting_since: float | None = None  # since when what it needs is away (monotonic s)

    def until_done(self, work: Callable[[], T], stop: threading.Event) -> T | None:
        """Return what `work` returns once all that it needs is there, None if asked to stop before."""
        wait_s = _FIRST_S
        tries = 0
        self.waiting_since = None
        while not stop.is_set():
            self.progressed_at = monotonic()
            try:
                result = work()
            except Unavailable as error:
                tries += 1
                self.waiting_since = self.waiting_since or monotonic()
                if tries == 1:
                    _log.error(f"{self._what} is unavailable; trying again until it is back", why=str(error))
                stop.wait(wait_s * (0.75 + 0.5 * self._random.random()))
                wait_s = min(2 * wait_s, _MAX_S)
                continue
            self.waiting_since = None
            if tries:
                _log.info(f"{self._what} is back", tries=tries)
            return result
        return None
