"""An old controller without a journal: cycle registers, and nothing else. Its place on the bus is its identity."""

from dataclasses import dataclass, field
from random import Random
from typing import Literal

from tests.conformance.vendor.frames import BAD_ADDRESS, Refusal, Request, answer_read

WordOrder = Literal["high_first", "low_first"]


@dataclass
class Counter:
    """One chamber's register. `steps`: what it did, for the truth: one entry a pour, a reset or a swap."""

    chamber: int
    address: int
    width: Literal[16, 32]
    word_order: WordOrder
    volume: int
    value: int
    steps: list[str] = field(default_factory=list)

    @property
    def words(self) -> int:
        return self.width // 16

    def pour(self, count: int = 1) -> None:
        """Turn on, past the register's end too."""
        self.value = (self.value + count) % (1 << self.width)
        self.steps += ["pour"] * count

    def replace(self, value: int) -> None:
        """A reset, a swap, or a jump that no residents can make."""
        self.value = value % (1 << self.width)
        self.steps.append("replaced")

    def data(self) -> bytes:
        if self.width == 16:
            return self.value.to_bytes(2, "big")
        high, low = self.value >> 16, self.value & 0xFFFF
        first, second = (high, low) if self.word_order == "high_first" else (low, high)
        return first.to_bytes(2, "big") + second.to_bytes(2, "big")


@dataclass
class LegacyUnit:
    """Answers one function and only words of registers that it has."""

    name: str
    function: Literal[3, 4]
    counters: list[Counter]
    offences: list[str] = field(default_factory=list)
    reads: int = 0

    @property
    def epochs(self) -> int:
        """How many epochs its pours are to be told in: each replacement begins another one."""
        return 1 + sum(counter.steps.count("replaced") for counter in self.counters)

    def answer(self, request: Request) -> bytes:
        if request.is_write:
            self.offences.append(f"{self.name}: the agent wrote to a counter that takes no writes: {request}")
        if request.function != self.function:
            self.offences.append(f"{self.name}: the agent used the wrong function: {request}")
            raise Refusal(1)
        words = {
            counter.address + place: counter.data()[2 * place : 2 * place + 2]
            for counter in self.counters
            for place in range(counter.words)
        }
        wanted = range(request.address, request.address + request.words)
        if any(address not in words for address in wanted):
            self.offences.append(f"{self.name}: the agent read words that nobody told it of: {request}")
            raise Refusal(BAD_ADDRESS)
        self.reads += 1
        return answer_read(request, b"".join(words[address] for address in wanted))

    def after_answer(self, arrived: bool) -> None:
        """A counter does nothing by itself."""

    def malformed(self, refusal: Refusal) -> None:
        self.offences.append(f"{self.name}: the agent sent no valid request: {refusal}")


def draw_legacy(rng: Random, name: str) -> LegacyUnit:
    """Return an old controller with 1 to 4 chambers of any number, registers next to each other or apart."""
    counters: list[Counter] = []
    address = rng.choice((0, 1, 100, 0x9C40, 0xFFE0))
    for chamber in sorted(rng.sample(range(1, 5), rng.randint(1, 4))):
        width = rng.choice((16, 32))
        order: WordOrder = rng.choice(("high_first", "low_first"))
        value = rng.choice((0, 1, (1 << width) - 1, (1 << width) - 2, 0xFFFF, rng.randrange(1 << width)))
        volume = rng.choice((5_000, 20_000, 65_535))
        counters.append(Counter(chamber, address, 16 if width == 16 else 32, order, volume, value))
        address += width // 16 + rng.choice((0, 0, 1, 3))
    return LegacyUnit(name, rng.choice((3, 4)), counters)
