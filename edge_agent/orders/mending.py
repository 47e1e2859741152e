"""Brings one lock to what is desired of it: at once, when it is met again, and whenever a visit shows that it strays.

Looks at what the poller has read, so that nothing is asked on the bus while all is well. Before something is written
the lock is read once more: what the poller saw may be older than what was written last. Each wish stands for itself:
one that can't be fulfilled keeps no other waiting.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from edge_agent.drivers.base import Driver, ListMark, unpack_list
from edge_agent.errors import BusError, NotSupported, Refused
from edge_agent.orders.order_alarms import OrderAlarms
from edge_agent.orders.target import Target
from edge_agent.orders.wishes import LockWish
from wastelock.registers import ExceptionCode, Status

_log = structlog.get_logger(__name__)

_AGAIN_FIRST_S, _AGAIN_MOST_S = 2.0, 60.0
_HOPELESS_AGAIN_S = 300.0  # only people can help: a controller swapped, a list shortened
_REFUSALS_MOST = 3  # a controller that has restarted in the midst of it refuses once


@dataclass(slots=True)
class _Part:
    """One wish of a lock, and how far its fulfilment is. `trouble`: why only people can help, None while it may be."""

    strays: Callable[[LockWish, Status], bool]
    bring_about: Callable[[Driver, LockWish], str]
    due_at: float = 0.0
    again_s: float = _AGAIN_FIRST_S
    refusals: int = 0
    trouble: str | None = None

    def begin_anew(self) -> None:
        self.due_at, self.again_s, self.refusals = 0.0, _AGAIN_FIRST_S, 0

    def try_again(self, now_s: float) -> None:
        self.due_at = now_s + self.again_s
        self.again_s = min(self.again_s * 2, _AGAIN_MOST_S)


class Mender:
    """One lock; used by its bus's thread of orders. `clock` is monotonic s."""

    def __init__(self, target: Target, alarms: OrderAlarms, clock: Callable[[], float]) -> None:
        self._target = target
        self._alarms = alarms
        self._clock = clock
        self._wish = LockWish()
        self._was_reachable = False
        # The mask first: it takes a moment, a long list half a minute.
        self._parts = (_Part(_mask_strays, _enable), _Part(_list_strays, _write_list))

    def follow(self, wish: LockWish) -> None:
        """Do what has to be done now, if anything."""
        visitor = self._target.visitor
        visitor.poll_interval_s = wish.poll_interval_s or self._target.usual_interval_s
        view = visitor.view
        status, is_reachable = view.status, view.unreachable_since is None
        if wish != self._wish or (is_reachable and not self._was_reachable):
            self._wish = wish
            for part in self._parts:
                part.begin_anew()
        self._was_reachable = is_reachable
        if status is None or not is_reachable:
            return
        for part in self._parts:
            if not part.strays(wish, status):
                part.trouble, part.refusals = None, 0
            elif self._clock() >= part.due_at:
                self._mend(part, wish)
        self._tell()

    def _mend(self, part: _Part, wish: LockWish) -> None:
        try:
            changed = self._bring_about(part, wish)
        except Refused as error:
            part.refusals += error.code != ExceptionCode.BUSY
            is_hopeless = error.code != ExceptionCode.REFUSED or part.refusals >= _REFUSALS_MOST
            if error.code == ExceptionCode.BUSY:
                part.try_again(self._clock())
            elif is_hopeless:
                self._give_up(part, _remedy(error, wish))
            else:
                part.due_at = self._clock() + _AGAIN_FIRST_S
        except NotSupported as error:
            self._give_up(part, _remedy(error, wish))
        except BusError:
            part.try_again(self._clock())
        else:
            # What the poller saw is outdated now: have it look again before the next judgement.
            part.begin_anew()
            part.due_at, part.trouble = self._clock() + _AGAIN_FIRST_S, None
            self._target.hasten()
            if changed:
                _log.info("lock brought to what is desired", lock=self._target.lock, changed=changed)

    def _bring_about(self, part: _Part, wish: LockWish) -> str | None:
        """Return what was changed, None where it turned out to be so already."""
        driver = self._target.driver
        now = driver.read_status() if driver.has_journal else self._target.visitor.view.status
        assert now is not None
        return part.bring_about(driver, wish) if part.strays(wish, now) else None

    def _give_up(self, part: _Part, why: str) -> None:
        part.due_at, part.trouble = self._clock() + _HOPELESS_AGAIN_S, why

    def _tell(self) -> None:
        why = "; ".join(part.trouble for part in self._parts if part.trouble is not None) or None
        if self._target.visitor.order_problem != why:
            self._target.visitor.order_problem = why
            self._alarms.lock_stays_outside(self._target.lock, why)
            self._target.hasten()


def _mask_strays(wish: LockWish, status: Status) -> bool:
    return wish.enable_mask is not None and status.enable_mask != wish.enable_mask


def _enable(driver: Driver, wish: LockWish) -> str:
    assert wish.enable_mask is not None
    driver.enable_chambers(wish.enable_mask)
    return f"chamber mask {wish.enable_mask}"


def _list_strays(wish: LockWish, status: Status) -> bool:
    return wish.list_mark is not None and ListMark.in_force(status) != wish.list_mark


def _write_list(driver: Driver, wish: LockWish) -> str:
    assert wish.list_mark is not None
    driver.write_access_list(wish.list_mark.version, unpack_list(wish.packed_list))
    return f"access list {wish.list_mark}"


def _remedy(error: NotSupported | Refused, wish: LockWish) -> str:
    """Say what keeps the lock from what is desired, and what to do."""
    if isinstance(error, NotSupported):
        return (
            f"desired state can't be reached: {error}; desire what this controller can do, or have it swapped"
        )
    version = wish.list_mark.version if wish.list_mark is not None else "-"
    return (
        f"desired state can't be reached: {error}; if it holds another access list of version {version}, give the "
        "list a new version"
    )
