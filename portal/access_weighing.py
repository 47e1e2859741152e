"""Weighs what the master data want of a lock's access list against the list that it has. Pure.

Whoever is to be admitted is admitted at once. Only taking away is weighed: one transponder at a time is what clerks do;
many at once may be a wrong import, which must not lock a whole house out. These drops are held back, transponder by
transponder, until a person says that they are meant; all other changes go on meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from portal.billing_door import WantedEntry, WantedList
from portal.sink_door import ListedTransponder

MOST_SHARE = 3  # a drop of more than one part in so many, and of more than one transponder, is asked about


@dataclass(frozen=True, slots=True)
class Weighed:
    """`entries`: the list to be given. `held`: transponders in it that the master data don't admit any more."""

    entries: tuple[ListedTransponder, ...]
    held: frozenset[str]


def weigh(
    given: Sequence[ListedTransponder], wanted: WantedList, held: frozenset[str], release: bool = False
) -> Weighed:
    """Return the list to give in place of `given`. `held`: what was held back at the last look.

    `release`: somebody has said that all of it is meant.
    """
    admitted = {each.credential: each for each in given if not each.blocked}
    dropped = admitted.keys() - wanted.admitted
    fresh = dropped - held
    if release:
        kept: frozenset[str] = frozenset()
    elif len(fresh) > 1 and len(fresh) * MOST_SHARE > len(admitted):
        kept = frozenset(dropped)
    else:
        kept = frozenset(dropped & held)
    entries = [listed(each) for each in wanted.entries if each.credential not in kept]
    entries += [admitted[each] for each in kept]
    return Weighed(tuple(sorted(entries, key=lambda each: each.credential)), kept)


def listed(entry: WantedEntry) -> ListedTransponder:
    """Return an entry as the sink takes it."""
    return ListedTransponder(entry.credential, entry.service, entry.blocked)
