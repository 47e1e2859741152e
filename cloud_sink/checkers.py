"""Checking in processes of their own, so that the sink's interpreter is left to the network and the ledger.

    put ──queue──▶ asking ═══socket═══▶ checker.py ═══socket═══▶ hearing ──▶ checked
                   (thread)             (process)                (thread)

All pages of a topic go through the same process, in their order. What is on its way is bounded by what sockets hold
and by the broker, which sends no more than the receive maximum without acknowledgement. A process that ends before its
time takes the sink with it: what it had in hand wasn't acknowledged, so it comes again at the next start.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from queue import Empty, SimpleQueue
from zlib import crc32

import structlog

from cloud_sink import checker
from cloud_sink.checker_wire import Answers, Failed, Messages, decode_reply, encode, give_keys, take_answer
from cloud_sink.errors import ThreadDied
from cloud_sink.intake import CheckedQueue, drain
from cloud_sink.keys import KeyRing
from cloud_sink.session import Incoming

_log = structlog.get_logger(__name__)
_IDLE_S = 0.2
_PAGES_AT_ONCE = 8  # few enough that a process has begun before the last of many is there
_FAREWELL_S = 0.5

Loop = Callable[[threading.Event], None]


class Checkers:
    """Some checking processes. In the sink's eyes the same as `intake.Checking`."""

    def __init__(
        self, processes: int, keys: Callable[[], KeyRing], current_connection: Callable[[], int]
    ) -> None:
        self.checked: CheckedQueue = SimpleQueue()
        self._checkers = [_Checker(keys, current_connection, self.checked) for _ in range(processes)]

    @property
    def loops(self) -> dict[str, Loop]:
        """What has to run in threads, by name, once `start` has returned."""
        numbered = list(enumerate(self._checkers, 1))
        asking: dict[str, Loop] = {f"asking {number}": each.ask for number, each in numbered}
        return asking | {f"hearing {number}": each.hear for number, each in numbered}

    @property
    def waiting(self) -> int:
        """How many messages haven't been looked at yet."""
        return sum(each.waiting for each in self._checkers)

    @property
    def progressed_at(self) -> float:
        """When the one that got on least did something (monotonic)."""
        return min(each.progressed_at for each in self._checkers)

    def start(self) -> None:
        """Start the processes."""
        for each in self._checkers:
            each.start()

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        for each in self._checkers:
            each.close()

    def put(self, incoming: Incoming) -> None:
        """Hand over a message; called by paho's thread."""
        self._checkers[crc32(incoming.message.topic.encode()) % len(self._checkers)].incoming.put(incoming)

    def forget(self) -> None:
        """Drop what waits: the connection is lost, and all of it comes again. So queues don't grow by reconnects."""
        for each in self._checkers:
            drain(each.incoming)
        drain(self.checked)


class _Checker:
    """One process, and what is on its way to and from it."""

    def __init__(
        self, keys: Callable[[], KeyRing], current_connection: Callable[[], int], checked: CheckedQueue
    ) -> None:
        self.incoming: SimpleQueue[Incoming] = SimpleQueue()
        self._keys = keys
        self._current_connection = current_connection
        self._checked = checked
        self._ours, self._theirs = Pipe()
        self._asked: deque[Incoming] = deque()  # sent, not answered
        self._answered_at = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def waiting(self) -> int:
        return self.incoming.qsize() + len(self._asked)

    @property
    def progressed_at(self) -> float:
        """Now, unless something was asked that isn't answered."""
        return self._answered_at if self._asked else time.monotonic()

    def start(self) -> None:
        number = self._theirs.fileno()
        # -P: no module is taken from whatever directory the sink was started in.
        command = [sys.executable, "-P", "-m", checker.__name__, str(number)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[number])
        self._theirs.close()  # only the process has it now: when it ends, we see the socket's end

    def close(self) -> None:
        """End the process: it sees the socket's end, and so do our threads."""
        with suppress(OSError), socket.socket(fileno=os.dup(self._ours.fileno())) as ours:
            ours.shutdown(socket.SHUT_RDWR)
        if self._process is None:
            return
        try:
            self._process.wait(_FAREWELL_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, stop: threading.Event) -> None:
        """Send what comes in until asked to stop, and the keys before it whenever they have changed."""
        try:
            self._ask(stop)
        except OSError:
            self._expect_end(stop)

    def hear(self, stop: threading.Event) -> None:
        """Hand on what the process answers, until it ends. ThreadDied if it wasn't to end."""
        try:
            while True:
                self._hear(decode_reply(self._ours.recv_bytes()))
        except (EOFError, OSError):
            self._expect_end(stop)

    def _ask(self, stop: threading.Event) -> None:
        sent: KeyRing | None = None
        while not stop.is_set():
            batch = self._gather()
            keys = self._keys()
            if keys is not sent:
                self._ours.send_bytes(encode(give_keys(keys)))
                sent = keys
            if batch:
                if not self._asked:
                    self._answered_at = time.monotonic()
                self._asked.extend(batch)
                self._ours.send_bytes(encode(Messages([incoming.message for incoming in batch])))

    def _hear(self, reply: Answers | Failed) -> None:
        if isinstance(reply, Failed):
            _log.critical("a checking process failed", error=reply.error, places=reply.places)
            return
        for answer in reply.answers:
            incoming = self._asked.popleft()
            self._checked.put((incoming, take_answer(incoming.message, answer)))
        self._answered_at = time.monotonic()

    def _expect_end(self, stop: threading.Event) -> None:
        """Return if the sink is ending, too: a signal may reach the process a moment before it reaches us."""
        if stop.wait(_FAREWELL_S):
            return
        code = None if self._process is None else self._process.poll()
        _log.critical("a checking process ended", exit_code=code)
        raise ThreadDied(f"a checking process ended, exit code {code}")

    def _gather(self) -> list[Incoming]:
        """Return what waits, at most so much; wait a moment if there is nothing."""
        batch: list[Incoming] = []
        with suppress(Empty):
            batch.append(self.incoming.get(timeout=_IDLE_S))
            while len(batch) < _PAGES_AT_ONCE:
                batch.append(self.incoming.get_nowait())
        connection = self._current_connection()
        # Others were taken out of the queue just before their connection was lost.
        return [incoming for incoming in batch if incoming.connection == connection]
