"""Pages as they go over the wire, seen and sent by a bystander."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

import paho.mqtt.client as paho
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from demo.chain import Chain
from tests.support.waiting import wait_until
from wastelock.page import SigningKey, parse_header
from wastelock.topics import ALL_PAGES, GatewayTopics

_PAGES_KEPT = 2000


@dataclass(frozen=True, slots=True)
class WirePage:
    """One page's message."""

    topic: str
    payload: bytes
    user: dict[str, str]

    @property
    def number(self) -> int:
        return parse_header(self.payload).page

    def signed_anew(self, key: SigningKey) -> "WirePage":
        """Return the same topic and payload with a good signature of this key."""
        return replace(self, user={"kid": key.kid, "sig": key.sign(self.topic, self.payload)})


class Bystander:
    """A client that sees all pages and may publish its own. It comes back by itself when the broker was away."""

    def __init__(self, port: int, name: str) -> None:
        self._pages: deque[WirePage] = deque(maxlen=_PAGES_KEPT)
        self._acknowledged: set[int] = set()
        self._listening = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = lambda *_: self._listening.set()
        self._client.on_disconnect = lambda *_: self._listening.clear()
        self._client.on_message = self._note
        self._client.on_publish = lambda _client, _data, mid, *_: self._acknowledged.add(mid)
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def pages(self) -> list[WirePage]:
        """Return the pages seen so far, in the order in which they came."""
        return list(self._pages)

    def wait_until_listening(self, timeout_s: float = 10.0) -> bool:
        """Wait until pages are seen; False if the broker is away for longer."""
        return self._listening.wait(timeout_s)

    def send(self, page: WirePage) -> None:
        """Publish a message; returns when the broker has it."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if page.user:
            properties.UserProperty = list(page.user.items())
        mid = self._client.publish(page.topic, page.payload, 1, False, properties).mid
        wait_until(lambda: mid in self._acknowledged, 20, "the broker to take a page")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _subscribe(self, client: paho.Client, *_: object) -> None:
        client.subscribe(ALL_PAGES, qos=1)

    def _note(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        user = dict(getattr(message.properties, "UserProperty", ()))
        self._pages.append(WirePage(message.topic, bytes(message.payload), user))


@contextmanager
def bystander(chain: Chain) -> Iterator[Bystander]:
    """Listen to all pages of the chain's broker."""
    with closing(Bystander(chain.layout.broker_port, "bystander")) as listening:
        assert listening.wait_until_listening()
        yield listening


def gateway_key(chain: Chain) -> SigningKey:
    """Return the key that the gateway signs its pages with, as somebody who stole the gateway would have it."""
    return signing_key(chain.layout.signing_key.read_bytes())


def signing_key(private_pem: bytes) -> SigningKey:
    """Return the key in this PEM text."""
    private = load_pem_private_key(private_pem, password=None)
    assert isinstance(private, Ed25519PrivateKey)
    return SigningKey(private)


def page_topic(chain: Chain, gateway: str | None = None, site: str | None = None) -> str:
    estate = chain.layout.estate
    return GatewayTopics(site or estate.site, gateway or estate.gateway).page
