"""A small estate for the tests of pours: one lock's records in a real ledger, and a snapshot of who held what.

estate = PourEstate(directory, url)          WE1/T1, WE2/T2, WE3/owner; chambers 1 (5 l) and 2 (20 l), residual
estate.pour("2025-03-01 12:00", uid=1)       adds a record to the lock's journal
estate.commit()                              seals what was added into a page and takes it into the ledger
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from billing_aggregator.ledger_door import LedgerDoor
from billing_aggregator.masterdata import facts
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.model import DayRange, Decision, PropertyUsage
from billing_aggregator.pours.usage import read_daily_usage, read_usage
from cloud_sink.following import catch_up
from cloud_sink.projections.usage_store import default_url
from cloud_sink.projector import Projector
from cloud_sink.pseudonyms import Pseudonyms
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import PSEUDONYM_KEY, Ledger
from wastelock.page import PageRecord
from wastelock.record import Kind, Record

BERLIN = ZoneInfo("Europe/Berlin")
YEAR = DayRange(date(2025, 1, 1), date(2026, 1, 1))
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SERVICE_UID = 99


def local(text: str) -> datetime:
    """`2025-03-01 12:00`, in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def days(first: str, end: str | None = None) -> DayRange:
    return DayRange(date.fromisoformat(first), None if end is None else date.fromisoformat(end))


def pseudonym(uid: int) -> str:
    """Return a transponder's pseudonym under the tests' key."""
    return (Pseudonyms(PSEUDONYM_KEY).of(uid) or b"").hex()


def occupancy(dwelling: str, party: str, when: DayRange) -> facts.Occupancy:
    return facts.Occupancy("P1", f"{dwelling}-{party}", dwelling, party, when)


def credential(
    uid: int, holder: str | None, begins_at: datetime = LONG_AGO, ends_at: datetime | None = None
) -> facts.Credential:
    """`holder`: an occupancy's id, None for the service credential."""
    return facts.Credential("P1", pseudonym(uid), holder, holder is None, begins_at, ends_at)


def chamber(
    lock: str,
    number: int,
    volume_ml: int,
    fraction: str = "residual",
    begins_at: datetime = LONG_AGO,
    ends_at: datetime | None = None,
) -> facts.Chamber:
    return facts.Chamber("P1", lock, number, volume_ml, fraction, begins_at, ends_at)


@dataclass
class PourEstate:
    """One lock, one gateway, one ledger. `snapshot` may be replaced at will."""

    directory: Path
    url: str
    lock: FakeLock = field(default_factory=lambda: FakeLock(0x1F00A1, epoch=1))
    gateway: FakeGateway = field(default_factory=FakeGateway)
    registers: dict[int, int] = field(default_factory=dict)
    pending: list[PageRecord] = field(default_factory=list)
    late: list[PageRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.url, self.directory, [self.gateway])
        self.snapshot = self.usual_snapshot()
        self._door: LedgerDoor | None = None

    def usual_snapshot(self) -> Snapshot:
        occupancies = (
            occupancy("WE1", "T1", days("2020-01-01")),
            occupancy("WE2", "T2", days("2020-01-01")),
            occupancy("WE3", "owner", days("2020-01-01")),
        )
        return make_snapshot(
            occupancies=occupancies,
            credentials=(
                credential(1, "WE1-T1"),
                credential(2, "WE2-T2"),
                credential(SERVICE_UID, None),
            ),
            chambers=(chamber(self.lock.name, 1, 5000), chamber(self.lock.name, 2, 20_000)),
            lock_access=tuple(
                facts.LockAccess("P1", self.lock.name, dwelling, days("2020-01-01"))
                for dwelling in ("WE1", "WE2", "WE3")
            ),
        )

    def change(self, **parts: Any) -> None:
        """Replace parts of the snapshot."""
        self.snapshot = replace(self.snapshot, **parts)

    def pour(self, at: str | datetime, uid: int = 1, chamber: int = 1, **values: Any) -> Record:
        """Add a complete pour, unless `values` say otherwise."""
        when = local(at) if isinstance(at, str) else at
        fields: dict[str, Any] = {
            "began_clock_s": int(when.timestamp()), "uid": uid, "chamber": chamber,
            "volume_ml": 5000 if chamber == 1 else 20_000, **values,
        }  # fmt: skip
        read_at = fields.pop("read_at", when + timedelta(seconds=30))
        unverified, offset_s = fields.pop("unverified", False), fields.pop("offset_s", -2)
        counts = fields.get("kind", Kind.POUR) == Kind.POUR and fields.get("result", 0) == 0
        self.registers[chamber] = (self.registers.get(chamber, 0) + int(counts)) % 2**32
        fields.setdefault("register_after", self.registers[chamber])
        record = self.lock.record(**fields)
        sealed = self.lock.page_record(record, unverified=unverified, read_at=read_at)
        self.pending.append(msgspec.structs.replace(sealed, clock_offset_s=offset_s))
        return record

    def lose_last(self, count: int = 1) -> None:
        """The records added last never come: they're lost with the gateway that had read them."""
        del self.pending[-count:]

    def commit(self, records: Sequence[PageRecord] | None = None) -> None:
        """Seal and take these records, or all that were added since the last time."""
        taken = self.pending if records is None else list(records)
        for start in range(0, len(taken), 100):
            self.ledger.take(self.gateway.seal(taken[start : start + 100]))
        if records is None:
            self.pending = []

    def door(self) -> LedgerDoor:
        """Return the door, usage per day being up to date."""
        projector = Projector(self.url, default_url(self.url), "Europe/Berlin", 1000)
        catch_up(projector, Event(), lambda position, end: None)
        projector.close()
        if self._door is None:
            self._door = LedgerDoor(self.url)
        return self._door

    def usage(self, decisions: Sequence[Decision] = (), period: DayRange = YEAR) -> PropertyUsage:
        """Return the usage read exactly, after having made sure that the quick way gives the same."""
        door = self.door()
        exact = read_usage(door, self.snapshot, period, decisions)
        daily = read_daily_usage(door, self.snapshot, period, decisions)
        assert replace(daily, entries_hash="") == replace(exact, entries_hash="")
        return exact

    def close(self) -> None:
        if self._door is not None:
            self._door.close()
        self.ledger.close()


def make_snapshot(**parts: Any) -> Snapshot:
    """Return a snapshot of the property P1, empty but for these parts."""
    property_ = facts.Property("P1", "Lindenhof", "Lindenweg 1", "12345", "Berlin", "Europe/Berlin", "owner")
    nothing = dict.fromkeys(Snapshot.__slots__, ())
    return Snapshot(**{**nothing, "property": property_, "known_at": LONG_AGO, "hash": "", **parts})


def decide(review: str, choice: str, at: datetime = LONG_AGO) -> Decision:
    return Decision(review, choice, "looked at it", "anna", at)
