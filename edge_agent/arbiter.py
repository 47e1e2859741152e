"""Whose turn it is on a bus: orders go before polls, but never twice in a row while a poll waits.

The turn is handed over, never thrown into the air: whoever waits longest in the class that is next gets it. So an order
waits for at most the one transaction under way, and a long row of orders leaves every second transaction to the polls.
"""

import threading
from collections import deque


class Arbiter:
    """The right to use a line for one transaction."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._busy = False
        self._last_was_urgent = False
        self._waiting: tuple[deque[threading.Lock], deque[threading.Lock]] = (deque(), deque())

    def acquire(self, urgent: bool) -> None:
        """Wait for the turn. Bounded: each turn before this one is one transaction, and those end by time-out."""
        with self._guard:
            if not self._busy:
                self._busy = True
                self._last_was_urgent = urgent
                return
            ticket = threading.Lock()
            ticket.acquire()
            self._waiting[urgent].append(ticket)
        ticket.acquire()

    def release(self) -> None:
        """Hand the turn to the next, if anybody waits."""
        with self._guard:
            polls, orders = self._waiting
            urgent = bool(orders) and not (polls and self._last_was_urgent)
            queue = orders if urgent else polls
            if queue:
                self._last_was_urgent = urgent
                queue.popleft().release()
            else:
                self._busy = False
