"""A controller on the bench: time set by hand, a bus asked in bytes, a memory that can be copied as in a crash."""

import shutil
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from firmware_sim.access import Transponder
from firmware_sim.bus import Bus
from firmware_sim.config import LockConfig
from firmware_sim.journal import Journal, Made
from firmware_sim.lock import Controller
from firmware_sim.unit import Unit
from firmware_sim.wire import Request
from wastelock.record import Record, crc_holds, decode_record
from wastelock.registers import RING_ADDRESS, Identity, Status, decode_identity, decode_status

SERIAL = 0x1F00A1
KEY = "000102030405060708090a0b0c0d0e0f"
RESIDENT, SERVICE, BLOCKED, STRANGER = 0x04A1, 0x04B2, 0x04C3, 0x04D4
LIST = (Transponder(RESIDENT), Transponder(SERVICE, service=True), Transponder(BLOCKED, blocked=True))
NOON_S = 1_790_000_000.0


def lock_config(**fields: object) -> LockConfig:
    """Return a lock's configuration with these fields changed."""
    usual = {
        "serial": f"{SERIAL:x}",
        "bus": "yard",
        "unit": 1,
        "capacity": 64,
        "mac_key": KEY,
        "mac_key_id": 1,
    }
    return LockConfig.model_validate(usual | fields)


class Refused(Exception):
    """The unit answered with a Modbus exception."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


@dataclass
class Rig:
    """One controller and its bus. `made`: every record it durably made, as its journal told."""

    path: Path
    config: LockConfig = field(default_factory=lock_config)
    now_s: float = NOON_S
    made: list[Made] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bus = Bus("yard", answers_for_absent=True)
        self.plug_in()

    def plug_in(self) -> None:
        """Make the controller anew from what its memory holds."""
        self.journal = Journal(self.path, self.config.birth(), self.made.extend)
        self.lock = Controller(self.journal, lambda: self.now_s, self.config.access_list_max)
        self.unit = self.bus.units[1] = Unit(self.lock)

    def start(self) -> "Rig":
        """Power up for the first time, with the access list installed and the clock set."""
        self.lock.power_up()
        self.lock.access.install(LIST, version=1)
        self.lock.set_clock(int(self.now_s))
        return self

    def kill(self) -> None:
        """Kill the process: all that goes on is what the files hold at this instant."""
        dead, self.journal = self.journal, self.from_crash(self.path.with_name(f"{self.path.name}+"))
        dead.close()
        self.path = self.path.with_name(f"{self.path.name}+")
        self.lock = Controller(self.journal, lambda: self.now_s, self.config.access_list_max)
        self.unit = self.bus.units[1] = Unit(self.lock)
        self.lock.power_up()

    def from_crash(self, path: Path) -> Journal:
        """Return the journal as the next process would find it if this one died now."""
        for suffix in ("", "-wal"):
            source = self.path.with_name(self.path.name + suffix)
            if source.exists():
                shutil.copyfile(source, path.with_name(path.name + suffix))
        return Journal(path, self.config.birth(), self.made.extend)

    # --- what stands before it

    def pour(self, uid: int = RESIDENT, chamber: int = 1) -> None:
        """Make one complete pour; fails if the lock doesn't open."""
        self.open(uid, chamber)
        self.lock.pours.close_flap()
        self.lock.pours.pass_discharge_point()
        self.lock.pours.complete(82)

    def open(self, uid: int = RESIDENT, chamber: int = 1) -> None:
        """Get as far as an open flap."""
        answer = self.lock.present(uid, chamber)
        assert answer.value == "authorised", answer
        self.lock.pours.open_flap()

    def cut_power(self, off_s: float = 2.0) -> None:
        """Cut the power and let it return."""
        self.lock.cut_power(off_s)
        self.now_s += off_s
        self.lock.tick()

    # --- what is on its bus

    def ask(self, pdu: bytes, unit: int = 1) -> bytes | None:
        """Return the answer's PDU, None where nobody answers."""
        reply = self.bus.answer(Request(0, unit, pdu, len(pdu) + 3), self.now_s)
        return None if reply is None else reply.pdu

    def words(self, function: int, address: int, count: int) -> tuple[int, ...]:
        """Read registers; raise Refused where the unit answers with an exception."""
        answer = self._checked(struct.pack(">BHH", function, address, count))
        assert answer[1] == 2 * count == len(answer) - 2
        return struct.unpack(f">{count}H", answer[2:])

    def write(self, address: int, words: Sequence[int]) -> None:
        """Write registers with function 16."""
        request = struct.pack(f">BHHB{len(words)}H", 16, address, len(words), 2 * len(words), *words)
        assert self._checked(request) == request[:5]

    def write_one(self, address: int, value: int) -> None:
        """Write one register with function 6."""
        request = struct.pack(">BHH", 6, address, value)
        assert self._checked(request) == request

    def _checked(self, request: bytes) -> bytes:
        answer = self.ask(request)
        assert answer is not None
        if answer[0] & 0x80:
            assert answer[0] == request[0] | 0x80 and len(answer) == 2
            raise Refused(answer[1])
        return answer

    def status(self) -> Status:
        return decode_status(self.words(4, 0x0040, 40))

    def identity(self) -> Identity:
        return decode_identity(self.words(4, 0x0000, 32))

    def raw(self, seq: int) -> bytes:
        """Read one record's slot."""
        address = RING_ADDRESS + seq % self.journal.memory.capacity * 22
        return struct.pack(">22H", *self.words(4, address, 22))

    def record(self, seq: int) -> Record:
        """Read one record; its CRC has to hold."""
        raw = self.raw(seq)
        assert crc_holds(raw, SERIAL, self.journal.memory.epoch)
        return decode_record(raw)

    def records(self) -> list[Record]:
        """Read all that the ring holds, oldest first."""
        status = self.status()
        return [self.record(seq) for seq in range(status.oldest_seq, status.newest_seq + 1) if seq]

    def acknowledge(self, seq: int) -> None:
        """Confirm up to `seq` as a gateway does."""
        crc = self.raw(seq)[40:44]
        self.write(0x0100, struct.unpack(">6H", struct.pack(">II", self.journal.memory.epoch, seq) + crc))

    def fill(self, free: int) -> None:
        """Pour until just so many slots are free (the lock has to be in service all the time)."""
        while self.journal.memory.free > free:
            self.now_s += 60
            self.pour()


def list_crc(entries: Sequence[Transponder]) -> int:
    """Return an access list's CRC-32."""
    return crc32(b"".join(entry.pack() for entry in entries))


def u32(value: int) -> tuple[int, int]:
    """Return a 32-bit value as two words, high word first."""
    return value >> 16, value & 0xFFFF
