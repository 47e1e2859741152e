"""A message that came over the broker, with what MQTT 5 says about it: whoever listens needs nothing of paho."""

from dataclasses import dataclass

from paho.mqtt.client import MQTTMessage


@dataclass(frozen=True, slots=True)
class Arrival:
    """`dup`: the broker says that it may have delivered this before. `kid`, `signature`: user properties, "" if absent.

    `correlation`: what an answer has to carry along.
    """

    topic: str
    payload: bytes
    dup: bool = False
    kid: str = ""
    signature: str = ""
    correlation: bytes | None = None


def read_arrival(message: MQTTMessage) -> Arrival:
    """Return the message as its listener gets it."""
    properties = message.properties
    user = dict(getattr(properties, "UserProperty", ()))
    correlation = getattr(properties, "CorrelationData", None)
    return Arrival(
        message.topic,
        bytes(message.payload),
        bool(message.dup),
        str(user.get("kid", "")),
        str(user.get("sig", "")),
        bytes(correlation) if correlation is not None else None,
    )
