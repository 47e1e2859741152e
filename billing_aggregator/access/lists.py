"""A lock's access list as the master data want it at an instant. Pure.

    admitted   whoever holds a transponder now and may use the lock; the service's transponders
    blocked    a transponder whose last holder lost it, or moved out, within the last year: refused as such,
               so that the lock's journal tells it from one that nobody knows

Who may use a lock: the dwellings that the master data name for it (table lock_access); where they name none, all of its
property. A lock with chambers of several properties takes those of each of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

MOST_ENTRIES = 2048  # no controller takes more; what is blocked longest is left out first
BLOCKED_FOR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when something holds; `ends_at` None: it goes on."""

    begins_at: datetime
    ends_at: datetime | None

    def holds_at(self, at: datetime) -> bool:
        """True if it holds at an instant."""
        return self.begins_at <= at and (self.ends_at is None or at < self.ends_at)

    def cut(self, other: "Span") -> "Span | None":
        """Return what is in both, None if there is nothing."""
        begins_at = max(self.begins_at, other.begins_at)
        ends = [each.ends_at for each in (self, other) if each.ends_at is not None]
        ends_at = min(ends, default=None)
        return Span(begins_at, ends_at) if ends_at is None or begins_at < ends_at else None


@dataclass(frozen=True, slots=True)
class Holder:
    """A transponder (its pseudonym) in somebody's hands; `dwelling` None: the service's."""

    credential: str
    dwelling: str | None
    span: Span

    @property
    def service(self) -> bool:
        """True if it is the service's: its pours are never billed."""
        return self.dwelling is None


@dataclass(frozen=True, slots=True)
class Right:
    """A dwelling may use a lock."""

    lock: str
    dwelling: str
    span: Span


@dataclass(frozen=True, slots=True)
class Place:
    """A lock has chambers that are billed with this property."""

    lock: str
    span: Span


@dataclass(frozen=True, slots=True)
class EstateAccess:
    """All that the master data say of one property's transponders and locks, past and future included."""

    property: str
    holders: tuple[Holder, ...]
    rights: tuple[Right, ...]
    places: tuple[Place, ...]

    def locks_at(self, at: datetime) -> frozenset[str]:
        """Return the locks that are billed with this property at an instant."""
        return frozenset(place.lock for place in self.places if place.span.holds_at(at))

    def changes_after(self, at: datetime) -> datetime | None:
        """Return the next instant at which a list of this property may become another, None if there is none."""
        edges = [edge for span in self._spans() for edge in (span.begins_at, span.ends_at) if edge]
        edges += [each.span.ends_at + BLOCKED_FOR for each in self.holders if each.span.ends_at is not None]
        return min((edge for edge in edges if edge > at), default=None)

    def _spans(self) -> Iterator[Span]:
        for part in (self.holders, self.rights, self.places):
            yield from (each.span for each in part)


@dataclass(frozen=True, slots=True)
class WantedEntry:
    """One transponder, by its pseudonym."""

    credential: str
    service: bool
    blocked: bool


@dataclass(frozen=True, slots=True)
class WantedList:
    """`entries` by pseudonym. `left_out`: blocked ones for which there is no room; they are refused as unknown.

    `too_many`: so many more are admitted than a lock takes; then the list can't be written.
    """

    entries: tuple[WantedEntry, ...]
    left_out: int = 0
    too_many: int = 0

    @property
    def admitted(self) -> frozenset[str]:
        """The transponders that open the lock."""
        return frozenset(each.credential for each in self.entries if not each.blocked)


def make_list(
    lock: str, estates: Sequence[EstateAccess], at: datetime, most: int = MOST_ENTRIES
) -> WantedList:
    """Return a lock's list at an instant, by the properties whose lock it is then."""
    admitted: dict[str, bool] = {}  # by transponder: whether it is the service's
    ended: dict[str, datetime] = {}
    held: set[str] = set()
    for estate in estates:
        named = _named(estate.rights, lock)
        for holder in estate.holders:
            if holder.span.holds_at(at):
                held.add(holder.credential)
                if _may_use(holder, named, at):
                    admitted[holder.credential] = admitted.get(holder.credential, False) or holder.service
            elif holder.span.ends_at is not None and at - BLOCKED_FOR < holder.span.ends_at <= at:
                last = ended.get(holder.credential)
                ended[holder.credential] = max(filter(None, (last, holder.span.ends_at)))
    blocked = sorted(ended.keys() - held, key=lambda each: (-ended[each].timestamp(), each))
    room = max(0, most - len(admitted))
    entries = [WantedEntry(each, service, False) for each, service in admitted.items()]
    entries += [WantedEntry(each, False, True) for each in blocked[:room]]
    return WantedList(
        tuple(sorted(entries, key=lambda each: each.credential)),
        max(0, len(blocked) - room),
        max(0, len(admitted) - most),
    )


def _named(rights: Iterable[Right], lock: str) -> dict[str, list[Span]] | None:
    """Return when which dwelling may use a lock; None where the master data name none: then all may."""
    named: dict[str, list[Span]] = {}
    for right in rights:
        if right.lock == lock:
            named.setdefault(right.dwelling, []).append(right.span)
    return named or None


def _may_use(holder: Holder, named: dict[str, list[Span]] | None, at: datetime) -> bool:
    if named is None or holder.dwelling is None:
        return True
    return any(span.holds_at(at) for span in named.get(holder.dwelling, ()))
