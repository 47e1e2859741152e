"""How an answer leaves: when, in how many pieces, and whether at all. All of it is allowed; faults are not."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from tests.conformance.vendor.frames import Request

ANSWERS_WITHIN_S = 0.2  # first byte of the answer after the last of the request
_LONGEST_DELAY_S = 0.19
_PAUSE_S = 0.002

Ending = Literal["stay", "close instead", "close within", "close after"]
# What a controller that keeps to the map never does; what a bad line or a serial server does to its answers.
FaultKind = Literal[
    "mute",
    "late",
    "very late",
    "late with the next",
    "noise",
    "bad check",
    "cut",
    "wrong unit",
    "wrong function",
    "wrong size",
    "wrong echo",
    "wrong transaction",
]


@dataclass(frozen=True)
class Delivery:
    """`cuts`: where the frame is cut into pieces, each `pause_s` after the one before."""

    delay_s: float = 0.0
    cuts: tuple[int, ...] = ()
    pause_s: float = 0.0
    ending: Ending = "stay"


@dataclass
class Manners:
    """Draws deliveries. `slow`, `pieces`, `mute`, `hangs_up`: how often (0..1)."""

    rng: Random
    slow: float = 0.02
    pieces: float = 0.2
    mute: float = 0.003
    hangs_up: float = 0.0

    def deliver(self, size: int) -> Delivery | None:
        """Return how a frame of this size leaves; None: it never does, as the map allows."""
        rng = self.rng
        if rng.random() < self.mute:
            return None
        cuts: tuple[int, ...] = ()
        if rng.random() < self.pieces:
            cuts = tuple(sorted(rng.sample(range(1, size), min(size - 1, rng.randint(1, 4)))))
        ending: Ending = "stay"
        if rng.random() < self.hangs_up:
            ending = rng.choice(("close instead", "close within", "close after"))
        return Delivery(self._delay(), cuts, rng.uniform(0, _PAUSE_S), ending)

    def _delay(self) -> float:
        if self.rng.random() < self.slow:
            return self.rng.uniform(0.05, _LONGEST_DELAY_S)
        return self.rng.choice((0.0, 0.0, self.rng.uniform(0, 0.004)))


@dataclass
class Fault:
    """What goes wrong with the next `times` answers to requests like this; None: any."""

    kind: FaultKind
    times: int = 1
    unit: int | None = None
    writes: bool | None = None
    address: int | None = None

    def fits(self, request: Request) -> bool:
        return (
            self.times > 0
            and self.unit in (None, request.unit)
            and self.writes in (None, request.is_write)
            and self.address in (None, request.address)
        )


@dataclass
class Faults:
    """What is armed on a bus, and what has come of it."""

    armed: list[Fault] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)

    def arm(self, *faults: Fault) -> None:
        self.armed.extend(faults)

    def take(self, request: Request) -> FaultKind | None:
        """Return what goes wrong with the answer to this request."""
        for fault in self.armed:
            if fault.fits(request):
                fault.times -= 1
                self.done[fault.kind] = self.done.get(fault.kind, 0) + 1
                self.armed = [each for each in self.armed if each.times > 0]
                return fault.kind
        return None


def late_s(rng: Random, kind: FaultKind) -> float:
    """Return how late a late answer is: beyond the bound, or beyond any patience."""
    return rng.uniform(0.21, 0.4) if kind == "late" else rng.uniform(0.5, 0.9)


def distort(kind: FaultKind | None, answer: bytes, rng: Random) -> bytes:
    """Return function code and data as a confused answer has them, in a frame that is whole."""
    if kind == "wrong function":
        return bytes((answer[0] ^ rng.choice((0x01, 0x02, 0x07)),)) + answer[1:]
    if kind == "wrong size" and len(answer) > 5:
        if answer[0] in (3, 4):
            return bytes((answer[0], answer[1] - 2)) + answer[2:-2]
        return answer[:-2]
    if kind == "wrong echo" and answer[0] in (6, 16):
        return answer[:-1] + bytes((answer[-1] ^ 0x04,))
    return answer


def in_pieces(frame: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Return the frame cut at these places."""
    ends = [*cuts, len(frame)]
    return [frame[start:end] for start, end in zip([0, *cuts], ends, strict=True) if end > start]
