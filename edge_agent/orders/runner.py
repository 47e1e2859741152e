"""The loop of one bus that carries out orders and brings locks to what is desired, beside the poller.

Its transactions go before the polls' next one, and hold back while a visit records what it found (arbiter.py). A lock
out of reach is tried again until the order expires; one order of a lock after the other, so each result can be read.

What is desired goes first: before each order that is served all locks are looked at, and no order is waited for while
the controller is at it. So a transponder is blocked soon, however many commands wait.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from edge_agent.errors import (
    AgainstDesired,
    BusError,
    ClockUntrusted,
    EdgeAgentError,
    NotSupported,
    Refused,
    SpoolFull,
    SpoolUnavailable,
    UnitResting,
)
from edge_agent.orders.actions import Means, Result, carry_out, is_given_up, look_for_result
from edge_agent.orders.memory import Order, State
from edge_agent.orders.mending import Mender
from edge_agent.orders.order_alarms import OrderAlarms
from edge_agent.orders.target import Progress, Target
from wastelock.registers import ExceptionCode

_log = structlog.get_logger(__name__)

TURN_S = 1.0
_AGAIN_FIRST_S, _AGAIN_MOST_S = 1.0, 10.0
_LOOK_S = 0.25  # how often an order is looked at that the controller is at
_REFUSALS_MOST = 3


@dataclass(slots=True)
class _Attempts:
    """What was tried of one order. `asked_at`: when its turn came; `is_over`: its time is known to be over."""

    order: str
    asked_at: float
    is_over: bool = False
    due_at: float = 0.0
    pause_s: float = _AGAIN_FIRST_S
    refusals: int = 0
    trouble: str = ""


class OrderRunner:
    """`run` is the thread. `wake` has it look at once; `clock_is_set` says whether an expiry can be judged."""

    def __init__(
        self,
        bus: str,
        targets: Sequence[Target],
        means: Means,
        alarms: OrderAlarms,
        clock_is_set: Callable[[], bool],
        on_outcome: Callable[[], None],
        progress: Progress,
    ) -> None:
        self.bus = bus
        self.wake = threading.Event()
        self._progress = progress
        self._targets = tuple(targets)
        self._means = means
        self._clock_is_set = clock_is_set
        self._on_outcome = on_outcome
        self._menders = {target.lock: Mender(target, alarms, means.clock) for target in targets}
        self._attempts: dict[str, _Attempts] = {}
        self._spool_fails = False

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            pause_s = self.step()
            self._progress.note()
            if pause_s > 0:
                self.wake.wait(pause_s)
                self.wake.clear()

    @property
    def progressed_at(self) -> float:
        """When the loop, or the order that it is at, last went on (monotonic s)."""
        return self._progress.at

    def step(self) -> float:
        """Serve one order of each lock, and before each bring locks to what is desired.

        Return how long nothing is due (s).
        """
        pause_s = TURN_S
        try:
            for target in self._targets:
                self._mend()
                if self._clock_is_set():
                    pause_s = min(pause_s, self._serve(target))
                self._progress.note()
        except (SpoolUnavailable, SpoolFull) as error:
            if not self._spool_fails:
                _log.warning("orders wait: the spool can't be written", why=str(error))
            self._spool_fails = True
            return TURN_S
        self._spool_fails = False
        return pause_s

    def _mend(self) -> None:
        wishes = self._means.wishes()
        for target in self._targets:
            self._menders[target.lock].follow(wishes.of(target.lock))

    def _serve(self, target: Target) -> float:
        """Try the order whose turn it is at this lock; return how long the next one may wait (s)."""
        order = self._means.book.next_for(target.lock)
        if order is None:
            return TURN_S
        attempts = self._attempts.get(target.lock)
        if attempts is None or attempts.order != order.id:
            attempts = self._attempts[target.lock] = _Attempts(order.id, self._means.clock())
        if self._is_over(order) and not attempts.is_over:
            attempts.is_over, attempts.due_at = True, 0.0
        left_s = attempts.due_at - self._means.clock()
        if left_s > 0:
            return left_s
        result = self._try(target, order, attempts)
        if result is None:
            return max(0.0, attempts.due_at - self._means.clock())
        self._finish(target, order, result)
        return 0.0

    def _try(self, target: Target, order: Order, attempts: _Attempts) -> Result | None:
        """Return what became of the order, None where it is tried again later."""
        try:
            result = (
                self._give_up(target, order, attempts)
                if attempts.is_over
                else carry_out(self._means, target, order, attempts.asked_at)
            )
            if result is None:
                attempts.due_at = self._means.clock() + _LOOK_S
            return result
        except NotSupported as error:
            return Result(State.REJECTED, str(error))
        except AgainstDesired as error:
            # The cloud may have changed both, and the order was the quicker one.
            attempts.refusals += 1
            if attempts.refusals >= _REFUSALS_MOST:
                return Result(State.REJECTED, str(error))
            self._put_off(attempts, error)
        except Refused as error:
            attempts.refusals += 1
            is_passing = error.code in (ExceptionCode.BUSY, ExceptionCode.REFUSED)
            if not is_passing or (
                error.code == ExceptionCode.REFUSED and attempts.refusals >= _REFUSALS_MOST
            ):
                return Result(State.FAILED, f"the lock refuses it: {error}")
            self._put_off(attempts, error)
        except (BusError, ClockUntrusted) as error:
            self._put_off(attempts, error)
        return None

    def _give_up(self, target: Target, order: Order, attempts: _Attempts) -> Result | None:
        """The order's time is over. None, or BusError, as long as the result of one that was begun is looked for."""
        trouble = f": {attempts.trouble}" if attempts.trouble else ""
        if order.state is not State.STARTED:
            return Result(State.EXPIRED, f"it couldn't be carried out in its time{trouble}")
        try:
            return look_for_result(self._means, target, order)
        except BusError:
            if not is_given_up(self._means, order):
                raise
            return Result(
                State.FAILED,
                f"the lock no longer answers, so whether it was carried out isn't known{trouble}",
            )

    def _put_off(self, attempts: _Attempts, error: EdgeAgentError) -> None:
        attempts.trouble = str(error)
        pause_s, attempts.pause_s = attempts.pause_s, min(attempts.pause_s * 2, _AGAIN_MOST_S)
        attempts.due_at = self._means.clock() + pause_s
        if isinstance(error, UnitResting):
            attempts.due_at = max(attempts.due_at, min(error.until, self._means.clock() + _AGAIN_MOST_S))

    def _is_over(self, order: Order) -> bool:
        return self._means.now().timestamp() * 1000 >= order.expires_at_ms

    def _finish(self, target: Target, order: Order, result: Result) -> None:
        means = self._means
        state = target.look_if_it_answers(means.now, means.clock)
        means.book.finish(order, result.state, result.why, state)
        del self._attempts[target.lock]
        ended = {"order": order.id, "lock": order.lock, "action": order.action, "outcome": result.state.value}
        _log.info("order ended", **ended, why=result.why)
        target.hasten()
        self._on_outcome()
