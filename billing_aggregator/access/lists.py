"""A lock's access list as the master data want it at an instant. Pure.

    admitted   whoever holds a transponder now and may use the lock; the service's transponders
    blocked    a transponder whose last holder lost it, or moved out, within the last year: refused as such,
               so that the lock's journal tells it from one that nobody knows
    lost       of these, those that somebody marked by hand: no import can have done it by mistake

Who may use a lock: the dwellings that the master data name for it (table lock_access); where they name none, all of its
property. A lock with chambers of several properties takes those of each of them.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
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
    """A transponder (its pseudonym) in somebody's hands; `dwelling` None: the service's.

    `lost`: its end was entered by hand, on its own, not by a file and not by a move.
    """

    credential: str
    dwelling: str | None
    span: Span
    lost: bool = False

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
        # Of what has ended only: nothing can be added to an end that stands for "never", as the year 9999.
        ended = [each.span.ends_at for each in self.holders if each.span.ends_at is not None]
        edges += [ends_at + BLOCKED_FOR for ends_at in ended if ends_at <= at]
        return min((edge for edge in edges if edge > at), default=None)

    def _spans(self) -> Iterator[Span]:
        for part in (self.holders, self.rights, self.places):
            yield from (each.span for each in part)


@dataclass(frozen=True, slots=True)
class WantedEntry:
    """One transponder, by its pseudonym. `ended_at`: since when a blocked one is nobody's."""

    credential: str
    service: bool
    ended_at: datetime | None = None

    @property
    def blocked(self) -> bool:
        """True if the lock refuses it."""
        return self.ended_at is not None


@dataclass(frozen=True, slots=True)
class WantedList:
    """`entries` by pseudonym. `left_out`: blocked ones for which there is no room; they are refused as unknown.

    `too_many`: so many more are admitted than a lock takes; then the list can't be written. `lost`: nobody's any more,
    because somebody marked them so by hand; whether there is room for them or not.
    """

    entries: tuple[WantedEntry, ...]
    left_out: int = 0
    too_many: int = 0
    lost: frozenset[str] = frozenset()

    @property
    def admitted(self) -> frozenset[str]:
        """The transponders that open the lock."""
        return frozenset(each.credential for each in self.entries if not each.blocked)

    def among(self, known: Container[str]) -> "WantedList":
        """Return what of it can be written: no lock can be told of a transponder whose number isn't known."""
        return replace(self, entries=tuple(each for each in self.entries if each.credential in known))

    def fitted(self, most: int, others: frozenset[str] = frozenset()) -> "WantedList":
        """Return it for a lock that takes so many entries: what is blocked longest gives way first.

        `others`: these will be in the lock's list, too, admitted; the list doesn't block them.
        """
        admitted = self.admitted
        left = [each for each in self.entries if each.blocked and each.credential not in others]
        left.sort(key=lambda each: (each.ended_at, each.credential), reverse=True)
        taken = len(admitted | others)
        gone = {each.credential for each in left[max(0, most - taken) :]} | (others - admitted)
        return replace(
            self,
            entries=tuple(each for each in self.entries if each.credential not in gone),
            left_out=self.left_out + max(0, len(left) - max(0, most - taken)),
            too_many=max(0, taken - most),
        )


def make_list(
    lock: str, estates: Sequence[EstateAccess], at: datetime, most: int = MOST_ENTRIES
) -> WantedList:
    """Return a lock's list at an instant, by the properties whose lock it is then."""
    admitted: dict[str, bool] = {}  # by transponder: whether it is the service's
    ended: dict[
        str, tuple[datetime, bool]
    ] = {}  # by transponder: when the last one's hold on it ended, and if lost
    held: set[str] = set()
    for estate in estates:
        named = _named(estate.rights, lock)
        for holder in estate.holders:
            ends_at = holder.span.ends_at
            if holder.span.holds_at(at):
                held.add(holder.credential)
                if _may_use(holder, named, at):
                    admitted[holder.credential] = admitted.get(holder.credential, False) or holder.service
            elif ends_at is not None and at - BLOCKED_FOR < ends_at <= at:
                last = (ends_at, holder.lost)
                ended[holder.credential] = max(ended.get(holder.credential, last), last)
    entries = [WantedEntry(each, service) for each, service in admitted.items()]
    entries += [WantedEntry(each, False, ended[each][0]) for each in ended.keys() - held]
    lost = frozenset(each for each in ended.keys() - held if ended[each][1])
    whole = WantedList(tuple(sorted(entries, key=lambda each: each.credential)), lost=lost)
    return whole.fitted(most)


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
