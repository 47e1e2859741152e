"""The memory of orders as threads see it: what waits to be carried out on which lock, and what waits to be told.

Each change is in the spool's database before the method returns; only then anything is done on a bus.
"""

import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from sqlite3 import Connection
from typing import Literal, Protocol, TypeVar

import structlog

from edge_agent.orders import memory
from edge_agent.orders.judging import Judgement, Verdict, judge
from edge_agent.orders.memory import TRANSITIONS, Order, State, Untold
from edge_agent.spool_pages import to_ms
from wastelock.messages import LockState
from wastelock.orders import CommandOutcome

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_REASON_MAX = 500
_SAID: dict[State, Literal["accepted", "done", "rejected", "expired", "failed"]] = {
    State.ACCEPTED: "accepted",
    State.DONE: "done",
    State.REJECTED: "rejected",
    State.EXPIRED: "expired",
    State.FAILED: "failed",
}
_REMEMBERED = {
    Verdict.ACCEPT: State.ACCEPTED,
    Verdict.REJECT: State.REJECTED,
    Verdict.EXPIRED: State.EXPIRED,
}


class Store(Protocol):
    """What is needed of the spool (edge_agent.spool.Spool)."""

    def transact(self, work: Callable[[Connection], T]) -> T: ...


class OrderBook:
    """Thread-safe; raises SpoolUnavailable or SpoolFull where the disk doesn't take it. `now` is UTC."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._guard = threading.Lock()
        self._waiting: dict[str, list[Order]] = {}
        self._ended = {state: 0 for state, steps in TRANSITIONS.items() if not steps}

    def load(self, locks: Collection[str]) -> None:
        """Take up what an earlier run has accepted; what was for a lock that isn't here any more ends now.

        May be repeated where it raised: the runners see an order only once all has been read and written.
        """
        found = self._store.transact(memory.unfinished)
        for order in found:
            if order.lock not in locks:
                state = State.FAILED if order.state is State.STARTED else State.REJECTED
                self._note_end(order, state, "its lock was taken out of this gateway's configuration", None)
        with self._guard:
            self._waiting = {lock: [order for order in found if order.lock == lock] for lock in locks}

    def begin(self, is_certain: bool) -> None:
        """The clock can be trusted: from now on, at the latest, commands are remembered.

        `is_certain`: a time source has the clock.
        """
        now_ms = to_ms(self._now())
        ahead_ms = self._store.transact(
            lambda connection: memory.begin_memory(connection, now_ms, is_certain)
        )
        if ahead_ms is not None:
            _log.info(
                "the memory of orders begins now that the clock is certain", was_ahead_s=ahead_ms // 1000
            )

    def take_in(self, order: Order, dup: bool, clock_is_set: bool, locks: Collection[str]) -> Judgement:
        """Judge a command, and remember it with the outcome that is told of it now."""
        now_ms = to_ms(self._now()) if clock_is_set else None

        def work(connection: Connection) -> Judgement:
            known = memory.find(connection, order.id)
            judgement = judge(order, dup, known, memory.horizon(connection), now_ms, locks)
            state = _REMEMBERED.get(judgement.verdict)
            if state is not None:
                made = replace(order, state=state)
                memory.remember(connection, made, self._outcome(made, state, judgement.why or None))
            elif known is not None and judgement.verdict is Verdict.ANSWER_AGAIN:
                memory.answer_again(connection, known, order)
            return judgement

        judgement = self._store.transact(work)
        with self._guard:
            if judgement.verdict is Verdict.ACCEPT:
                self._waiting.setdefault(order.lock, []).append(order)
            elif state := _REMEMBERED.get(judgement.verdict):
                self._ended[state] += 1
        return judgement

    def next_for(self, lock: str) -> Order | None:
        """Return the order that is this lock's turn: one after the other, so that the result of each can be read."""
        with self._guard:
            waiting = self._waiting.get(lock)
            return waiting[0] if waiting else None

    def start(self, order: Order, token: int | None = None, token_before: int | None = None) -> Order:
        """Note that from now on something may have been written to the lock; return the order as it is then."""
        self._store.transact(
            lambda connection: memory.note_started(connection, order.id, token, token_before)
        )
        started = replace(order, state=State.STARTED, token=token, token_before=token_before)
        with self._guard:
            self._waiting[order.lock][0] = started
        return started

    def finish(self, order: Order, state: State, why: str | None, lock_state: LockState | None) -> None:
        """Note what became of an order, and tell it."""
        self._note_end(order, state, why, lock_state)
        with self._guard:
            self._waiting[order.lock].pop(0)

    def waiting(self) -> int:
        """Return how many commands are accepted and haven't ended."""
        with self._guard:
            return sum(map(len, self._waiting.values()))

    def ended(self) -> dict[str, int]:
        """Return how many commands have ended since the start, by their outcome."""
        with self._guard:
            return {_SAID[state]: count for state, count in self._ended.items()}

    def untold(self, limit: int) -> list[Untold]:
        """Return outcomes that the broker hasn't taken, oldest first."""
        return self._store.transact(lambda connection: memory.untold(connection, limit))

    def note_told(self, outcomes: list[int]) -> None:
        """The broker has taken these."""
        self._store.transact(lambda connection: memory.note_told(connection, outcomes))

    def forget_old(self) -> int:
        """Forget some of what expired long ago; return how many."""
        return self._store.transact(lambda connection: memory.forget_old(connection, to_ms(self._now())))

    def _note_end(self, order: Order, state: State, why: str | None, lock_state: LockState | None) -> None:
        payload = self._outcome(order, state, why, lock_state)
        self._store.transact(lambda connection: memory.finish(connection, order.id, state, payload))
        with self._guard:
            self._ended[state] += 1

    def _outcome(self, order: Order, state: State, why: str | None, lock: LockState | None = None) -> bytes:
        outcome = CommandOutcome(
            id=order.id,
            lock=order.lock,
            outcome=_SAID[state],
            at=self._now(),
            reason=why[:_REASON_MAX] if why else None,
            state=lock,
        )
        return outcome.to_json()
