"""Faults of the wire and of single slots: which request, which answer, which read they strike, and how often."""

from collections.abc import Callable
from dataclasses import dataclass

WIRE_FAULTS = (
    "silence", "lost_reply", "late_reply", "broken_crc", "cut_frame", "exception_6", "foreign_reply", "reset_connection",
)  # fmt: skip
_BEFORE_EXECUTION = frozenset({"silence", "exception_6", "reset_connection"})
MAX_ACTIVE = 256


@dataclass(slots=True)
class WireFault:
    """One fault at work. It strikes each request of `unit` (None: of the whole bus) until `until_s`, at most `left` times."""

    name: str
    unit: int | None
    until_s: float
    left: int
    delay_s: float = 0.0
    after_bytes: int = 0

    @property
    def before_execution(self) -> bool:
        """True if the unit never gets to execute the request."""
        return self.name in _BEFORE_EXECUTION


class WireFaults:
    """The faults at work on one bus, oldest first."""

    def __init__(self) -> None:
        self._active: list[WireFault] = []

    def __bool__(self) -> bool:
        return bool(self._active)

    def add(self, fault: WireFault) -> None:
        """Put a fault to work; the oldest gives way when there are too many."""
        self._active.append(fault)
        del self._active[:-MAX_ACTIVE]

    def clear(self, unit: int | None = None) -> None:
        """End the faults of one unit, or all of them."""
        self._active = [] if unit is None else [fault for fault in self._active if fault.unit != unit]

    def strike(self, unit: int, now_s: float) -> WireFault | None:
        """Return the fault that strikes this request, None if none does."""
        self._active = [fault for fault in self._active if fault.left > 0 and now_s < fault.until_s]
        for fault in self._active:
            if fault.unit is None or fault.unit == unit:
                fault.left -= 1
                return fault
        return None


def tear(word: int, reads: int | None) -> Callable[[bytes], bytes]:
    """Return what makes of a slot's 44 bytes a torn one: `word` reads wrongly, the first `reads` times or (None) for ever."""
    left = reads

    def torn(raw: bytes) -> bytes:
        nonlocal left
        if left is not None:
            if left <= 0:
                return raw
            left -= 1
        at = 2 * word
        return raw[:at] + bytes((raw[at] ^ 0xA5, raw[at + 1] ^ 0x5A)) + raw[at + 2 :]

    return torn
