"""One lock on a bench without wires: a conforming controller, its driver, a spool in memory, a clock turned by hand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from edge_agent.custody import Cursor, JournalRecord, Visit
from edge_agent.drivers.wlc_1 import Wlc1Driver
from edge_agent.errors import EdgeAgentError, Refused
from edge_agent.journal_keeper import Outcome
from edge_agent.lock_report import LockReport
from edge_agent.lock_visitor import LockVisitor, Time
from tests.support.controller import Controller
from wastelock.messages import LockState
from wastelock.registers import lock_id

START_S = 1_795_000_000.0  # November 2026


class HandClock:
    """Monotonic and wall time, turned by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def unix_s(self) -> float:
        return START_S + self.seconds

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.unix_s(), UTC)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class DirectRegisters:
    """A controller's registers without a line between. `before_read` and `before_write` may change things or raise."""

    def __init__(self, controller: Controller, clock: HandClock) -> None:
        self.controller = controller
        self.exchanged_at = 0.0
        self.before_read: Callable[[int, int], None] = lambda address, count: None
        self.before_write: Callable[[int, Sequence[int]], None] = lambda address, words: None
        self.after_write: Callable[[int], None] = lambda address: None
        self.alter: Callable[[int, bytes], bytes] = lambda address, block: block
        self._clock = clock

    def read(self, function: int, address: int, count: int) -> bytes:
        self.before_read(address, count)
        found = self.controller.read(function, address, count)
        if isinstance(found, int):
            raise Refused(found, f"reading 0x{address:04X}")
        self.exchanged_at = self._clock.monotonic()
        return self.alter(address, b"".join(word.to_bytes(2, "big") for word in found))

    def write(self, address: int, words: Sequence[int]) -> None:
        self.before_write(address, words)
        code = self.controller.write(address, words)
        if code is not None:
            raise Refused(code, f"writing 0x{address:04X}")
        self.after_write(address)


@dataclass
class MemorySpool:
    """Keeps visits as the real spool keeps them; `refusal` is raised instead of sealing."""

    visits: list[Visit] = field(default_factory=list)
    confirmed: list[tuple[str, int, int]] = field(default_factory=list)
    memos: dict[str, bytes] = field(default_factory=dict)
    refusal: EdgeAgentError | None = None
    keeps_in_spite: bool = False
    cursors: dict[str, Cursor] = field(default_factory=dict)

    def cursor(self, lock: str) -> Cursor | None:
        return self.cursors.get(lock)

    def seal(self, visit: Visit) -> None:
        assert visit.records
        assert len(visit.records) <= 500
        seqs = [record.seq for record in visit.records]
        assert seqs == sorted(set(seqs))
        if self.refusal is None or self.keeps_in_spite:
            self._keep(visit)
        if self.refusal is not None:
            raise self.refusal

    def note_confirmed(self, lock: str, epoch: int, seq: int) -> None:
        self.confirmed.append((lock, epoch, seq))

    def save_memo(self, lock: str, memo: bytes) -> None:
        self.memos[lock] = memo

    def records(self) -> list[tuple[int, JournalRecord]]:
        return [(visit.epoch, record) for visit in self.visits for record in visit.records]

    def seqs(self) -> list[int]:
        return [record.seq for _, record in self.records()]

    def _keep(self, visit: Visit) -> None:
        self.visits.append(visit)
        last, old = visit.records[-1], self.cursors.get(visit.lock)
        if old is None or (visit.epoch, last.seq) > (old.epoch, old.seq):
            crc = int.from_bytes(last.raw[-4:], "big")
            memo = visit.memo if visit.memo is not None or old is None else old.memo
            self.cursors[visit.lock] = Cursor(visit.epoch, last.seq, crc, last.verified, memo)


class LockRig:
    """`visit` lets the agent visit the lock once; `restart` is a new agent on the same spool."""

    def __init__(self, controller: Controller | None = None, trusted: bool = True) -> None:
        self.clock = HandClock()
        self.controller = controller or Controller()
        self.controller.wall = self.clock.unix_s
        self.registers = DirectRegisters(self.controller, self.clock)
        self.spool = MemorySpool()
        self.states: list[LockState] = []
        self.trusted = trusted
        self.lock = lock_id(self.controller.serial)
        self.restart()

    def restart(self) -> None:
        driver = Wlc1Driver(self.registers, self.controller.serial, self.clock.monotonic, self.clock.sleep)
        self.visitor = LockVisitor(
            self.lock,
            driver,
            1.0,
            self.spool,
            LockReport(self.states.append, self.clock.utc, self.clock.monotonic, lambda: 300),
            Time(self.clock.utc, self.clock.monotonic, lambda: self.trusted),
            30,
        )

    def visit(self, steps: int = 1_000_000) -> Outcome:
        """Visit once, a second after the last visit; `steps` is how many reads of the journal fit into the visit."""
        self.clock.seconds += 1
        left = steps

        def is_over() -> bool:
            nonlocal left
            left -= 1
            return left <= 0

        return self.visitor.visit(is_over)

    def patiently(self, visits: int = 20) -> None:
        """Visit again and again, each time as soon as the agent wants to."""
        for _ in range(visits):
            self.clock.seconds += self.visit().wait_s or 0

    def pours(self, count: int) -> None:
        for _ in range(count):
            self.controller.pour()

    def spoil(self, seq: int) -> None:
        """Flip one bit of a record in the ring."""
        slot = seq % self.controller.capacity
        raw = bytearray(self.controller.ring[slot])
        raw[20] ^= 1
        self.controller.ring[slot] = bytes(raw)

    @property
    def state(self) -> LockState:
        """What the world was told last."""
        return self.states[-1]

    def whole_journal_is_kept(self) -> bool:
        """True if the records on disk are the controller's, each once, in order, byte for byte."""
        kept = {record.seq: record.raw for _, record in self.spool.records()}
        c = self.controller
        return self.spool.seqs() == list(range(1, c.newest + 1)) and all(
            kept[seq] == c.raw(seq) for seq in range(c.oldest, c.newest + 1)
        )
