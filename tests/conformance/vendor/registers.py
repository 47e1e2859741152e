"""The map: which word shows what, and what a write does. Anything that isn't documented is refused."""

import struct

from tests.conformance.vendor.controller import Controller
from tests.conformance.vendor.frames import (
    BAD_ADDRESS,
    BAD_VALUE,
    BUSY,
    READ_HOLDING,
    READ_INPUT,
    REFUSED,
    WRITE_MANY,
    Refusal,
    Request,
    answer_read,
    answer_write,
)
from tests.conformance.vendor.slot import BYTES
from tests.conformance.vendor.traits import FILL

MAGIC, VERSION, RECORD_WORDS = 0x574C, 1, 22
IDENTITY_WORDS, STATUS, STATUS_WORDS, RING = 0x20, 0x40, 40, 0x4000
ACK, CLOCK, MASK, COMMAND, BEGIN, COMMIT, STAGING = 0x100, 0x106, 0x108, 0x109, 0x110, 0x118, 0x1000
STAGING_WORDS = 5 * 2048
# First address and length in words of each field that takes one exact write.
FIELDS = {ACK: 6, CLOCK: 2, MASK: 1, COMMAND: 2, BEGIN: 5, COMMIT: 1}
READABLE = (ACK, CLOCK, MASK, COMMAND)


class Registers:
    """Answers requests to one controller. `busy` is how often (0..1) a write finds it busy: exception 6."""

    def __init__(self, controller: Controller, version: int = VERSION, busy: float = 0.0) -> None:
        self.controller = controller
        self.busy = busy
        self._version = version

    def answer(self, request: Request) -> bytes:
        """Return the answer without its frame, or raise Refusal."""
        if request.function == READ_INPUT:
            return answer_read(request, self._read_input(request.address, request.words))
        if request.function == READ_HOLDING:
            return answer_read(request, self._read_holding(request.address, request.words))
        self._write(request)
        return answer_write(request)

    def identity(self) -> bytes:
        """0x0000..0x001F."""
        traits, journal = self.controller.traits, self.controller.journal
        return struct.pack(
            ">HHQHHIHHHHI4IIH10x",
            MAGIC,
            self._version,
            traits.serial,
            traits.model,
            traits.hardware,
            traits.firmware,
            traits.chambers,
            traits.capabilities,
            traits.capacity,
            RECORD_WORDS,
            journal.epoch,
            *self.controller.volumes,
            traits.key_id,
            traits.access_limit,
        )

    def status(self) -> bytes:
        """0x0040..0x0067, one snapshot."""
        device, journal = self.controller, self.controller.journal
        fill = device.rng.randrange(1001) if device.traits.capabilities & FILL else 0xFFFF
        return struct.pack(
            ">HIIHIHHhHHIIII4IHHHIIQ",
            device.state,
            device.faults,
            device.clock.value,
            device.clock.status,
            device.clock.uptime_s,
            device.boot,
            device.rng.randrange(0x10000),
            device.rng.randrange(-400, 850),
            fill,
            device.enabled,
            device.access.version,
            journal.oldest,
            journal.newest,
            journal.confirmed,
            *device.registers,
            device.commands.token,
            device.commands.result,
            len(device.access.entries),
            device.access.check,
            journal.epoch,
            device.traits.serial,
        )

    def _read_input(self, address: int, words: int) -> bytes:
        if address + words <= IDENTITY_WORDS:
            return self.identity()[2 * address : 2 * (address + words)]
        if (address, words) == (STATUS, STATUS_WORDS):
            return self.status()
        if address < RING or address + words > RING + self.controller.journal.capacity * RECORD_WORDS:
            raise Refusal(BAD_ADDRESS, "outside identity, status (whole) and ring")
        first = (address - RING) // RECORD_WORDS
        last = -(-(address - RING + words) // RECORD_WORDS)
        data = b"".join(self.controller.journal.serve(place) for place in range(first, last))
        skipped = 2 * (address - RING) - first * BYTES
        return data[skipped : skipped + 2 * words]

    def _read_holding(self, address: int, words: int) -> bytes:
        if address not in READABLE or FIELDS[address] != words:
            raise Refusal(BAD_ADDRESS, "not a readable field, or not all of it")
        device, journal = self.controller, self.controller.journal
        if address == ACK:
            return struct.pack(">III", journal.epoch, journal.confirmed, journal.confirmed_check)
        if address == CLOCK:
            return struct.pack(">I", device.clock.value)
        if address == MASK:
            return struct.pack(">H", device.enabled)
        return struct.pack(">HH", device.commands.token, device.commands.command)

    def _write(self, request: Request) -> None:
        field = field_of(request.address)
        if field is None:
            raise Refusal(BAD_ADDRESS, "a write to no field")
        if field != STAGING:
            exact = request.address == field and request.words == FIELDS[field]
            if not exact or (request.words > 1 and request.function != WRITE_MANY):
                raise Refusal(BAD_VALUE, "not exactly the field")
        elif request.function != WRITE_MANY:
            raise Refusal(BAD_VALUE, "not whole entries")
        if self.controller.rng.random() < self.busy:
            raise Refusal(BUSY)
        code = self._execute(field, request)
        if code:
            raise Refusal(code)

    def _execute(self, field: int, request: Request) -> int:
        """Do what a write asks for; return 0 or the exception's code."""
        device, data = self.controller, request.data
        if field == ACK:
            return self._acknowledge(*struct.unpack(">III", data))
        if field == CLOCK:
            return 0 if device.set_clock(int.from_bytes(data, "big")) else REFUSED
        if field == MASK:
            device.enabled = int.from_bytes(data, "big")
            return 0
        if field == COMMAND:
            return device.commands.give(*struct.unpack(">HH", data))
        if field == BEGIN:
            return device.access.begin(*struct.unpack(">IHI", data))
        if field == COMMIT:
            return device.access.commit(int.from_bytes(data, "big"))
        return device.access.stage(request.address - STAGING, data)

    def _acknowledge(self, epoch: int, seq: int, check: int) -> int:
        journal = self.controller.journal
        if epoch != journal.epoch or seq > journal.newest:
            return BAD_VALUE
        if seq <= journal.confirmed:
            return 0
        if check != journal.check_as_read(seq):
            return BAD_VALUE
        self.controller.confirm(seq)
        return 0


def whole_slots(request: Request) -> range:
    """Return the places in the ring that a read covers wholly."""
    first = request.address - RING
    return range(-(-first // RECORD_WORDS), (first + request.words) // RECORD_WORDS)


def field_of(address: int) -> int | None:
    """Return the first address of the field that an address lies in."""
    if STAGING <= address < STAGING + STAGING_WORDS:
        return STAGING
    for first, words in FIELDS.items():
        if first <= address < first + words:
            return first
    return None
