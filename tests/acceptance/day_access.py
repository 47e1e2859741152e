"""The access lists of a day: transponders are lost and replaced, and each time somebody stands at the lock and tries.

    lost, replaced ──▶ a new list is wanted ──▶ it is in force ──▶ the lost one is blocked, the new one authorised

All others pour on meanwhile. What counts is what the controllers themselves say and hold in memory.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from random import Random
from typing import Any

from cloud_sink.errors import NotPossible
from cloud_sink.operating import Author
from cloud_sink.orders.model import ListedTransponder
from cloud_sink.orders.ordering import Ordering
from cloud_sink.pseudonyms import Pseudonyms
from demo.chain import Chain
from demo.control import ControlRefused, SimulatorGone
from demo.estate import Lock
from firmware_sim.access import ENTRY, Transponder
from firmware_sim.residents import Neighbourhood

_AUTHOR = Author("caretaker", "lost and replaced")
_NOBODY_COULD_TRY = ("busy", "out_of_service")
_TRY_AGAIN_S = 0.5


@dataclass(slots=True)
class Change:
    """One new list: who was `lost`, who came `fresh` in its place, what the lock told them; None: not yet.

    `took_s`: from being wanted to being in force.
    """

    lock: str
    version: int
    lost: int
    fresh: int
    set_at_s: float
    took_s: float | None = None
    lost_was: str | None = None
    fresh_was: str | None = None

    @property
    def is_done(self) -> bool:
        return self.lost_was is not None and self.fresh_was is not None


class DayAccess:
    """`begin` once the gateway has reported its locks; then `change` now and then, and `tick` often."""

    def __init__(
        self,
        chain: Chain,
        seed: int,
        ordering: Ordering,
        pseudonyms: Pseudonyms,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.changes: list[Change] = []
        self._chain = chain
        self._ordering = ordering
        self._pseudonyms = pseudonyms
        self._now_s = now_s
        self._rng = Random(f"day/{seed}/access")
        self._lists = {lock.name: _first_list(seed, lock) for lock in chain.layout.estate.locks}
        self._wanted: dict[str, int] = {}
        self._try_at_s = 0.0

    def begin(self) -> bool:
        """Want of each lock what the technician put there at commissioning; False while a lock wasn't heard of."""
        self._add([one.uid for listed in self._lists.values() for one in listed])
        try:
            for lock in self._lists:
                self._set(lock)
        except NotPossible:
            return False
        return True

    def change(self) -> str:
        """A resident of some lock has lost a transponder and gets another one; return what is to be said of it."""
        lock = self._rng.choice(sorted(self._lists))
        listed = self._lists[lock]
        lost = self._rng.choice([one for one in listed if not one.service and not one.blocked])
        fresh = Transponder(0x04 << 48 | self._rng.getrandbits(48))
        kept = tuple(one for one in listed if one is not lost)
        self._lists[lock] = (*kept, Transponder(lost.uid, blocked=True), fresh)
        self._add([fresh.uid])
        version = self._set(lock)
        self.changes.append(Change(lock, version, lost.uid, fresh.uid, self._now_s()))
        return f"lock {lock}: a transponder is lost and replaced: access list {version}"

    def tick(self) -> None:
        """See which lists have come into force; let somebody try at the lock."""
        under_way = [change for change in self.changes if not change.is_done]
        if not under_way or self._now_s() < self._try_at_s:
            return
        self._try_at_s = self._now_s() + _TRY_AGAIN_S
        try:
            rings = self._chain.rings()
            for change in under_way:
                self._follow(change, rings[change.lock])
        except (SimulatorGone, ControlRefused):
            return  # without power or restarting: nobody can try

    def is_done(self) -> bool:
        """True if each list has come into force and somebody has tried."""
        return all(change.is_done for change in self.changes)

    def times_s(self) -> list[float]:
        """Return how long each list took from being wanted to being in force."""
        return [change.took_s for change in self.changes if change.took_s is not None]

    def shortcomings(self) -> list[str]:
        """Return what isn't as wanted: versions and entries in force, and what those heard who tried."""
        found = []
        rings = self._chain.rings()
        for lock, version in self._wanted.items():
            there = rings[lock]["access_list_version"]
            if there != version:
                found.append(f"lock {lock}: access list {there} is in force, {version} is wanted")
            elif self._in_force(lock) != set(self._lists[lock]):
                found.append(f"lock {lock}: access list {version} has other entries than wanted")
        for change in self.changes:
            if (change.lost_was, change.fresh_was) != ("blocked", "authorised"):
                found.append(
                    f"lock {change.lock}, list {change.version}: the lost transponder was {change.lost_was}, "
                    f"its successor {change.fresh_was}"
                )
        return found

    def versions(self) -> dict[str, int]:
        """Return which version is wanted of each lock."""
        return dict(self._wanted)

    def _follow(self, change: Change, ring: dict[str, Any]) -> None:
        if ring["access_list_version"] < change.version:
            return
        if change.took_s is None:
            change.took_s = self._now_s() - change.set_at_s
        change.lost_was = change.lost_was or self._present(change.lock, change.lost)
        change.fresh_was = change.fresh_was or self._present(change.lock, change.fresh)

    def _present(self, lock: str, uid: int) -> str | None:
        """Hold a transponder to the reader; None if the lock was in no state to answer."""
        answer = self._chain.control.do("pour", lock=lock, chamber=1, uid=f"{uid:x}", instant=True)["answer"]
        return None if answer in _NOBODY_COULD_TRY else str(answer)

    def _set(self, lock: str) -> int:
        entries = [
            ListedTransponder(self._name(one.uid), one.service, one.blocked) for one in self._lists[lock]
        ]
        effect = self._ordering.set_access_list(lock, entries, _AUTHOR)
        assert effect.unknown == ()
        self._wanted[lock] = effect.version
        return effect.version

    def _add(self, uids: list[int]) -> None:
        self._ordering.add_transponders(uids, self._pseudonyms)

    def _name(self, uid: int) -> str:
        credential = self._pseudonyms.of(uid)
        assert credential is not None
        return credential.hex()

    def _in_force(self, lock: str) -> set[Transponder]:
        """Return what the controller's own memory holds."""
        path = self._chain.layout.controllers / f"lock-{lock}.sqlite"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as memory:
            (entries,) = memory.execute("SELECT entries FROM access").fetchone()
        return {
            Transponder(uid, service=bool(flags & 1), blocked=bool(flags & 2))
            for flags, uid in ENTRY.iter_unpack(entries)
        }


def _first_list(seed: int, lock: Lock) -> tuple[Transponder, ...]:
    people = Neighbourhood(seed, lock.serial, lock.chambers_ml, lock.dwellings, lock.pours_per_day, None)
    return people.transponders
