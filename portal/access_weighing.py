"""Weighs what the master data want of a lock's access list against the list that it has. Pure.

Whoever is to be admitted is admitted at once. Only taking away is weighed: one transponder at a time is what clerks do;
many within an hour may be a wrong import, which must not lock a whole house out, and neither must the last one's
going. These drops are held back, transponder by transponder, until a person says that they are meant; all other changes
go on meanwhile. Whoever is marked lost by hand goes at once, always: that is meant.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from portal.billing_door import MOST_ENTRIES, WantedEntry, WantedList
from portal.sink_door import ListedTransponder

MOST_SHARE = 3  # a drop of more than one part in so many, and of more than one transponder, is asked about
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Weighed:
    """`entries`: the list to be given; None: none can be. `held`: transponders in it that the master data don't admit
    any more. `left_out`: blocked ones for which there is no room.
    """

    entries: tuple[ListedTransponder, ...] | None
    held: frozenset[str]
    left_out: int = 0


def weigh(
    given: Sequence[ListedTransponder],
    wanted: WantedList,
    held: frozenset[str] = _NONE,
    earlier: frozenset[str] = _NONE,
    most: int = MOST_ENTRIES,
) -> Weighed:
    """Return the list to give in place of `given`; with nothing given everything is meant.

    `held`: what is held back already; `earlier`: who was admitted an hour ago; `most`: entries that the lock takes.
    """
    admitted = {each.credential: each for each in given if not each.blocked}
    kept = _hold(frozenset(admitted), wanted, held, earlier)
    fitted = wanted.fitted(most, kept)
    if fitted.too_many:
        return Weighed(_without(given, wanted.lost, most), kept, wanted.left_out)
    entries = [*map(listed, fitted.entries), *(admitted[each] for each in kept)]
    return Weighed(_sorted(entries), kept, fitted.left_out)


def lacks_numbers(known: int, unknown: int, has: int | None) -> bool:
    """Return whether so many would be locked out only because their transponders' numbers aren't known.

    `known`, `unknown`: so many of those whom the master data admit. `has`: so many it admits now; None: nobody knows.
    """
    due = known + unknown if has is None else min(has, known + unknown)
    missing = due - known
    return unknown > 0 and (known == 0 or (missing > 1 and missing * MOST_SHARE > due))


def listed(entry: WantedEntry) -> ListedTransponder:
    """Return an entry as the sink takes it."""
    return ListedTransponder(entry.credential, entry.service, entry.blocked)


def _hold(
    admitted: frozenset[str], wanted: WantedList, held: frozenset[str], earlier: frozenset[str]
) -> frozenset[str]:
    """Return which of those who are admitted stay so though they aren't wanted any more."""
    doubtful = admitted - wanted.admitted - wanted.lost
    fresh = doubtful - held
    gone = earlier - admitted - wanted.admitted - wanted.lost
    dropped, before = len(fresh) + len(gone), max(len(admitted), len(earlier))
    many = dropped > 1 and dropped * MOST_SHARE > before
    nobody_left = not wanted.admitted and fresh == doubtful
    return doubtful if fresh and (many or nobody_left) else doubtful & held


def _without(
    given: Sequence[ListedTransponder], lost: frozenset[str], most: int
) -> tuple[ListedTransponder, ...] | None:
    """Return the list that a lock has, with those blocked who are lost; None where even that is too long."""
    admitted = [each for each in given if not each.blocked and each.credential not in lost]
    if not admitted or len(admitted) > most:
        return None
    blocked = [ListedTransponder(each.credential, blocked=True) for each in given if each.credential in lost]
    blocked += [each for each in given if each.blocked and each.credential not in lost]
    return _sorted([*admitted, *blocked[: most - len(admitted)]])


def _sorted(entries: Sequence[ListedTransponder]) -> tuple[ListedTransponder, ...]:
    return tuple(sorted(entries, key=lambda each: each.credential))
