"""The cloud's side of orders without a sink: signs commands and desired states, collects the outcomes."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.mqtt import TestClient
from tests.support.waiting import wait_until
from wastelock.orders import AccessEntry, Command, CommandOutcome, Desired, DesiredLock
from wastelock.page import SigningKey, to_base64url
from wastelock.topics import GatewayTopics

ORDER_KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(100, 132))))
PUBLIC_ORDER_KEY = to_base64url(ORDER_KEY.private.public_key().public_bytes_raw())
FOREIGN_KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))


def command(
    number: str, action: str = "self_test", lock: str = "1f00a1", *, issued_s_ago: float = 0, ttl_s: float = 60,
    **more: Any,
) -> Command:  # fmt: skip
    """Return a command that was issued so long ago."""
    issued_at = datetime.now(UTC) - timedelta(seconds=issued_s_ago)
    expires_at = issued_at + timedelta(seconds=ttl_s)
    fields = {"id": number, "lock": lock, "action": action, "issued_at": issued_at, "expires_at": expires_at}
    return Command.model_validate(fields | more)


def desired(revision: int, lock: str = "1f00a1", **wanted: Any) -> Desired:
    return Desired(revision=revision, at=datetime.now(UTC), locks={lock: DesiredLock(**wanted)})


def entries(*uids: int, blocked: int | None = None) -> tuple[AccessEntry, ...]:
    return tuple(AccessEntry(uid=f"{uid:x}", blocked=uid == blocked) for uid in uids)


class OrderIssuer:
    """`with TestClient(…) as client: OrderIssuer(client, topics)`; listens to results and to the gateway's states."""

    def __init__(self, client: TestClient, topics: GatewayTopics) -> None:
        self.client, self.topics = client, topics
        client.subscribe(topics.result)
        client.subscribe(topics.all_states)

    def send(self, order: Command, key: SigningKey = ORDER_KEY, signed_for: str | None = None) -> None:
        """Send a command with its id as correlation data; `signed_for`: another topic than the one it goes to."""
        payload = order.to_json()
        user = {"kid": key.kid, "sig": key.sign(signed_for or self.topics.command, payload)}
        self._publish(self.topics.command, payload, user, order.id.encode())

    def desire(self, wanted: Desired, key: SigningKey = ORDER_KEY) -> None:
        payload = wanted.to_json()
        user = {"kid": key.kid, "sig": key.sign(self.topics.desired, payload)}
        self._publish(self.topics.desired, payload, user, None, retain=True)

    def outcomes(self, number: str) -> list[CommandOutcome]:
        """Return what was told of a command so far, in the order in which it came."""
        told = [CommandOutcome.model_validate_json(m.payload) for m in self._on(self.topics.result)]
        return [outcome for outcome in told if outcome.id == number]

    def final(self, number: str, timeout_s: float = 20) -> CommandOutcome:
        """Wait for what became of a command."""

        def ended() -> list[CommandOutcome]:
            return [outcome for outcome in self.outcomes(number) if outcome.outcome != "accepted"]

        return wait_until(ended, timeout_s, lambda: f"the end of {number}: {self.outcomes(number)}")[0]

    def signed_results(self) -> list[tuple[bytes, dict[str, str], bytes]]:
        """Return payload, user properties and correlation data of all that came as a result."""
        messages = self._on(self.topics.result)
        return [
            (bytes(m.payload), dict(m.properties.UserProperty), m.properties.CorrelationData)
            for m in messages
        ]

    def gateway_state(self) -> dict[str, Any]:
        messages = self._on(self.topics.gateway_state)
        return json.loads(messages[-1].payload) if messages else {}

    def lock_state(self, lock: str = "1f00a1") -> dict[str, Any]:
        messages = self._on(self.topics.lock_state(lock))
        return json.loads(messages[-1].payload) if messages else {}

    def alarms(self) -> dict[str, str]:
        """Return the gateway's alarms, name and text."""
        told = self.gateway_state().get("alarms", [])
        return dict(alarm.split(": ", 1) for alarm in told)

    def _on(self, topic: str) -> list[Any]:
        return [message for message in list(self.client.received) if message.topic == topic]

    def _publish(
        self,
        topic: str,
        payload: bytes,
        user: dict[str, str],
        correlation: bytes | None,
        retain: bool = False,
    ) -> None:
        packet = self.client.publish(topic, payload, retain=retain, user=user, correlation=correlation)
        assert self.client.puback(packet).value < 0x80
