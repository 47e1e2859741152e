"""Whose turn it is on a bus: orders go before polls, but never twice in a row while a poll waits.

The turn is handed over, never thrown into the air: whoever waits longest in the class that is next gets it. So an order
waits for at most the one transaction under way, and a long row of orders leaves every second transaction to the polls.

A pour's recording takes several transactions: the visit that finds it. Of a visit's first RECORDING_POLLS, enough to
read what a lock has recorded since the last one, only one order goes; the others wait for the visit's end. In a longer
visit a backlog is drained, and every second turn is theirs again.
"""

import threading
from collections import deque

RECORDING_POLLS = 8


class Arbiter:
    """The right to use a line for one transaction."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._busy = False
        self._last_was_urgent = False
        self._waiting: tuple[deque[threading.Lock], deque[threading.Lock]] = (deque(), deque())
        self._in_visit = False
        self._polls_of_visit = self._orders_of_visit = 0

    def acquire(self, urgent: bool) -> None:
        """Wait for the turn. Bounded: each turn before this one is one transaction, and those end by time-out."""
        with self._guard:
            if not self._busy and not (urgent and self._is_recording()):
                self._take(urgent)
                return
            ticket = threading.Lock()
            ticket.acquire()
            self._waiting[urgent].append(ticket)
        ticket.acquire()

    def release(self) -> None:
        """Hand the turn to the next, if anybody waits."""
        with self._guard:
            self._busy = False
            self._hand_over()

    def begin_visit(self) -> None:
        """From now on polls belong to one visit of one lock."""
        with self._guard:
            self._in_visit, self._polls_of_visit = True, 0
            self._orders_of_visit = int(self._busy and self._last_was_urgent)

    def end_visit(self) -> None:
        """The visit is over, however it ended: what waited for that goes on."""
        with self._guard:
            self._in_visit = False
            if not self._busy:
                self._hand_over()

    def _is_recording(self) -> bool:
        """True while no further order may go."""
        return self._in_visit and self._orders_of_visit > 0 and self._polls_of_visit < RECORDING_POLLS

    def _hand_over(self) -> None:
        polls, orders = self._waiting
        urgent = bool(orders) and not (polls and self._last_was_urgent) and not self._is_recording()
        queue = orders if urgent else polls
        if queue:
            self._take(urgent)
            queue.popleft().release()

    def _take(self, urgent: bool) -> None:
        self._busy, self._last_was_urgent = True, urgent
        if urgent:
            self._orders_of_visit += 1
        else:
            self._polls_of_visit += 1
