"""Decides when to ask a gateway for pages that are missing. Pure: clock and randomness are passed in.

A hole is often just a backlog under way, so nothing is asked for while it gets smaller. Only when a journal's missing
pages have stayed the same for a while are they requested, then again with back-off and jitter.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from cloud_sink import spans
from cloud_sink.checking import JournalKey
from cloud_sink.ledger.journals import Standing
from cloud_sink.spans import Span

_FACTOR = 2.0
_JITTER = 0.25
_JOURNALS_MAX = 100_000


@dataclass(slots=True)
class _Hole:
    missing: list[Span]
    size: int
    wait_s: float
    due_s: float


class Resending:
    """Remembers each journal's hole; `note` after each commit, `due` now and then."""

    def __init__(self, first_after_s: float, at_most_every_s: float, random: Random) -> None:
        self._first_after_s = first_after_s
        self._at_most_every_s = at_most_every_s
        self._random = random
        self._holes: dict[JournalKey, _Hole] = {}

    def note(self, standings: Iterable[Standing], now_s: float) -> None:
        """Take in how journals stand. `now_s`: any monotonic clock, in seconds."""
        for standing in standings:
            missing = standing.missing
            known = self._holes.get(standing.key)
            size = spans.size(missing)
            if not missing:
                self._holes.pop(standing.key, None)
            elif known is None or size < known.size:
                if known is not None or len(self._holes) < _JOURNALS_MAX:
                    due_s = now_s + self._spread(self._first_after_s)
                    self._holes[standing.key] = _Hole(missing, size, self._first_after_s, due_s)
            else:
                known.missing, known.size = missing, size

    def due(self, now_s: float) -> list[tuple[JournalKey, list[Span]]]:
        """Return what is to be asked for now, and wait longer for each of them next time."""
        asked = []
        for key, hole in self._holes.items():
            if hole.due_s <= now_s:
                asked.append((key, hole.missing))
                hole.wait_s = min(hole.wait_s * _FACTOR, self._at_most_every_s)
                hole.due_s = now_s + self._spread(hole.wait_s)
        return asked

    def _spread(self, wait_s: float) -> float:
        return wait_s * (1 + _JITTER * (2 * self._random.random() - 1))
