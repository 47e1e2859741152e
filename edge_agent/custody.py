"""What poller and spool say to each other: the records of one visit, and how far a lock's journal is on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One record of a controller's journal as a driver read it: `raw` is 44 bytes; unverified: its CRC never held."""

    seq: int
    raw: bytes
    verified: bool = True


@dataclass(frozen=True, slots=True)
class Visit:
    """What one visit of a lock brought, to be sealed in one transaction.

    `records`: at most 500, ascending in seq, all of `epoch`. `read_at`: UTC, by the gateway's clock.
    `clock_offset_s`: controller minus gateway, None where the controller's clock isn't set.
    `memo`: what the driver must find again after a restart, stored in the same transaction (None: leave as it is).
    """

    lock: str
    driver: str
    epoch: int
    records: Sequence[JournalRecord]
    read_at: datetime
    clock_offset_s: int | None
    memo: bytes | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a lock's journal is on disk: the last sealed record of the newest epoch, with its CRC words as read."""

    epoch: int
    seq: int
    crc: int
    verified: bool
    memo: bytes | None = None
