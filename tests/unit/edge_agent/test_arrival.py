"""What a listener gets of a message, with all, some or none of what MQTT 5 may say about it."""

from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agent.arrival import Arrival, read_arrival


def message(dup: bool = False, **fields: object) -> MQTTMessage:
    made = MQTTMessage(topic=b"wl/1/site-1/gw-0001/down/command")
    made.payload = b"an order"
    made.dup = dup
    made.properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for name, value in fields.items():
        setattr(made.properties, name, value)
    return made


def test_signature_correlation_and_repetition_are_read() -> None:
    user = [("kid", "the key"), ("sig", "the signature"), ("more", "ignored")]
    arrival = read_arrival(message(dup=True, UserProperty=user, CorrelationData=b"\x00\xff"))
    assert arrival == Arrival(
        "wl/1/site-1/gw-0001/down/command", b"an order", True, "the key", "the signature", b"\x00\xff"
    )


def test_a_message_without_properties_is_signed_by_nobody() -> None:
    bare = message()
    assert read_arrival(bare) == Arrival(bare.topic, b"an order")
    bare.properties = None
    assert read_arrival(bare) == Arrival(bare.topic, b"an order")
