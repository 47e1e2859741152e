"""The live stream: one thread looks for what is new, and every browser that listens gets it from a queue of its own.

    ledger, twins ──(poll)──▶ hub ──▶ ring of the last events        resumed by Last-Event-ID
                                 └──▶ queue per listener, bounded    too slow: emptied, and told to begin anew (`reset`)

The intake knows nothing of any of it. An event's id is the hub's run and a number, so that an id of another run, or one
that has left the ring, is told from one that can be resumed.
"""

import asyncio
import secrets
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
import structlog
from fastapi.sse import format_sse_event

from portal.config import LimitsSection
from portal.errors import TooMany, Unavailable
from portal.metrics import Metrics

_RING = 4096  # events kept for resuming: at 10 pours a second, some minutes
_QUEUE = 256  # events that wait for one browser
_HEARTBEAT_S = 15.0
_PATIENCE_S = 5.0  # between looks while a database is away
_BUSY_RETRY_S = 30
_RETRY_MS = 2000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """What happened. `data` is open to everybody who may see the lock; `credential` (a pseudonym) isn't."""

    kind: str  # record, twin, alarm
    site: str | None
    lock: str | None
    data: dict[str, Any]
    credential: str | None = None

    def encode(self, *, pseudonyms: bool) -> str:
        """Return the event's JSON."""
        body = {**self.data, "credential": self.credential} if pseudonyms and self.credential else self.data
        return msgspec.json.encode(body).decode()


class Source(Protocol):
    """Where events come from. Called by the hub's thread alone."""

    def start(self) -> None:
        """Begin at what is newest now."""

    def poll(self) -> Sequence[LiveEvent]:
        """Return what is new since the last call, a bounded number; Unavailable: later."""

    @property
    def position(self) -> int:
        """The ledger's position that was read up to."""


@dataclass(frozen=True, slots=True)
class Audience:
    """What one listener may see: `accepts` says which events, `pseudonyms` whether transponders' pseudonyms, too."""

    accepts: Callable[[LiveEvent], bool]
    pseudonyms: bool = False


@dataclass(slots=True)
class _Listener:
    audience: Audience
    owner: str
    waiting: deque[tuple[int, LiveEvent]] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    too_slow: bool = False

    def offer(self, numbered: Sequence[tuple[int, LiveEvent]]) -> bool:
        """Queue events; False if there was no room and the listener begins anew."""
        wanted = [each for each in numbered if self.audience.accepts(each[1])]
        if not wanted:
            return True
        fits = len(self.waiting) + len(wanted) <= _QUEUE
        if fits and not self.too_slow:
            self.waiting.extend(wanted)
        else:
            self.waiting.clear()
            self.too_slow = True
        self.news.set()
        return fits


class Hub:
    """Start it in the event loop that serves requests; `close()` ends all streams and the thread."""

    def __init__(
        self, source: Source, poll_interval_s: float, limits: LimitsSection, metrics: Metrics,
        on_death: Callable[[BaseException], None] = lambda _error: None,
    ) -> None:  # fmt: skip
        """`on_death`: told if the thread dies of an error that nobody expected."""
        self._source = source
        self._interval_s = poll_interval_s
        self._limits = limits
        self._metrics = metrics
        self._on_death = on_death
        self._run = secrets.token_hex(4)
        self._number = 0
        self._ring: deque[tuple[int, LiveEvent]] = deque(maxlen=_RING)
        self._listeners: list[_Listener] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to look for news."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._guard, name="live", daemon=True)
        self._thread.start()

    def end_streams(self) -> None:
        """End all streams, from any thread; later ones end at once."""
        self._stop.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_all)

    def close(self) -> None:
        """End the streams and the thread."""
        self.end_streams()
        if self._thread is not None:
            self._thread.join(timeout=30)

    @property
    def streams(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    def admit(self, owner: str) -> None:
        """Raise TooMany if there is no room for one more stream, of this session or at all."""
        owned = Counter(listener.owner for listener in self._listeners)[owner]
        if owned >= self._limits.live_per_session or self.streams >= self._limits.live_in_all:
            raise TooMany(_BUSY_RETRY_S)

    async def follow(
        self, audience: Audience, owner: str, resume: str | None, still: Callable[[], bool]
    ) -> AsyncIterator[bytes]:
        """Yield events for one browser as they happen, in the format of server-sent events.

        `resume`: the id of the last event it got. `still`: whether the viewer may go on listening; asked every
        `_HEARTBEAT_S`, in a thread.
        """
        listener = _Listener(audience, owner)
        self._listeners.append(listener)
        self._metrics.live_streams.set(self.streams)
        try:
            yield format_sse_event(comment="live", retry=_RETRY_MS)
            for chunk in self._catch_up(listener, resume):
                yield chunk
            clock = asyncio.get_running_loop().time
            asked_s = clock()
            while not self._stop.is_set():
                for chunk in self._drain(listener):
                    yield chunk
                heard = await _wait(listener.news, _HEARTBEAT_S)
                if clock() - asked_s >= _HEARTBEAT_S:  # also where something happens all the time
                    if not await asyncio.to_thread(still):
                        yield format_sse_event(event="ended", data_str="{}")
                        return
                    asked_s = clock()
                if not heard:
                    yield format_sse_event(comment="ping")
        finally:
            self._listeners.remove(listener)
            self._metrics.live_streams.set(self.streams)

    def _catch_up(self, listener: _Listener, resume: str | None) -> list[bytes]:
        """Return what the browser missed; that it must begin anew if that isn't known any more."""
        if not resume:
            return [format_sse_event(event="hello", data_str="{}", id=self._id(self._number))]
        run, _, number = resume.partition("-")
        oldest = self._ring[0][0] if self._ring else self._number + 1
        if run != self._run or not number.isascii() or not number.isdigit() or int(number) < oldest - 1:
            return [format_sse_event(event="reset", data_str="{}", id=self._id(self._number))]
        missed = [each for each in self._ring if each[0] > int(number) and listener.audience.accepts(each[1])]
        return [self._encode(listener, each) for each in missed]

    def _drain(self, listener: _Listener) -> list[bytes]:
        listener.news.clear()
        if listener.too_slow:
            listener.too_slow = False
            listener.waiting.clear()
            return [format_sse_event(event="reset", data_str="{}", id=self._id(self._number))]
        chunks = [self._encode(listener, each) for each in listener.waiting]
        listener.waiting.clear()
        return chunks

    def _encode(self, listener: _Listener, numbered: tuple[int, LiveEvent]) -> bytes:
        number, event = numbered
        data = event.encode(pseudonyms=listener.audience.pseudonyms)
        return format_sse_event(event=event.kind, data_str=data, id=self._id(number))

    def _id(self, number: int) -> str:
        return f"{self._run}-{number}"

    def _fan_out(self, events: Sequence[LiveEvent]) -> None:
        """In the event loop: number the events, keep them for a while, and queue them for everybody."""
        numbered = [(self._number + place, event) for place, event in enumerate(events, 1)]
        self._number += len(numbered)
        self._ring.extend(numbered)
        for listener in self._listeners:
            if not listener.offer(numbered):
                self._metrics.live_resets.inc()

    def _wake_all(self) -> None:
        for listener in self._listeners:
            listener.news.set()

    def _guard(self) -> None:
        try:
            self._look_for_news()
        except Exception as error:
            log.exception("the live stream's thread died", action="the portal ends, to be started anew")
            self._on_death(error)

    def _look_for_news(self) -> None:
        started = failing = False
        while not self._stop.is_set():
            try:
                if not started:
                    self._source.start()
                    started = True
                events = self._source.poll()
            except Unavailable as error:
                self._metrics.live_failures.inc()
                if not failing:
                    log.warning("nothing live for now", error=str(error), retry_s=_PATIENCE_S)
                failing = True
                self._stop.wait(_PATIENCE_S)
                continue
            failing = False
            self._metrics.live_cursor.set(self._source.position)
            if events and self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._fan_out, events)
            self._stop.wait(self._interval_s)


async def _wait(event: asyncio.Event, timeout_s: float) -> bool:
    """Return True once the event is set, False if it wasn't in time."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
