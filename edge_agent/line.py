"""What a bus needs of a line: one exchange at a time, and honest counts. line_rtu.py and line_tcp.py are the two."""

from dataclasses import dataclass
from typing import Protocol

from edge_agent.modbus import Request

# Design 2: after a time-out the line must have been silent for so long before anything else is asked on it.
SILENCE_S = 0.25
# Somebody who talks for longer than this has the line: give up, try again at the next transaction.
DRAIN_LIMIT_S = 2.0


@dataclass(slots=True)
class LineCounters:
    """Counts since the start; `wire_s` is the time that all bytes took on the wire (0 where there is none: TCP)."""

    late_or_foreign: int = 0
    crc_errors: int = 0
    wire_s: float = 0.0


class Line(Protocol):
    """A serial device or a TCP connection. Not thread-safe: whoever holds the bus's turn uses it alone."""

    counters: LineCounters
    has_wire: bool

    @property
    def is_open(self) -> bool: ...

    def open(self) -> None:
        """Open the device or connection, or raise LineDown."""
        ...

    def exchange(self, request: Request) -> bytes:
        """Send a request, return the data of its answer.

        Raises NoAnswer, BrokenAnswer (the line has then been drained), Refused, or LineDown (it is closed then).
        """
        ...

    def close(self) -> None:
        """Close; closing twice is allowed."""
        ...
