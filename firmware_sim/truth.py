"""The truth: one JSON line for each record that the controllers made, for comparing a ledger with.

The law of this file: journal first, then truth. A line that a kill -9 kept from being written is added from the ring at
the next start, and a torn last line is cut; so after a start the file holds every record.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from firmware_sim.errors import StateError
from firmware_sim.journal import Journal, Made
from wastelock.page import format_instant
from wastelock.record import decode_record
from wastelock.registers import lock_id


class TruthLine(msgspec.Struct, frozen=True):
    """One record in clear. `uid`: 16 hex digits; `made_at`: by the simulator's clock, not the controller's."""

    lock: str
    epoch: int
    seq: int
    kind: int
    result: int
    chamber: int
    flags: int
    volume_ml: int
    register_after: int
    began_clock_s: int
    clock_status: int
    uid: str | None
    boot: int
    made_at: str


class _Key(msgspec.Struct, frozen=True):
    lock: str
    epoch: int
    seq: int


def truth_line(made: Made) -> TruthLine:
    """Return what the truth says of a record."""
    record = decode_record(made.raw)
    return TruthLine(
        lock=lock_id(made.serial), epoch=made.epoch, seq=record.seq, kind=record.kind, result=record.result,
        chamber=record.chamber, flags=record.flags, volume_ml=record.volume_ml,
        register_after=record.register_after, began_clock_s=record.began_clock_s, clock_status=record.clock_status,
        uid=f"{record.uid:016x}" if record.uid else None, boot=record.boot,
        made_at=format_instant(datetime.fromtimestamp(made.made_at_s, UTC)),
    )  # fmt: skip


class Truth:
    """The file of JSON lines; appended only. Without a path it says nothing."""

    def __init__(self, path: Path | None) -> None:
        self._fd: int | None = None
        self._known: dict[tuple[str, int], int] = {}
        if path is None:
            return
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self._read_back(path)
        except (OSError, msgspec.DecodeError) as error:
            raise StateError(f"{path}: {error}; move the file away or name another with --truth") from error

    def _read_back(self, path: Path) -> None:
        """Cut a torn last line and note how far each journal is told."""
        assert self._fd is not None
        whole = 0
        decode = msgspec.json.Decoder(_Key).decode
        with path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                key = decode(line)
                whole += len(line)
                self._known[key.lock, key.epoch] = max(key.seq, self._known.get((key.lock, key.epoch), 0))
        os.ftruncate(self._fd, whole)

    def complete_from(self, journal: Journal) -> None:
        """Add the lines that are missing, from what the ring still holds."""
        key = (lock_id(journal.memory.serial), journal.memory.epoch)
        self.tell(journal.records_after(self._known.get(key, 0)))

    def tell(self, made: Sequence[Made]) -> None:
        """Write one line for each record, in one write. Raises StateError: the next start completes what is missing."""
        if self._fd is None or not made:
            return
        data = b"".join(msgspec.json.encode(truth_line(one)) + b"\n" for one in made)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise StateError(f"the truth can't be written any more: {error.strerror}; make room") from error

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
