"""Faults of the wire and of single slots: which request, which answer, which read they strike, and how often."""

from dataclasses import dataclass

from firmware_sim.memory import Memory

MAX_ACTIVE = 256


@dataclass(slots=True)
class WireFault:
    """One fault at work: it strikes each request to `unit` (None: to the bus) until `until_s`, at most `left` times.

    silence: nobody hears the request; lost_reply: it is executed, nobody hears the answer; late_reply: the answer
    comes after `delay_s`; broken_crc, cut_frame (after `after_bytes`), foreign_reply (another unit's number): spoilt;
    exception_6: busy; reset_connection: the TCP connection goes.
    """

    name: str
    unit: int | None
    until_s: float
    left: int
    delay_s: float = 0.0
    after_bytes: int = 0


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


class TornSlots:
    """Records that a read gives with a wrong word: for some reads, or as long as the memory says."""

    def __init__(self) -> None:
        self._left: dict[int, tuple[int, int]] = {}

    def tear(self, seq: int, word: int, reads: int) -> None:
        """Give `word` of record `seq` wrongly for the next `reads` reads."""
        self._left[seq] = (word, reads)
        if len(self._left) > MAX_ACTIVE:
            del self._left[min(self._left)]

    def any_in(self, memory: Memory) -> bool:
        """True if there are torn records at all: else a read needs no look at single slots."""
        return bool(self._left or memory.torn)

    def as_read(self, raw: bytes, memory: Memory, *, counts: bool) -> bytes:
        """Return what a read of a slot with content `raw` gives. `counts`: it is one of the reads that are struck."""
        seq = int.from_bytes(raw[:4], "big")
        for torn in memory.torn:
            if torn.seq == seq:
                return _spoil(raw, torn.word)
        if seq not in self._left:
            return raw
        word, reads = self._left[seq]
        if counts:
            if reads > 1:
                self._left[seq] = (word, reads - 1)
            else:
                del self._left[seq]
        return _spoil(raw, word)


def _spoil(raw: bytes, word: int) -> bytes:
    at = 2 * word
    return raw[:at] + bytes((raw[at] ^ 0xA5, raw[at + 1] ^ 0x5A)) + raw[at + 2 :]
