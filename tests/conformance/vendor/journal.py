"""The ring of one epoch: gap-free, and nothing unconfirmed is ever overwritten."""

from dataclasses import dataclass, field

from tests.conformance.vendor.slot import BYTES, Content, check_of, pack
from tests.conformance.vendor.traits import LAST_SEQ, Traits


@dataclass
class Made:
    """One record that the controller made: the truth. `raw` as it lies in the ring, before any tear."""

    serial: int
    epoch: int
    seq: int
    raw: bytes
    may_be_missed: bool = False
    torn_for_ever: bool = False


@dataclass
class Tear:
    """Bits of a record that read wrong, `reads_left` times (None: for ever), `wandering`: others at each read."""

    mask: bytes
    reads_left: int | None
    wandering: bool = False


@dataclass
class Journal:
    """`confirmed_elsewhere`: up to here somebody else than the agent took the records over."""

    traits: Traits
    epoch: int
    newest: int = 0
    confirmed: int = 0
    confirmed_check: int = 0
    confirmed_elsewhere: int = 0
    made: dict[int, Made] = field(default_factory=dict)
    slots: dict[int, int] = field(default_factory=dict)  # place in the ring -> seq
    tears: dict[int, Tear] = field(default_factory=dict)  # seq -> tear

    @property
    def capacity(self) -> int:
        return self.traits.capacity

    @property
    def free(self) -> int:
        """Slots without an unconfirmed record; none once the sequence numbers are used up."""
        return min(self.capacity - (self.newest - self.confirmed), LAST_SEQ - self.newest)

    @property
    def oldest(self) -> int:
        return max(1, self.newest - self.capacity + 1) if self.newest else 0

    def append(self, content: Content) -> Made:
        """Make a record durable, then move `newest`. Whoever calls has made sure that there is room."""
        if self.free <= 0:
            raise AssertionError("the vendor's own rule: an unconfirmed record is never overwritten")
        seq = self.newest + 1
        made = Made(
            self.traits.serial,
            self.epoch,
            seq,
            pack(content, seq, self.traits.serial, self.epoch, self.traits.key),
        )
        self._forget(self.slots.get(seq % self.capacity))
        self.made[seq] = made
        self.slots[seq % self.capacity] = seq
        self.newest = seq
        return made

    def confirm(self, seq: int, elsewhere: bool = False) -> None:
        self.confirmed_check = check_of(self.made[seq].raw)
        self.confirmed = seq
        if elsewhere:
            self.confirmed_elsewhere = max(seq, self.confirmed_elsewhere)

    def end(self) -> None:
        """The epoch is over: nobody can read its records any more."""
        for seq in list(self.slots.values()):
            self._forget(seq)
        self.slots.clear()

    def tear(self, seq: int, tear: Tear) -> None:
        self.tears[seq] = tear
        self.made[seq].torn_for_ever = tear.reads_left is None

    def check_as_read(self, seq: int) -> int:
        """Words 20-21 of a record as a read gives them: a tear for ever counts, a passing one doesn't."""
        raw, tear = self.made[seq].raw, self.tears.get(seq)
        return check_of(_torn(raw, tear.mask) if tear is not None and tear.reads_left is None else raw)

    def serve(self, place: int) -> bytes:
        """Return one slot's 44 bytes for a read; tears wear off by being read."""
        seq = self.slots.get(place)
        if seq is None:
            return bytes(BYTES)
        raw, tear = self.made[seq].raw, self.tears.get(seq)
        if tear is None:
            return raw
        if tear.reads_left is not None:
            tear.reads_left -= 1
            if tear.reads_left <= 0:
                del self.tears[seq]
        torn = _torn(raw, tear.mask)
        if tear.wandering:
            tear.mask = tear.mask[1:] + tear.mask[:1]
        return torn

    def _forget(self, seq: int | None) -> None:
        """A record leaves the ring: unless the agent confirmed it, it may be missing at the agent for good."""
        if seq is not None:
            self.tears.pop(seq, None)
            if seq <= self.confirmed_elsewhere or seq > self.confirmed:
                self.made[seq].may_be_missed = True


def _torn(raw: bytes, mask: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(raw, mask, strict=True))
