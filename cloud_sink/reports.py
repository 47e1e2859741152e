"""What gateways say of themselves and their locks, gathered from retained topics and telemetry.

Unsigned and lossy, so it explains (is a missing record on its way, or lost?) and shows how things are, and never proves
anything.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from pydantic import ValidationError

from cloud_sink.keys import KeyRing
from cloud_sink.ledger.observations import ReportKind, State, parse
from wastelock.messages import LockState
from wastelock.topics import InvalidTopic, parse_gateway_topic

_log = structlog.get_logger(__name__)
_PENDING_MAX = 200_000
_SET_BACK = timedelta(seconds=60)
_PENDING_OF_TOPIC = 20
_KINDS = {
    "state/gateway": ReportKind.GATEWAY,
    "state/lock": ReportKind.LOCK,
    "up/telemetry": ReportKind.TELEMETRY,
}


@dataclass(frozen=True, slots=True)
class Report:
    """One report. `lock`: of a lock's only. `heard_at`: when it reached this sink.

    `retained`: the broker had kept it, so it may be old; its own instant tells how old.
    """

    kind: ReportKind
    site: str
    gateway: str
    lock: str | None
    state: State
    heard_at: datetime
    retained: bool = False


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as it came."""

    topic: str
    payload: bytes
    heard_at: datetime
    retained: bool


class Inbox:
    """Keeps what comes until it is fetched. Of a topic that floods, and when full, only the latest stays."""

    def __init__(self, clock: Callable[[], datetime], pending_max: int = _PENDING_MAX) -> None:
        """`clock`: now, in UTC. `pending_max`: messages in all."""
        self._clock = clock
        self._pending_max = pending_max
        self._heard_at = clock()
        self._topics: dict[str, deque[Arrived]] = {}
        self._count = 0
        self._guard = threading.Lock()

    def put(self, topic: str, payload: bytes, retained: bool = False) -> None:
        """Keep a message; called by paho's thread."""
        with self._guard:
            arrived = Arrived(topic, payload, self._now(), retained)
            waiting = self._topics.get(topic)
            if waiting is None:
                if self._count >= self._pending_max:
                    return
                waiting = self._topics[topic] = deque()
            elif self._count >= self._pending_max:
                waiting.pop()
                self._count -= 1
            elif len(waiting) >= _PENDING_OF_TOPIC:
                waiting.popleft()
                self._count -= 1
            waiting.append(arrived)
            self._count += 1

    def _now(self) -> datetime:
        """Return now; a clock that is set back a little doesn't change the order in which messages were heard."""
        at = self._clock()
        if not self._heard_at - _SET_BACK < at < self._heard_at:
            self._heard_at = at
        return self._heard_at

    def fetch(self) -> list[Arrived]:
        """Return what came since the last time, of each topic in the order in which it came."""
        with self._guard:
            topics, self._topics, self._count = self._topics, {}, 0
        return [arrived for waiting in topics.values() for arrived in waiting]


def parse_report(arrived: Arrived, keys: KeyRing) -> Report | None:
    """Return the report in a message, None where it isn't one of a known gateway."""
    try:
        topic = parse_gateway_topic(arrived.topic)
        if (topic.site, topic.gateway) not in keys.gateways:
            return None
        kind = _KINDS.get(topic.channel)
        if kind is None:
            return None
        state = parse(kind, arrived.payload)
    except (InvalidTopic, ValidationError) as error:
        _log.warning("report can't be read", topic=arrived.topic, problem=type(error).__name__)
        return None
    named = state.lock if isinstance(state, LockState) else state.gateway
    if named != (topic.lock or topic.gateway):
        return None
    return Report(kind, topic.site, topic.gateway, topic.lock, state, arrived.heard_at, arrived.retained)
