"""Loop: renewals over the broker, whose orders count, what has come of age. A process of its own: `cloud-sink ca run`.

Apart from the sink, because only it needs the authority's key, and nothing but requests of gateways that already have a
certificate reach it. All in one thread, which also runs paho's network loop. If it is away nothing breaks: gateways ask
again, every hour, through the last third of their certificate's life.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import ValidationError

from cloud_sink.authority.enrolling import Authority
from cloud_sink.authority.publications import Publications
from cloud_sink.broker_identity import identify
from cloud_sink.config import MqttSection
from cloud_sink.errors import NotPossible, RegisterUnavailable
from wastelock.enrolment import request_id
from wastelock.messages import IdentityAnswer, IdentityRequest
from wastelock.topics import (
    ALL_IDENTITY_REQUESTS,
    GatewayTopics,
    InvalidTopic,
    ParsedTopic,
    parse_gateway_topic,
)

_log = structlog.get_logger(__name__)
_WAITING_MAX = 1000
_REQUEST_BYTES_MAX = 32 * 1024
_PUBLISH_EVERY_S = 60.0
_STATE_EVERY_S = 2.0
_STATE_AT_ONCE = 200
_LOOP_S = 0.2
_RECONNECT_S = 5.0


class Serving:
    """`run` answers until it is asked to stop."""

    def __init__(
        self, settings: MqttSection, authority: Authority, files: Publications, clock: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._authority = authority
        self._files = files
        self._clock = clock
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=_WAITING_MAX)
        self._stated: dict[str, str | None] = {}
        self._away = False

    def run(self, stop: threading.Event) -> None:
        """Connect, answer, connect again; write the files whenever something in them has come of age."""
        due_s = state_due_s = 0.0
        while not stop.is_set():
            client = self._connect()
            self._stated.clear()  # it may be another broker, or one that has lost its state
            while not stop.is_set():
                if time.monotonic() >= due_s:
                    self.publish()
                    due_s = time.monotonic() + _PUBLISH_EVERY_S
                if client is None or client.loop(_LOOP_S) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    break
                if client.is_connected() and time.monotonic() >= state_due_s:
                    self._state_order_keys(client)
                    state_due_s = time.monotonic() + _STATE_EVERY_S
                while self._waiting:
                    self._answer(client, *self._waiting.popleft())
            self._close(client)
            if not stop.is_set():
                self._tell_away()
                stop.wait(_RECONNECT_S)

    def publish(self) -> None:
        """Bring sinks' and broker's files up to date."""
        for path in self._files.write(self._authority.register, self._authority.issuer, self._clock()):
            _log.info("written", file=str(path))

    def answer(self, topic: ParsedTopic, payload: bytes) -> IdentityAnswer | None:
        """Return the answer to a request that came on a gateway's topic; None where there is none to give now."""
        try:
            request = IdentityRequest.model_validate_json(payload[: _REQUEST_BYTES_MAX + 1])
        except ValidationError:
            _log.warning("not a request", gateway=topic.gateway)
            return None
        try:
            answer = self._authority.answer(request, "gateway", (topic.site, topic.gateway))
        except NotPossible as error:
            _log.warning("request refused", gateway=topic.gateway, why=str(error))
            return IdentityAnswer(request=request_id(request), at=self._clock(), refused=str(error))
        except RegisterUnavailable as error:
            _log.error("request not answered: the gateway asks again", gateway=topic.gateway, why=str(error))
            return None
        # Sinks must know a new key by the time that the gateway uses it.
        self.publish()
        _log.info("certificate renewed", gateway=topic.gateway)
        return answer

    def _state_order_keys(self, client: paho.Client) -> None:
        """Tell gateways whose orders count, as soon as that changes: retained, so that they find it on waking."""
        try:
            answer, gateways = self._authority.order_keys()
        except RegisterUnavailable:
            return  # somebody decides something at this moment: the next turn will do
        if answer is None:
            return
        topics = (GatewayTopics(each.site, each.id).identity_answer for each in gateways)
        untold = [topic for topic in topics if self._stated.get(topic) != answer.order_keys]
        for topic in untold[:_STATE_AT_ONCE]:
            client.publish(topic, answer.to_json(), qos=1, retain=True)
            self._stated[topic] = answer.order_keys
        if untold:
            _log.info("order keys stated", gateways=min(len(untold), _STATE_AT_ONCE), of=len(untold))

    def _answer(self, client: paho.Client, topic_text: str, payload: bytes) -> None:
        try:
            topic = parse_gateway_topic(topic_text)
        except InvalidTopic:
            return
        answer = self.answer(topic, payload)
        if answer is None:
            return
        client.publish(GatewayTopics(topic.site, topic.gateway).identity_answer, answer.to_json(), qos=1)

    def _connect(self) -> paho.Client | None:
        settings = self._settings
        client = paho.Client(CallbackAPIVersion.VERSION2, settings.session_name, protocol=paho.MQTTv5)
        identify(client, settings)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        try:
            client.connect(settings.host, settings.port, settings.keepalive_s, clean_start=True)
        except (OSError, ValueError):
            self._close(client)
            return None
        return client

    def _close(self, client: paho.Client | None) -> None:
        if client is None:
            return
        with suppress(OSError, ValueError):
            client.disconnect()
        # Callbacks and client hold each other: cut here, so that the sockets are closed now and not some day.
        client.on_connect = client.on_message = None

    def _tell_away(self) -> None:
        if not self._away:
            _log.warning(
                "broker can't be reached, trying again until it can",
                host=self._settings.host,
                port=self._settings.port,
                remedy="is it running, is this its address, does it accept the certificates?",
            )
        self._away = True

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            _log.error("broker refused the connection", reason=str(reason))
            return
        self._away = False
        client.subscribe(ALL_IDENTITY_REQUESTS, qos=1)
        _log.info("connected to the broker", host=self._settings.host, port=self._settings.port)

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self._waiting.append((message.topic, bytes(message.payload)))
