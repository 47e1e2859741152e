"""Orders between the network thread, which may not wait, and the desk, which takes them in one by one."""

import threading
from collections import deque
from collections.abc import Callable, Mapping

from edge_agent.arrival import Arrival
from wastelock.topics import GatewayTopics

_INBOX_MAX = 256  # a command that finds no room comes again with the next attempt
_DESIRED_MAX = 4  # each replaces the one before


class OrderInbox:
    """What has come and isn't taken in yet. The listeners are called in the network thread and return at once."""

    def __init__(self, topics: GatewayTopics) -> None:
        self.wake = threading.Event()
        self._topics = topics
        self._guard = threading.Lock()  # held for a moment only
        self._commands: deque[Arrival] = deque(maxlen=_INBOX_MAX)
        self._desired: deque[Arrival] = deque(maxlen=_DESIRED_MAX)
        self.listeners: Mapping[str, Callable[[Arrival], None]] = {
            topics.command: self._put_command,
            topics.desired: self._put_desired,
        }

    def next(self) -> Arrival | None:
        """Return what came first, desired states before commands."""
        with self._guard:
            for queue in (self._desired, self._commands):
                if queue:
                    return queue.popleft()
        return None

    def put_back(self, arrival: Arrival) -> None:
        """It couldn't be taken in now; it is dropped where later ones have taken its place."""
        queue = self._desired if arrival.topic == self._topics.desired else self._commands
        with self._guard:
            if len(queue) != queue.maxlen:
                queue.appendleft(arrival)

    def _put_command(self, arrival: Arrival) -> None:
        with self._guard:
            if len(self._commands) < _INBOX_MAX:
                self._commands.append(arrival)
        self.wake.set()

    def _put_desired(self, arrival: Arrival) -> None:
        with self._guard:
            self._desired.append(arrival)
        self.wake.set()
