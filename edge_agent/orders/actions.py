"""How each command is carried out on a lock, so that a power cut at any instant leads to one execution, not to two.

None of it waits for a controller that is at it: it is looked at once, and again at a later turn.

Before the first write the book notes `started`, with the token by which the controller knows the command: it doesn't
execute a token twice. After a restart a started command is looked for at the controller before anything is written.

    token there: its result counts        token before it there: it never arrived        another: its result is lost
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from edge_agent.drivers.base import unpack_list
from edge_agent.errors import AgainstDesired, BrokenAnswer, NoAnswer, StillRunning
from edge_agent.orders.book import OrderBook
from edge_agent.orders.memory import Order, State
from edge_agent.orders.target import Target
from edge_agent.orders.wishes import Wishes
from wastelock.record import ClockStatus
from wastelock.registers import CommandCode, CommandResult

_CLOCK_RIGHT_S = 1
_LOOKED_FOR_S = 60.0  # after its expiry, for the result of a command that was begun


@dataclass(frozen=True, slots=True)
class Result:
    """A final state of an order, and why it is that one."""

    state: State
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Means:
    """What carrying out needs. `clock` is monotonic s, `now` UTC."""

    book: OrderBook
    wishes: Callable[[], Wishes]
    now: Callable[[], datetime]
    clock: Callable[[], float]


def carry_out(means: Means, target: Target, order: Order, asked_at: float) -> Result | None:
    """Carry an order out; return what became of it, None while it is under way: call it again soon.

    `asked_at`: when its turn came (monotonic s). Raises BusError or SpoolUnavailable where it may be tried again,
    Refused and NotSupported where the lock said no, AgainstDesired.
    """
    action = _ACTIONS.get(order.action)
    if action is None:  # taken in by a newer release, before somebody went back to this one
        return Result(State.REJECTED, f"this release of the agent doesn't know {order.action}")
    if not target.driver.has_journal and action is not _read_now:
        return _cannot(order)
    return action(means, target, order, asked_at)


def look_for_result(means: Means, target: Target, order: Order) -> Result | None:
    """Find out what became of a started command whose time is over: nothing is sent any more. Raises BusError.

    None while the controller is still at it and it may yet end.
    """
    if not target.driver.has_journal:
        return _cannot(order)
    if order.token is None:
        return Result(State.FAILED, "it was begun, but didn't end in its time")
    status = target.driver.read_status()
    if status.command_token == order.token_before:
        return Result(State.EXPIRED, "it didn't reach the lock in its time")
    if status.command_token != order.token:
        return _lost()
    if status.command_result != CommandResult.RUNNING:
        return _judged(status.command_result)
    if is_given_up(means, order):
        return Result(State.FAILED, "it was begun in time, but hasn't ended since")
    return None


def is_given_up(means: Means, order: Order) -> bool:
    """True if a command expired so long ago that its result isn't looked for any more."""
    return means.now().timestamp() - order.expires_at_ms / 1000 >= _LOOKED_FOR_S


def _sync_clock(means: Means, target: Target, order: Order, _asked_at: float) -> Result:
    if order.state is State.STARTED:
        status = target.driver.read_status()
        off_s = status.clock_s - means.now().timestamp()
        if status.clock_status == ClockStatus.SET and abs(off_s) <= _CLOCK_RIGHT_S + 1:
            return Result(State.DONE)
    means.book.start(order)
    target.driver.set_clock(round(means.now().timestamp()))
    return Result(State.DONE)


def _write_access_list(means: Means, target: Target, order: Order, _asked_at: float) -> Result:
    wish = means.wishes().of(target.lock)
    if wish.list_mark is None:
        return Result(State.REJECTED, "no access list is desired for this lock: set one first")
    means.book.start(order)
    target.driver.write_access_list(wish.list_mark.version, unpack_list(wish.packed_list))
    return Result(State.DONE, f"access list {wish.list_mark}")


def _enable_chambers(means: Means, target: Target, order: Order, _asked_at: float) -> Result:
    if order.enable_mask is None:
        return Result(State.REJECTED, "it doesn't say which chambers")
    wanted = means.wishes().of(target.lock).enable_mask
    if wanted is not None and wanted != order.enable_mask:
        raise AgainstDesired(
            f"the desired state says chamber mask {wanted}, which would undo it at once: change that instead"
        )
    means.book.start(order)
    target.driver.enable_chambers(order.enable_mask)
    return Result(State.DONE)


def _read_now(_means: Means, target: Target, _order: Order, asked_at: float) -> Result:
    """Have the lock read; the state that goes with the result is what was found.

    A bare counter is read by the poller alone, which derives its pours from what it reads.
    """
    if target.driver.has_journal:
        target.driver.read_status()
        return Result(State.DONE)
    if target.visitor.met_at is not None and target.visitor.met_at > asked_at:
        return Result(State.DONE)
    target.hasten()
    raise NoAnswer("the lock hasn't been read since")


def _command(code: CommandCode) -> Callable[[Means, Target, Order, float], Result | None]:
    def run(means: Means, target: Target, order: Order, _asked_at: float) -> Result | None:
        status = target.driver.read_status()
        last = status.command_token
        if order.token is None:
            order = means.book.start(order, token=_next_token(last), token_before=last)
        elif last == order.token:
            is_running = status.command_result == CommandResult.RUNNING
            return None if is_running else _judged(status.command_result)
        elif last != order.token_before:
            return _lost()
        return _run(target, order, code)

    return run


def _run(target: Target, order: Order, code: CommandCode) -> Result | None:
    """Give the controller a command by its token, and look once how it is getting on."""
    assert order.token is not None
    try:
        result = target.driver.run_command(order.token, code, timeout_s=0.0)
    except StillRunning:
        return None
    except BrokenAnswer as error:
        if target.driver.read_status().command_token in (order.token, order.token_before):
            raise
        return Result(State.FAILED, str(error))
    return _judged(result)


def _judged(result: int) -> Result:
    if result == CommandResult.OK:
        return Result(State.DONE)
    if result == CommandResult.REFUSED:
        return Result(State.FAILED, "the controller refuses it in its present state: is a pour under way?")
    return Result(State.FAILED, "the controller tells that it failed: have a look at the lock")


def _next_token(last: int) -> int:
    """Return a token that the controller doesn't hold for its last one: 1..65535, in turn."""
    return last % 0xFFFF + 1


def _cannot(order: Order) -> Result:
    """A bare counter: nothing is begun. An order that was begun went to the controller that was here before it."""
    if order.state is State.STARTED:
        return Result(
            State.FAILED,
            "its lock is a legacy counter now, so whether the controller before it carried it out isn't known",
        )
    return Result(State.REJECTED, "its lock is a legacy counter, which can only be read")


def _lost() -> Result:
    return Result(
        State.FAILED,
        "the controller has had another command since, so whether this one was carried out isn't known: look at it",
    )


_ACTIONS: dict[str, Callable[[Means, Target, Order, float], Result | None]] = {
    "sync_clock": _sync_clock,
    "write_access_list": _write_access_list,
    "enable_chambers": _enable_chambers,
    "read_now": _read_now,
    "self_test": _command(CommandCode.SELF_TEST),
    "clear_faults": _command(CommandCode.CLEAR_FAULTS),
    "reboot": _command(CommandCode.REBOOT),
}
