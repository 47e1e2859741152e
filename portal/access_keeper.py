"""Keeps the locks' access lists as the master data want them: a thread that looks every few seconds.

    master data (who holds which transponder) ──▶ wanted list ──weigh──▶ sink's door ──▶ gateway ──▶ lock
    locks (reported, described)               ──▶   of a lock             set_access_list

Looking costs next to nothing while nothing has changed: the number of the newest fact tells, and the instant at which
the next change takes effect by itself. Nothing is kept here that couldn't be worked out again, but which transponders
are held back: another portal beside this one gives the same lists, and the sink takes a list that it has as no change.

Drops that may be a mistake are held back (access_weighing.py); so is the first list for a lock that has one already
which nobody gave it here. `release` lets both go, unless numbers of transponders are missing.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

import structlog

from portal.access_estates import EstateBook
from portal.access_standing import ListState, Standing
from portal.access_weighing import Weighed, lacks_numbers, weigh
from portal.accounts.holding import HeldTransponders
from portal.billing_door import MOST_ENTRIES, BillingDoor, EstateAccess, WantedList, make_list
from portal.errors import NotThere, Refused, Unavailable
from portal.metrics import Metrics
from portal.sink_door import Author, ListSeen, SinkDoor

log = structlog.get_logger(__name__)
ACTOR = "masterdata"
_AT_ONCE = (
    50  # properties that are read with one opening of billing's books; locks between two looks at who waits
)
_LOCKS_EVERY = timedelta(seconds=15)  # a lock that was reported for the first time gets its list within that
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class _View:
    """What is known of a lock's list. `wanted`: of what the master data want, what can be listed."""

    seen: ListSeen
    wanted: WantedList
    most: int
    standing: Standing

    def weigh(self, held: frozenset[str]) -> Weighed:
        return weigh(self.seen.given or (), self.wanted, held, self.seen.earlier, self.most)


class AccessKeeper:
    """`look` is called by the thread; `standing` and `release` by anybody."""

    def __init__(
        self,
        billing: BillingDoor,
        sink: SinkDoor,
        held: HeldTransponders,
        clock: Callable[[], datetime],
        interval_s: float,
        metrics: Metrics,
        on_death: Callable[[BaseException], None] = lambda _error: None,
    ) -> None:
        """`on_death`: told if the thread dies of an error that nobody expected."""
        self._billing = billing
        self._sink = sink
        self._held = held
        self._clock = clock
        self._interval_s = interval_s
        self._metrics = metrics
        self._on_death = on_death
        self._book = EstateBook()
        self._fact_no = -1
        self._locks: frozenset[str] = frozenset()
        self._locks_read_at: datetime | None = None
        self._numbers_mark = -1
        self._due: set[str] = set()
        self._standings: dict[str, Standing] = {}
        self._turn = threading.Lock()  # whoever works on lists
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._guard, name="access lists", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def hurry(self) -> None:
        """Look at once: something was changed here."""
        self._wake.set()

    def standing(self, lock: str) -> Standing | None:
        """Return what the last look found; None if the lock is no property's, or wasn't looked at yet."""
        return self._standings.get(lock)

    def waiting(self) -> list[Standing]:
        """Return the locks of which somebody has to say whether their lists are meant, in order."""
        return [each for _, each in sorted(self._standings.copy().items()) if each.waits]

    def unsettled(self) -> list[Standing]:
        """Return the locks whose lists stay as they are until somebody does something, in order."""
        return [each for _, each in sorted(self._standings.copy().items()) if each.state.needs_somebody]

    def release(self, lock: str, admitted: int, author: Author) -> Standing:
        """Give a lock the list that the master data want, whatever was held back.

        `admitted`: so many would be, as he who decides was shown; Refused if it isn't so any more, if the lock doesn't
        take so many, or if people would be locked out only because their transponders' numbers aren't known.
        """
        with self._turn:
            self._read_changes()
            estates = self._book.estates_of(lock)
            if lock not in self._locks or not estates:
                raise NotThere(f"the master data have no list for lock {lock}")
            view = self._view(lock, estates)
            if view.standing.lacks_numbers:
                raise Refused("access.lacks_numbers", count=len(view.standing.unknown))
            if (too_many := len(view.wanted.admitted) - view.most) > 0:
                raise Refused("access.too_many", count=too_many)
            if len(view.wanted.admitted) != admitted:
                raise Refused("access.moved_on", admitted=len(view.wanted.admitted))
            standing = self._give(view.standing, weigh((), view.wanted, most=view.most), author)
            self._held.replace(lock, standing.held)
            return standing

    def look(self) -> None:
        """Give each lock its list whose list may have become another one. Unavailable: a database is away."""
        with self._turn:
            self._read_changes()
        while self._due and not self._stop.is_set():
            with self._turn:
                for lock in list(islice(self._due, _AT_ONCE)):
                    self._look_at(lock)
                    self._due.discard(lock)
        self._metrics.access_waiting.set(len(self.unsettled()))

    def _read_changes(self) -> None:
        """Note what has changed since the last look: facts, days that have come, locks, transponders' numbers."""
        now = self._clock()
        newest, names = self._billing.access_changes(self._fact_no)
        waiting: Sequence[str] = names
        while waiting and not self._stop.is_set():
            some, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
            self._due |= self._book.enter(some, self._billing.read_access(some), now)
        if not waiting:
            self._fact_no = newest
        self._due |= self._book.turn(now)
        self._read_locks(now)
        with self._sink.orders() as orders:
            mark = orders.transponders_mark()
        if mark != self._numbers_mark:
            self._due |= {lock for lock, each in self._standings.items() if each.unknown}
            self._numbers_mark = mark
        self._due &= self._locks  # what no gateway has reported can't be given anything

    def _read_locks(self, now: datetime) -> None:
        if self._locks_read_at is not None and now - self._locks_read_at < _LOCKS_EVERY:
            return
        described = self._sink.property_of_locks()
        self._due |= self._book.describe({lock: name for lock, name in described.items() if name})
        self._due |= described.keys() - self._locks
        self._due |= {lock for lock, each in self._standings.items() if each.state.is_tried_again}
        self._due |= self._of_other_capacity()
        self._locks = frozenset(described)
        self._locks_read_at = now

    def _of_other_capacity(self) -> set[str]:
        """Return the locks that hadn't told yet how long a list they take, and have now."""
        untold = {lock for lock, each in self._standings.items() if each.capacity is None}
        return untold & self._sink.list_capacities().keys() if untold else set()

    def _look_at(self, lock: str) -> None:
        estates = self._book.estates_of(lock)
        if not estates:  # nobody has said whose it is: it keeps what it has
            self._standings.pop(lock, None)
            return
        view = self._view(lock, estates)
        state = _obstacle(view)
        if state is not None and view.seen.given is None:
            self._standings[lock] = replace(view.standing, state=state)
            return
        before = self._held.of(lock)
        weighed = view.weigh(before)
        if any(each.credential not in view.seen.known for each in weighed.entries or ()):
            # Their numbers were known once; without them the sink would leave them out, and so would the lock.
            state, weighed = ListState.UNNUMBERED, replace(weighed, entries=None)
        if weighed.held != before:
            self._held.replace(
                lock, weighed.held
            )  # first: who sees the new list must know what it holds back
        self._give(view.standing, weighed, Author(ACTOR, f"fact {self._fact_no}"), state)
        if weighed.held - before:
            _warn(lock, weighed)

    def _view(self, lock: str, estates: Sequence[EstateAccess]) -> _View:
        now = self._clock()
        whole = make_list(lock, estates, now)
        seen = self._sink.see_list(lock, (each.credential for each in whole.entries), ACTOR)
        wanted = whole.among(seen.known)
        unknown = tuple(sorted(whole.admitted - seen.known))
        has = None if seen.given is None else sum(not each.blocked for each in seen.given)
        before = self._standings.get(lock)
        # A gateway that was started anew doesn't know it until it has read the lock.
        capacity = before.capacity if seen.capacity is None and before is not None else seen.capacity
        standing = Standing(
            lock=lock,
            properties=tuple(each.property for each in estates),
            admitted=len(wanted.admitted),
            looked_at=now,
            unknown=unknown,
            lacks_numbers=lacks_numbers(len(wanted.admitted), len(unknown), has),
            capacity=capacity,
        )
        return _View(
            seen, wanted, min(MOST_ENTRIES, MOST_ENTRIES if capacity is None else capacity), standing
        )

    def _give(
        self, standing: Standing, weighed: Weighed, author: Author, state: ListState | None = None
    ) -> Standing:
        """`state`: what keeps the wanted list from being given; then it is another one that is."""
        lock, otherwise = standing.lock, ListState.HELD if weighed.held else ListState.GIVEN
        standing = replace(standing, held=weighed.held, left_out=weighed.left_out, state=state or otherwise)
        if weighed.entries is not None:
            try:
                with self._sink.orders() as orders:
                    effect = orders.set_access_list(lock, weighed.entries, author)
            except Refused as error:
                said = str(error.values.get("why", error))
                standing = replace(standing, state=ListState.REFUSED, said=said)
            else:
                if effect.changed:
                    log.info("access list given", lock=lock, version=effect.version, held=len(weighed.held))
        self._standings[lock] = standing
        return standing

    def _guard(self) -> None:
        try:
            self._run()
        except Exception as error:
            log.exception("the access lists' thread died", action="the portal ends, to be started anew")
            self._on_death(error)

    def _run(self) -> None:
        failing = False
        while not self._stop.is_set():
            try:
                self.look()
            except Unavailable as error:
                self._metrics.access_failures.inc()
                if not failing:
                    log.warning(
                        "access lists stay as they are for now", error=str(error), retry_s=_PATIENCE_S
                    )
                failing = True
                self._wake.wait(_PATIENCE_S)
            else:
                failing = False
                self._wake.wait(self._interval_s)
            self._wake.clear()


def _obstacle(view: _View) -> ListState | None:
    """Return why a lock can't have the list that the master data want, None if it can."""
    seen, wanted = view.seen, view.wanted
    if seen.given is None and seen.reported_version is None:
        return ListState.UNREAD
    if len(wanted.admitted) > view.most:
        return ListState.TOO_MANY
    if seen.given is None and seen.reported_version:
        return ListState.TAKEOVER
    if seen.given is None and not wanted.admitted and view.standing.unknown:
        return ListState.UNNUMBERED
    return None


def _warn(lock: str, weighed: Weighed) -> None:
    log.warning(
        "many transponders would be dropped at once",
        lock=lock,
        transponders=len(weighed.held),
        action="they are admitted until somebody lets them go: on the lock's page, or by portal access release",
    )
