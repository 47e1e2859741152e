"""Driver `wlc-1`: the waste-lock controller with a journal (design 2, registers in wastelock.registers).

Whatever answers is taken for this lock only where its serial number says so, a record for whole only where its CRC-32
holds for this lock and epoch, a write for done only where a read shows it. Everything here may be repeated: a write
whose answer got lost is looked at before it is sent again.
"""

import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from edge_agent.custody import Cursor, JournalRecord
from edge_agent.drivers.base import (
    RECORDS_PER_STEP,
    Confirmation,
    JournalRead,
    ListEntry,
    ListMark,
    Registers,
    pack_list,
)
from edge_agent.errors import (
    BrokenAnswer,
    BusError,
    NoAnswer,
    NotSupported,
    Refused,
    StillRunning,
    WrongController,
)
from wastelock import registers as wlc
from wastelock.record import RECORD_BYTES, RECORD_WORDS, crc_holds
from wastelock.registers import Capability, CommandCode, CommandResult, Identity, Status, lock_id

NAME = "wlc-1"
_HOLDING, _INPUT = 3, 4
_IDENTITY = struct.Struct(f">{wlc.IDENTITY_WORDS}H")
_STATUS = struct.Struct(f">{wlc.STATUS_WORDS}H")
_ACK = struct.Struct(">III")  # epoch, confirmed, CRC-32
_WRITE_ATTEMPTS = 3
_CLOCK_SLACK_S = 10  # what setting and reading back may take together
_COMMAND_LOOK_S = 0.25  # how often a running command is looked at


class Wlc1Driver:
    """One lock's controller behind `registers`. One instance per thread; `sleep` waits between looks at a command."""

    name = NAME
    has_journal = True

    def __init__(
        self,
        registers: Registers,
        serial: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.status_at = 0.0
        self._registers = registers
        self._serial = serial
        self._clock = clock
        self._sleep = sleep
        self._identity: Identity | None = None

    @property
    def notice(self) -> str | None:
        return None

    def restore(self, cursor: Cursor | None) -> None:  # noqa: ARG002
        """Nothing to take up, the controller itself keeps its journal; who it is will be read anew."""
        self._identity = None

    def identify(self) -> Identity:
        block = self._registers.read(_INPUT, wlc.IDENTITY_ADDRESS, wlc.IDENTITY_WORDS)
        try:
            identity = wlc.decode_identity(_IDENTITY.unpack(block))
        except wlc.NotThisMap as error:
            raise WrongController(
                f"{error}: correct the lock's `driver` or `unit` in the configuration"
            ) from error
        self._check_serial(identity.serial)
        self._identity = identity
        return identity

    def read_status(self) -> Status:
        block = self._registers.read(_INPUT, wlc.STATUS_ADDRESS, wlc.STATUS_WORDS)
        self.status_at = self._registers.exchanged_at
        status = wlc.decode_status(_STATUS.unpack(block))
        self._check_serial(status.serial)
        return status

    def read_journal(self, from_seq: int, limit: int) -> JournalRead:
        identity = self._identified()
        capacity, epoch = identity.capacity, identity.epoch
        # A read must not pass the ring's end.
        count = min(limit, RECORDS_PER_STEP, capacity - from_seq % capacity)
        block = self._registers.read(_INPUT, wlc.ring_slot(from_seq, capacity), count * RECORD_WORDS)
        records: list[JournalRecord] = []
        for seq in range(from_seq, from_seq + count):
            offset = (seq - from_seq) * RECORD_BYTES
            raw = block[offset : offset + RECORD_BYTES]
            found = int.from_bytes(raw[:4], "big")
            whole = crc_holds(raw, self._serial, epoch)
            # Only a whole record that belongs into this very slot proves that ours was overwritten: all else may be
            # a bad or a late answer, and taking that for an overwritten record would skip one that is there.
            if whole and found > seq and (found - seq) % capacity == 0:
                return JournalRead(records, overwritten_by=found)
            records.append(JournalRecord(seq, raw, whole and found == seq))
        return JournalRead(records)

    def acknowledge(self, confirmation: Confirmation) -> int:
        c = confirmation
        with suppress(NoAnswer, BrokenAnswer):  # it may have arrived all the same; reading back tells
            self._registers.write(wlc.ACK_ADDRESS, (*_halves(c.epoch), *_halves(c.seq), *_halves(c.crc)))
        epoch, confirmed, _ = _ACK.unpack(self._registers.read(_HOLDING, wlc.ACK_ADDRESS, wlc.ACK_WORDS))
        if epoch != c.epoch or confirmed < c.seq:
            raise BrokenAnswer(
                f"record {c.seq} of epoch {c.epoch} confirmed, but {confirmed} of {epoch} reads back"
            )
        return int(confirmed)

    def memo(self, seq: int) -> bytes | None:  # noqa: ARG002
        """Nothing to remember: the controller itself keeps its journal."""
        return None

    def set_clock(self, unix_s: int) -> Status:
        self.read_status()  # no other controller's clock is touched
        self._registers.write(wlc.CLOCK_ADDRESS, _halves(unix_s))
        status = self.read_status()
        if status.clock_status != 1 or not -1 <= status.clock_s - unix_s <= _CLOCK_SLACK_S:
            raise BrokenAnswer(
                f"clock set to {unix_s}, but {status.clock_s} with clock status {status.clock_status} reads back"
            )
        return status

    def enable_chambers(self, mask: int) -> None:
        identity = self._require(Capability.CHAMBER_ENABLE, "enable chambers remotely")
        if not 0 <= mask < 1 << identity.chambers:
            raise NotSupported(f"chamber mask {mask:#06b}: this lock has {identity.chambers} chambers")
        self._write_again((mask,), wlc.ENABLE_MASK_ADDRESS)
        now = int.from_bytes(self._registers.read(_HOLDING, wlc.ENABLE_MASK_ADDRESS, 1), "big")
        if now != mask:
            raise BrokenAnswer(f"chamber mask {mask:#06b} written, but {now:#06b} reads back")

    def write_access_list(self, version: int, entries: Sequence[ListEntry]) -> None:
        identity = self._require(Capability.ACCESS_LIST, "keep an access list")
        if len(entries) > identity.access_list_max:
            raise NotSupported(f"{len(entries)} entries: this lock takes {identity.access_list_max}")
        if not 1 <= version < 2**32:
            raise NotSupported(f"access-list version {version}: expected 1..2^32-1")
        staged = pack_list(entries)
        wanted = ListMark.of(version, staged)
        if ListMark.in_force(self.read_status()) == wanted:
            return
        self._write_again((*_halves(version), len(entries), *_halves(wanted.crc)), wlc.LIST_BEGIN_ADDRESS)
        step = wlc.STAGING_ENTRIES_PER_WRITE * wlc.STAGING_ENTRY_WORDS * 2
        for offset in range(0, len(staged), step):
            self._write_again(_words(staged[offset : offset + step]), wlc.STAGING_ADDRESS + offset // 2)
        # Committing twice is harmless: the second finds its list in force already.
        self._write_again((wlc.LIST_COMMIT if entries else wlc.LIST_COMMIT_EMPTY,), wlc.LIST_COMMIT_ADDRESS)
        in_force = ListMark.in_force(self.read_status())
        if in_force != wanted:
            raise BrokenAnswer(f"access list committed: {wanted}, but {in_force} reads back")

    def run_command(self, token: int, command: CommandCode, timeout_s: float) -> int:
        if not 1 <= token <= 0xFFFF:
            raise ValueError(f"a command's token is 1..65535, got {token}")
        deadline = self._clock() + timeout_s
        before = self.read_status().command_token
        arrived = before == token
        while True:
            if not arrived:
                self._send_command(token, command)
            status = self._status_or_none()
            if status is not None and status.command_token == token:
                arrived = True
                if status.command_result != CommandResult.RUNNING:
                    return status.command_result
            elif status is not None and (arrived or status.command_token != before):
                raise BrokenAnswer(
                    f"command {token} was followed by {status.command_token}, its result is lost"
                )
            if self._clock() + _COMMAND_LOOK_S > deadline:
                raise StillRunning(f"command {token} brought no result within {timeout_s:g} s")
            self._sleep(_COMMAND_LOOK_S)

    def _send_command(self, token: int, command: CommandCode) -> None:
        """Send a command; a lost answer, or another command that still runs, is settled by the next look."""
        try:
            self._registers.write(wlc.COMMAND_ADDRESS, (token, command))
        except Refused as error:
            if error.code != wlc.ExceptionCode.BUSY:
                raise
        except BusError:
            pass

    def _status_or_none(self) -> Status | None:
        """Return the status, None where there is none now: a controller that reboots is silent for a while."""
        try:
            return self.read_status()
        except WrongController:
            raise
        except BusError:
            return None

    def _write_again(self, words: Sequence[int], address: int) -> None:
        """Write what may be written twice, up to _WRITE_ATTEMPTS times."""
        for attempt in range(_WRITE_ATTEMPTS):
            try:
                return self._registers.write(address, words)
            except (NoAnswer, BrokenAnswer):
                if attempt == _WRITE_ATTEMPTS - 1:
                    raise

    def _identified(self) -> Identity:
        return self._identity or self.identify()

    def _require(self, capability: Capability, to_do: str) -> Identity:
        """Return who answers now (no order may reach another controller), or raise NotSupported."""
        identity = self.identify()
        if not identity.capabilities & capability:
            raise NotSupported(
                f"this controller can't {to_do} (capability bit {capability.bit_length() - 1} is 0)"
            )
        return identity

    def _check_serial(self, serial: int) -> None:
        if serial != self._serial:
            raise WrongController(
                f"lock {lock_id(serial)} answers where {lock_id(self._serial)} is configured: "
                "correct `serial` or `unit` in the configuration, or the address at the controller"
            )


def _halves(value: int) -> tuple[int, int]:
    """Return a 32-bit value as two words, high word first."""
    return value >> 16, value & 0xFFFF


def _words(block: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(block) // 2}H", block)
