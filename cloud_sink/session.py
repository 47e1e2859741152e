"""The sink's MQTT 5 session: what comes in is handed on, what goes out is sent while the broker is there.

paho runs the network in a thread of its own. Its callbacks here do nothing but hand over, and what they raise stops
the process (`fail`): an exception in a callback would otherwise end that thread while everything looks well.

Messages are acknowledged by hand, and only on the connection that they came on: after a reconnect the broker sends
those that weren't acknowledged again, and their numbers may have been given to others.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from cloud_sink.broker_identity import identify
from cloud_sink.checking import Message
from cloud_sink.config import MqttSection
from wastelock.messages import SinkState
from wastelock.page import MAX_PAGE_BYTES
from wastelock.topics import (
    ALL_GATEWAY_STATES,
    ALL_LOCK_STATES,
    ALL_PAGES,
    ALL_RESULTS,
    ALL_TELEMETRY,
    SINK_STATE,
    shared,
)

_log = structlog.get_logger(__name__)

_PAGE_CHANNEL, _RESULT_CHANNEL = "/up/page", "/up/result"
_PACKET_ROOM = 1024 * 1024  # a page that is too large must still arrive, to be quarantined with its reason
_OUTGOING_MAX = 2000  # receipts and requests in paho's hands; beyond that they are dropped, they come again
_RECONNECT_MAX_S = 30
_FAREWELL_S = 1.0
_SHORT_S = 5.0  # a connection that ends sooner was most likely ended by somebody


@dataclass(frozen=True, slots=True)
class Incoming:
    """A signed message, with what is needed to acknowledge it: packet id, QoS and connection."""

    message: Message
    packet_id: int
    qos: int
    connection: int


@dataclass(frozen=True, slots=True)
class Envelope:
    """What goes with an order: signature, in how many seconds it is void, where its answers go, and what they name."""

    kid: str
    sig: str
    expiry_s: int | None = None
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Handlers:
    """Where messages go. All are called in paho's thread and must return at once.

    `report`: topic, payload, and whether the broker had kept it: then it was said before this sink began to listen.
    `result`: what gateways answer to commands; None: this sink sends none.
    """

    page: Callable[[Incoming], None]
    lost: Callable[[], None]
    report: Callable[[str, bytes, bool], None]
    fail: Callable[[Exception], None]
    result: Callable[[Incoming], None] | None = None


class Session:
    """One connection to the broker, made again whenever it breaks."""

    def __init__(
        self,
        settings: MqttSection,
        receive_maximum: int,
        software: str,
        handlers: Handlers,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._receive_maximum = receive_maximum
        self._software = software
        self._handlers = handlers
        self._clock = clock
        self._connection = 0
        self._connected_s = 0.0
        self._session_present = False
        self._away = False  # told once for each time that it can't be reached
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._client = self._make_client()

    @property
    def connection(self) -> int:
        """Number of the current connection; a message of an earlier one comes again and isn't acknowledged."""
        return self._connection

    @property
    def alive(self) -> bool:
        """False once paho's thread has ended though nobody asked it to."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def connected(self) -> bool:
        return self._client.is_connected()

    def start(self) -> None:
        """Begin to connect, and go on trying; return at once."""
        connect = _properties(PacketTypes.CONNECT)
        connect.SessionExpiryInterval = self._settings.expiry_s
        connect.ReceiveMaximum = self._receive_maximum
        connect.MaximumPacketSize = MAX_PAGE_BYTES + _PACKET_ROOM
        self._client.connect_async(
            self._settings.host,
            self._settings.port,
            self._settings.keepalive_s,
            clean_start=False,
            properties=connect,
        )
        before = set(threading.enumerate())
        self._client.loop_start()
        # By its name, too: others may just have begun a thread.
        new = set(threading.enumerate()) - before
        self._thread = next((thread for thread in new if thread.name.startswith("paho-mqtt")), None)

    def stop(self) -> None:
        """Say goodbye and end paho's thread. The session stays at the broker and collects pages."""
        self._stopping = True
        farewell = self._client.publish(SINK_STATE, self._state(online=False), qos=1, retain=True)
        with suppress(RuntimeError, ValueError):  # not connected: the broker sends the will
            farewell.wait_for_publish(_FAREWELL_S)
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> bool:
        """Send a message with QoS 1 if the broker is there; False if it couldn't be handed over."""
        if not self._client.is_connected():
            return False
        return self._client.publish(topic, payload, qos=1, retain=retain).rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def publish_order(self, topic: str, payload: bytes, envelope: Envelope, retain: bool = False) -> bool:
        """Send a signed order if the broker is there; False if it couldn't be handed over.

        What isn't retained goes with QoS 2 to the broker: a copy that is sent again after a reconnect would reach the
        gateway as a second one, and look like a replay.
        """
        if not self._client.is_connected():
            return False
        fields = _properties(PacketTypes.PUBLISH)
        fields.UserProperty = [("kid", envelope.kid), ("sig", envelope.sig)]
        if envelope.expiry_s is not None:
            fields.MessageExpiryInterval = envelope.expiry_s
        if envelope.response_topic is not None:
            fields.ResponseTopic = envelope.response_topic
        if envelope.correlation is not None:
            fields.CorrelationData = envelope.correlation
        sent = self._client.publish(topic, payload, 1 if retain else 2, retain, fields)
        return sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def acknowledge(self, incoming: Incoming) -> None:
        """Tell the broker that it may forget this message, unless it came on an earlier connection."""
        if incoming.connection == self._connection:
            self._client.ack(incoming.packet_id, incoming.qos)

    def _make_client(self) -> paho.Client:
        settings = self._settings
        client = paho.Client(
            CallbackAPIVersion.VERSION2, settings.session_name, protocol=paho.MQTTv5, manual_ack=True
        )
        client.max_queued_messages_set(_OUTGOING_MAX)
        client.reconnect_delay_set(1, _RECONNECT_MAX_S)
        identify(client, settings)
        client.will_set(SINK_STATE, self._state(online=False), qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    def _state(self, online: bool) -> bytes:
        at = self._clock() if online else None
        return SinkState(online=online, at=at, software=self._software if online else None).to_json()

    def _on_connect(
        self, client: paho.Client, _data: Any, flags: paho.ConnectFlags, reason: ReasonCode, _props: Any
    ) -> None:
        try:
            if reason.is_failure:
                _log.error(
                    "broker refused the connection", reason=str(reason), client=self._settings.session_name
                )
                return
            self._connection += 1
            self._connected_s = time.monotonic()
            self._away = False
            # Reports come again, and the latest counts: QoS 0, so that they never hold up pages.
            topics = [
                (topic, SubscribeOptions(qos=0))
                for topic in (ALL_GATEWAY_STATES, ALL_LOCK_STATES, ALL_TELEMETRY, SINK_STATE)
            ]
            group = self._settings.share_group
            pages = _grouped(group, ALL_PAGES)
            signed = [pages] if self._handlers.result is None else [pages, _grouped(group, ALL_RESULTS)]
            client.subscribe([*((topic, SubscribeOptions(qos=1)) for topic in signed), *topics])
            self._session_present = flags.session_present
        except Exception as error:  # noqa: BLE001 - entry point of a callback: whatever it is must stop the process
            self._handlers.fail(error)

    def _on_connect_fail(self, _client: paho.Client, _data: Any) -> None:
        if not self._away:
            _log.warning(
                "broker can't be reached, trying again until it can",
                host=self._settings.host,
                port=self._settings.port,
                remedy="is it running, is this its address, does it accept the certificates?",
            )
        self._away = True

    def _on_subscribe(
        self, client: paho.Client, _data: Any, _mid: int, codes: list[ReasonCode], _props: Any
    ) -> None:
        refused = sorted({str(code) for code in codes if code.is_failure})
        if refused:
            _log.error("the broker refuses a subscription: check its access rules", reasons=refused)
            return
        # Only now: whoever hears of this may count on pages being received.
        _log.info("connected to the broker", host=self._settings.host, port=self._settings.port,
                  session_present=self._session_present)  # fmt: skip
        client.publish(SINK_STATE, self._state(online=True), qos=1, retain=True)

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _props: Any
    ) -> None:
        # What is on its way to the ledger will come again; its numbers are no longer valid.
        self._connection += 1
        self._handlers.lost()
        if self._stopping:
            return
        # paho doesn't tell of a session that another client took over; that it ends so soon does.
        hint = (
            "is another client using this client_id?"
            if time.monotonic() - self._connected_s < _SHORT_S
            else ""
        )
        _log.warning(
            "connection to the broker lost", reason=str(reason), client=self._settings.session_name, hint=hint
        )

    def _on_publish(
        self, _client: paho.Client, _data: Any, _mid: int, reason: ReasonCode, _props: Any
    ) -> None:
        if reason.is_failure:
            _log.error("the broker refuses a message: check its access rules", reason=str(reason))

    def _on_message(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
            if topic.endswith(_PAGE_CHANNEL):
                self._handlers.page(self._incoming(message))
            elif topic.endswith(_RESULT_CHANNEL):
                if self._handlers.result is not None:
                    self._handlers.result(self._incoming(message))
                else:  # of a time when this session was another sink's: nobody waits for it here
                    client.ack(message.mid, message.qos)
            elif topic == SINK_STATE:
                # Several sinks share this topic: one that leaves must not make the others look dead.
                if b'"online":false' in message.payload and not self._stopping:
                    client.publish(SINK_STATE, self._state(online=True), qos=1, retain=True)
            else:
                self._handlers.report(topic, bytes(message.payload), message.retain)
        except Exception as error:  # noqa: BLE001 - entry point of a callback: whatever it is must stop the process
            self._handlers.fail(error)

    def _incoming(self, message: paho.MQTTMessage) -> Incoming:
        user = dict(getattr(message.properties, "UserProperty", ()))
        received = Message(
            message.topic, bytes(message.payload), user.get("kid"), user.get("sig"), self._clock()
        )
        return Incoming(received, message.mid, message.qos, self._connection)


def _grouped(group: str | None, topic_filter: str) -> str:
    """Of several sinks in a group each message goes to one."""
    return shared(group, topic_filter) if group else topic_filter


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]  # paho leaves its constructor untyped
