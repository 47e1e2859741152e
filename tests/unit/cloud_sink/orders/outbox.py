"""A sink's session that keeps what goes out instead of sending it: for what takes hours by the clock."""

from dataclasses import dataclass, field
from typing import Any

from cloud_sink.orders.commanding import Commanding
from cloud_sink.orders.desiring import Desiring
from cloud_sink.session import Envelope
from tests.support.twins import TwinRig
from wastelock.orders import Command, Desired
from wastelock.page import SigningKey


class Even:
    """Chance that is always in the middle."""

    def random(self) -> float:
        return 0.5


@dataclass
class Outbox:
    """What was sent: topic, bytes, envelope, retained."""

    sent: list[tuple[str, bytes, Envelope, bool]] = field(default_factory=list)
    connected: bool = True

    def publish_order(self, topic: str, payload: bytes, envelope: Envelope, retain: bool = False) -> bool:
        self.sent.append((topic, payload, envelope, retain))
        return True

    @property
    def commands(self) -> list[Command]:
        return [
            Command.model_validate_json(payload)
            for topic, payload, *_ in self.sent
            if topic.endswith("command")
        ]

    @property
    def desired(self) -> list[Desired]:
        return [
            Desired.model_validate_json(payload)
            for topic, payload, *_ in self.sent
            if topic.endswith("desired")
        ]


def commanding(rig: TwinRig, outbox: Any, key: SigningKey) -> Commanding:
    return Commanding(rig.ledger.database, outbox, key, rig.clock, Even())  # type: ignore[arg-type]  # all of Random that is needed


def desiring(rig: TwinRig, outbox: Any, key: SigningKey) -> Desiring:
    return Desiring(rig.ledger.database, outbox, key, rig.clock)
