"""Does the agent keep to the map? Each thing that it must not do is written down as an offence."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.conformance.vendor import registers as layout
from tests.conformance.vendor.controller import Controller
from tests.conformance.vendor.frames import BUSY, READ_INPUT, REFUSED, Refusal, Request
from tests.conformance.vendor.journal import Made
from tests.conformance.vendor.slot import BYTES

READS_BEFORE_UNVERIFIED, READS_OVER_S = 5, 10.0
MOST_REQUESTS_OF_AN_IDLE_VISIT = 3
_EPOCH_WORD = 0x000E
_SLACK_S = 0.05
_CLOCK_SLACK_S = 3

# (serial, epoch, seq) -> the record's bytes on the gateway's disk, or None
OnDisk = Callable[[int, int, int], bytes | None]


@dataclass
class Reads:
    """How often a record was served torn, between which moments, and as what."""

    count: int
    first_at: float
    last_at: float
    served: set[bytes] = field(default_factory=set)


@dataclass(frozen=True)
class Sight:
    """What an answer told the agent. `clock`: status and error in s; `idle`: nothing is to be done here."""

    epoch: int
    clock: tuple[int, float] | None = None
    idle: bool = False


@dataclass(frozen=True)
class Glance:
    """One look at the clock that the agent may have had: `at` is the true unix time, `shown` what the clock said."""

    at: float
    clock_status: int
    shown: int


@dataclass
class Conduct:
    """Watches one unit's requests. `now` in seconds, `sets_clock_beyond_s` None: the gateway doesn't know the time."""

    name: str
    controller: Controller
    on_disk: OnDisk
    now: Callable[[], float]
    sets_clock_beyond_s: float | None
    must_not_touch: str = ""
    offences: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    glances: list[Glance] = field(default_factory=list)
    clocks_set: int = 0
    torn: dict[tuple[int, int], Reads] = field(default_factory=dict)
    _intact: set[tuple[int, int]] = field(default_factory=set)
    _was_seen: bool = False
    _epochs: set[int] = field(default_factory=set)  # one of these is what the agent believes in
    _on_its_way: Sight | None = None
    _seen_clock: tuple[int, float] | None = None
    _idle_requests: int | None = None

    def offend(self, what: str) -> None:
        self.offences.append(f"{self.name}: the agent {what}")

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def before(self, request: Request) -> None:
        """Judge a request by what the agent could know when it sent it."""
        self.count(f"function {request.function}")
        if self.must_not_touch:
            # Until it was looked at, the agent may still take it for the one that was there before.
            if self._was_seen and (request.is_write or request.address >= layout.RING):
                self.offend(f"touched a controller that {self.must_not_touch}: {request}")
            return
        self._mind_idling(request)
        if request.is_write:
            self._judge_write(request)

    def refused(self, request: Request, refusal: Refusal) -> None:
        """Judge why a request was refused: the agent's fault, or something that it couldn't know."""
        self.count(f"exception {refusal.code}")
        surprised = self._epochs != {self.controller.journal.epoch}
        if (
            self.must_not_touch
            or refusal.code in (BUSY, REFUSED)
            or (surprised and request.address >= layout.RING)
        ):
            return
        if request.address != layout.ACK or not request.is_write:  # acknowledgements were judged before
            self.offend(f"sent what the map forbids: {request}: {refusal}")

    def served(self, request: Request, answer: bytes) -> None:
        """Remember what the agent learns if this answer arrives."""
        self._on_its_way = None
        if request.function != READ_INPUT:
            return
        journal = self.controller.journal
        if request.address == layout.STATUS:
            clock = self.controller.clock
            self.glances.append(Glance(self.controller.now(), clock.status, clock.value))
            self._learn(Sight(journal.epoch, (clock.status, clock.error_s), self._is_idle()))
        elif request.address <= _EPOCH_WORD < request.address + request.words:
            self._learn(Sight(journal.epoch))
        elif request.address >= layout.RING:
            self._see_records(request, answer[2:])

    def delivered(self) -> None:
        """The last answer has left whole and in time."""
        sight, self._on_its_way = self._on_its_way, None
        if sight is None:
            return
        self._was_seen = True
        self._epochs = {sight.epoch}
        if sight.clock is not None:
            self._seen_clock = sight.clock
            self._idle_requests = 0 if sight.idle else None

    def _learn(self, sight: Sight) -> None:
        self._on_its_way = sight
        self._epochs.add(sight.epoch)

    def _is_idle(self) -> bool:
        """Nothing new, and nothing that only the agent lacks: before it was ever there, it wants what others took."""
        clock, journal, beyond = self.controller.clock, self.controller.journal, self.sets_clock_beyond_s
        if journal.newest != journal.confirmed:
            return False
        in_time = beyond is None or (clock.status == 1 and abs(clock.error_s) < beyond)
        serial = self.controller.traits.serial
        return (
            in_time and journal.newest > 0 and self.on_disk(serial, journal.epoch, journal.newest) is not None
        )

    def _see_records(self, request: Request, data: bytes) -> None:
        journal = self.controller.journal
        for place in layout.whole_slots(request):
            seq = journal.slots.get(place)
            if seq is None:
                self.count("reads of an unwritten slot")
                continue
            start = place * BYTES - 2 * (request.address - layout.RING)
            if data[start : start + BYTES] == journal.made[seq].raw:
                self._intact.add((journal.epoch, seq))
                continue
            reads = self.torn.setdefault((journal.epoch, seq), Reads(0, self.now(), 0.0))
            reads.count, reads.last_at = reads.count + 1, self.now()
            reads.served.add(data[start : start + BYTES])

    def _mind_idling(self, request: Request) -> None:
        if self._idle_requests is None or request.address == layout.STATUS:
            return
        journal = self.controller.journal
        if journal.newest != journal.confirmed or self._epochs != {journal.epoch}:
            self._idle_requests = None
            return
        self._idle_requests += 1
        if self._idle_requests == MOST_REQUESTS_OF_AN_IDLE_VISIT:
            self.offend(f"keeps asking a lock that has nothing to say: {request}")

    def _judge_write(self, request: Request) -> None:
        if request.address == layout.ACK and len(request.data) == 12:
            self._judge_ack(*struct.unpack(">III", request.data))
        elif request.address == layout.CLOCK and len(request.data) == 4:
            self._judge_clock(int.from_bytes(request.data, "big"))
        else:
            self.offend(f"wrote what nobody asked for: {request}")

    def _judge_clock(self, seconds: int) -> None:
        beyond = self.sets_clock_beyond_s
        self.clocks_set += 1
        if beyond is None:
            return  # whether it may is known when its pages have said how far it trusts its own clock
        if self._seen_clock is None:
            self.offend("set the clock without having read it")
        elif self._seen_clock[0] == 1 and abs(self._seen_clock[1]) < beyond - _CLOCK_SLACK_S:
            self.offend(f"set a clock that was {self._seen_clock[1]:.1f} s wrong, less than {beyond} s")
        elif abs(seconds - self.controller.now()) > _CLOCK_SLACK_S:
            self.offend(f"set the clock {seconds - self.controller.now():.1f} s wrong")

    def _judge_ack(self, epoch: int, seq: int, check: int) -> None:
        journal = self.controller.journal
        if epoch != journal.epoch:
            if epoch not in self._epochs:
                self.offend(f"acknowledged in epoch {epoch} after it had seen {self._epochs}")
        elif seq > journal.newest:
            self.offend(f"acknowledged {seq}, newer than the newest, {journal.newest}")
        elif seq <= journal.confirmed:
            self.count("acknowledgements without effect")
        else:
            self._judge_new_ack(seq, check)

    def _judge_new_ack(self, seq: int, check: int) -> None:
        journal = self.controller.journal
        if (journal.epoch, seq) not in self._intact:
            if not journal.made[seq].torn_for_ever:
                self.offend(f"acknowledged {seq}, which it never read whole")
            self.count("acknowledgements of a torn record")
        elif check != journal.check_as_read(seq) and not journal.made[seq].torn_for_ever:
            self.offend(f"acknowledged {seq} with check {check:#010x}")
        for covered in range(journal.confirmed + 1, seq + 1):
            self._judge_custody(journal.made[covered])

    def _judge_custody(self, made: Made) -> None:
        """What an acknowledgement covers must be on the gateway's disk before it arrives."""
        stored = self.on_disk(made.serial, made.epoch, made.seq)
        if stored is None:
            self.offend(f"acknowledged {made.seq} of epoch {made.epoch} before it was in the spool")
        elif stored != made.raw:
            reads = self.torn.get((made.epoch, made.seq))
            if reads is None or (made.epoch, made.seq) in self._intact:
                self.offend(f"acknowledged {made.seq} but stored other bytes")
            elif stored not in reads.served:
                self.offend(f"stored torn {made.seq} as it was never served")
            elif reads.count < READS_BEFORE_UNVERIFIED or self._spread(reads) < READS_OVER_S - _SLACK_S:
                self.offend(
                    f"gave up on torn {made.seq} after {reads.count} reads over {self._spread(reads):.1f} s"
                )

    @staticmethod
    def _spread(reads: Reads) -> float:
        return reads.last_at - reads.first_at
