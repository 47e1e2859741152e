"""What gateways say of themselves and their locks: the latest of each, gathered from retained topics.

Unsigned and lossy, so it only ever explains (is a missing record on its way, or lost?) and never proves anything.
"""

import threading
from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from cloud_sink.keys import KeyRing
from wastelock.messages import GatewayState, LockState
from wastelock.topics import InvalidTopic, parse_gateway_topic

_log = structlog.get_logger(__name__)
_PENDING_MAX = 200_000


@dataclass(frozen=True, slots=True)
class Report:
    """One retained state. `state` is a lock's where `lock` is set, else the gateway's."""

    site: str
    gateway: str
    lock: str | None
    state: GatewayState | LockState


class Inbox:
    """Keeps the latest message of each topic until it is fetched; bounded."""

    def __init__(self) -> None:
        self._latest: dict[str, bytes] = {}
        self._guard = threading.Lock()

    def put(self, topic: str, payload: bytes) -> None:
        with self._guard:
            if topic in self._latest or len(self._latest) < _PENDING_MAX:
                self._latest[topic] = payload

    def fetch(self) -> dict[str, bytes]:
        """Return what came since the last time, by topic."""
        with self._guard:
            latest, self._latest = self._latest, {}
        return latest


def parse_report(topic: str, payload: bytes, keys: KeyRing) -> Report | None:
    """Return the report in a message, None where it isn't one of a known gateway."""
    try:
        parsed = parse_gateway_topic(topic)
        if (parsed.site, parsed.gateway) not in keys.gateways:
            return None
        state: GatewayState | LockState
        if parsed.channel == "state/gateway":
            state = GatewayState.model_validate_json(payload)
            mine = state.gateway == parsed.gateway
        else:
            state = LockState.model_validate_json(payload)
            mine = state.lock == parsed.lock
    except (InvalidTopic, ValidationError) as error:
        _log.warning("report can't be read", topic=topic, problem=type(error).__name__)
        return None
    return Report(parsed.site, parsed.gateway, parsed.lock, state) if mine else None
