"""A small MQTT 5 client for tests: publishes and waits for the PUBACK, collects what arrives."""

from pathlib import Path
from types import TracebackType
from typing import Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tests.support.certificates import KeyPair
from tests.support.waiting import wait_until


class TestClient:
    """`with TestClient(port, "id") as client: client.subscribe(…); client.publish(…); client.received`.

    Connects on entry and disconnects on exit. `session_expiry_s` > 0 keeps the session, with clean_start=False.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    def __init__(
        self,
        port: int,
        client_id: str,
        session_expiry_s: int = 0,
        tls: tuple[Path, KeyPair] | None = None,
    ) -> None:
        self.received: list[paho.MQTTMessage] = []
        self.assigned_reason: ReasonCode | None = None
        self.disconnect_reason: ReasonCode | None = None
        self._port = port
        self._session_expiry_s = session_expiry_s
        self._acknowledged: dict[int, ReasonCode] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
        self._client.max_inflight_messages_set(100)
        if tls is not None:
            authority, pair = tls
            self._client.tls_set(str(authority), str(pair.certificate), str(pair.key))
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_message = lambda _client, _data, message: self.received.append(message)

    @property
    def connected(self) -> bool:
        return self._client.is_connected()

    def subscribe(self, topic: str) -> None:
        self._client.subscribe(topic, qos=1)

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 1,
        retain: bool = False,
        user: dict[str, str] | None = None,
        correlation: bytes | None = None,
    ) -> int:
        """Hand a message to the network thread and return its packet id."""
        properties = _properties(PacketTypes.PUBLISH)
        if correlation is not None:
            properties.CorrelationData = correlation
        if user:
            properties.UserProperty = list(user.items())
        return self._client.publish(topic, payload, qos, retain, properties).mid

    def puback(self, packet_id: int) -> ReasonCode:
        """Wait for the broker's answer to a QoS 1 message and return its reason code."""
        wait_until(lambda: packet_id in self._acknowledged, 10, f"PUBACK of message {packet_id}")
        return self._acknowledged[packet_id]

    def __enter__(self) -> Self:
        connect = _properties(PacketTypes.CONNECT)
        connect.SessionExpiryInterval = self._session_expiry_s
        self._client.connect(
            "127.0.0.1", self._port, clean_start=self._session_expiry_s == 0, properties=connect
        )
        self._client.loop_start()
        wait_until(lambda: self.assigned_reason is not None, 10, "CONNACK")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        disconnect = _properties(PacketTypes.DISCONNECT)
        disconnect.SessionExpiryInterval = self._session_expiry_s
        self._client.disconnect(properties=disconnect)
        self._client.loop_stop()
        # Callbacks and client hold each other: cut here, so that paho closes its sockets now and not some day.
        self._client.on_connect = self._client.on_disconnect = None
        self._client.on_publish = self._client.on_message = None

    def _on_connect(
        self,
        client: paho.Client,
        data: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self.assigned_reason = reason

    def _on_disconnect(
        self,
        client: paho.Client,
        data: object,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self.disconnect_reason = reason

    def _on_publish(
        self, client: paho.Client, data: object, packet_id: int, reason: ReasonCode, properties: Properties
    ) -> None:
        self._acknowledged[packet_id] = reason


def _properties(packet_type: int) -> Properties:
    return Properties(packet_type)  # type: ignore[no-untyped-call]  # paho leaves its constructor without types
