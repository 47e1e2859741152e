"""Waiting for something that another thread or process will do: poll with a deadline, never a bare sleep."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class WaitedTooLong(AssertionError):
    """What was waited for didn't come within its time."""


def wait_until(
    predicate: Callable[[], T],
    timeout_s: float = 10.0,
    what: str | Callable[[], str] = "",
    poll_s: float = 0.02,
) -> T:
    """Return the predicate's first truthy value, or raise WaitedTooLong naming `what` after `timeout_s`.

    The predicate is always asked at least twice, and once more at the end of the time. `what` may be a function that
    describes, at that moment, how far things have come.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = predicate()
        if value:
            return value
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            break
        time.sleep(min(poll_s, left_s))
    value = predicate()
    if value:
        return value
    description = what() if callable(what) else what
    raise WaitedTooLong(f"waited {timeout_s:g} s for {description or predicate}; last answer: {value!r}")
