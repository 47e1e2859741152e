"""The commands of a day: each action in turn, to one lock after the other, each one followed to its end."""

from collections import Counter
from itertools import cycle
from random import Random

from cloud_sink.operating import Author
from cloud_sink.orders.model import Action, CommandState, CommandView
from cloud_sink.orders.ordering import Ordering

_AUTHOR = Author("operator", "the day")
_DONE_AT_LEAST = 0.9  # the gateway's spool may be lost with what it was to do, and a reboot meet a pour
# Chamber 2 is out of use for a while, and comes back.
_TURNS: tuple[tuple[Action, int | None], ...] = (
    (Action.READ_NOW, None),
    (Action.ENABLE_CHAMBERS, 0b01),
    (Action.SYNC_CLOCK, None),
    (Action.SELF_TEST, None),
    (Action.ENABLE_CHAMBERS, 0b11),
    (Action.CLEAR_FAULTS, None),
    (Action.WRITE_ACCESS_LIST, None),
    (Action.REBOOT, None),
)


class DayCommands:
    """`order` now and then; `have_ended` tells if all are answered or beyond their time."""

    def __init__(self, ordering: Ordering, locks: list[str], ttl_s: int, seed: int) -> None:
        self._ordering = ordering
        self._ttl_s = ttl_s
        self._ids: list[str] = []
        self._turns = cycle(_TURNS)
        self._locks = cycle(Random(f"day/{seed}/commands").sample(locks, len(locks)))
        self._lock = next(self._locks)

    def order(self) -> str:
        """Order the next thing; return what is to be said of it."""
        action, mask = next(self._turns)
        if action is Action.READ_NOW:  # a new round
            self._lock = next(self._locks)
        view = self._ordering.request_command(
            self._lock, action, _AUTHOR, enable_mask=mask, ttl_s=self._ttl_s
        )
        self._ids.append(view.id)
        return f"lock {self._lock}: {action.value}" + (f" {mask:b}" if mask is not None else "")

    def have_ended(self) -> bool:
        return not any(view.state.is_under_way for view in self.all())

    def all(self) -> list[CommandView]:
        """Return all commands of the day, as they now stand."""
        views = [self._ordering.command(each) for each in self._ids]
        return [view for view in views if view is not None]

    def counts(self) -> Counter[str]:
        return Counter(f"{view.action.value} {view.state.value}" for view in self.all())

    def shortcomings(self) -> list[str]:
        """Return commands without an answer, answers without a reason, and what got done too seldom or never."""
        views = self.all()
        found = []
        for view in views:
            if view.state is CommandState.UNANSWERED or view.state.is_under_way:
                found.append(f"command {view.id} ({view.action} of lock {view.lock}): {view.state}")
            elif view.state is not CommandState.DONE and not view.told:
                found.append(
                    f"command {view.id} ({view.action} of lock {view.lock}): {view.state}, nobody says why"
                )
        well = sum(view.state is CommandState.DONE for view in views)
        if well < _DONE_AT_LEAST * len(views):
            found.append(f"only {well} of {len(views)} commands were done")
        done = {view.action for view in views if view.state is CommandState.DONE}
        found += [f"{action}: ordered, never done" for action in {view.action for view in views} - done]
        return found
