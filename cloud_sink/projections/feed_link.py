"""The feed's own connection to the broker (MQTT 5): publishes events in order and waits for the PUBACK of each.

    publish ──▶ at most IN_FLIGHT without an answer ──▶ PUBACK, its reason good ──▶ next

For one thread, which also runs paho's network loop: nothing happens behind its back, and an error in a callback is an
error of `publish`. Each connection has a client of its own, without a session: after a break nothing is left in
paho's hands that it would send by itself; whoever publishes begins again with what wasn't confirmed.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from cloud_sink.broker_identity import identify
from cloud_sink.config import MqttSection
from cloud_sink.errors import BrokerUnavailable

IN_FLIGHT = 100
_ANSWER_S = 10.0  # a broker that says nothing for so long is given up
_POLL_S = 0.5


class FeedLink:
    """`publish` connects where that is needed; `keep` answers the broker's pings in between."""

    def __init__(self, settings: MqttSection, content_type: str) -> None:
        self._settings = settings
        self._properties = _properties(PacketTypes.PUBLISH)
        self._properties.ContentType = content_type
        self._properties.PayloadFormatIndicator = 1
        self._client: paho.Client | None = None
        self._answer: ReasonCode | None = None
        self._room = IN_FLIGHT
        self._waiting: set[int] = set()
        self._refused: ReasonCode | None = None

    @property
    def connected(self) -> bool:
        return self._client is not None

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish topics' payloads with QoS 1, and return when the broker has confirmed all of them.

        BrokerUnavailable: it may have got some of them; begin again with the first.
        """
        client = self._client or self._connect()
        following = iter(messages)
        left = len(messages)
        until_s = time.monotonic() + _ANSWER_S
        while left or self._waiting:
            while left and len(self._waiting) < self._room:
                topic, payload = next(following)
                sent = client.publish(topic, payload, qos=1, properties=self._properties)
                if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    self._give_up(f"the connection broke: {paho.error_string(sent.rc)}")
                self._waiting.add(sent.mid)
                left -= 1
            open_before = len(self._waiting)
            self._turn(client, _POLL_S)
            if len(self._waiting) < open_before:
                until_s = time.monotonic() + _ANSWER_S
            elif time.monotonic() > until_s:
                self._give_up(f"it has confirmed nothing for {_ANSWER_S:g} s")

    def keep(self) -> None:
        """Do what keeps the connection alive, if there is one; BrokerUnavailable if it broke."""
        if self._client is not None:
            self._turn(self._client, 0.0)

    def close(self) -> None:
        """Say goodbye to the broker."""
        client, self._client = self._client, None
        if client is None:
            return
        with suppress(OSError, ValueError):
            client.disconnect()
        # Callbacks and client hold each other: cut here, so that the sockets are closed now and not some day.
        client.on_connect = client.on_publish = None

    def _connect(self) -> paho.Client:
        settings = self._settings
        client = paho.Client(CallbackAPIVersion.VERSION2, settings.session_name, protocol=paho.MQTTv5)
        client.max_inflight_messages_set(IN_FLIGHT)
        identify(client, settings)
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        self._client, self._answer, self._refused, self._room = client, None, None, IN_FLIGHT
        self._waiting.clear()
        try:
            client.connect(settings.host, settings.port, settings.keepalive_s, clean_start=True)
        except (OSError, ValueError) as error:
            self._give_up(f"it can't be reached: {error}")
        until_s = time.monotonic() + _ANSWER_S
        while self._answer is None:
            if time.monotonic() > until_s:
                self._give_up("it doesn't answer")
            self._turn(client, _POLL_S)
        return client

    def _turn(self, client: paho.Client, timeout_s: float) -> None:
        """Let paho send and receive, for so long at most if there is nothing; its callbacks run in here."""
        code = client.loop(timeout_s)
        if self._refused is not None:
            self._give_up(f"it refuses an event: {self._refused}: check its access rules and its quota")
        if self._answer is not None and self._answer.is_failure:
            self._give_up(f"it refuses the connection: {self._answer}")
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._give_up(f"the connection broke: {paho.error_string(code)}")

    def _give_up(self, why: str) -> NoReturn:
        self.close()
        settings = self._settings
        raise BrokerUnavailable(f"broker {settings.host}:{settings.port}: {why}")

    def _on_connect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._answer = reason
        self._room = min(IN_FLIGHT, getattr(properties, "ReceiveMaximum", IN_FLIGHT))

    def _on_publish(
        self, _client: paho.Client, _data: Any, packet_id: int, reason: ReasonCode, _props: Any
    ) -> None:
        self._waiting.discard(packet_id)
        # "No matching subscribers" is a success: whoever comes later reads the feed from where he wants.
        if reason.is_failure:
            self._refused = reason


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]  # paho leaves its constructor untyped
