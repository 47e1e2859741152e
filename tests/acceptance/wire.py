"""Pages as they go over the wire, seen and sent by a bystander."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from demo.chain import Chain
from tests.support.mqtt import TestClient
from wastelock.page import SigningKey, parse_header
from wastelock.topics import ALL_PAGES, GatewayTopics


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
    """A client that sees all pages and may publish its own."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def pages(self) -> list[WirePage]:
        """Return the pages seen so far, in the order in which they came."""
        return [
            WirePage(
                message.topic, bytes(message.payload), dict(getattr(message.properties, "UserProperty", ()))
            )
            for message in list(self._client.received)
            if message.topic.endswith("/up/page")
        ]

    def send(self, page: WirePage) -> None:
        """Publish a message; returns when the broker has it."""
        self._client.puback(self._client.publish(page.topic, page.payload, user=page.user))


@contextmanager
def bystander(chain: Chain, name: str = "bystander") -> Iterator[Bystander]:
    """Listen to all pages of the chain's broker."""
    with TestClient(chain.layout.broker_port, name) as client:
        client.subscribe(ALL_PAGES)
        yield Bystander(client)


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
