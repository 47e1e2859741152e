"""Modbus RTU over a pseudo-terminal: unit (1 byte), function and data, CRC-16 (low byte first).

A pseudo-terminal has no wire time, so what can be held against the agent is only what is surely wrong: a gap between
frames is measured from before the answer was written to after the request was read, and can only come out too long.
"""

import os
import select
import time
import tty
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from random import Random

from tests.conformance.vendor.bus import Bus
from tests.conformance.vendor.frames import Refusal, parse_request
from tests.conformance.vendor.manners import ANSWERS_WITHIN_S, FaultKind, Manners, distort, in_pieces, late_s
from tests.conformance.vendor.sums import frame_check

BAUDRATE = 19_200
SILENCE_S = 3.5 * 11 / BAUDRATE  # between frames
DRAINED_AFTER_S = 0.25  # of silence, after a request that nobody answered in time
_SLACK_S = 0.04
_LONGEST_WAIT_S = 0.05
_FORGET_AFTER_S = 0.1
_BUSY_S = (
    0.1  # so much later than its time-out somebody who isn't given the processor may still find an answer
)


@dataclass(frozen=True)
class _Arrival:
    """When bytes came, as far as a thread can tell that isn't always given the processor at once (monotonic s)."""

    earliest: float
    latest: float

    @property
    def is_vague(self) -> bool:
        return self.latest - self.earliest > ANSWERS_WITHIN_S


class RtuBus(Bus):
    """A line of its own; `device` is the path for the agent. `patience_s`: so long the agent waits for an answer."""

    def __init__(
        self,
        name: str,
        world: AbstractContextManager[object],
        rng: Random,
        manners: Manners,
        patience_s: float,
    ) -> None:
        super().__init__(name, world, rng, manners)
        self._patience_s = patience_s
        # The agent's end stays open here, too: else the line would break when the agent is killed.
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self.device = os.ttyname(self._theirs)
        self._received = bytearray()
        self._received_at = 0.0
        self._asked = _Arrival(0.0, 0.0)
        self._answering = 0  # pieces of answers in time that haven't left yet
        self._last_sent_at = 0.0
        self._silent_from = 0.0  # a request failed: the line must have been silent from then on for 250 ms

    def run(self) -> None:
        try:
            while not self._ended.is_set():
                looked_at = time.monotonic()
                readable, _, _ = select.select([self._ours], [], [], self._outbox.wait_s(_LONGEST_WAIT_S))
                if readable:
                    data = os.read(self._ours, 4096)
                    self._receive(data, _Arrival(looked_at, time.monotonic()))
                self._outbox.run_due()
        finally:
            os.close(self._ours)
            os.close(self._theirs)

    def forgive(self) -> None:
        """A new agent has begun: it knows nothing of what the one before it left unanswered."""
        self._silent_from = 0.0
        self._received.clear()

    def _receive(self, data: bytes, arrival: _Arrival) -> None:
        if self._received and arrival.earliest - self._received_at > _FORGET_AFTER_S:
            self.offend(f"left a frame unfinished: {self._received.hex()}")
            self._received.clear()
        if not self._received:
            self._mind_silence(arrival)
        self._received += data
        self._received_at = arrival.latest
        size = _request_size(self._received)
        while size is not None and len(self._received) >= size:
            frame = bytes(self._received[:size])
            del self._received[:size]
            if frame[-2:] == frame_check(frame[:-2]):
                self._take(frame[0], frame[1:-2], arrival)
            else:
                self.offend(f"sent a frame with a wrong check: {frame.hex()}")
                self._received.clear()
            if self._received and not arrival.is_vague:
                self.offend("sent several frames at once on a serial line")
            size = _request_size(self._received)

    def _mind_silence(self, arrival: _Arrival) -> None:
        # On a busy machine an answer may leave later than meant: then whoever asks on had given up on it.
        answered_at = arrival.latest if self._answering else self._last_sent_at
        if answered_at - self._asked.earliest < ANSWERS_WITHIN_S:
            self._mind_gap(arrival)
        if arrival.latest - self._silent_from < DRAINED_AFTER_S - _SLACK_S:
            gap_s = arrival.latest - self._silent_from
            self.offend(f"sent a request {gap_s:.3f} s after the line was last disturbed")
        self._silent_from = 0.0
        self._asked = arrival

    def _mind_gap(self, arrival: _Arrival) -> None:
        if self._answering:
            self.offend("sent a request while the answer to the one before was on its way")
        elif arrival.latest - self._last_sent_at < SILENCE_S - 0.0002:
            self.offend(
                f"left {1000 * (arrival.latest - self._last_sent_at):.2f} ms of silence before a frame"
            )

    def _take(self, unit: int, body: bytes, arrival: _Arrival) -> None:
        answered_by = arrival.earliest + ANSWERS_WITHIN_S
        answer = self._answer(unit, body, None) if unit else None
        if answer is None:
            self._silent_from = answered_by
            return
        fault = self._fault(unit, body)
        delivery = self.manners.deliver(len(answer) + 3)
        if fault == "mute" or delivery is None:
            self._silent_from = answered_by
            self._after(unit, arrived=False)
            return
        right = self._frame(None, unit, answer)
        frame = self._frame(fault, unit, distort(fault, answer, self._rng))
        now = time.monotonic()
        if fault in ("late", "very late", "late with the next"):
            self._silent_from = answered_by
            self._outbox.at(now + late_s(self._rng, fault), partial(self._send_late, frame, self.requests))
            self._after(unit, arrived=False)
            return
        moment = now + delivery.delay_s
        pieces = in_pieces(frame, [cut for cut in delivery.cuts if cut < len(frame)])
        self._answering = len(pieces)
        broken = frame != right and fault != "noise"  # noise may be skipped over, the frame be taken
        for place, piece in enumerate(pieces):
            moment += delivery.pause_s if place else 0.0
            self._outbox.at(moment, partial(self._send, piece, broken))
        self._outbox.at(moment, partial(self._after, unit, frame == right))

    def _fault(self, unit: int, body: bytes) -> FaultKind | None:
        try:
            return self.faults.take(parse_request(unit, body))
        except Refusal:
            return None

    def _frame(self, fault: FaultKind | None, unit: int, answer: bytes) -> bytes:
        body = bytes((unit ^ 1 if fault == "wrong unit" else unit,)) + answer
        frame = body + frame_check(body)
        if fault in ("bad check", "wrong transaction"):
            place = self._rng.randrange(len(frame))
            return frame[:place] + bytes((frame[place] ^ 1 << self._rng.randrange(8),)) + frame[place + 1 :]
        if fault == "cut":
            return frame[: self._rng.randrange(1, len(frame))]
        if fault == "noise":
            return self._rng.randbytes(self._rng.randint(1, 9)) + frame
        return frame

    def _send(self, data: bytes, broken: bool) -> None:
        self._answering -= 1
        self._last_sent_at = time.monotonic()
        os.write(self._ours, data)
        if broken and self._last_sent_at - self._asked.earliest < ANSWERS_WITHIN_S:
            self._silent_from = self._last_sent_at

    def _send_late(self, data: bytes, request: int) -> None:
        """Send an answer beyond the bound. Whoever is that patient, or has asked again meanwhile, may well take it."""
        now = time.monotonic()
        taken = request != self.requests or now < self._asked.latest + self._patience_s + _BUSY_S
        self._silent_from = 0.0 if taken else now
        os.write(self._ours, data)


def _request_size(received: bytes | bytearray) -> int | None:
    """Return the size of the frame that begins here, as soon as it can be told."""
    if len(received) < 2:
        return None
    if received[1] != 16:
        return 8
    return None if len(received) < 7 else 9 + received[6]
