"""What happened to the requests to one unit: the figures that a verdict on wiring, parity and unit ids rests on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from edge_agent.errors import BrokenAnswer, LineDown, NoAnswer, Refused
from edge_agent.line import LineCounters

_SHARE_OF_NEWEST = 0.1  # in the mean: some ten answers back


@dataclass(slots=True)
class UnitCounts:
    """Counts since the start; each request is one of `answered`, `exceptions`, `timeouts`, `broken`, `line_downs`.

    `broken`: something came back that can't be the answer; `broken_crc` and `late_or_foreign` say of what sort, and the
    latter also counts what came after a time-out. Round trips, in s: a mean in which old ones fade, and the slowest.
    """

    answered: int = 0
    exceptions: int = 0
    timeouts: int = 0
    broken: int = 0
    line_downs: int = 0
    broken_crc: int = 0
    late_or_foreign: int = 0
    round_trip_s: float | None = None
    slowest_s: float | None = None

    @property
    def requests(self) -> int:
        """How many have ended. One that is under way while somebody looks isn't counted yet: the sum always holds."""
        return self.answered + self.exceptions + self.timeouts + self.broken + self.line_downs

    def copy(self) -> "UnitCounts":
        return replace(self)

    @contextmanager
    def counting(self, line: LineCounters, clock: Callable[[], float]) -> Iterator[None]:
        """Count the one exchange that is done within; what the line counts meanwhile is this unit's."""
        began, crc_errors, late = clock(), line.crc_errors, line.late_or_foreign
        try:
            yield
        except Refused:
            self.exceptions += 1
            self._note_round_trip(clock() - began)
            raise
        except NoAnswer:
            self.timeouts += 1
            raise
        except BrokenAnswer:
            self.broken += 1
            raise
        except LineDown:
            self.line_downs += 1
            raise
        else:
            self.answered += 1
            self._note_round_trip(clock() - began)
        finally:
            self.broken_crc += line.crc_errors - crc_errors
            self.late_or_foreign += line.late_or_foreign - late

    def _note_round_trip(self, took_s: float) -> None:
        before = self.round_trip_s
        self.round_trip_s = took_s if before is None else before + _SHARE_OF_NEWEST * (took_s - before)
        self.slowest_s = max(took_s, self.slowest_s or 0.0)
