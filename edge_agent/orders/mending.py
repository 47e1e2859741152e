"""Brings one lock to what is desired of it: at once, when it is met again, and whenever a visit shows that it strays.

Looks at what the poller has read, so that nothing is asked on the bus while all is well. Before something is written
the lock is read once more: what the poller saw may be older than what was written last.
"""

from collections.abc import Callable

import structlog

from edge_agent.drivers.base import ListMark, unpack_list
from edge_agent.errors import BusError, NotSupported, Refused
from edge_agent.orders.order_alarms import OrderAlarms
from edge_agent.orders.target import Target
from edge_agent.orders.wishes import LockWish
from wastelock.registers import ExceptionCode, Status

_log = structlog.get_logger(__name__)

_AGAIN_FIRST_S, _AGAIN_MOST_S = 2.0, 60.0
_HOPELESS_AGAIN_S = 300.0  # only people can help: a controller swapped, a list shortened


class Mender:
    """One lock; used by its bus's thread of orders. `clock` is monotonic s."""

    def __init__(self, target: Target, alarms: OrderAlarms, clock: Callable[[], float]) -> None:
        self._target = target
        self._alarms = alarms
        self._clock = clock
        self._wish = LockWish()
        self._due_at = 0.0
        self._again_s = _AGAIN_FIRST_S
        self._was_reachable = False

    def follow(self, wish: LockWish) -> None:
        """Do what has to be done now, if anything."""
        if wish != self._wish:
            self._wish, self._due_at, self._again_s = wish, 0.0, _AGAIN_FIRST_S
        visitor = self._target.visitor
        visitor.poll_interval_s = wish.poll_interval_s or self._target.usual_interval_s
        view = visitor.view
        status, is_reachable = view.status, view.unreachable_since is None
        if is_reachable and not self._was_reachable:
            self._due_at = 0.0
        self._was_reachable = is_reachable
        if status is None or not is_reachable:
            return
        if not strays(wish, status):
            self._settled()
        elif self._clock() >= self._due_at:
            self._mend(wish)

    def _mend(self, wish: LockWish) -> None:
        try:
            changed = self._bring_about(wish)
        except (NotSupported, Refused) as error:
            if isinstance(error, Refused) and error.code == ExceptionCode.BUSY:
                self._try_again()
                return
            self._cannot(_remedy(error, wish))
        except BusError:
            self._try_again()
        else:
            # What the poller saw is outdated now: have it look again before the next judgement.
            self._due_at, self._again_s = self._clock() + _AGAIN_FIRST_S, _AGAIN_FIRST_S
            self._target.hasten()
            self._settled()
            if changed:
                _log.info(
                    "lock brought to what is desired", lock=self._target.lock, changed=", ".join(changed)
                )

    def _bring_about(self, wish: LockWish) -> list[str]:
        driver, changed = self._target.driver, []
        now = driver.read_status() if driver.has_journal else self._target.visitor.view.status
        assert now is not None
        if wish.list_mark is not None and ListMark.in_force(now) != wish.list_mark:
            driver.write_access_list(wish.list_mark.version, unpack_list(wish.packed_list))
            changed.append(f"access list {wish.list_mark}")
        if wish.enable_mask is not None and now.enable_mask != wish.enable_mask:
            driver.enable_chambers(wish.enable_mask)
            changed.append(f"chamber mask {wish.enable_mask}")
        return changed

    def _settled(self) -> None:
        if self._target.visitor.order_problem is not None:
            self._tell(None)

    def _cannot(self, why: str) -> None:
        self._due_at = self._clock() + _HOPELESS_AGAIN_S
        if self._target.visitor.order_problem != why:
            self._tell(why)

    def _tell(self, why: str | None) -> None:
        self._target.visitor.order_problem = why
        self._alarms.lock_stays_outside(self._target.lock, why)
        self._target.hasten()

    def _try_again(self) -> None:
        self._due_at = self._clock() + self._again_s
        self._again_s = min(self._again_s * 2, _AGAIN_MOST_S)


def strays(wish: LockWish, status: Status) -> bool:
    """True if the lock isn't what it should be."""
    if wish.list_mark is not None and ListMark.in_force(status) != wish.list_mark:
        return True
    return wish.enable_mask is not None and status.enable_mask != wish.enable_mask


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
