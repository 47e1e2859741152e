"""The memory of orders as threads see it: what waits to be carried out on which lock, and what waits to be told.

Each change is in the spool's database before the method returns; only then anything is done on a bus.
"""

import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from sqlite3 import Connection
from typing import Literal, Protocol, TypeVar

from edge_agent.orders import memory
from edge_agent.orders.judging import Judgement, Verdict, judge
from edge_agent.orders.memory import Order, State, Untold
from edge_agent.spool_pages import to_ms
from wastelock.messages import LockState
from wastelock.orders import CommandOutcome

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

    def load(self, locks: Collection[str]) -> None:
        """Take up what an earlier run has accepted; what was for a lock that isn't here any more ends now."""
        found = self._store.transact(memory.unfinished)
        with self._guard:
            self._waiting.clear()
            for order in found:
                self._waiting.setdefault(order.lock, []).append(order)
        for order in found:
            if order.lock not in locks:
                state = State.FAILED if order.state is State.STARTED else State.REJECTED
                self.finish(order, state, "its lock was taken out of this gateway's configuration", None)

    def begin(self) -> None:
        """The clock can be trusted: from now on, at the latest, commands are remembered."""
        self._store.transact(lambda connection: memory.begin_memory(connection, to_ms(self._now())))

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
        if judgement.verdict is Verdict.ACCEPT:
            with self._guard:
                self._waiting.setdefault(order.lock, []).append(order)
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
        payload = self._outcome(order, state, why, lock_state)
        self._store.transact(lambda connection: memory.finish(connection, order.id, state, payload))
        with self._guard:
            self._waiting[order.lock].pop(0)

    def untold(self, limit: int) -> list[Untold]:
        """Return outcomes that the broker hasn't taken, oldest first."""
        return self._store.transact(lambda connection: memory.untold(connection, limit))

    def note_told(self, outcomes: list[int]) -> None:
        """The broker has taken these."""
        self._store.transact(lambda connection: memory.note_told(connection, outcomes))

    def forget_old(self) -> int:
        """Forget some of what expired long ago; return how many."""
        return self._store.transact(lambda connection: memory.forget_old(connection, to_ms(self._now())))

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
