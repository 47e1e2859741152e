"""What the master data say of transponders and locks, property by property; which locks' lists are to be looked at.

Whose a lock is: the property that its chambers are billed with. Where the master data say nothing of a lock, it is the
one that its description names.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from portal.billing_door import EstateAccess

Names = frozenset[str]
_NONE: Names = frozenset()


class EstateBook:
    """Properties as they were read last. One thread at a time."""

    def __init__(self) -> None:
        self._estates: dict[str, EstateAccess] = {}
        self._changes_at: dict[str, datetime] = {}  # by property: when its lists become others by themselves
        self._placed: dict[
            str, Names
        ] = {}  # by property: the locks that the master data gave it at the last look
        self._owners: dict[str, set[str]] = defaultdict(set)  # the same by lock
        self._described: dict[str, str] = {}  # by lock: the property that its description names
        self._describing: dict[str, set[str]] = defaultdict(set)  # the same by property

    def enter(self, names: Sequence[str], estates: Iterable[EstateAccess], at: datetime) -> Names:
        """Take these properties as they were just read (one that is missing isn't there any more).

        Return the locks whose lists may be others now.
        """
        found = {each.property: each for each in estates}
        due: set[str] = set()
        for name in names:
            due |= self._locks_of(name)
            if name in found:
                self._estates[name] = found[name]
            else:
                self._estates.pop(name, None)
            self._look_at(name, at)
            due |= self._locks_of(name)
        return frozenset(due)

    def describe(self, described: Mapping[str, str]) -> Names:
        """Take which property each lock's description names; return the locks of which that has changed."""
        before, self._described = self._described, dict(described)
        self._describing.clear()
        for lock, name in described.items():
            self._describing[name].add(lock)
        return frozenset(
            lock for lock in before.keys() | described.keys() if before.get(lock) != described.get(lock)
        )

    def turn(self, at: datetime) -> Names:
        """Return the locks whose lists became others since the last look: somebody has moved in or out."""
        due: set[str] = set()
        for name in [each for each, changes_at in self._changes_at.items() if changes_at <= at]:
            due |= self._locks_of(name)
            self._look_at(name, at)
            due |= self._locks_of(name)
        return frozenset(due)

    def estates_of(self, lock: str) -> tuple[EstateAccess, ...]:
        """Return the properties whose lock this is, in order; none: nobody's, as far as anybody has said."""
        names = sorted(self._owners.get(lock, ()))
        described = self._described.get(lock, "")
        if not names and described in self._estates:
            names = [described]
        return tuple(self._estates[name] for name in names)

    def _look_at(self, name: str, at: datetime) -> None:
        for lock in self._placed.pop(name, _NONE):
            self._owners[lock].discard(name)
        self._changes_at.pop(name, None)
        estate = self._estates.get(name)
        if estate is None:
            return
        if locks := estate.locks_at(at):
            self._placed[name] = locks
            for lock in locks:
                self._owners[lock].add(name)
        if (changes_at := estate.changes_after(at)) is not None:
            self._changes_at[name] = changes_at

    def _locks_of(self, name: str) -> Names:
        return self._placed.get(name, _NONE) | self._describing.get(name, _NONE)
