"""The MQTT 5 session with the broker: publish while it stands, receive, come back by itself when it falls.

The spool is the queue: nothing is handed to paho while there is no session, and at most `max_in_hand` pages at a
time. paho's callbacks only put things into small queues and wake the forwarder; an error in one ends `run` (and so,
loudly, the process), for paho's own thread would die of it unnoticed. No other thread writes to the socket: see
`_build_client`.
"""

import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from time import monotonic
from typing import Any

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agent.arrival import Arrival, read_arrival
from edge_agent.config import MqttSettings
from edge_agent.errors import BrokerUnavailable, ConfigError
from wastelock.topics import SINK_STATE, GatewayTopics

_log = structlog.get_logger(__name__)

SESSION_EXPIRY_S = 86_400  # orders wait a day for a gateway that is away; its own pages wait in the spool
_WILL_DELAY_S = 30  # a short break of the line is no outage
_CONNECT_TIMEOUT_S = 4.0
_LOOP_S = 1.0
_BACKOFF_FIRST_S, _BACKOFF_MAX_S = 0.5, 30.0
_STABLE_S = 5.0
_INBOX_MAX = 1000
_ACKS_MAX = 65_535  # as many as there are message ids
_GOODBYE_S = 1.0
NO_MATCHING_SUBSCRIBERS = 0x10


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The broker's word on one message: `code` below 0x80 means that it took it."""

    mid: int
    code: int
    name: str


@dataclass(frozen=True, slots=True)
class Session:
    """What is told to the broker on connecting. `farewell` makes the payload of an orderly goodbye.

    `listeners`: further topics, and who takes what comes, in the network thread: it must return at once.
    """

    client_id: str
    topics: GatewayTopics
    will: bytes
    farewell: Callable[[], bytes]
    listeners: Mapping[str, Callable[[Arrival], None]] = field(default_factory=dict)


class Uplink:
    """`run` is the thread; everything else may be called from any thread."""

    def __init__(
        self,
        settings: MqttSettings,
        session: Session,
        random: Random,
        wake: threading.Event,
        *,
        max_in_hand: int = 20,
    ) -> None:
        self._settings = settings
        self._session = session
        self._random = random
        self._wake = wake
        self._acks: deque[Acknowledgement] = deque(maxlen=_ACKS_MAX)
        # Whoever publishes results looks for its own among all: which are its own is known only after publishing.
        self._acks_for_results: deque[Acknowledgement] = deque(maxlen=_ACKS_MAX)
        self._inbox: deque[tuple[str, bytes]] = deque(maxlen=_INBOX_MAX)
        self._connected = threading.Event()
        self._connected_at_s = 0.0
        self._answered = False
        self._max_in_hand = max_in_hand
        self.max_in_hand = max_in_hand
        self.max_packet_bytes: int | None = None
        self.sessions = 0
        self.progressed_at = monotonic()
        self.last_error = "not connected yet"
        self._client = self._build_client()

    @property
    def is_connected(self) -> bool:
        return self._connected.is_set()

    def publish_page(self, payload: bytes, kid: str, signature: str) -> int:
        """Hand one signed page to paho and return its message id; BrokerUnavailable while there is no session."""
        signed = _properties(PacketTypes.PUBLISH, UserProperty=[("kid", kid), ("sig", signature)])
        return self._publish(self._session.topics.page, payload, 1, False, signed)

    def publish_state(self, topic: str, payload: bytes) -> None:
        """Publish a retained state."""
        self._publish(topic, payload, 1, True, None)

    def publish_request(self, topic: str, payload: bytes) -> None:
        """Publish what will be asked again until it is answered."""
        self._publish(topic, payload, 1, False, None)

    def publish_result(self, payload: bytes, kid: str, signature: str, correlation: bytes | None) -> int:
        """Hand one signed result of an order to paho and return its message id."""
        fields: dict[str, object] = {"UserProperty": [("kid", kid), ("sig", signature)]}
        if correlation is not None:
            fields["CorrelationData"] = correlation
        signed = _properties(PacketTypes.PUBLISH, **fields)
        return self._publish(self._session.topics.result, payload, 1, False, signed)

    def publish_passing(self, topic: str, payload: bytes, expiry_s: int) -> None:
        """Publish what is worth nothing when it is late: QoS 0, with an expiry."""
        self._publish(
            topic, payload, 0, False, _properties(PacketTypes.PUBLISH, MessageExpiryInterval=expiry_s)
        )

    def take_acknowledgements(self) -> list[Acknowledgement]:
        """Return what the broker acknowledged since the last call."""
        return _drain(self._acks)

    def take_acknowledgements_for_results(self) -> list[Acknowledgement]:
        """Return the same once more, for whoever publishes results; those of pages are among them."""
        return _drain(self._acks_for_results)

    def take_messages(self) -> list[tuple[str, bytes]]:
        """Return (topic, payload) of what came in since the last call."""
        return _drain(self._inbox)

    def run(self, stop: threading.Event) -> None:
        """Keep a session until asked to stop, then say goodbye."""
        backoff_s = _BACKOFF_FIRST_S
        while not stop.is_set():
            started_s = monotonic()
            self._answered = False
            if self._connect():
                self._serve(stop)
                self._note_silence(stop)
                self._note_lost()
            self.progressed_at = monotonic()
            if stop.is_set():
                break
            lasted = monotonic() - self._connected_at_s if self._connected_at_s >= started_s else 0.0
            backoff_s = _BACKOFF_FIRST_S if lasted > _STABLE_S else backoff_s
            stop.wait(backoff_s * self._random.uniform(0.5, 1.5))
            backoff_s = min(backoff_s * 2, _BACKOFF_MAX_S)

    # ---- the network thread ----

    def _connect(self) -> bool:
        properties = _properties(PacketTypes.CONNECT, SessionExpiryInterval=SESSION_EXPIRY_S)
        host, port = self._settings.host, self._settings.port
        try:
            self._client.connect(
                host, port, self._settings.keepalive_s, clean_start=False, properties=properties
            )
        except (OSError, ssl.SSLError) as error:
            self._note_trouble(f"no connection to {host}:{port}: {error}")
            return False
        return True

    def _serve(self, stop: threading.Event) -> None:
        while True:
            code = self._client.loop(_LOOP_S)
            self.progressed_at = monotonic()
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
            if stop.is_set():
                self._say_goodbye()
                return

    def _note_silence(self, stop: threading.Event) -> None:
        """With TLS 1.3 a refused certificate shows only as a connection that ends before the broker has said a word."""
        if self._answered or stop.is_set() or self._settings.cert_file is None:
            return
        self._note_trouble(
            "the broker ended the connection without an answer: does it take this certificate, or was it revoked?"
        )

    def _say_goodbye(self) -> None:
        if self.is_connected:
            mid = self._publish(self._session.topics.gateway_state, self._session.farewell(), 1, True, None)
            deadline_s = monotonic() + _GOODBYE_S
            while monotonic() < deadline_s and not any(ack.mid == mid for ack in self._acks):
                if self._client.loop(0.05) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    return
        self._client.disconnect()
        self._client.loop(0.05)

    def _build_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._session.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(65_535)  # how much is in its hands is bounded by us
        secure_client(client, self._settings)
        will = _properties(PacketTypes.WILLMESSAGE, WillDelayInterval=_WILL_DELAY_S)
        client.will_set(self._session.topics.gateway_state, self._session.will, 1, True, will)
        # Without this paho writes to the socket from whatever thread publishes, while our thread may be writing, too.
        client.on_socket_register_write = lambda *_: None
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        return client

    def _publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, properties: Properties | None
    ) -> int:
        if not self.is_connected:
            raise BrokerUnavailable(self.last_error)
        info = self._client.publish(topic, payload, qos, retain, properties)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            raise BrokerUnavailable("paho takes no more messages")
        return info.mid

    # ---- paho's callbacks: run in the network thread ----

    def _on_connect(
        self,
        client: Client,
        _userdata: Any,
        flags: ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._answered = True
        if code.is_failure:
            self._note_trouble(f"the broker refuses the session: {code.getName()}")
            return
        self.max_in_hand = min(self._max_in_hand, getattr(properties, "ReceiveMaximum", 65_535))
        self.max_packet_bytes = getattr(properties, "MaximumPacketSize", None)
        topics = self._session.topics
        listened = [(topic, 1) for topic in self._session.listeners]
        client.subscribe([(topics.receipt, 1), (topics.resend, 1), (SINK_STATE, 1), *listened])
        self.sessions += 1
        self._connected_at_s = monotonic()
        self._connected.set()
        self._wake.set()
        _log.info("connected to the broker", host=self._settings.host, session_present=flags.session_present)

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: Any,
        _flags: DisconnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        # A refused session is told of already, and one that we ended is no trouble.
        if self._connected.is_set() and code.value != 0:
            self._note_trouble(f"the session ended: {code.getName()}")
        self._connected.clear()

    def _on_publish(
        self, _client: Client, _userdata: Any, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        acknowledgement = Acknowledgement(mid, code.value, code.getName())
        self._acks.append(acknowledgement)
        self._acks_for_results.append(acknowledgement)
        self._wake.set()

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        listener = self._session.listeners.get(message.topic)
        if listener is not None:
            listener(read_arrival(message))
            return
        self._inbox.append((message.topic, bytes(message.payload)))
        self._wake.set()

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: Any,
        _mid: int,
        codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        # The sink's state is a convenience; without receipts nothing is ever pruned.
        asked = ("receipts", "resend requests", "sink state", *self._session.listeners)
        for code, what in zip(codes, asked, strict=False):
            if code.is_failure:
                _log.error(
                    "the broker refuses a subscription: check its access rules", what=what, why=code.getName()
                )

    def _note_lost(self) -> None:
        self._connected.clear()
        self._wake.set()

    def _note_trouble(self, text: str) -> None:
        if text != self.last_error:
            _log.warning("broker", what=text)
        self.last_error = text
        self._wake.set()


def secure_client(client: Client, settings: MqttSettings) -> None:
    """Give a client name, password and certificates as configured; ConfigError where the files can't be used."""
    try:
        if settings.username is not None:
            client.username_pw_set(settings.username, _first_line(settings))
        if settings.ca_file is not None:
            client.tls_set(
                str(settings.ca_file),
                str(settings.cert_file) if settings.cert_file else None,
                str(settings.key_file) if settings.key_file else None,
            )
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"mqtt: ca_file, cert_file or key_file can't be used ({error}); "
            "expected PEM files that belong together; remedy: check them with `openssl verify`"
        ) from error


def _properties(packet_type: int, **fields: object) -> Properties:
    properties = Properties(packet_type)  # type: ignore[no-untyped-call]
    for name, value in fields.items():
        setattr(properties, name, value)
    return properties


def _first_line(settings: MqttSettings) -> str | None:
    if settings.password_file is None:
        return None
    return settings.password_file.read_text(encoding="utf-8").partition("\n")[0]


def _drain(items: deque[Any]) -> list[Any]:
    taken = []
    while items:
        taken.append(items.popleft())
    return taken
