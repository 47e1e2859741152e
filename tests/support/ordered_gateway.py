"""A gateway without an edge agent that is ordered about: hears commands and desired states, answers if told to."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.mqtt import TestClient
from wastelock.messages import GatewayState, LockState
from wastelock.orders import Command, CommandOutcome, Desired
from wastelock.page import signature_holds


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as it came, with its properties. `at`: when."""

    topic: str
    payload: bytes
    retained: bool
    user: dict[str, str]
    expiry_s: int | None
    response_topic: str | None
    correlation: bytes | None
    at: datetime

    def is_signed_by(self, key: Ed25519PublicKey) -> bool:
        return signature_holds(key, self.topic, self.payload, self.user["sig"])


class OrderedGateway:
    """`with OrderedGateway(port, gateway, lock) as there: there.commands, there.desired, there.answer(…)`.

    `answers`: the outcomes that it gives at once to each command, in this order.
    """

    def __init__(
        self, port: int, gateway: FakeGateway, lock: FakeLock, answers: tuple[str, ...] = ()
    ) -> None:
        self.gateway, self.lock, self.answers = gateway, lock, answers
        self.heard: list[Heard] = []
        self._client = TestClient(port, gateway.gateway)
        self._client._client.on_message = self._on_message

    @property
    def commands(self) -> list[Command]:
        return [
            Command.model_validate_json(each.payload)
            for each in self.heard
            if each.topic == self.gateway.topics.command
        ]

    @property
    def desired(self) -> list[Desired]:
        return [
            Desired.model_validate_json(each.payload)
            for each in self.heard
            if each.topic == self.gateway.topics.desired
        ]

    def listen(self, topic: str) -> None:
        """Hear this topic, too."""
        self._client.subscribe(topic)

    def tell(self, at: Callable[[], datetime] = lambda: datetime.now(UTC), **fields: Any) -> None:
        """Report itself (`fields`: of its state) and its lock, as an agent does at its start."""
        known = {"gateway": self.gateway.gateway, "online": True, "incarnation": 1, "at": at(), **fields}
        state = LockState(lock=self.lock.name, driver="wlc-1", at=at(), reachable=True)
        self._client.publish(self.gateway.topics.gateway_state, GatewayState(**known).to_json(), retain=True)
        self._client.publish(self.gateway.topics.lock_state(self.lock.name), state.to_json(), retain=True)

    def answer(self, command_id: str, outcome: str, reason: str | None = None, **fields: Any) -> None:
        """Tell what became of a command. `fields`: other than is true: `lock`; `sig`, `kid` of the signature."""
        topic = self.gateway.topics.result
        told: dict[str, Any] = {"id": command_id, "lock": fields.get("lock", self.lock.name)}
        payload = CommandOutcome(outcome=outcome, at=datetime.now(UTC), reason=reason, **told).to_json()  # type: ignore[arg-type]  # the caller knows which there are
        user = {
            "kid": fields.get("kid", self.gateway.key.kid),
            "sig": fields.get("sig", self.gateway.key.sign(topic, payload)),
        }
        self._client.publish(topic, payload, user=user)

    def __enter__(self) -> Self:
        self._client.__enter__()
        self._client.subscribe(self.gateway.topics.all_down)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.__exit__(kind, error, trace)

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        fields = message.properties
        heard = Heard(
            message.topic,
            bytes(message.payload),
            message.retain,
            dict(getattr(fields, "UserProperty", ())),
            getattr(fields, "MessageExpiryInterval", None),
            getattr(fields, "ResponseTopic", None),
            getattr(fields, "CorrelationData", None),
            datetime.now(UTC),
        )
        self.heard.append(heard)
        if message.topic == self.gateway.topics.command:
            command = Command.model_validate_json(message.payload)
            for outcome in self.answers:
                self.answer(command.id, outcome)
