"""One unit on a bus: Modbus requests in, Modbus answers out, by the map `wlc-1` (design 2). No I/O.

PDU:  [ function ][ data … ]        answer to an exception:  [ function | 0x80 ][ code ]
         1 byte
"""

import struct
from collections.abc import Callable

from firmware_sim.errors import Refusal
from firmware_sim.faults import TornSlots
from firmware_sim.lock import Controller
from firmware_sim.sensors import battery_mv, fill_permille, temperature_dc
from wastelock.record import RECORD_BYTES, RECORD_WORDS
from wastelock.registers import (
    ACK_ADDRESS,
    ACK_WORDS,
    CLOCK_ADDRESS,
    CLOCK_WORDS,
    COMMAND_ADDRESS,
    COMMAND_WORDS,
    ENABLE_MASK_ADDRESS,
    IDENTITY_ADDRESS,
    IDENTITY_WORDS,
    LIST_BEGIN_ADDRESS,
    LIST_BEGIN_WORDS,
    LIST_COMMIT_ADDRESS,
    RING_ADDRESS,
    STAGING_ADDRESS,
    STAGING_ENTRIES_PER_WRITE,
    STAGING_ENTRY_WORDS,
    STATUS_ADDRESS,
    STATUS_WORDS,
    Capability,
    ExceptionCode,
    Identity,
    Status,
    encode_identity,
    encode_status,
)  # fmt: skip

READ_HOLDING, READ_INPUT, WRITE_ONE, WRITE_MANY = 3, 4, 6, 16
MAX_READ_WORDS, MAX_WRITE_WORDS = 125, 123
MODEL_CODE, HARDWARE_REVISION, FIRMWARE_VERSION = 0x0101, 2, 1 << 16 | 4 << 8 | 0

_TWO = struct.Struct(">HH")
_BEGIN = struct.Struct(">IHI")  # version, count, CRC-32
_ACK = struct.Struct(">III")  # epoch, seq, CRC-32
_READABLE = struct.Struct(">III IHHH")  # 0x0100..0x010A: ack, clock, mask, last command
_READABLE_WORDS = ACK_WORDS + CLOCK_WORDS + 1 + COMMAND_WORDS


class Unit:
    """The Modbus face of one controller."""

    def __init__(self, controller: Controller, weighs: bool = False) -> None:
        self.controller = controller
        self._weighs = weighs
        self.torn = TornSlots()

    def answer(self, pdu: bytes) -> bytes:
        """Return the answer to a request, an exception included. Writes are durable when this returns."""
        function = pdu[0]
        try:
            if function in (READ_INPUT, READ_HOLDING):
                return self._read(function, pdu)
            if function == WRITE_ONE:
                address, value = _fixed(pdu)
                self._write(address, value.to_bytes(2, "big"), single=True)
                return pdu
            if function == WRITE_MANY:
                address, data = _many(pdu)
                self._write(address, data, single=False)
                return pdu[:5]
        except Refusal as refusal:
            return bytes((function | 0x80, refusal.code))
        return bytes(((function | 0x80) & 0xFF, ExceptionCode.ILLEGAL_FUNCTION))

    # --- reads

    def _read(self, function: int, pdu: bytes) -> bytes:
        address, count = _fixed(pdu)
        if not 1 <= count <= MAX_READ_WORDS:
            raise Refusal(ExceptionCode.ILLEGAL_VALUE)
        block = self._input(address, count) if function == READ_INPUT else self._holding(address, count)
        return bytes((function, 2 * count)) + block

    def _input(self, address: int, count: int) -> bytes:
        if address >= RING_ADDRESS:
            return self._ring(address - RING_ADDRESS, count)
        if address + count <= IDENTITY_ADDRESS + IDENTITY_WORDS:
            return _cut(encode_identity(self.identity()), address - IDENTITY_ADDRESS, count)
        if address >= STATUS_ADDRESS and address + count <= STATUS_ADDRESS + STATUS_WORDS:
            return _cut(encode_status(self.status()), address - STATUS_ADDRESS, count)
        raise Refusal(ExceptionCode.ILLEGAL_ADDRESS)

    def _ring(self, word: int, count: int) -> bytes:
        journal, memory = self.controller.journal, self.controller.memory
        start, end = 2 * word, 2 * (word + count)
        if end > len(journal.ring):
            raise Refusal(ExceptionCode.ILLEGAL_ADDRESS)
        if not self.torn.any_in(memory):
            return bytes(journal.ring[start:end])
        first, last = word // RECORD_WORDS, (word + count - 1) // RECORD_WORDS
        slots = b"".join(self._slot(slot, counts=True) for slot in range(first, last + 1))
        skipped = first * RECORD_BYTES
        return slots[start - skipped : end - skipped]

    def _slot(self, slot: int, *, counts: bool) -> bytes:
        raw = bytes(self.controller.journal.ring[slot * RECORD_BYTES : (slot + 1) * RECORD_BYTES])
        return self.torn.as_read(raw, self.controller.memory, counts=counts)

    def _crc_as_read(self, seq: int) -> int:
        raw = self._slot(seq % self.controller.memory.capacity, counts=False)
        return int.from_bytes(raw[40:44], "big")

    def _holding(self, address: int, count: int) -> bytes:
        if not (address >= ACK_ADDRESS and address + count <= ACK_ADDRESS + _READABLE_WORDS):
            raise Refusal(ExceptionCode.ILLEGAL_ADDRESS)
        memory = self.controller.memory
        block = _READABLE.pack(
            memory.epoch, memory.confirmed, memory.confirmed_crc, self.controller.recorder.clock_s(),
            memory.enable_mask, memory.command.token, memory.command.code,
        )  # fmt: skip
        start = 2 * (address - ACK_ADDRESS)
        return block[start : start + 2 * count]

    def identity(self) -> Identity:
        """Return what the identity block says."""
        memory = self.controller.memory
        capabilities = Capability.ACCESS_LIST | Capability.FILL_SENSOR | Capability.CHAMBER_ENABLE
        if memory.mac_key is not None:
            capabilities |= Capability.RECORD_MAC
        if self._weighs:
            capabilities |= Capability.WEIGHT
        return Identity(
            serial=memory.serial, model=MODEL_CODE, hardware_revision=HARDWARE_REVISION,
            firmware_version=FIRMWARE_VERSION, chambers=len(memory.volumes_ml), capabilities=capabilities,
            capacity=memory.capacity, epoch=memory.epoch, volumes_ml=memory.volumes_ml, mac_key_id=memory.mac_key_id,
            access_list_max=self.controller.access_list_max,
        )  # fmt: skip

    def status(self) -> Status:
        """Return the status block: one snapshot."""
        controller, memory = self.controller, self.controller.memory
        now_s = controller.recorder.now()
        return Status(
            state=controller.state, faults=memory.faults, clock_s=controller.recorder.clock_s(),
            clock_status=memory.clock.status, uptime_s=controller.uptime_s, boot=memory.boot,
            battery_mv=battery_mv(memory, now_s), temperature_dc=temperature_dc(now_s),
            fill_permille=fill_permille(memory), enable_mask=memory.enable_mask,
            access_list_version=memory.access.version, oldest_seq=memory.oldest, newest_seq=memory.newest,
            confirmed_seq=memory.confirmed, registers=memory.registers, command_token=memory.command.token,
            command_result=memory.command.result, access_list_entries=memory.access.count,
            access_list_crc=memory.access.crc, epoch=memory.epoch, serial=memory.serial,
        )  # fmt: skip

    # --- writes

    def _write(self, address: int, data: bytes, single: bool) -> None:
        staging_words = STAGING_ENTRY_WORDS * self.controller.access_list_max
        if 0 <= address - STAGING_ADDRESS < staging_words:
            self._stage(address - STAGING_ADDRESS, data)
            return
        for first, words, take in self._fields():
            if first <= address < first + words:
                if address != first or len(data) != 2 * words or (single and words > 1):
                    raise Refusal(ExceptionCode.ILLEGAL_VALUE)
                take(data)
                return
        raise Refusal(ExceptionCode.ILLEGAL_ADDRESS)

    def _fields(self) -> tuple[tuple[int, int, Callable[[bytes], None]], ...]:
        """Return each field that takes one write: first address, words, and what takes it."""
        controller = self.controller
        return (
            (ACK_ADDRESS, ACK_WORDS, self._acknowledge),
            (CLOCK_ADDRESS, CLOCK_WORDS, lambda data: controller.set_clock(_number(data))),
            (ENABLE_MASK_ADDRESS, 1, lambda data: controller.enable_chambers(_number(data))),
            (COMMAND_ADDRESS, COMMAND_WORDS, lambda data: controller.command(*_TWO.unpack(data))),
            (
                LIST_BEGIN_ADDRESS,
                LIST_BEGIN_WORDS,
                lambda data: controller.access.begin(*_BEGIN.unpack(data)),
            ),
            (LIST_COMMIT_ADDRESS, 1, lambda data: controller.access.commit(_number(data))),
        )

    def _acknowledge(self, data: bytes) -> None:
        epoch, seq, crc = _ACK.unpack(data)
        self.controller.acknowledge(epoch, seq, crc, self._crc_as_read)

    def _stage(self, word: int, data: bytes) -> None:
        index, offset = divmod(word, STAGING_ENTRY_WORDS)
        entries, rest = divmod(len(data), 2 * STAGING_ENTRY_WORDS)
        if offset or rest or not 1 <= entries <= STAGING_ENTRIES_PER_WRITE:
            raise Refusal(ExceptionCode.ILLEGAL_VALUE)
        self.controller.access.stage(index, data)


def _fixed(pdu: bytes) -> tuple[int, int]:
    """Return address and value (or count) of a request of five bytes."""
    if len(pdu) != 5:
        raise Refusal(ExceptionCode.ILLEGAL_VALUE)
    address, value = _TWO.unpack_from(pdu, 1)
    return address, value


def _many(pdu: bytes) -> tuple[int, bytes]:
    """Return address and data of a request of function 16; a length that contradicts itself is refused."""
    if len(pdu) < 6:
        raise Refusal(ExceptionCode.ILLEGAL_VALUE)
    address, count = _TWO.unpack_from(pdu, 1)
    if not 1 <= count <= MAX_WRITE_WORDS or pdu[5] != 2 * count or len(pdu) != 6 + 2 * count:
        raise Refusal(ExceptionCode.ILLEGAL_VALUE)
    return address, pdu[6:]


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _cut(words: tuple[int, ...], start: int, count: int) -> bytes:
    return struct.pack(f">{count}H", *words[start : start + count])
