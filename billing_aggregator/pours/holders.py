"""Who held which transponder when, and which chamber had which volume: a property's master data, by unix second.

The instants at which any of it changes are known here as well: between two of them nothing of a pour's result can
change, whatever its clock says.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Generic, TypeVar

from billing_aggregator.days import begin_of_day, zone_of
from billing_aggregator.masterdata.facts import Chamber
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.model import DayRange

T = TypeVar("T")

SERVICE = "service"  # no row is called so: a row's id has a slash

_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_NEVER = 2**62
_SLOT_S = 900  # a zone's offset changes at whole quarters of an hour only


@dataclass(frozen=True, slots=True)
class Access:
    """The dwellings with access to a lock, on days on which those are the same."""

    first: date
    end: date
    dwellings: tuple[str, ...]


class _Stretches(Generic[T]):
    """What is in force from when to when: looked up by second. Stretches don't overlap."""

    def __init__(self, stretches: Iterable[tuple[int, int, T]]) -> None:
        self._stretches = sorted(stretches, key=lambda stretch: stretch[0])
        self._begins = [stretch[0] for stretch in self._stretches]

    def at(self, at_s: int) -> T | None:
        index = bisect_right(self._begins, at_s) - 1
        if index < 0 or at_s >= self._stretches[index][1]:
            return None
        return self._stretches[index][2]

    @property
    def end(self) -> int:
        """The second at which the last stretch ends."""
        return max((end for _, end, _ in self._stretches), default=_NEVER)

    @property
    def values(self) -> tuple[T, ...]:
        """All that is ever in force."""
        return tuple(value for _, _, value in self._stretches)

    @property
    def changes(self) -> set[int]:
        """The seconds at which something begins or ends."""
        return {edge for begin, end, _ in self._stretches for edge in (begin, end) if edge < _NEVER}


class Holders:
    """A property's holders and chambers for one period. Seconds are unix seconds, days local days of the property."""

    def __init__(self, snapshot: Snapshot, period: DayRange) -> None:
        """`period`: with an end."""
        if period.end is None:
            raise ValueError(f"the period from {period.first} on has no end")
        self.first, self.end = period.first, period.end
        self.zone = snapshot.property.time_zone
        self._days: dict[int, date] = {}
        self.start_s, self.end_s = self.begin_of(self.first), self.begin_of(self.end)
        self._holders = self._credentials(snapshot)
        self._chambers = _chambers(snapshot.chambers)
        self._left_at: dict[str, int] = {}
        for (lock, _), stretches in self._chambers.items():
            self._left_at[lock] = max(self._left_at.get(lock, stretches.end), stretches.end)
        self._access = _access(snapshot, period)
        self.locks = tuple(sorted({lock for lock, _ in self._chambers} | self._access.keys()))
        self.fractions = tuple(sorted({chamber.fraction for chamber in snapshot.chambers}))
        self.openings = snapshot.opening_registers
        self.known_at = snapshot.known_at
        self._changes: dict[tuple[str, bytes | None], list[int]] = {}

    def begin_of(self, day: date) -> int:
        """Return the second at which a local day begins."""
        return second_of(begin_of_day(day, self.zone))

    def day_of(self, at_s: int) -> date:
        """Return the local day of a second."""
        slot = at_s // _SLOT_S
        day = self._days.get(slot)
        if day is None:
            day = self._days[slot] = datetime.fromtimestamp(slot * _SLOT_S, zone_of(self.zone)).date()
        return day

    def chamber_at(self, lock: str, chamber: int, at_s: int) -> Chamber | None:
        stretches = self._chambers.get((lock, chamber))
        return stretches.at(at_s) if stretches is not None else None

    def has_left(self, lock: str, at_s: int) -> bool:
        """True if by then all chambers of a lock have ended: it has gone, to another property maybe."""
        return at_s >= self._left_at.get(lock, _NEVER)

    def smallest_ml(self, lock: str, fraction: str, at_s: int) -> int:
        """Return the smallest volume in force among a lock's chambers of a fraction; ValueError if there is none."""
        found = (stretches.at(at_s) for (name, _), stretches in self._chambers.items() if name == lock)
        return min(
            chamber.volume_ml for chamber in found if chamber is not None and chamber.fraction == fraction
        )

    def holder_at(self, credential: bytes | None, at_s: int) -> str | None:
        """Return the row that a credential belongs to then, or SERVICE; None where it isn't in force."""
        stretches = self._holders.get(credential) if credential is not None else None
        return stretches.at(at_s) if stretches is not None else None

    def credentials_of(self, row: str) -> tuple[bytes, ...]:
        """Return the transponders that were ever a row's."""
        return tuple(credential for credential, stretches in self._holders.items() if row in stretches.values)

    def access_on(self, lock: str, day: date) -> Access:
        """Return who has access to a lock on a day of the period."""
        return next(
            (access for access in self._access.get(lock, ()) if access.first <= day < access.end),
            Access(self.first, self.end, ()),
        )

    def access_between(self, lock: str, first: date, end: date) -> tuple[str, ...]:
        """Return the dwellings with access to a lock on any of these days."""
        stretches = (a for a in self._access.get(lock, ()) if a.first < end and first < a.end)
        return tuple(sorted({dwelling for access in stretches for dwelling in access.dwellings}))

    def changes(self, lock: str, credential: bytes | None) -> list[int]:
        """Return the seconds at which the result of this credential's pours at this lock may change, in order."""
        key = (lock, credential)
        found = self._changes.get(key)
        if found is None:
            of_lock = [s.changes for (name, _), s in self._chambers.items() if name == lock]
            holder = self._holders.get(credential) if credential is not None else None
            found = sorted(
                {self.start_s, self.end_s}.union(*of_lock, holder.changes if holder is not None else ())
            )
            self._changes[key] = found
        return found

    def all_changes(self) -> set[int]:
        """Return all seconds at which anything of the property changes."""
        days = {day for stretches in self._access.values() for a in stretches for day in (a.first, a.end)}
        chambers = (stretches.changes for stretches in self._chambers.values())
        credentials = (stretches.changes for stretches in self._holders.values())
        return {self.start_s, self.end_s, *map(self.begin_of, days)}.union(*chambers, *credentials)

    def _credentials(self, snapshot: Snapshot) -> dict[bytes, "_Stretches[str]"]:
        occupancies = {occupancy.occupancy: occupancy for occupancy in snapshot.occupancies}
        found: dict[bytes, list[tuple[int, int, str]]] = {}
        for credential in snapshot.credentials:
            begin = second_of(credential.begins_at)
            end = _NEVER if credential.ends_at is None else second_of(credential.ends_at)
            holder = SERVICE
            if not credential.service:
                occupancy = occupancies[credential.occupancy or ""]
                begin = max(begin, self.begin_of(occupancy.days.first))
                end = end if occupancy.days.end is None else min(end, self.begin_of(occupancy.days.end))
                holder = f"{occupancy.dwelling}/{occupancy.party}"
            if begin < end:
                found.setdefault(bytes.fromhex(credential.credential), []).append((begin, end, holder))
        return {credential: _Stretches(stretches) for credential, stretches in found.items()}


def second_of(at: datetime) -> int:
    """Return the first whole unix second that isn't before an instant."""
    return -((_1970 - at) // _SECOND)


def _chambers(facts: Sequence[Chamber]) -> Mapping[tuple[str, int], "_Stretches[Chamber]"]:
    found: dict[tuple[str, int], list[tuple[int, int, Chamber]]] = {}
    for chamber in facts:
        end = _NEVER if chamber.ends_at is None else second_of(chamber.ends_at)
        found.setdefault((chamber.lock, chamber.chamber), []).append(
            (second_of(chamber.begins_at), end, chamber)
        )
    return {key: _Stretches(stretches) for key, stretches in found.items()}


def _access(snapshot: Snapshot, period: DayRange) -> dict[str, list[Access]]:
    """Return, by lock, stretches of the period within which the same dwellings have access."""
    assert period.end is not None
    cuts: dict[str, list[tuple[str, DayRange]]] = {}
    for fact in snapshot.lock_access:
        within = fact.days.cut(period)
        if within is not None:
            cuts.setdefault(fact.lock, []).append((fact.dwelling, within))
    found: dict[str, list[Access]] = {}
    for lock, mine in cuts.items():
        edges = {period.first, period.end}
        for _, days in mine:
            edges |= {days.first, days.end or period.end}
        ordered = sorted(edges)
        found[lock] = [
            Access(first, end, tuple(sorted({dwelling for dwelling, days in mine if first in days})))
            for first, end in pairwise(ordered)
        ]
    return found
