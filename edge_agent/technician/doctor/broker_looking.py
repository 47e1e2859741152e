"""Goes the way to the broker step by step, as far as it leads: name, connection, TLS, certificate, session, access.

Where the agent runs nothing is opened under its name, which would end its session. Where it doesn't, a session is
opened as the agent would, and nothing that waits in it is acknowledged: the agent finds all of it later. It ends with
the agent's own goodbye, that the gateway is offline, as it is: only an answer to what is published tells of access
rules, for mosquitto grants every subscription.
"""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agent.clock import utc_now
from edge_agent.config import AgentConfig, MqttSettings
from edge_agent.errors import ConfigError, SpoolCorrupt, SpoolFull, SpoolUnavailable
from edge_agent.local.snapshot import BrokerSight
from edge_agent.reporter import offline
from edge_agent.spool_reader import SpoolReader
from edge_agent.technician.doctor.trust_verdicts import BrokerFigures, Step
from edge_agent.uplink import SESSION_EXPIRY_S, secure_client
from wastelock.topics import GatewayTopics

_STEP_S = 5.0
_LISTEN_S = 2.0  # with TLS 1.3 a server says only after the handshake that it doesn't take the certificate

Failure = tuple[Step, str]


def look_at_broker(config: AgentConfig, sight: BrokerSight | None) -> BrokerFigures:
    """Return how far the way leads. `sight`: what the running agent knows, None where it doesn't run."""
    mqtt = config.mqtt
    if sight is not None and sight.connected:
        return BrokerFigures(mqtt.host, mqtt.port, Step.NONE, is_connected=True)
    failure = _reach(mqtt)
    may_open_session = failure is None and sight is None
    if may_open_session:
        failure = _Session(config, _goodbye(config)).open()
    step, why = failure or (Step.NONE, "")
    return BrokerFigures(
        mqtt.host, mqtt.port, step, why,
        agent_says=sight.trouble if sight is not None else None,
        session_tried=may_open_session,
    )  # fmt: skip


def _reach(mqtt: MqttSettings) -> Failure | None:
    """Go up to the broker's door, and through its TLS; return what failed."""
    named = _within(_STEP_S, lambda: socket.getaddrinfo(mqtt.host, mqtt.port, type=socket.SOCK_STREAM))
    if isinstance(named, OSError):
        return Step.NAME, str(named)
    try:
        plain = socket.create_connection((mqtt.host, mqtt.port), _STEP_S)
    except OSError as error:
        return Step.CONNECTION, error.strerror or str(error)
    with plain:
        return None if mqtt.ca_file is None else _shake_hands(mqtt, plain)


def _shake_hands(mqtt: MqttSettings, plain: socket.socket) -> Failure | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(mqtt.ca_file)
        if mqtt.cert_file is not None and mqtt.key_file is not None:
            context.load_cert_chain(mqtt.cert_file, mqtt.key_file, password="")
    except (OSError, ValueError) as error:
        return Step.FILES, str(error)
    try:
        with context.wrap_socket(plain, server_hostname=mqtt.host) as secured:
            secured.settimeout(_LISTEN_S)
            if secured.recv(1) == b"" and mqtt.cert_file is not None:
                return Step.CERTIFICATE, "it closes the connection right after the handshake"
    except TimeoutError:
        return None  # it waits for our first packet: we are let in
    except ssl.SSLCertVerificationError as error:
        return Step.TLS, error.verify_message
    except ssl.SSLError as error:
        return Step.CERTIFICATE, error.reason or str(error)
    except OSError as error:
        return Step.CONNECTION, error.strerror or str(error)
    return None


@dataclass(slots=True)
class _Session:
    """One session as the agent would open it, closed again at once."""

    config: AgentConfig
    goodbye: bytes | None
    refused: str | None = None
    connected: bool = False
    granted: list[ReasonCode] | None = None
    published: ReasonCode | None = None
    _topics: GatewayTopics = field(init=False)

    def __post_init__(self) -> None:
        self._topics = GatewayTopics(self.config.gateway.site, self.config.gateway.id)

    def open(self) -> Failure | None:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.config.gateway.id,
            protocol=MQTTProtocolVersion.MQTTv5,
            manual_ack=True,
        )
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        client.on_publish = self._on_publish
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval, properties.ReceiveMaximum = SESSION_EXPIRY_S, 1
        mqtt = self.config.mqtt
        client.connect_timeout = _STEP_S
        try:
            secure_client(client, mqtt)
            client.connect(mqtt.host, mqtt.port, mqtt.keepalive_s, clean_start=False, properties=properties)
        except ConfigError as error:
            return Step.FILES, str(error)
        except OSError as error:
            return Step.CONNECTION, error.strerror or str(error)
        self._serve(client)
        if self.refused is not None or not self.connected:
            return Step.SESSION, self.refused or "it ends the connection without an answer"
        if self.granted is None:
            return Step.ACCESS, "no answer to the subscription"
        denied = [
            code.getName() for code in (*self.granted, self.published) if code is not None and code.is_failure
        ]
        return (Step.ACCESS, denied[0]) if denied else None

    def _serve(self, client: Client) -> None:
        until = monotonic() + _STEP_S
        while monotonic() < until and self.refused is None and not self._is_answered:
            if client.loop(0.1) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
        client.disconnect()
        client.loop(0.1)
        client.on_connect = client.on_subscribe = client.on_publish = (
            None  # they and the client hold each other
        )

    @property
    def _is_answered(self) -> bool:
        return self.granted is not None and (self.goodbye is None or self.published is not None)

    def _on_connect(
        self,
        client: Client,
        _data: Any,
        _flags: ConnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self.refused = code.getName()
            return
        self.connected = True
        client.subscribe([(self._topics.receipt, 1), (self._topics.resend, 1)])
        if self.goodbye is not None:
            client.publish(self._topics.gateway_state, self.goodbye, 1, True)

    def _on_subscribe(
        self, _client: Client, _data: Any, _mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self.granted = codes

    def _on_publish(
        self, _client: Client, _data: Any, _mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        self.published = code


def _goodbye(config: AgentConfig) -> bytes | None:
    """Return what the agent says at its end; None where none has run on this spool yet, or it can't be read."""
    if not config.spool.path.exists():
        return None
    try:
        with closing(SpoolReader(config.spool.path)) as reader:
            return offline(config.gateway.id, reader.incarnation(), utc_now()).to_json()
    except (SpoolUnavailable, SpoolCorrupt, SpoolFull):
        return None


def _within(seconds: float, do: Callable[[], Any]) -> Any:
    """Return what `do` returns, or an OSError that says why not; also where it takes too long."""
    done: list[Any] = [TimeoutError(f"no answer within {seconds:.0f} s")]

    def work() -> None:
        try:
            done[0] = do()
        except (OSError, UnicodeError) as error:  # the latter: it can't be a name
            done[0] = OSError(str(error))

    thread = threading.Thread(target=work, name="name look-up", daemon=True)
    thread.start()
    thread.join(seconds)
    return done[0]
